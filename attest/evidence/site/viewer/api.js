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
//   expect     "abort" where an aborted ceremony's package is asked for, "destruction"
//              where one of a ceremony that destroyed keys is; else absent
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
//               people, unconfirmed}; of a destruction destroyed for keys
//
// A promise is never rejected because of what the bytes say: that is an answer.
(function (F) {
  "use strict";

  // The claims of SPEC 18.2 in its order, with the objects that carry each.
  F.CLAIMS = [
    ["mode", "EBAD"], ["plan.approved", "EAD"], ["key.generated", "E"], ["key.nonexportable", "E"],
    ["key.possession", "E"], ["key.agreement", "E"], ["key.attested", "E"], ["fleet.checked", "E"],
    ["signoffs.release", "E"], ["statement.signed", "EBD"], ["countersigned", "EBD"],
    ["countersigner.attested", "E"], ["log.included", "EBD"], ["log.witnessed", "EBD"],
    ["rekor.included", "EB"], ["fleet.drilled", "E"], ["lockdown", "ED"], ["signoffs.close", "ED"], ["evidence.bound", "ED"],
    ["page", "ED"], ["evidence.logged", "EAD"], ["keys.destroyed", "D"], ["abort.signed", "A"],
  ];

  // These are about one type of object alone, and demanded of no other.
  F.OWN_CLAIMS = new Set(["keys.destroyed", "abort.signed"]);

  F.GRADES = ["not shown", "device", "attested", "proven"];

  F.verifyPackage = (tar, question) => F.answerOf("package", tar, question);
  F.verifyBundle = (json, question) => F.answerOf("bundle", json, question);

  // demandsOf is what a policy demands of an object: of an aborted ceremony what such a
  // package can carry, abort.signed at least attested, and evidence.logged where the
  // policy pins a log; of one that destroyed keys what it can carry, and in any case who
  // signed the retirement and the close, and that the keys are destroyed.
  function demandsOf(object, policy, only) {
    const carried = (letter) => new Map([...policy.claims].filter(([id]) => F.CLAIMS.some(([name, objects]) => name === id && objects.includes(letter))));
    if (object === "abort") {
      const demands = carried("A");
      if (!demands.has("abort.signed")) demands.set("abort.signed", "attested");
      if (policy.log && !demands.has("evidence.logged")) demands.set("evidence.logged", "proven");
      return demands;
    }
    // A bundle is asked for what a bundle can carry, as --expect bundle does.
    const demands = object === "destruction" ? carried("D") : object === "bundle" ? carried("B") : new Map([...policy.claims].filter(([id]) => !F.OWN_CLAIMS.has(id)));
    const always = object === "destruction" ? [["statement.signed", "proven"], ["countersigned", "proven"], ["signoffs.close", "proven"], ["keys.destroyed", "attested"]] : [];
    for (const [id, grade] of always) if (!demands.has(id)) demands.set(id, grade);
    if (only === undefined) return demands;
    for (const id of only) if (!demands.has(id)) F.fault("question", `asks for ${F.quote(id)} only, which the policy doesn't demand`);
    return new Map([...demands].filter(([id]) => only.includes(id)));
  }

  // What a package has to be asked for by name.
  const said = { abort: "the ceremony was aborted", destruction: "the ceremony destroyed keys" };

  const command = (object, expect) => ["fleetctl", "verify", object === "bundle" ? "bundle.json" : "evidence.tar", "--policy", "policy.yaml", ...(expect ? ["--expect", expect] : [])];

  F.answerOf = async function (object, bytes, { policy: policyBytes, time, proofs = [], expect, only }) {
    const question = { proofs };
    if (expect === "evidence") expect = undefined;
    let answer = new F.Answer(object, new Map());
    const failed = () => answer.failed(command(object, expect));
    const ready = await answer.attempt(() => {
      const now = F.time(String(time), "time");
      if (time === "0001-01-01T00:00:00Z") F.fault("time", "is the first second of the year 1, which is no time to judge at");
      if (proofs.length > 64) F.fault("proofs", "are more than 64");
      if (expect !== undefined && !said[expect]) throw new F.NotChecked("question", `${expect} is asked for, which only fleetctl judges`);
      return { now, policy: F.parsePolicy(typeof policyBytes === "string" ? F.utf8(policyBytes) : policyBytes) };
    });
    if (!ready) return failed();
    const { now, policy } = ready;
    const opened = object === "package" ? await answer.attempt(() => F.openPackage(bytes)) : {};
    if (!opened) return failed();
    const kind = opened.aborted ? "abort" : opened.plan?.destroys ? "destruction" : object;
    const before = answer;
    const demands = await answer.attempt(() => demandsOf(kind, policy, only));
    if (!demands) return failed();
    answer = new F.Answer(kind, demands);
    answer.problems.push(...before.problems);
    answer.unpinned = policy.unpinned;
    if (said[kind] && expect !== kind) answer.problem("transcript.jsonl", `${said[kind]}: it is evidence of no fleet`);
    else if (said[expect] && expect !== kind) answer.problem("transcript.jsonl", `it is not so that ${said[expect]}`);
    const done = await answer.attempt(async () => {
      if (object === "package") await F.judgePackage(answer, opened, question, policy, now);
      else await F.judgeBundleAlone(answer, bytes, question, policy, now);
      return true;
    });
    return done ? answer.finish(command(object, expect)) : answer.failed(command(object, expect));
  };
})((globalThis.fleetctlVerify ??= {}));
