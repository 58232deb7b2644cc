// A bundle and its proofs under a policy (SPEC sections 15 and 16), and plan, policy and
// fleet held against each other (17.3.11).
(function (F) {
  "use strict";

  const skew = 300;

  // judgeProofs judges an entry's proofs: the earliest quorum, the logs that count. What
  // is wrong with one is a problem.
  F.judgeProofs = async function (answer, entry, proofs, policy, now) {
    const found = { included: false, quorum: undefined, logs: [], checkpoints: [] };
    for (const proof of proofs) {
      let j;
      try {
        j = await F.judgeProof(entry, proof, policy, now);
      } catch (e) {
        if (e instanceof F.NotChecked) throw e; // by when it was seen isn't known, and much rests on that
        answer.problem(e.where ?? proof.where, e.what ?? `this verifier failed: ${e.message}`);
        continue;
      }
      found.checkpoints.push({ ...j, proof });
      found.included ||= j.included;
      found.logs.push(...j.logs);
      if (j.quorum !== undefined) found.quorum = Math.min(found.quorum ?? Infinity, j.quorum);
    }
    return found;
  };

  // lacking says why a statement has no post-quantum signature beside it that counts, null
  // where it has. What is wrong with one by a pinned key is thrown.
  async function lacking(s, party, at, policy, now, witnessed) {
    if (!s.addition) return "gave no post-quantum signature beside its statement";
    const k = policy.additional_keys.find((x) => x.admitted.same === s.addition.admitted.same);
    if (!k) return "has a post-quantum signature beside its statement by a key that isn't pinned";
    if (k.name !== party) F.fault(at, `has a post-quantum signature beside it by a key of ${k.name}`);
    if (!(await F.signed(k.admitted, F.FOR_THIRD_PARTY, s.message, s.addition.signature))) F.fault(at, "has a post-quantum signature beside it that doesn't verify");
    return F.counts(k.window, now, witnessed) ? null : "added a post-quantum signature by a key outside its window";
  }

  // judgeBundle verifies every part by a pinned key, and counts whose signatures count.
  F.judgeBundle = async function (answer, bundle, late, policy, now, quorum, lateQuorum, where = "bundle.json") {
    const { keySet } = bundle;
    const before = answer.problems.length;
    const parties = new Set();
    const signed = [];
    const outside = [];
    const incomplete = new Set();
    const pinned = new Map(policy.third_parties.map((t) => [F.hex(t.key), t]));
    const inBundle = new Map(bundle.statements.map((s) => [F.hex(s.key), s]));
    const check = async (s, witnessed, isLate) => {
      const t = pinned.get(F.hex(s.key));
      const at = `${where}: statement of ${t?.name ?? F.base64(s.key)}`;
      const first = isLate ? inBundle.get(F.hex(s.key)) : undefined;
      if (t && !(await F.statementSigned(s, s.key))) return answer.problem(at, "doesn't verify");
      if (t && first) return F.equal(first.message, s.message) ? undefined : answer.problem(at, "is a second one about this epoch");
      if (s.seconds > now + skew) answer.problem(at, "is dated after the time it is judged at");
      if (quorum !== undefined && !isLate && s.seconds > quorum + skew) answer.problem(at, "is dated after the time by when witnesses had seen it");
      if (!t && isLate) return undefined;
      const lacks = await lacking(s, t?.name, at, policy, now, witnessed);
      if (!t) return undefined;
      if (lacks !== null && policy.requires.has(t.name)) return incomplete.add(`${t.name} ${lacks}`);
      if (F.counts(t.window, now, witnessed)) parties.add(t.name);
      else outside.push(t.name);
      signed.push({ name: t.name, time: s.timestamp, late: isLate });
      return undefined;
    };
    for (const s of bundle.statements) await answer.attempt(() => check(s, quorum, false));
    for (const s of late) await answer.attempt(() => check(s, lateQuorum, true));
    if (keySet.created > now + skew) answer.problem(where, "has an artifact dated after the time it is judged at");
    if (quorum !== undefined && keySet.created > quorum + skew) answer.problem(where, "has an artifact dated after the time by when witnesses had seen it");
    const own = new Set([...policy.third_parties.map((t) => t.same), ...policy.operators.map((o) => o.admitted.same)]);
    for (const k of keySet.keys) if (own.has(k.key.same)) answer.problem(where, `has a key of ${k.hsm} ${k.role} that is a pinned third party's or operator's`);
    const countersigned = [];
    const owners = new Map(policy.operators.map((o) => [o.admitted.same, o]));
    for (const c of bundle.countersignatures) {
      const o = owners.get(c.key.same);
      if (!o) continue;
      const message = F.countersigned(c.form, keySet, bundle.statements);
      if (c.form !== o.form || !(await F.signed(o.admitted, F.FOR_COUNTERSIGNATURE, message, c.signature))) answer.problem(`${where}: countersignature of ${o.name}`, "doesn't verify, or is of another form than the pinned one");
      else if (F.counts(o.window, now, quorum)) countersigned.push(o);
      else outside.push(o.name);
    }
    // Of those of whom both are required only such count as gave both.
    const both = (o) => countersigned.some((x) => x.name === o.name && F.groupOf(x.admitted) !== F.groupOf(o.admitted));
    const operators = new Set(countersigned.filter((o) => !policy.requires.has(o.name) || both(o)).map((o) => o.name));
    for (const o of countersigned) if (!operators.has(o.name)) incomplete.add(`${o.name} gave its ${F.groupOf(o.admitted)} countersignature, and not the other`);
    answer.facts.signed = signed;
    if (answer.problems.length > before) return { enough: false }; // wrong, however many others are good
    const enough = parties.size >= policy.third_parties_needed;
    const note = (outside.length > 0 ? `; outside their key's window: ${outside.join(", ")}` : "") + [...incomplete].map((x) => `; ${x}`).join("");
    answer.claim("statement.signed", enough ? "proven" : "not shown", `${parties.size} of ${policy.third_parties_needed} third parties needed: ${[...parties].join(", ") || "none"}${note}`);
    answer.claim("mode", enough ? "proven" : "not shown", `${keySet.mode}, by the artifact`);
    answer.claim("countersigned", operators.size > 0 ? "proven" : "not shown", operators.size > 0 ? `by ${[...operators].join(", ")}` : `by no pinned operator that counts${note}`);
    return { enough };
  };

  F.claimLog = function (answer, found, given) {
    const why = !given ? "there is no proof" : found.included ? "a pinned log has it" : "by no pinned log that counts";
    answer.claim("log.included", found.included ? "proven" : "not shown", why);
    answer.claim("log.witnessed", found.quorum !== undefined ? "proven" : "not shown", found.quorum !== undefined ? `a quorum had seen it by ${found.quorum} seconds since 1970` : "no quorum of pinned witnesses that count");
  };

  // checkVoices holds that plan, policy and fleet give nobody two voices.
  F.checkVoices = function (answer, plan, policy, keySet) {
    const planned = plan ? [...F.holdersOfPlan(plan)] : [];
    const pinned = [...F.holdersOfPolicy(policy)];
    const byKey = new Map(pinned.map((h) => [h.same, h]));
    for (const h of planned) {
      const other = byKey.get(h.same);
      if (other && other.part !== h.part && !F.allowsOneKey(policy, h, other)) answer.problem("policy", `pins the key of the plan's ${h.part} ${h.name} as that of ${other.part} ${other.name}: two voices`);
      if (h.part !== "person" && h.part !== "third party") continue;
      const namesake = pinned.find((x) => x.part === h.part && x.name === h.name && x.same !== h.same);
      if (namesake && other && other.name !== h.name) answer.problem("policy", `pins another key for ${h.name}, and the plan's key under ${other.name}: one of them would have two voices`);
    }
    const roles = new Map(policy.people.flatMap((x) => x.ssh.sames.map((same) => [same, x])));
    for (const x of plan?.people ?? []) {
      const other = x.ssh.sames.map((same) => roles.get(same)).find((y) => y);
      if (other && other.role !== x.role) answer.problem("policy", `has ${other.name} as ${other.role}, who is ${x.role} in the plan`);
    }
    const everybody = new Map([...planned, ...pinned].map((h) => [h.same, h]));
    for (const k of keySet?.keys ?? []) {
      const h = everybody.get(k.key.same);
      if (h && !F.allowsOneKey(policy, { part: "fleet key", name: `${k.hsm}/${k.role}` }, h)) answer.problem("fleet-keys.json", `has the key of ${h.part} ${h.name} as that of ${k.hsm} ${k.role}`);
    }
  };

  // judgeBundleAlone is a bundle with its proofs, without a package.
  F.judgeBundleAlone = async function (answer, bytes, question, policy, now) {
    const bundle = await answer.attempt(() => F.parseBundle(bytes, "bundle.json"));
    if (!bundle) return;
    const proofs = [];
    for (const [i, p] of question.proofs.entries()) {
      const proof = await answer.attempt(() => F.readGivenProof(p, i));
      if (proof && policy.log) proofs.push(proof);
    }
    const found = policy.log ? await F.judgeProofs(answer, bytes, proofs, policy, now) : { included: false };
    F.checkVoices(answer, null, policy, bundle.keySet);
    const { mode, namespace } = bundle.keySet;
    if (mode !== policy.mode || !policy.namespaces.includes(namespace)) {
      answer.problem("bundle.json", `is of ${mode} and ${namespace}, which the policy doesn't take`);
      return;
    }
    if (policy.operators.length > 0) await F.judgeBundle(answer, bundle, [], policy, now, found.quorum); // without any no bundle is judged
    F.claimLog(answer, found, proofs.length > 0);
    F.checkSplit(answer, found.checkpoints ?? []);
    if (policy.rekor) answer.claim("rekor.included", "not checked", "Rekor's entries are left to fleetctl");
    else answer.claim("rekor.included", "not shown", "the policy pins no log of Rekor's");
    Object.assign(answer.facts, F.factsOf(bundle.keySet));
  };

  F.readGivenProof = function (bytes, i) {
    const where = `proof ${i + 1}`;
    if (/^old /.test(new TextDecoder().decode(bytes.subarray(0, 4)))) throw new F.NotChecked(where, "is a witness's request, by which cosignatures go on counting: left to fleetctl");
    return F.parseProof(bytes, where);
  };

  // checkSplit: two checkpoints of one log, of one size, have one root.
  F.checkSplit = function (answer, checkpoints) {
    const roots = new Map();
    for (const { checkpoint: c } of checkpoints) {
      const id = `${c.origin} ${c.size}`;
      const root = F.hex(c.root);
      if (roots.has(id) && roots.get(id) !== root) answer.problem(c.origin, `signed two trees of ${c.size} entries: the log equivocates`);
      roots.set(id, root);
    }
  };

  F.factsOf = (s) => ({
    mode: s.mode, fleet: s.fleet, namespace: s.namespace, epoch: s.epoch, previous: s.previous, ceremony: s.ceremony.id, created: s.created, artifact: s.digest,
    majority: s.majority, keys: s.keys.map((k) => ({ hsm: k.hsm, role: k.role, use: k.use, algorithm: k.algorithm, spki: k.public_key, digest: F.digest(k.public_key) })),
  });
})((globalThis.fleetctlVerify ??= {}));
