// An evidence package under a policy (SPEC 17.3 and 17.4), and its claims (18.2).
(function (F) {
  "use strict";

  const skew = 300;
  const singles = ["plan.yaml", "transcript.jsonl", "fleet-keys.json", "request-core.json", "bundle.json", "bundle.json.tlog-proof", "bundle.json.rekor.json", "media.txt", "index.html", "MANIFEST"];
  const folders = /^(?:plan-approvals|approvals|attestations|drills)\/[^\/]+$|^signoffs\/(?:release|close)\/[^\/]+$/;
  const ofAbort = /^(?:plan\.yaml|retire(?:ment|d-bundle)\.json(?:\.tlog-proof)?|transcript\.jsonl|fleet-keys\.json|request-core\.json|MANIFEST|(?:plan-approvals|approvals|attestations)\/[^\/]+|signoffs\/release\/[^\/]+)$/;

  const ofApprovals = /^(?:plan-)?approvals\//;

  const needed = (files, path) => files.get(path) ?? F.fault(path, "is missing");

  // openPackage reads the archive; whether it is an aborted ceremony's says its last record.
  F.openPackage = function (bytes) {
    const files = F.readTar(bytes);
    F.checkManifest(files);
    for (const path of files.keys()) if (!singles.includes(path) && !F.RETIRED_FILES.includes(path) && !folders.test(path)) F.fault(path, "is no file of a package");
    const transcript = needed(files, "transcript.jsonl");
    const last = F.text(transcript, "transcript.jsonl").trimEnd().split("\n").pop();
    const aborted = /^\{"n":[0-9]+,"time":"[^"]*","kind":"abort",/.test(last);
    try {
      return { files, aborted, plan: F.parsePlan(needed(files, "plan.yaml")) };
    } catch (planFault) {
      return { files, aborted, planFault };
    }
  };

  F.judgePackage = async function (answer, { files, aborted, plan, planFault }, question, policy, now) {
    if (planFault) await answer.attempt(() => { throw planFault; });
    const transcript = plan && (await answer.attempt(() => F.parseTranscript(files.get("transcript.jsonl"), plan.digest)));
    const replay = transcript && (await answer.attempt(() => F.replay(transcript, plan)));
    const s = { answer, files, aborted, destroyed: !aborted && plan?.destroys !== undefined, policy, now, plan, replay };
    if (transcript?.torn > 0) answer.problem("transcript.jsonl", `is cut off: ${transcript.torn} bytes are behind its last record`);
    s.taken = plan === undefined || (plan.mode === policy.mode && policy.namespaces.includes(plan.namespace));
    if (!s.taken) answer.problem("plan.yaml", `is of ${plan.mode} and ${plan.namespace}, which the policy doesn't take`);
    if (replay) {
      if (replay.fault && !aborted) answer.problem("transcript.jsonl", replay.fault);
      if (aborted !== (replay.abort_ !== undefined) || (!aborted && !replay.close_)) answer.problem("transcript.jsonl", "the ceremony was not closed");
    }
    await judgeOthersProofs(s, question);
    if (aborted) await judgeAborted(s);
    else if (s.destroyed) await F.judgeDestroyed(s);
    else await judgeClosed(s);
    leave(s);
  };

  // judgeOthersProofs reads what is given beside, and tells what each proves: the bundle,
  // or the package's end.
  async function judgeOthersProofs(s, question) {
    const { answer, files, aborted, policy, now, replay } = s;
    s.leaf = replay?.open_ && (replay.close_ || replay.abort_) ? leafOf(s) : undefined;
    const signed = s.destroyed ? "retirement.json" : "bundle.json";
    const bundleBytes = files.get(signed);
    s.bundleProofs = [];
    const ends = [];
    if (!aborted) {
      const own = await answer.attempt(() => F.parseProof(needed(files, `${signed}.tlog-proof`), `${signed}.tlog-proof`));
      if (own) s.bundleProofs.push(own);
      s.own = own;
      s.before = own ? [own] : [];
      if (s.destroyed) await answer.attempt(() => { s.before.push(F.parseProof(needed(files, F.RETIRED_FILES[3]), F.RETIRED_FILES[3])); });
    }
    for (const [i, bytes] of question.proofs.entries()) {
      await answer.attempt(() => {
        const proof = F.readGivenProof(bytes, i);
        if (s.leaf && F.includes(s.leaf, proof)) ends.push(proof);
        else if (!aborted && bundleBytes && F.includes(bundleBytes, proof)) s.bundleProofs.push(proof);
        else F.fault(proof.where, "proves neither the bundle nor the package's end");
      });
    }
    const none = { included: false, quorum: undefined, logs: [], checkpoints: [] };
    s.end = policy.log && s.leaf ? await F.judgeProofs(answer, s.leaf, ends, policy, now) : none;
    // Another log may not know of the ceremony's other ending, and dates nothing here.
    const named = new Set((s.plan?.log.logs ?? []).map((k) => k.same));
    s.endByPlansLog = s.end.logs.some((k) => named.has(k.same));
    if (!s.endByPlansLog) s.end.quorum = undefined;
    s.logged = policy.log && bundleBytes && !aborted && s.taken ? await F.judgeProofs(answer, bundleBytes, s.bundleProofs, policy, now) : none;
    F.checkSplit(answer, [...s.end.checkpoints, ...s.logged.checkpoints]);
    for (const { proof } of s.end.checkpoints) {
      if (s.before?.some((own) => proof.checkpoint.origin === own.checkpoint.origin && proof.index < own.checkpoint.size)) answer.problem(proof.where, "is of an end that is an entry of the tree of the package's own proof, which it commits to");
    }
  }

  // leafOf is the evidence leaf (17.5).
  function leafOf({ files, replay, aborted }) {
    const at = aborted ? replay.abort_ : replay.close_;
    if (!at) return undefined;
    const wanted = aborted ? /^(?:plan-approvals|approvals|signoffs\/release)\// : /^signoffs\/close\//;
    const sums = F.digest(F.sums(files, [...files.keys()].filter((p) => wanted.test(p))));
    const { plan } = replay;
    return F.utf8(`fleetctl evidence v2\n${plan.mode}\n${plan.namespace}\n${plan.epoch}\nceremony ${replay.open_.ceremony}\nending ${aborted ? "aborted" : plan.destroys ? "destroyed" : "closed"}\nhead ${at.hash}\nsignatures ${sums}\n`);
  }

  F.judgeSignatures = async function (s) {
    const { answer, files, replay, policy, now } = s;
    const found = await answer.attempt(() => F.readSignatureFiles(files, replay, (where, what) => answer.problem(where, what)));
    if (!found) return undefined;
    const early = s.logged.quorum === undefined ? s.end.quorum : Math.min(s.logged.quorum, s.end.quorum ?? Infinity);
    const people = new F.People(policy, replay, files, found, now, (paths) => (paths.every((p) => people.counted.has(p)) ? early : s.end.quorum));
    for (const stage of ["release", "close"]) {
      for (const x of people.inOtherPart(stage)) answer.problem(x.path, "is signed by somebody in another part than their own");
      if (!s.aborted) for (const name of people.against(stage)) answer.problem(`signoffs/${stage}`, `${name} did not agree`);
    }
    if (!s.aborted) for (const n of people.unaccepted()) answer.problem("approvals", `exception ${n} lacks the approvals of the plan's officers`);
    for (const [record, what] of [[replay.request_, "request"], [replay.counter, "countersignature"]]) {
      for (const f of record?.files ?? []) {
        if (!files.has(f.path) || F.digest(files.get(f.path)) !== f.sha256) answer.problem(f.path, `is not there as the ${what} record lists it`);
      }
    }
    return people;
  }

  // judgeTimes: what can't have been made when it says (17.3.9).
  F.judgeTimes = function ({ answer, replay, now, logged, end, aborted }) {
    const first = (list, limit, what) => {
      const r = list.find((x) => x.time > limit + skew);
      if (r) answer.problem(`transcript.jsonl: record ${r.n}`, `is dated after ${what}`);
    };
    first(replay.records, now, "the time it is judged at");
    if (!aborted && logged.quorum !== undefined && replay.counter) first(replay.records.filter((r) => r.n <= replay.counter.n), logged.quorum, "the time by when witnesses had seen the bundle");
    if (end.quorum !== undefined) {
      first(replay.records, end.quorum, "the time by which witnesses had seen that the ceremony had ended");
      for (const a of replay.late) if (a.statement.seconds > end.quorum + skew) answer.problem(`transcript.jsonl: record ${a.n}`, "has a statement dated after witnesses had seen the end");
    }
  }

  // judgeFiles holds files against the records (17.3.4, 17.3.5).
  async function judgeFiles(s) {
    const { answer, files, replay } = s;
    const same = (path, want, what) => {
      if (want === undefined || !files.has(path)) return answer.problem(path, "is missing, or the records don't come to it");
      if (F.digest(files.get(path)) !== want) answer.problem(path, `is not ${what}`);
      return undefined;
    };
    same("fleet-keys.json", replay.release_?.artifact, "the key set that follows from the records");
    same("bundle.json", replay.logProof?.bundle, "the bundle of the log-proof record");
    same("bundle.json.tlog-proof", replay.logProof?.proof, "the proof of the log-proof record");
    await judgeCore(s);
    F.judgeListed(s);
  }

  // judgeListed holds the files against the close record's list (17.3.5).
  F.judgeListed = function (s) {
    const { answer, files, replay } = s;
    const listed = new Map((replay.close_?.files ?? []).map((f) => [f.path, f.sha256]));
    s.bound = replay.close_ !== undefined && s.passive === true;
    for (const path of files.keys()) {
      if (path === "transcript.jsonl" || path === "MANIFEST" || path.startsWith("signoffs/close/")) continue;
      if (listed.get(path) === F.digest(files.get(path))) continue;
      answer.problem(path, "is not as the close record lists it");
      s.bound = false;
    }
    const paths = (replay.close_?.files ?? []).map((f) => f.path);
    if (paths.some((p, i) => i > 0 && F.byBytes(paths[i - 1], p) >= 0)) {
      answer.problem("transcript.jsonl", "the close record's files are not sorted and distinct");
      s.bound = false;
    }
    for (const path of listed.keys()) {
      if (files.has(path) && path !== "transcript.jsonl" && path !== "MANIFEST" && !path.startsWith("signoffs/close/")) continue;
      answer.problem(path, "is listed by the close record, and isn't there");
      s.bound = false;
    }
  };

  // judgeEvidence holds that each attestation record's file is there with its digest, and
  // no other. What it says is left to fleetctl.
  function judgeEvidence({ answer, files, replay }) {
    const want = new Map(replay.attestations.map((a) => [`attestations/${a.c.intent ?? "countersigner"}.json`, a.c.evidence]));
    for (const [path, digest] of want) {
      if (!files.has(path)) answer.problem(path, "is missing: a record tells of it");
      else if (F.digest(files.get(path)) !== digest) answer.problem(path, "is not the evidence of its record");
    }
    for (const path of files.keys()) if (path.startsWith("attestations/") && !want.has(path)) answer.problem(path, "is evidence that no record tells of");
  }

  // judgeDrills is the same of the drills' reports, each held against the ceremony.
  async function judgeDrills({ answer, files, replay }) {
    const want = new Map(replay.drills.filter((d) => d.outcome !== "none").map((d) => [`drills/${d.number}.json`, d]));
    for (const [path, d] of want) {
      const bytes = files.get(path);
      if (!bytes) answer.problem(path, "is missing: a record tells of it");
      else if (F.digest(bytes) !== d.report || bytes.length !== d.size) answer.problem(path, "is not the report of its record");
      else await answer.attempt(() => F.checkDrill(F.parseDrill(bytes, path), d, replay, path));
    }
    for (const path of files.keys()) if (path.startsWith("drills/") && !want.has(path)) answer.problem(path, "is the report of a drill that no record tells of");
  }

  async function judgeCore({ answer, files, replay }) {
    await answer.attempt(async () => {
      const bytes = needed(files, "request-core.json");
      const core = await F.parseCore(bytes, "request-core.json");
      if (replay.request_ && F.digest(bytes) !== replay.request_.core) F.fault("request-core.json", "is not the core of the request record");
      if (core.keySet.digest !== replay.release_?.artifact || core.plan !== replay.plan.digest || core.release.head !== replay.release_.hash || core.release.n !== replay.release_.n) F.fault("request-core.json", "asks for something else than was released");
      const old = new Set((core.before?.keys ?? []).map((k) => k.key.same));
      const again = core.keySet.keys.find((k) => old.has(k.key.same));
      if (again) F.fault("request-core.json", `asks for the key of ${again.hsm} ${again.role}, which is one of the epoch before: it was not generated in this ceremony`);
    });
  }

  // judgeRefusals: a refused statement that a party did sign proves equivocation.
  async function judgeRefusals({ answer, replay, policy }) {
    for (const { key, statement: x } of replay.refusals) {
      const known = replay.plan.third_parties.some((t) => F.equal(t.key, key)) && policy.third_parties.some((t) => F.equal(t.key, key));
      if (!known || x.namespace !== replay.plan.namespace || x.epoch !== replay.plan.epoch || !(await F.statementSigned(x, key))) continue;
      const taken = replay.responses.find((r) => F.equal(r.key, key));
      if (x.digest !== replay.release_.artifact || (taken && !F.equal(taken.statement.message, x.message))) answer.problem("transcript.jsonl", "a third party signed two artifacts of one epoch, or one a second time: equivocation");
    }
  }

  async function judgeClosed(s) {
    const { answer, files, replay, policy, plan, now } = s;
    const bundle = await answer.attempt(() => F.parseBundle(needed(files, "bundle.json"), "bundle.json"));
    const late = (replay?.late ?? []).map((a) => ({ ...a.statement, key: a.key, addition: a.addition }));
    const judged = bundle && s.taken && policy.operators.length > 0 && (await F.judgeBundle(answer, bundle, late, policy, now, s.logged.quorum, s.end.quorum));
    if (s.taken) F.claimLog(answer, s.logged, s.bundleProofs.length > 0);
    F.checkVoices(answer, plan, policy, bundle?.keySet);
    s.passive = await answer.attempt(() => F.checkPage(needed(files, "index.html")) !== null);
    if (!replay) return;
    if (plan.mode !== bundle?.keySet.mode) answer.problem("plan.yaml", "has another mode than the artifact");
    await judgeFiles(s);
    await judgeRefusals(s);
    judgeEvidence(s);
    await judgeDrills(s);
    F.judgeTimes(s);
    for (const path of F.RETIRED_FILES) if (files.has(path)) answer.problem(path, "is of a ceremony that destroys keys, and this one made some");
    if (s.own && replay.logProof && policy.log) {
      const own = s.logged.checkpoints.find((c) => c.proof === s.own);
      if (own?.cosigned.some((c) => c.time > replay.logProof.time + skew)) answer.problem("bundle.json.tlog-proof", "has a cosignature after the log-proof record, which had it");
    }
    const people = await F.judgeSignatures(s);
    if (people && bundle) claimClosed(s, people, judged || { enough: false }, bundle);
  }

  // claimEnding claims what every closed ceremony shows, and says what keeps its close from
  // being signed off.
  F.claimEnding = function (s, people) {
    const { answer, replay, plan } = s;
    const shownIf = (id, wrong, why, grade = "proven") => answer.claim(id, wrong === null ? grade : "not shown", wrong ?? why);
    const wrongIn = (pattern) => (answer.problems.some((p) => pattern.test(p.where)) ? "a file of its folder is a problem" : null);
    const close = wrongIn(/^(?:signoffs\/close|approvals)/) ?? people.unsigned("close");
    const unsigned = close && `the close is not signed off: ${close}`;
    shownIf("plan.approved", wrongIn(ofApprovals) ?? people.unapproved(false), "the plan, and each act that needs approval");
    shownIf("signoffs.close", close, "signed off");
    const undone = plan.lockdown.length === 0 ? "the plan has no lock-down" : replay.lockdowns < plan.lockdown.length ? "not every entry of the plan is on the record"
      : replay.notRefused.length > 0 ? `no refusal could be shown of ${replay.notRefused.join(", ")}` : null;
    shownIf("lockdown", undone ?? unsigned, `${plan.lockdown.length} entries; still got in at records ${replay.stillOpen.join(", ") || "none"}`, "attested");
    shownIf("evidence.bound", s.bound ? unsigned : "a file is not as the close record lists it", "every file is as the close record lists it");
    claimLogged(s);
    answer.claim("page", "not checked", "whether index.html is the page that fleetctl renders is left to fleetctl");
    return close;
  };

  function claimClosed(s, people, judged, bundle) {
    const { answer, replay, policy, plan } = s;
    const say = (id, grade, why) => answer.claim(id, grade, why);
    const shownIf = (id, wrong, why, grade = "proven") => say(id, wrong === null ? grade : "not shown", wrong ?? why);
    const wrongIn = (pattern) => (answer.problems.some((p) => pattern.test(p.where)) ? "a file of its folder is a problem" : null);
    const release = wrongIn(/^(?:signoffs\/release|approvals)/) ?? people.unsigned("release");
    const close = F.claimEnding(s, people);
    const total = replay.keys.length;
    shownIf("signoffs.release", release, "signed off");
    say("key.generated", "device", `${total} keys`);
    const tolerated = [...new Set(replay.keys.flatMap((k) => k.tolerated ?? []))];
    const untaken = tolerated.filter((t) => !(policy.tolerates ?? []).includes(t));
    const taken = untaken.length === 0 ? null : `an attempt succeeded that the policy doesn't tolerate: ${untaken.join(", ")}`;
    shownIf("key.nonexportable", taken, tolerated.length > 0 ? `tolerated: ${tolerated.join(", ")}` : "read back, and every attempt was refused", "device");
    const signing = replay.keys.filter((k) => k.role.use === "sign");
    const agreeing = replay.keys.filter((k) => k.role.use === "agree");
    const follows = judged.enough && bundle.keySet.ceremony.transcript === replay.checked?.hash;
    s.possession = { wrong: signing.length === 0 ? "the plan has no key that signs" : null, follows, count: signing.length };
    if (agreeing.length === 0) say("key.agreement", "not shown", "the plan has no key that agrees");
    else say("key.agreement", wrongIn(/^signoffs\/release/) === null && people.challenged(agreeing) ? "attested" : "device", `${agreeing.length} keys answered`);
    const sites = F.sitesWrong(policy, plan);
    const checked = taken ?? sites;
    s.fleet = { wrong: checked, follows: judged.enough && release === null };
    const drilled = !plan.drill ? "the plan has no drill" : !replay.drills.some((d) => d.outcome === "passed") ? "no drill passed" : close && `the close is not signed off: ${close}`;
    shownIf("fleet.drilled", drilled ?? wrongIn(/^drills\//), "a drill passed on a reference fleet, no vault, by the word of those who signed the close", "attested");
    Object.assign(answer.facts, F.factsOf(bundle.keySet), { identity: replay.close_?.hash });
    F.describe(s);
  }

  // sitesWrong: HSMs stand apart as the policy demands.
  F.sitesWrong = function (policy, plan) {
    const count = new Map();
    for (const h of plan.hsms) count.set(h.site, (count.get(h.site) ?? 0) + 1);
    if (policy.sites?.least !== undefined && count.size < policy.sites.least) return `HSMs stand at ${count.size} sites, and ${policy.sites.least} are demanded`;
    if (policy.sites?.no_site_majority && Math.max(...count.values()) >= plan.majority) return "one site has as many HSMs as the majority";
    return null;
  };

  function claimLogged({ answer, end, endByPlansLog, policy }) {
    const short = !end.included ? "no proof of it that counts is given" : !endByPlansLog ? "by a log that the plan doesn't name"
      : policy.log.quorum !== "none" && end.quorum === undefined ? "no quorum of the witnesses that the policy demands had seen it" : null;
    answer.claim("evidence.logged", short === null ? "proven" : "not shown", short ?? "how the ceremony ended is logged");
  }

  async function judgeAborted(s) {
    const { answer, files, replay, policy, plan } = s;
    for (const path of files.keys()) if (!ofAbort.test(path)) answer.problem(path, "is no file of an aborted ceremony's package");
    F.checkVoices(answer, plan, policy, null);
    if (!replay) return;
    if (replay.release_ || files.has("fleet-keys.json")) {
      const want = replay.keySet_ ?? (await answer.attempt(() => replay.keySet((what) => F.fault("fleet-keys.json", what))));
      if (want && (!files.has("fleet-keys.json") || F.digest(files.get("fleet-keys.json")) !== want.digest)) answer.problem("fleet-keys.json", "is not the key set that follows from the records");
      if (want) F.checkVoices(answer, null, policy, want);
    }
    if (files.has("request-core.json")) await judgeCore(s);
    F.judgeRetiredFiles(s);
    judgeEvidence(s);
    F.judgeTimes(s);
    const people = await F.judgeSignatures(s);
    if (!people || !replay.abort_ || !s.taken) return;
    const wrong = answer.problems.some((p) => ofApprovals.test(p.where)) ? "a file of its folder is a problem" : people.unapproved(true);
    answer.claim("plan.approved", wrong === null ? "proven" : "not shown", wrong ?? "the plan, and each act that needs approval");
    answer.claim("mode", wrong === null ? "proven" : "not shown", `${plan.mode}, by the plan`);
    answer.claim("abort.signed", ...people.abort());
    claimLogged(s);
    Object.assign(answer.facts, { mode: plan.mode, fleet: plan.fleet, namespace: plan.namespace, epoch: plan.epoch, ceremony: replay.open_.ceremony, identity: replay.abort_.hash, against: people.against("release") });
    F.describe(s);
  }

  F.describe = function ({ answer, replay, plan, policy }) {
    answer.facts.records = replay.records.map((r) => ({ n: r.n, time: r.at, kind: r.kind, hash: r.hash, body: r.body }));
    answer.facts.people = plan.people.map((x) => ({ name: x.name, role: x.role, fingerprint: "SHA256:" + x.ssh.print.replace(/=+$/, ""), pinned: policy.people.some((y) => y.ssh.print === x.ssh.print && y.role === x.role) }));
    answer.facts.unconfirmed = policy.unpinned;
  }

  // leave says what is left to fleetctl, and what that leaves open.
  function leave(s) {
    const { answer, files, plan, policy, aborted } = s;
    if (plan?.attested || plan?.countersigner.attestation || [...files.keys()].some((p) => p.startsWith("attestations/"))) answer.leave("attestations/", "devices' evidence in attestations/");
    if (files.has("media.txt")) answer.leave("media.txt", "the index of recordings");
    if (files.has("bundle.json.rekor.json")) answer.leave("bundle.json.rekor.json", "the entry of Rekor's log");
    if (aborted) return;
    if (s.destroyed) {
      answer.leave("index.html", "whether index.html is the page that fleetctl renders from the rest");
      s.claimDestroyed?.();
      return;
    }
    for (const id of ["key.attested", "countersigner.attested"]) {
      const has = id === "key.attested" ? plan?.attested : plan?.countersigner.attestation;
      if (has) answer.claim(id, "not checked", "devices' evidence is left to fleetctl");
      else answer.claim(id, "not shown", "the plan names no attestation");
    }
    if (files.has("bundle.json.rekor.json") && policy.rekor) answer.claim("rekor.included", "not checked", "Rekor's entries are left to fleetctl");
    answer.leave("index.html", "whether index.html is the page that fleetctl renders from the rest");
    if (!s.possession) return;
    // What is left open may be a problem, and with one these are the devices' word. The
    // page is no such thing here: it is judged as one of a version that isn't known.
    const open = answer.areas.some((a) => a !== "index.html");
    const grade = (x, best) => (x.wrong ? "not shown" : !x.follows || answer.problems.length > 0 ? "device" : open ? "not checked" : best);
    answer.claim("key.possession", grade(s.possession, "proven"), s.possession.wrong ?? `${s.possession.count} keys answered`);
    answer.claim("fleet.checked", grade(s.fleet, "attested"), s.fleet.wrong ?? "every check passed");
    if (policy.sites?.no_vendor_majority) answer.claim("fleet.checked", "not checked", "no_vendor_majority rests on devices' evidence");
  }
})((globalThis.fleetctlVerify ??= {}));
