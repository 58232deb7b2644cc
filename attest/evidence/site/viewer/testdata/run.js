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

// What is computed of a signature follows from the arguments alone, and cases by the
// hundred have the same ones: it is computed once.
for (const name of ["ed25519", "ed25519Admitted", "mldsa"]) {
  const [compute, known] = [F[name], new Map()];
  F[name] = (...parts) => {
    const id = parts.map((p) => (typeof p === "string" ? p : Buffer.from(p).toString("latin1"))).map((p) => `${p.length}:${p}`).join("");
    if (!known.has(id)) known.set(id, compute(...parts));
    return known.get(id);
  };
}
const bytes = (text) => new Uint8Array(Buffer.from(text ?? "", "base64"));

const readers = {
  keyset: (d) => F.parseKeySet(d, "f"), bundle: (d) => F.parseBundle(d, "f"), core: (d) => F.parseCore(d, "f"), statement: (d) => F.parseStatement(d, "f"),
  served: (d) => F.parseStatement(d, "f", true), proof: (d) => F.parseProof(d, "f"), logpolicy: (d) => F.parseLogPolicy(F.text(d, "f"), "f"),
  plan: (d) => F.parsePlan(d), policy: (d) => F.parsePolicy(d), page: (d) => F.checkPage(d), drill: (d) => F.parseDrill(d, "f"), sshkey: (d) => F.sshKey(F.text(d, "f").replace(/\n$/, ""), "f"),
  sshsig: (d) => F.sshSignature(d, "f"),
};

const programs = {
  // Each case {object, data, policy, time, proofs, expect} is judged.
  async verify(cases) {
    const answers = [];
    for (const c of cases) {
      const judge = c.object === "bundle" ? F.verifyBundle : F.verifyPackage;
      const began = process.cpuUsage();
      const answer = await judge(bytes(c.data), {
        policy: bytes(c.policy), time: c.time, proofs: (c.proofs ?? []).map(bytes), expect: c.expect,
      });
      if (!c.facts) delete answer.facts;
      answers.push({ ...answer, milliseconds: process.cpuUsage(began).user / 1000 });
    }
    return answers;
  },

  // Each text is read by the strict reader of its language.
  json: (texts) => texts.map((t) => outcome(() => F.parseJSON(bytes(t), "f", 65536))),
  yaml: (texts) => texts.map((t) => outcome(() => F.parseYAML(bytes(t), "f", 524288))),

  // Each case is a key, a message and a signature.
  async ed25519(cases) {
    const answers = [];
    for (const c of cases) answers.push({ admitted: F.ed25519Admitted(bytes(c.key)), verifies: await F.ed25519(bytes(c.key), bytes(c.message), bytes(c.signature)) });
    return answers;
  },

  // Each case is a key of an algorithm, a message and a signature.
  async signed(cases) {
    const answers = [];
    for (const c of cases) {
      try {
        answers.push(await F.signed(F.admit(bytes(c.key), c.algorithm, "f"), c.context ?? "", bytes(c.message), bytes(c.signature)));
      } catch (e) {
        if (!(e instanceof F.Fault)) throw e;
        answers.push(false);
      }
    }
    return answers;
  },

  // Each case is a key of ML-KEM and 32 bytes, of which a ciphertext and a secret are made.
  encapsulated: (cases) => cases.map((c) => {
    try {
      const { ciphertext, secret } = F.encapsulated(F.admit(bytes(c.key), "ml-kem-768", "f").raw, bytes(c.random));
      return Buffer.from([...ciphertext, ...secret]).toString("base64");
    } catch (e) {
      if (!(e instanceof F.Fault)) throw e;
      return "";
    }
  }),

  // Each case {what, data} is a file of a format.
  async parse(cases) {
    const answers = [];
    for (const c of cases) {
      try {
        await readers[c.what](bytes(c.data));
        answers.push({ ok: true });
      } catch (e) {
        if (!(e instanceof F.Fault || e instanceof F.NotChecked)) throw e;
        answers.push({ ok: false, why: `${e.where}: ${e.what}` });
      }
    }
    return answers;
  },

  // Each case {plan, transcript} is replayed: the record at which that ended, 0 where it
  // came to the end, and whether a check had failed by then.
  async replay(cases) {
    const answers = [];
    for (const c of cases) answers.push(await replayed(F.parsePlan(bytes(c.plan)), bytes(c.transcript)));
    return answers;
  },

  // Each case {kind, files, with} is one of testdata/vectors: what is said of it, which
  // claims are shown, and what isn't checked.
  async vectors(cases) {
    const answers = [];
    for (const c of cases) answers.push(await vector(c));
    return answers;
  },
};

