// A ceremony that destroys the keys of a retired fleet: its plan and steps (SPEC 6.4),
// its records (section 7), and its package (17.8).
(function (F) {
  "use strict";

  const halves = ["private", "public"];
  const searches = ["cka-id", "class", "public-key"];
  const uses = ["C_SignInit", "C_Sign", "C_DeriveKey"];
  const deadHandles = ["CKR_KEY_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID"];

  F.RETIRED_FILES = ["retirement.json", "retirement.json.tlog-proof", "retired-bundle.json", "retired-bundle.json.tlog-proof"];

  // ---- the plan ----

  F.destroysShape = () => F.object({
    artifact: F.hex32, effective: F.timeOf,
    keys: F.list(F.object({ hsm: F.token, role: F.token, cka_id: F.hexOf(16), public_key: F.base64Of() }), 1, 512),
  });

  F.checkDestroys = function (p, where) {
    const { keys } = p.destroys;
    if (p.epoch === 1) F.fault(where, "destroys keys at epoch 1, and has the epoch of their retirement");
    for (const h of p.hsms) if (h.attestation || h.tolerates) F.fault(where, `destroys keys, and ${h.name} has an attestation or tolerates something`);
    if (p.drill) F.fault(where, "destroys keys, and drills a fleet");
    const order = p.hsms.flatMap((h) => p.roles.map((role) => ({ hsm: h.name, role })));
    if (keys.length !== order.length || keys.some((k, i) => k.hsm !== order[i].hsm || k.role !== order[i].role.name)) F.fault(where, "doesn't destroy one key of each HSM and role, in their order");
    for (const [i, k] of keys.entries()) k.admitted = F.admit(k.public_key, order[i].role.algorithm, `${where}: destroys: key of ${k.hsm} ${k.role}`);
    F.distinct(keys, (k) => `${k.hsm} ${k.cka_id}`, where, "destroys: the CKA_ID");
    F.distinct(keys, (k) => k.admitted.same, where, "destroys: the key");
  };

  F.stepsOfDestruction = function (plan, step) {
    step("retirement", ["retirement", "challenge"]);
    for (const hsm of plan.hsms) step("intake", ["intake", "reading"], { hsm });
    for (const hsm of plan.hsms) {
      step("unlock", ["unlock", "inventory"], { hsm });
      for (const role of plan.roles) {
        const shows = role.use === "agree" ? ["agreement-peer", "possession", "agreement-opened"] : ["possession"];
        step("destroy", ["target", ...shows, "destroy-intent", "destruction"], { hsm, role });
      }
      step("gone", ["gone"], { hsm });
    }
  };

  // ---- the records ----

  const same = (a, b) => F.canonical(a) === F.canonical(b);
  const named = (objects) => objects.map((o) => `${o.class} ${o.id}`).sort();

  F.destroyMethods = {
    retirement(c) { this.retirement_ = c; },

    target(c, r, bad) {
      const { hsm, role } = this.now;
      this.mine(c, bad);
      const want = this.plan.destroys.keys.find((k) => k.hsm === hsm.name && k.role === role.name);
      if (this.pos > 0 && !this.doom.interrupted) bad("begins the step again, and nothing interrupted it");
      if (c.role !== role.name || c.cka_id !== want.cka_id || c.public_key !== F.digest(want.public_key)) bad("is about another role, CKA_ID or public key than the plan's");
      if (!same(c.halves, halves)) bad("doesn't have one private and one public half");
      if (this.pos > 0) {
        this.doomed.pop();
        this.pos = 0;
      }
      this.key = { hsm, role, intent: { algorithm: role.algorithm, cka_id: c.cka_id }, n: r.n, hash: r.hash, key: want.admitted };
      this.doom = { ...want, key: this.key, n: r.n, interrupted: false };
      this.doomed.push(this.doom);
    },

    "destroy-intent"(c, r, bad) {
      if (c.target !== this.key?.n) bad("is about another target than the open one");
      if (this.doom.interrupted) bad("comes after an interruption: the key shows itself again before it is destroyed");
      if (c.cka_id !== this.doom.cka_id) bad("names another CKA_ID than the target's");
      if (r.time < this.plan.destroys.effective) bad("comes before the retirement takes effect");
      this.doom.intent = r.n;
    },

    destruction(c, r, bad) {
      const d = this.doom;
      if (!d || d.intent === undefined || c.intent !== d.intent) bad("is not about the open destroy-intent");
      if (![halves, ["public"], []].some((held) => same(held, c.held))) bad("says that the token held other halves than both, the public one, or none");
      if ((c.held.length < 2) !== d.interrupted) bad("says that the token held less, or as much, against whether the step was interrupted");
      const want = [...c.held.map((half) => [`destroy-${half}`, ["C_DestroyObject"]]), ...(c.held.length === 2 ? [["use-old-handle", uses]] : [])];
      if (c.attempts.length !== want.length || c.attempts.some((a, i) => a.name !== want[i][0] || a.unstaged || !want[i][1].includes(a.call))) bad("has other attempts than those of what the token held");
      if (!same(c.searches.map((s) => s.by), searches)) bad("has other searches than the three");
      d.attempts = c.attempts;
      d.held = c.held.length;
      for (const a of c.attempts) {
        if ((a.name === "use-old-handle") === (a.code === "CKR_OK")) this.fail(`${d.hsm} ${d.role}: ${a.name} answered ${a.code}`);
      }
      if (c.searches.some((s) => s.found > 0)) this.fail(`${d.hsm} ${d.role}: a search still finds the key that was destroyed`);
    },

    gone(c, r, bad) {
      this.mine(c, bad);
      const want = named(this.held.get(c.hsm) ?? []);
      const mine = this.doomed.filter((d) => d.hsm === c.hsm);
      for (const d of mine) {
        for (const half of halves) {
          const i = want.indexOf(`${half} ${d.cka_id}`);
          if (i >= 0) want.splice(i, 1);
        }
      }
      if (!same(named(c.objects), want)) this.fail(`${c.hsm}: a new process finds other objects than were there before, without the keys that were destroyed`);
      else for (const d of mine) d.gone = true;
    },
  };

  // ---- the package ----

  const ofDestruction = /^(?:plan\.yaml|transcript\.jsonl|index\.html|media\.txt|MANIFEST|(?:plan-approvals|approvals)\/[^\/]+|signoffs\/close\/[^\/]+)$/;

  // The digests of the four files are in the retirement record.
  F.judgeRetiredFiles = function ({ answer, files, replay }) {
    const c = replay.retirement_;
    const want = c ? [c.bundle, c.proof, c.keys, c.keys_proof] : [];
    F.RETIRED_FILES.forEach((path, i) => {
      if (c && !files.has(path)) answer.problem(path, "is missing: the retirement record names it");
      else if (files.has(path) && (!c || F.digest(files.get(path)) !== want[i])) answer.problem(path, "is not the one that the retirement record names");
    });
  };

  // judgeBrought verifies the bundle of the keys for itself; its key set, where it can be read.
  async function judgeBrought({ answer, files, policy, now }) {
    const [, , path, proofPath] = F.RETIRED_FILES;
    const demands = new Map([...policy.claims].filter(([id]) => F.CLAIMS.some(([name, objects]) => name === id && objects.includes("B"))));
    const alone = new F.Answer("bundle", demands.set("statement.signed", "proven").set("countersigned", "proven"));
    const bundle = await alone.attempt(() => F.parseBundle(files.get(path) ?? F.fault(path, "is missing"), path));
    if (bundle) await alone.attempt(() => F.judgeBundleAlone(alone, files.get(path), { proofs: files.has(proofPath) ? [files.get(proofPath)] : [] }, policy, now));
    const { claims, problems } = alone.finish([]);
    const short = claims.find((c) => c.ok === false);
    if (problems.length > 0) answer.problem(path, `brings the keys, and is not verified: ${problems[0].where} ${problems[0].what}`);
    else if (short) answer.problem(path, `brings the keys, and is not verified: ${short.id}: ${short.why}`);
    if (alone.areas.length > 0) answer.leave(path, `${path}: ${alone.areas.join(", ")}`);
    return bundle?.keySet;
  }

  // checkRetirement holds the plan against both bundles.
  function checkRetirement(plan, notice, brought) {
    const bad = (what) => F.fault("plan.yaml", what);
    const { destroys: d } = plan;
    for (const name of ["mode", "fleet", "namespace", "epoch", "previous"]) if (notice[name] !== plan[name]) bad(`has another ${name} than the retirement`);
    if (notice.effective !== d.effective) bad("has another time than that at which the retirement takes effect");
    if (brought.digest !== d.artifact) bad("destroys the keys of another artifact than retired-bundle.json brings");
    if (brought.mode !== plan.mode || brought.fleet !== plan.fleet || brought.namespace !== plan.namespace || brought.epoch >= plan.epoch) bad("destroys keys that the retirement doesn't retire");
    for (const k of d.keys) {
      if (!brought.keys.some((x) => x.hsm === k.hsm && x.role === k.role && F.equal(x.public_key, k.public_key))) bad(`destroys a key of ${k.hsm} ${k.role} that retired-bundle.json doesn't bring`);
    }
  }

  F.judgeDestroyed = async function (s) {
    const { answer, files, replay, policy, plan, now } = s;
    if (!replay) return;
    for (const path of files.keys()) if (!ofDestruction.test(path) && !F.RETIRED_FILES.includes(path)) answer.problem(path, "is no file of a package of a ceremony that destroyed keys");
    const bundle = await answer.attempt(() => F.parseBundle(files.get("retirement.json") ?? F.fault("retirement.json", "is missing"), "retirement.json", true));
    const taken = bundle && s.taken && bundle.keySet.mode === policy.mode && policy.namespaces.includes(bundle.keySet.namespace);
    if (bundle && s.taken && !taken) answer.problem("retirement.json", "is of a mode and namespace that the policy doesn't take");
    if (taken && policy.operators.length > 0) await F.judgeBundle(answer, bundle, [], policy, now, s.logged.quorum, undefined, "retirement.json");
    if (taken) F.claimLog(answer, s.logged, s.bundleProofs.length > 0);
    s.logged = { ...s.logged, quorum: undefined }; // by then the retirement was seen, and nothing of this ceremony
    const brought = await judgeBrought(s);
    F.checkVoices(answer, plan, policy, null);
    F.judgeRetiredFiles(s);
    s.passive = await answer.attempt(() => F.checkPage(files.get("index.html") ?? F.fault("index.html", "is missing")) !== null);
    F.judgeListed(s);
    F.judgeTimes(s);
    const people = await F.judgeSignatures(s);
    if (bundle && brought) await answer.attempt(() => checkRetirement(plan, bundle.keySet, brought));
    if (!people) return;
    const close = F.claimEnding(s, people);
    s.claimDestroyed = () => claimDestroyed(s, brought, close); // once it is said what isn't checked
    Object.assign(answer.facts, { mode: plan.mode, fleet: plan.fleet, namespace: plan.namespace, epoch: plan.epoch, ceremony: replay.open_.ceremony, identity: replay.close_?.hash });
    answer.facts.destroyed = replay.doomed.filter((d) => d.gone).map((d) => ({ hsm: d.hsm, role: d.role, spki: d.public_key, digest: F.digest(d.public_key) }));
    F.describe(s);
  };

  // claimDestroyed: it is the HSMs' own word, signed by people, and shows of no copy that
  // there is none.
  function claimDestroyed({ answer, replay }, brought, close) {
    const say = (grade, why) => answer.claim("keys.destroyed", grade, why);
    if (!brought || !replay.close_ || replay.fault) return say("not shown", "the ceremony did not come to its end");
    const gone = replay.doomed.filter((d) => d.attempts && d.gone);
    const left = brought.keys.filter((k) => !gone.some((d) => F.equal(d.public_key, k.public_key)));
    if (close) return say("not shown", `the close is not signed off: ${close}`);
    if (answer.problems.length > 0) return say("not shown", "something in the package is wrong");
    if (left.length > 0) return say("not shown", `nothing here shows it of ${left.map((k) => `${k.hsm} ${k.role}`).join(", ")}`);
    const unsaid = new Set(gone.flatMap((d) => d.attempts).filter((a) => a.name === "use-old-handle" && !deadHandles.includes(a.code)).map((a) => a.code));
    const after = gone.filter((d) => d.held < 2).length;
    const notes = (after > 0 ? `; ${after} of them were found gone after an interruption` : "") + (unsaid.size > 0 ? `; a use of the old handle was answered ${[...unsaid].join(", ")}, which says little` : "");
    const open = answer.areas.some((a) => a !== "index.html");
    return say(open ? "not checked" : "attested", `all ${gone.length} keys of epoch ${brought.epoch}, by the HSMs' own word and signed by the people in the room${notes}. It does not show that there is no backup, copy or clone of a key`);
  }
})((globalThis.fleetctlVerify ??= {}));
