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
    ["rekor.included", "EB"], ["lockdown", "E"], ["signoffs.close", "E"], ["evidence.bound", "E"],
    ["page", "E"], ["evidence.logged", "EA"], ["abort.signed", "A"],
  ];

  F.GRADES = ["not shown", "device", "attested", "proven"];

  F.verifyPackage = (tar, question) => F.answerOf("package", tar, question);
  F.verifyBundle = (json, question) => F.answerOf("bundle", json, question);

  F.answerOf = async function (object, bytes, question) {
    const claims = F.CLAIMS.map(([id]) => ({
      id, demanded: "", grade: "not checked", ok: null, why: "this verifier doesn't check it yet",
    }));
    return {
      accepted: false, verdict: "nothing was checked here", claims,
      problems: [{ where: object, what: "this verifier doesn't read it yet" }],
      notChecked: claims.map((c) => c.id), command: ["fleetctl", "verify", "FILE", "--policy", "POLICY"], facts: {},
    };
  };
})((globalThis.fleetctlVerify ??= {}));
