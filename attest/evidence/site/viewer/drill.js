// The report of a drill (SPEC section 27): read, and held against itself, its record and
// the ceremony that it is about. That a drill was run no report can show.
(function (F) {
  "use strict";

  const skew = 300;
  const longest = 48 * 3600;
  const notice = "a reference, not a vault: the server secrets were in the hosts' memory, and only accounts named drill. were served";
  const required = {
    "sessions": ["tampered-bundle", "unlisted-node", "older-epoch", "unwitnessed-proof"],
    "logins": ["right-code", "wrong-code", "count-seen-is-committed", "each-node-led"],
    "faults": ["leader-killed", "site-cut-off", "majority-lost", "slow-disk", "clocks-apart"],
    "lock": ["last-guess", "right-code-after-lock", "nothing-left-on-disk"],
    "rollback": ["one-disk", "two-disks", "all-disks", "hsm-blocked"],
    "succession": ["new-epoch-taken", "older-epoch-refused", "retired-refused", "unpinned-refused", "guesses-count-over-both"],
    "passkey": ["passkey-unwraps", "lost-passkey-then-code"],
  };

  // What is measured: unit, stage, and the figure of the same samples that is at most this.
  const measures = {
    "session-median": ["us", "sessions"],
    "guess-median": ["us", "logins"],
    "guess-p99": ["us", "logins", "guess-median"],
    "guesses-per-second": ["per-second", "logins"],
    "argon2id-64-mib-median": ["us", "logins"],
    "fail-over-median": ["us", "faults"],
    "fail-over-worst": ["us", "faults", "fail-over-median"],
    "anchor-write-median": ["us"],
    ...Object.fromEntries(Object.keys(required).map((stage) => [`stage-${stage}`, ["us", stage]])),
  };

  function shapes() {
    const object = (members) => F.object(members, { ordered: true });
    const { token, optional, timeOf } = F;
    const int = F.int();
    const text = F.textOf(500);
    const hash = F.hexOf(32);
    const key = object({ cka_id: F.hexOf(), spki: hash });
    const session = object({ bundle: hash, proof: hash, peer: hash, protocol: F.oneOf("fleetctl-drill/1"), group: text, verdict: F.oneOf("accepted") });
    return object({
      format: F.oneOf("fleetctl drill v1"), notice: F.oneOf(notice), mode: F.oneOf(...F.MODES), fleet: token, namespace: token, epoch: F.int(1), ceremony: token,
      bundle: hash, proof: hash, started: timeOf, ended: timeOf, majority: int, outcome: F.oneOf("passed", "failed"), faults: F.list(text, 0, 64),
      versions: F.list(object({ name: text, version: text }), 1, 64),
      nodes: F.list(object({
        hsm: token, session: key, agreement: key,
        proof: optional(session),
        attempts: int, acknowledged: int, ambiguous: int, led: int,
      }), 1, 128),
      stages: F.list(object({ name: token, outcome: F.oneOf("passed", "failed", "not-run"), reason: optional(text) }), 7, 7),
      tests: F.list(object({ stage: token, name: token, node: optional(token), runs: F.int(1), failed: int }), 0, 1024),
      counts: object({ logins: int, attempts: int, acknowledged: int, ambiguous: int, consumed: int, leaders: int, released_after_lock: int, without_majority: int }),
      histories: F.list(object({ name: token, operations: F.int(1), sha256: hash, result: F.oneOf("linearizable", "not-linearizable", "undecided") }), 0, 256),
      anchors: F.list(object({ hsm: token, where: text, created: optional(timeOf), removed: optional(timeOf), reason: optional(text) }), 0, 128),
      figures: F.list(object({ name: token, node: optional(token), value: int, unit: token, samples: F.int(1) }), 0, 256),
      next: optional(object({
        epoch: F.int(1), ceremony: token, artifact: hash, previous: hash, bundle: hash, proof: hash, retirement: hash,
        nodes: F.list(object({ hsm: token, session: hash, proof: optional(session) }), 1, 128),
      })),
    });
  }

  // parseDrill reads a report, and demands that it is whole and doesn't contradict itself.
  F.parseDrill = function (bytes, where) {
    if (bytes.length > 1048576) F.fault(where, `has ${bytes.length} bytes; 1048576 are allowed`);
    const map = F.parseJSON(bytes, where, 1048576);
    const r = F.shape("drill", shapes)(map, where);
    if (F.indented(map) !== F.text(bytes, where)) F.fault(where, "is not written in the one form that there is");
    const bad = (what) => F.fault(where, what);
    if (r.ended < r.started || r.ended - r.started > longest) bad("has times between which no drill has place");
    if (r.majority !== Math.floor(r.nodes.length / 2) + 1) bad("has another majority than more than half of its nodes");
    checkNodes(r, where, bad);
    checkStages(r, where, bad);
    checkAnchors(r, bad);
    checkFigures(r, where, bad);
    checkNext(r, bad);
    const why = failures(r);
    if ((r.outcome === "failed") !== (why.length > 0)) bad(r.outcome === "failed" ? "says that the drill failed, and nothing in it did" : `says that the drill passed, and it did not: ${why[0]}`);
    return r;
  };

  function checkNodes(r, where, bad) {
    F.distinct(r.nodes, (n) => n.hsm, where, "the node");
    for (const n of r.nodes) {
      if (BigInt(n.acknowledged) + BigInt(n.ambiguous) > BigInt(n.attempts)) bad(`has more answers of ${n.hsm} than guesses`);
      if (n.proof && (n.proof.bundle !== r.bundle || n.proof.proof !== r.proof || n.proof.peer !== n.session.spki)) bad(`has another bundle, proof or key in the session of ${n.hsm}`);
    }
    const { counts: c } = r;
    const sum = (of) => r.nodes.reduce((n, x) => n + BigInt(x[of]), 0n);
    if (BigInt(c.acknowledged) + BigInt(c.ambiguous) > BigInt(c.attempts) || BigInt(c.attempts) > sum("attempts") || BigInt(c.acknowledged) > sum("acknowledged") || BigInt(c.ambiguous) > sum("ambiguous") || BigInt(c.leaders) !== sum("led") || c.logins > c.acknowledged) bad("has counts that are not those of its nodes");
    F.distinct(r.histories, (h) => h.name, where, "the history");
  }

  function checkStages(r, where, bad) {
    r.stages.forEach((s, i) => {
      if (s.name !== F.DRILL_STAGES[i]) bad(`has the stage ${F.quote(s.name)} at the place of ${F.DRILL_STAGES[i]}`);
      if ((s.outcome === "passed") !== (s.reason === undefined)) bad(`gives a reason for ${s.name}, and it passed, or none`);
      if (s.outcome === "passed") for (const name of required[s.name]) if (!r.tests.some((t) => t.stage === s.name && t.name === name)) bad(`has no test ${name} in ${s.name}, which passed`);
    });
    F.distinct(r.tests, (t) => `${t.stage} ${t.name} ${t.node ?? ""}`, where, "the test");
    for (const t of r.tests) {
      const s = r.stages.find((x) => x.name === t.stage);
      if (!s || s.outcome === "not-run" || t.failed > t.runs || (t.failed > 0 && s.outcome === "passed")) bad(`has the test ${t.name} of ${F.quote(t.stage)}, which can't be so`);
      if (t.node !== undefined && !r.nodes.some((n) => n.hsm === t.node)) bad(`has the test ${t.name} on no node`);
    }
    const passed = (name) => r.stages.find((s) => s.name === name).outcome === "passed";
    if (passed("sessions") && r.nodes.some((n) => !n.proof)) bad("has a node that answered no device, and sessions passed");
    if (passed("rollback") && r.anchors.some((a) => a.where === "none")) bad("has an HSM without anchor, and rollback passed");
  }

  const isLeft = (a) => a.where !== "none" && a.removed === undefined;

  function checkAnchors(r, bad) {
    if (r.anchors.length !== r.nodes.length) bad("doesn't tell of the anchor of every HSM");
    r.anchors.forEach((a, i) => {
      const none = a.where === "none";
      const until = a.removed ?? r.ended;
      if (a.hsm !== r.nodes[i].hsm) bad(`has the anchor of ${a.hsm} at the place of ${r.nodes[i].hsm}`);
      if (none ? a.created !== undefined || a.removed !== undefined : a.created === undefined || a.created < r.started || a.created > until || until > r.ended) bad(`has an anchor of ${a.hsm} that was not made and removed during the drill`);
      if ((none || isLeft(a)) !== (a.reason !== undefined)) bad(`gives a reason for the anchor of ${a.hsm}, and it was removed, or none`);
    });
  }

  // checkFigures demands that each figure is one that there is, and that a stage that passed
  // has its own.
  function checkFigures(r, where, bad) {
    F.distinct(r.figures, (f) => `${f.name} ${f.node ?? ""}`, where, "the figure");
    for (const f of r.figures) {
      if (!Object.hasOwn(measures, f.name) || measures[f.name][0] !== f.unit) bad(`has a figure ${F.quote(f.name)} that there is not, or in another unit`);
      if ((f.name === "anchor-write-median") !== (f.node !== undefined)) bad(`has the figure ${f.name} of a node, or of none`);
      if (f.node !== undefined && !r.anchors.some((a) => a.hsm === f.node && a.where !== "none")) bad(`has the figure ${f.name} of an HSM without anchor`);
    }
    const find = (name) => r.figures.find((f) => f.name === name);
    for (const [name, [, stage, least]] of Object.entries(measures)) {
      if (!stage) continue;
      const f = find(name);
      const { outcome } = r.stages.find((s) => s.name === stage);
      if (f ? outcome === "not-run" : outcome === "passed") bad(`has no figure ${name} of ${stage}, which passed, or has one, and it was not run`);
      if (f && least) {
        const o = find(least);
        if (!o || o.value > f.value || o.samples !== f.samples) bad(`has a figure ${name} that doesn't fit to ${least}`);
      }
    }
  }

  // checkNext demands the epoch that went live exactly where stage succession was run.
  function checkNext(r, bad) {
    const { next, stages: { 5: { outcome } } } = r;
    if ((next === undefined) !== (outcome === "not-run")) bad("tells of a next epoch where none went live, or of none where one did");
    if (outcome === "not-run" && r.histories.some((h) => h.name === "succession")) bad("has a history of succession, which was not run");
    if (next === undefined) return;
    if (next.epoch <= r.epoch || next.ceremony === r.ceremony || next.artifact === next.previous || next.bundle === r.bundle || next.proof === r.proof || [r.bundle, next.bundle].includes(next.retirement)) bad("has a next epoch that is another's");
    if (next.nodes.length !== r.nodes.length) bad("has another number of nodes in its next epoch");
    const seen = new Set(r.nodes.flatMap((n) => [n.session.spki, n.agreement.spki]));
    next.nodes.forEach((n, i) => {
      if (n.hsm !== r.nodes[i].hsm || seen.has(n.session)) bad(`has a node ${n.hsm} of its next epoch at another's place, or with another's key`);
      if (outcome === "passed" && !n.proof) bad(`has a node ${n.hsm} of its next epoch that answered no device, and succession passed`);
      if (n.proof && (n.proof.bundle !== next.bundle || n.proof.proof !== next.proof || n.proof.peer !== n.session)) bad(`has another bundle, proof or key in the session of ${n.hsm} in its next epoch`);
      seen.add(n.session);
    });
    if (outcome === "passed" && !r.histories.some((h) => h.name === "succession")) bad("has no history of succession, which passed");
  }

  function failures(r) {
    const { counts: c } = r;
    const why = [...r.faults];
    if (r.stages.some((s) => s.outcome === "failed") || r.tests.some((t) => t.failed > 0)) why.push("a stage or a test failed");
    if (r.histories.some((h) => h.result !== "linearizable")) why.push("a history is not linearizable");
    if (c.released_after_lock > 0 || c.without_majority > 0) why.push("a key was released after a lock, or a guess answered without a majority");
    if (c.consumed < c.acknowledged || BigInt(c.consumed) > BigInt(c.acknowledged) + BigInt(c.ambiguous)) why.push("other guesses were counted than answered");
    return why.concat(denied(r));
  }

  // denied are the stages and tests that passed, by what is said of them, and of which the
  // counts say that they can't have been run.
  function denied(r) {
    const { counts: c, stages } = r;
    const why = [];
    const total = (list, of) => list.reduce((n, x) => n + BigInt(of(x)), 0n);
    const well = (name, node) => total(r.tests.filter((t) => t.name === name && (node === undefined || t.node === node)), (t) => Math.max(t.runs - t.failed, 0));
    if (stages.every((s) => s.outcome === "not-run")) why.push("no stage was run");
    if (stages.some((s, i) => i > 0 && s.outcome === "passed") && (c.logins === 0 || r.histories.length === 0)) why.push("a stage passed without a login or a history");
    for (const [have, least, what] of [
      [c.logins, well("right-code") + well("last-guess") + well("lost-passkey-then-code"), "logins"],
      [c.acknowledged, BigInt(c.logins) + well("wrong-code"), "guesses that were answered"],
      [c.attempts, BigInt(c.acknowledged) + well("right-code-after-lock"), "guesses"],
      [c.leaders, well("leader-killed"), "leaders"],
      [total(r.histories, (h) => h.operations), BigInt(c.acknowledged) + BigInt(c.logins), "operations in its histories"],
    ]) if (BigInt(have) < least) why.push(`has fewer ${what} than by its tests and counts there were`);
    const each = stages[1].outcome === "passed";
    for (const n of r.nodes) {
      if (n.led === 0 && (each || well("each-node-led", n.hsm) > 0n)) why.push(`node ${n.hsm} never led, and did by a test`);
      if ((n.acknowledged === 0 && each) || BigInt(n.acknowledged) < well("right-code", n.hsm)) why.push(`node ${n.hsm} answered fewer guesses than by its tests`);
    }
    return why;
  }

  // checkDrill holds a report against its record and its ceremony. d is the record, with
  // the times between which it was drilled.
  F.checkDrill = function (r, d, replay, where) {
    const { plan } = replay;
    const bad = (what) => F.fault(where, what);
    if (r.mode !== plan.mode || r.fleet !== plan.fleet || r.namespace !== plan.namespace || r.epoch !== plan.epoch || r.majority !== plan.majority || r.ceremony !== replay.open_.ceremony) bad("is of another fleet, epoch or ceremony");
    if (r.bundle !== replay.logProof.bundle || r.proof !== replay.logProof.proof) bad("is of another bundle or proof");
    if (r.started < d.since - skew || r.ended > d.time + skew) bad("is of a drill before the bundle was logged, or after its record");
    if (r.next !== undefined && r.next.previous !== replay.release_?.artifact) bad("has a next epoch that follows another artifact");
    if (plan.mode === "production" && r.stages[5].outcome !== "not-run") bad("tells of a second epoch, in production");
    if (r.nodes.length !== plan.hsms.length || !r.nodes.every((n, i) => n.hsm === plan.hsms[i].name)) bad("doesn't have the plan's HSMs for nodes, all of them, in their order");
    for (const n of r.nodes) {
      for (const [role, have] of [[plan.drill.session, n.session], [plan.drill.agreement, n.agreement]]) {
        const k = replay.keys.find((x) => x.hsm.name === n.hsm && x.role.name === role);
        if (!k || k.intent.cka_id !== have.cka_id || F.digest(k.key.der) !== have.spki) bad(`has a ${role} key of ${n.hsm} that is not the ceremony's`);
      }
    }
    const lacks = plan.drill.stages.some((name) => r.stages.find((s) => s.name === name).outcome !== "passed");
    const left = r.anchors.filter(isLeft).map((a) => a.hsm);
    if (d.outcome !== (r.outcome === "failed" || lacks ? "failed" : "passed") || left.join(" ") !== (d.left ?? []).join(" ")) bad("does not say what its record says of it");
  };
})((globalThis.fleetctlVerify ??= {}));
