// The independent verifier in plain JavaScript, written from docs/SPEC.md alone.
// Classic scripts in one namespace, since modules can't be loaded from file://;
// the files may be loaded in any order. Nothing here reaches a network, a clock or
// storage: bytes, a policy and a time go in, an answer comes out.
//
//   fleetctlVerify.verifyPackage(tar, {policy, time, proofs, expect}) -> Promise<answer>
//   fleetctlVerify.verifyBundle(json, {policy, time, proofs})         -> Promise<answer>
//
//   tar, json  Uint8Array: evidence.tar or bundle.json, as downloaded
//   policy     Uint8Array (or string): the verifier's own policy.yaml. Never take it
//              from what is judged
//   time       string, RFC 3339 in UTC with whole seconds: what is judged as of
//   proofs     list of Uint8Array: what lies beside. Of a package the proofs of its
//              end (evidence.tar.tlog-proof), of a bundle its own
//   expect     "abort" where an aborted ceremony's package is asked for; else absent
//
// The answer:
//
//   accepted    false where anything is wrong, or a demanded claim that was checked
//               here is not shown. True says no more than what verdict says
//   verdict     one line for people. It never says VERIFIED: what isn't checked here
//               is named in it
//   claims      in SPEC's order, each {id, demanded, grade, ok, why}; grade is
//               "proven", "attested", "device", "not shown" or "not checked";
//               demanded is "" where the policy doesn't demand it; ok is true, false,
//               or null where it was not checked
//   problems    each {where, what}: wrong whatever is demanded
//   notChecked  list of sentences: what this verifier leaves to fleetctl
//   areas       the same, each in a word: the file, the claim, or the part of the question
//   command     list of words: the fleetctl command that checks all of it
//   facts       what is in it, for display. Where there are problems it may be empty:
//               {mode, fleet, namespace, epoch, ceremony, identity, created, keys, records,
//               people, unconfirmed}
//
// A promise is never rejected because of what the bytes say: that is an answer.
(function (F) {
  "use strict";

  // The claims of SPEC 18.2 in its order, with the objects that carry each.
  F.CLAIMS = [
    ["mode", "EBA"], ["plan.approved", "EA"], ["key.generated", "E"], ["key.nonexportable", "E"],
    ["key.possession", "E"], ["key.agreement", "E"], ["key.attested", "E"], ["fleet.checked", "E"],
    ["signoffs.release", "E"], ["statement.signed", "EB"], ["countersigned", "EB"],
    ["countersigner.attested", "E"], ["log.included", "EB"], ["log.witnessed", "EB"],
    ["rekor.included", "EB"], ["fleet.drilled", "E"], ["lockdown", "E"], ["signoffs.close", "E"], ["evidence.bound", "E"],
    ["page", "E"], ["evidence.logged", "EA"], ["abort.signed", "A"], // keys.destroyed is of packages that are left to fleetctl
  ];

  F.GRADES = ["not shown", "device", "attested", "proven"];

  F.verifyPackage = (tar, question) => F.answerOf("package", tar, question);
  F.verifyBundle = (json, question) => F.answerOf("bundle", json, question);

  // demandsOf is what a policy demands of an object: of an aborted ceremony what such a
  // package can carry, abort.signed at least attested, and evidence.logged where the
  // policy pins a log; of all else everything but abort.signed.
  function demandsOf(object, policy, only) {
    if (object === "abort") {
      const carried = F.CLAIMS.filter(([, objects]) => objects.includes("A")).map(([id]) => id);
      const demands = new Map([...policy.claims].filter(([id]) => carried.includes(id)));
      if (!demands.has("abort.signed")) demands.set("abort.signed", "attested");
      if (policy.log && !demands.has("evidence.logged")) demands.set("evidence.logged", "proven");
      return demands;
    }
    // A bundle is asked for what a bundle can carry, as --expect bundle does.
    const asked = (id) => id !== "abort.signed" && id !== "keys.destroyed" && (object === "package" || F.CLAIMS.some(([name, objects]) => name === id && objects.includes("B")));
    const demands = new Map([...policy.claims].filter(([id]) => asked(id)));
    if (only === undefined) return demands;
    for (const id of only) if (!demands.has(id)) F.fault("question", `asks for ${F.quote(id)} only, which the policy doesn't demand`);
    return new Map([...demands].filter(([id]) => only.includes(id)));
  }

  const command = (object, expect) => ["fleetctl", "verify", object === "bundle" ? "bundle.json" : "evidence.tar", "--policy", "policy.yaml", ...(expect ? ["--expect", expect] : [])];

  F.answerOf = async function (object, bytes, { policy: policyBytes, time, proofs = [], expect, only }) {
    const question = { proofs };
    let answer = new F.Answer(object, new Map());
    const failed = () => answer.failed(command(object, expect));
    const ready = await answer.attempt(() => {
      const now = F.time(String(time), "time");
      if (time === "0001-01-01T00:00:00Z") F.fault("time", "is the first second of the year 1, which is no time to judge at");
      if (proofs.length > 64) F.fault("proofs", "are more than 64");
      if (expect !== undefined && expect !== "abort") throw new F.NotChecked("question", `${expect} is asked for, which only fleetctl judges`);
      return { now, policy: F.parsePolicy(typeof policyBytes === "string" ? F.utf8(policyBytes) : policyBytes) };
    });
    if (!ready) return failed();
    const { now, policy } = ready;
    const opened = object === "package" ? await answer.attempt(() => F.openPackage(bytes)) : {};
    if (!opened) return failed();
    const kind = opened.aborted ? "abort" : object;
    const before = answer;
    const demands = await answer.attempt(() => demandsOf(kind, policy, only));
    if (!demands) return failed();
    answer = new F.Answer(kind, demands);
    answer.problems.push(...before.problems);
    answer.unpinned = policy.unpinned;
    if ((expect === "abort") !== (kind === "abort")) answer.problem("transcript.jsonl", kind === "abort" ? "the ceremony was aborted: it is evidence of no fleet" : "the ceremony was not aborted");
    const done = await answer.attempt(async () => {
      if (object === "package") await F.judgePackage(answer, opened, question, policy, now);
      else await F.judgeBundleAlone(answer, bytes, question, policy, now);
      return true;
    });
    return done ? answer.finish(command(object, expect)) : answer.failed(command(object, expect));
  };
})((globalThis.fleetctlVerify ??= {}));