// vector answers a case by its kind. A kind that isn't listed is outside the scope.
async function vector({ kind, files, with: given }) {
  const more = given ?? {};
  const part = (name) => (files[name] === undefined ? undefined : bytes(files[name]));
  const reads = {
    plan: () => F.parsePlan(part("plan")), policy: () => F.parsePolicy(part("policy")), keyset: () => F.parseKeySet(part("keyset"), "f"),
    core: () => F.parseCore(part("core"), "f"), statement: () => statement(part("statement"), more.key), transcript: () => transcript(part("plan"), part("transcript")),
    signature: () => signature(part("message"), part("signature"), more.namespace), approvals: () => approvals(files), proof: () => proof(part("entry"), part("log-policy"), part("proof")),
  };
  if (kind === "package" || (kind === "bundle" && files.policy !== undefined)) {
    const proofs = [part("logged"), part("proof")].filter((p) => p !== undefined);
    const question = { policy: part("policy"), time: more.time, proofs, expect: more.expect };
    const a = kind === "package" ? await F.verifyPackage(part("package"), question) : await F.verifyBundle(part("bundle"), { ...question, expect: undefined, only: undefined });
    const claims = Object.fromEntries(a.claims.filter((x) => x.grade !== "not shown" && x.grade !== "not checked").map((x) => [x.id, x.grade]));
    const areas = [...a.areas, ...Object.keys(files).filter((x) => x.startsWith("beside"))];
    const wrong = a.problems.length > 0 || a.claims.some((x) => x.ok === false);
    return { verdict: wrong ? "reject" : areas.length > 0 || !a.accepted ? "not checked" : "accept", claims, areas, why: JSON.stringify(a.problems.concat(a.claims.filter((x) => x.ok === false))) };
  }
  if (kind === "bundle") reads.bundle = () => F.parseBundle(part("bundle"), "f");
  if (!reads[kind]) return { verdict: "not checked", areas: [kind], why: "outside the scope" };
  try {
    const found = await reads[kind]();
    return { verdict: "accept", areas: [], claims: kind === "proof" ? found.claims : undefined };
  } catch (e) {
    if (e instanceof F.NotChecked) return { verdict: "not checked", areas: [e.where], why: e.what };
    if (!(e instanceof F.Fault)) throw e;
    return { verdict: "reject", areas: [], why: `${e.where}: ${e.what}` };
  }
}

// replayed replays a transcript; what can't be read ends it where the records before it
// don't.
async function replayed(plan, data) {
  const at = (e) => {
    if (!(e instanceof F.Fault)) throw e;
    return { at: Number(/record (\d+)/.exec(e.where)?.[1] ?? -1), fault: false, why: `${e.where}: ${e.what}` };
  };
  let t;
  try {
    t = F.parseTranscript(data, plan.digest);
  } catch (e) {
    const end = at(e);
    let cut = 0;
    for (let n = 1; n < end.at; n++) cut = data.indexOf(10, cut) + 1;
    const before = await replayed(plan, data.subarray(0, cut));
    return before.at !== 0 ? before : end;
  }
  const replay = new F.Replay(plan);
  F.extendReplay();
  try {
    for (const r of t.records) await replay.take(r);
    return { at: 0, fault: replay.fault !== null, why: replay.fault ?? "" };
  } catch (e) {
    return at(e);
  }
}

async function statement(data, key) {
  const s = F.parseStatement(data, "f");
  if (key !== undefined && !(await F.statementSigned(s, bytes(key)))) F.fault("f", "doesn't verify");
  return true;
}

async function transcript(planBytes, records) {
  const plan = F.parsePlan(planBytes);
  const t = F.parseTranscript(records, plan.digest);
  const replay = await F.replay(t, plan);
  if (replay.fault) F.fault("transcript", replay.fault);
  if (t.torn > 0) F.fault("transcript", "is cut off");
  return replay;
}

async function signature(message, data, namespace) {
  const sig = F.sshSignature(data, "f");
  if (!(await F.sshSigned(sig, message, namespace, "f"))) F.fault("f", "doesn't verify");
}

// approvals judges what people signed by the plan's own people.
async function approvals(parts) {
  const replay = await transcript(bytes(parts.plan), bytes(parts.transcript));
  const files = new Map(Object.entries(parts).filter(([p]) => p.includes("/")).map(([p, data]) => [p, bytes(data)]));
  files.set("plan.yaml", bytes(parts.plan));
  const found = await F.readSignatureFiles(files, replay, (where, what) => F.fault(where, what));
  const people = new F.People({ people: replay.plan.people, threshold: replay.plan.threshold }, replay, files, found, 0, () => undefined);
  const wrong = people.unapproved(false) ?? people.unsigned("release") ?? people.unsigned("close");
  if (wrong) F.fault("approvals", wrong);
  return true;
}

// proof judges a proof by a log policy alone, whatever the time.
async function proof(entry, policyText, data) {
  const log = F.parseLogPolicy(F.text(policyText, "f"), "f");
  const j = await F.judgeProof(entry, F.parseProof(data, "f"), { log, logWindows: new Map(), silent: new Set() }, 253402300799);
  return { claims: { ...(j.included && { "log.included": "proven" }), ...(j.quorum !== undefined && { "log.witnessed": "proven" }) } };
}

function outcome(read) {
  try {
    return { ok: true, value: tree(read()) };
  } catch (e) {
    if (!(e instanceof F.Fault)) throw e;
    return { ok: false, why: `${e.where}: ${e.what}` };
  }
}

// tree keeps a value's kinds and the order of its members.
function tree(v) {
  if (v instanceof Map) return ["object", Array.from(v, ([k, x]) => [k, tree(x)])];
  if (Array.isArray(v)) return ["list", v.map(tree)];
  if (v === null) return ["null"];
  return [typeof v, String(v)];
}

(async () => {
  const output = await programs[process.argv[2]](JSON.parse(fs.readFileSync(0, "utf8")));
  process.stdout.write(JSON.stringify(output));
})().catch((e) => { console.error(e); process.exit(1); });
