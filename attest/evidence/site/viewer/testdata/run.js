// Runs the verifier for the tests in Go: a program's name as argument, its input as
// JSON on standard input (bytes in base64, as Go writes them), its output as JSON.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

// As a page has it: classic scripts in one global scope, in any order.
globalThis.crypto ??= require("node:crypto").webcrypto;
const folder = path.join(__dirname, "..");
for (const name of fs.readdirSync(folder).filter((n) => n.endsWith(".js")).sort().reverse()) {
  vm.runInThisContext(fs.readFileSync(path.join(folder, name), "utf8"), { filename: name });
}
const F = globalThis.fleetctlVerify;
const bytes = (text) => new Uint8Array(Buffer.from(text ?? "", "base64"));

const programs = {
  // Each case {object, data, policy, time, proofs, expect} is judged.
  async verify(cases) {
    const answers = [];
    for (const c of cases) {
      const judge = c.object === "bundle" ? F.verifyBundle : F.verifyPackage;
      const began = performance.now();
      const answer = await judge(bytes(c.data), {
        policy: bytes(c.policy), time: c.time, proofs: (c.proofs ?? []).map(bytes), expect: c.expect,
      });
      if (!c.facts) delete answer.facts;
      answers.push({ ...answer, milliseconds: performance.now() - began });
    }
    return answers;
  },
};

(async () => {
  const output = await programs[process.argv[2]](JSON.parse(fs.readFileSync(0, "utf8")));
  process.stdout.write(JSON.stringify(output));
})().catch((e) => { console.error(e); process.exit(1); });
