// What people signed: approvals (SPEC 7.2), sign-offs (7.3). Every file is judged,
// whoever signed it; then those count whom the policy pins.
(function (F) {
  "use strict";

  const acts = {
    open: "session", resume: "session", reconvene: "session", abort: "session", request: "request", countersign: "countersign", exception: "exception",
  };
  const approvalForm = /^fleetctl approval v1\nact ([a-z]+)\n(production|rehearsal)\n([A-Za-z0-9._-]+)\nplan ([0-9a-f]{64})\nhead ([0-9a-f]{64}) ([1-9][0-9]{0,15})\nsubject ([0-9a-f]{64}|-)\nrole (officer|witness|auditor)\n$/;
  const signoffForm = /^fleetctl signoff v1\nstage (release|close)\n(production|rehearsal)\n([A-Za-z0-9._-]+)\nplan ([0-9a-f]{64})\nhead ([0-9a-f]{64}) ([1-9][0-9]{0,15})\nartifact ([0-9a-f]{64})\nrole (officer|witness|auditor)\nverdict (agree|do-not-agree|agree-with-exceptions ([0-9,]+))\n$/;

  // readSignatures reads every file of the three folders. What is wrong goes to
  // problem(where, what); what is good is returned.
  F.readSignatureFiles = async function (files, replay, problem) {
    const found = { plan: [], approvals: [], release: [], close: [] };
    const suffix = replay.plan.mode === "rehearsal" ? "-rehearsal" : "";
    const each = async (path, work) => {
      try {
        await work();
      } catch (e) {
        if (!(e instanceof F.Fault)) throw e;
        problem(path, e.what);
      }
    };
    for (const [path, bytes] of files) {
      const folder = /^(plan-approvals|approvals|signoffs)\//.exec(path)?.[1];
      if (!folder) continue;
      await each(path, async () => {
        const rest = path.slice(folder.length + 1).split("/");
        if (rest.length !== (folder === "signoffs" ? 2 : 1)) F.fault(path, "is no file of this folder");
        const name = rest[rest.length - 1];
        if (folder === "plan-approvals") {
          if (!name.endsWith(".sig") || name === ".sig") F.fault(path, "is a text of its own: the plan is what is signed there");
          const sig = await signature(path, bytes, files.get("plan.yaml"), "fleetctl-plan" + suffix);
          found.plan.push({ path, paths: [path], key: sig.key });
          return;
        }
        if (name.endsWith(".sig")) {
          if (!files.has(path.slice(0, -4))) F.fault(path, "is a signature without the text beside it");
          return;
        }
        const beside = files.get(path + ".sig");
        if (!beside) F.fault(path, "has no signature beside it");
        const text = F.text(bytes, path);
        const read = folder === "approvals" ? approval(path, name, text, replay) : signoff(path, rest[0], text, replay);
        const namespace = folder === "approvals" ? `fleetctl-${acts[read.act]}` : "fleetctl-signoff";
        const sig = await signature(path + ".sig", beside, bytes, namespace + suffix);
        (folder === "approvals" ? found.approvals : found[rest[0]]).push({ ...read, path, paths: [path, path + ".sig"], key: sig.key });
      });
    }
    return found;
  };

  async function signature(path, bytes, message, namespace) {
    const sig = F.sshSignature(bytes, path);
    if (sig.namespace !== namespace) F.fault(path, `is made in the namespace ${F.quote(sig.namespace)}, and ${namespace} is wanted`);
    if (!(await F.sshSigned(sig, message, namespace, path))) F.fault(path, "is no signature over what lies beside it");
    return sig;
  }

  function about(path, replay, [mode, ceremony, plan, hash, n]) {
    if (mode !== replay.plan.mode || ceremony !== replay.open_.ceremony || plan !== replay.plan.digest) F.fault(path, "is of another mode, ceremony or plan");
    const record = replay.records[Number(n) - 1];
    if (!record || record.hash !== hash) F.fault(path, `names a head that is not the hash of record ${n}`);
    return record;
  }

  function approval(path, name, text, replay) {
    const m = approvalForm.exec(text);
    if (!m || !Object.hasOwn(acts, m[1])) F.fault(path, "is no approval");
    const [act, subject, role] = [m[1], m[7], m[8]];
    const record = about(path, replay, m.slice(2, 7));
    const begins = `${act}-${record.n}-`;
    if (!name.startsWith(begins) || !F.isToken(name.slice(begins.length))) F.fault(path, `its name must be ${begins} and a name`);
    if (act === "exception" || act === "abort") {
      if (record.kind !== act || subject !== record.hash) F.fault(path, `is an approval of an ${act}, and not of record ${record.n}`);
    } else if ((subject !== "-") !== (act === "request" || act === "countersign")) {
      F.fault(path, "has a subject, or none, against its act");
    }
    if (role !== "officer" && act !== "abort") F.fault(path, `has the role ${role}, which approves no ${act}`);
    return { act, subject, role, head: record.hash, n: record.n };
  }

  function signoff(path, stage, text, replay) {
    const m = signoffForm.exec(text);
    if (!m || m[1] !== stage) F.fault(path, "is no sign-off of this stage");
    const at = stage === "release" ? replay.release_ : replay.close_;
    const artifact = replay.plan.destroys && stage === "close" ? replay.plan.destroys.artifact : replay.release_?.artifact;
    if (!at || artifact === undefined) F.fault(path, "signs off a stage that the ceremony didn't come to");
    const record = about(path, replay, m.slice(2, 7));
    if (record.n !== at.n || m[7] !== artifact) F.fault(path, "signs off another record or artifact");
    const exceptions = (m[10] ?? "").split(",").filter((s) => s !== "").map(Number);
    const most = stage === "release" && replay.request_ ? replay.request_.exceptions : replay.exceptions.length;
    if (m[10] !== undefined && (exceptions.join(",") !== m[10] || exceptions.some((x, i) => x < 1 || x > most || (i > 0 && x <= exceptions[i - 1])))) {
      F.fault(path, `agrees with exceptions ${m[10]}, which are not on the record by then, or not in order`);
    }
    return { stage, role: m[8], agrees: m[9] !== "do-not-agree", exceptions };
  }

  // People tells who counts: the policy's, by their keys' windows, and the plan's.
  F.People = class People {
    // witnessed(paths) is the time by which a quorum had seen what commits to these files.
    constructor(policy, replay, files, signatures, now, witnessed) {
      Object.assign(this, { policy, replay, signatures, now, witnessed });
      this.threshold = Math.max(policy.threshold ?? 0, replay.plan.threshold);
      this.pinned = new Map(policy.people.map((x) => [x.ssh.print, x]));
      this.planned = new Map(replay.plan.people.map((x) => [x.ssh.print, x]));
      const listed = (record) => new Set((record?.files ?? []).filter((f) => files.has(f.path) && F.digest(files.get(f.path)) === f.sha256).map((f) => f.path));
      this.asked = listed(replay.request_);
      this.counted = listed(replay.counter);
    }

    lists(set, s) { return s.paths.every((p) => set.has(p)); }

    // inTime says whether an approval was there before what it approves.
    inTime(s) {
      const { request_: request, counter } = this.replay;
      if (request && s.n < request.n) return this.lists(this.asked, s);
      if (counter && s.n < counter.n && s.act !== "exception") return this.lists(this.counted, s);
      return true;
    }

    // officer gives the name under which a policy (or the plan) has a signature's key as
    // an officer who counts.
    person(s, role, byPlan) {
      const x = (byPlan ? this.planned : this.pinned).get(s.key.print);
      if (!x || x.role !== role || (s.role ?? role) !== role) return undefined;
      return byPlan || F.counts(x.window, this.now, this.witnessed(s.paths)) ? x.name : undefined;
    }

    names(list, role, byPlan = false) {
      return new Set(list.map((s) => this.person(s, role, byPlan)).filter((n) => n !== undefined));
    }

    // approvals of one need, those that were there in time.
    approvalsOf(need) {
      return this.signatures.approvals.filter((s) => s.act === need.act && s.head === need.head && s.n === need.n && s.subject === need.subject && this.inTime(s));
    }

    planSignatures() {
      const all = this.signatures.plan;
      return this.replay.request_ ? all.filter((s) => this.lists(this.asked, s)) : all;
    }

    // unapproved says what keeps plan.approved from being shown; null if nothing does.
    unapproved(aborted) {
      const n = this.names(this.planSignatures(), "officer").size;
      if (n < this.threshold) return `${n} of ${this.threshold} officers signed the plan`;
      for (const need of this.replay.needs) {
        if (aborted && need.act === "exception") continue;
        const m = this.names(this.approvalsOf(need), "officer").size;
        if (m < this.threshold) return `the act "${need.act}" of record ${need.record} has the approvals of ${m} of ${this.threshold} officers`;
      }
      return null;
    }

    exceptionNeeds() { return this.replay.needs.filter((n) => n.act === "exception"); }

    // unaccepted are the numbers of exceptions that too few of the plan's officers accepted.
    unaccepted() {
      return this.exceptionNeeds().map((need, i) => (this.names(this.approvalsOf(need), "officer", true).size < this.replay.plan.threshold ? i + 1 : 0)).filter((n) => n > 0);
    }

    // inOtherPart are sign-offs by one of the people in another part than their own.
    inOtherPart(stage) {
      return this.signatures[stage].filter((s) => [this.pinned, this.planned].some((m) => m.has(s.key.print) && m.get(s.key.print).role !== s.role));
    }

    // against are the people who don't agree, whatever their keys' windows.
    against(stage) {
      const name = (s) => this.pinned.get(s.key.print)?.name ?? this.planned.get(s.key.print)?.name;
      return this.signatures[stage].filter((s) => !s.agrees && name(s) !== undefined).map(name);
    }

    counting(stage) {
      const all = this.signatures[stage];
      return stage === "release" && this.replay.request_ ? all.filter((s) => this.lists(this.asked, s)) : all;
    }

    // unsigned says what keeps a stage from being signed off; null if nothing does.
    unsigned(stage) {
      if (!(stage === "release" ? this.replay.release_ : this.replay.close_)) return "the ceremony didn't come to it";
      if (this.inOtherPart(stage).length > 0) return "somebody signed in another part than their own";
      const against = this.against(stage);
      if (against.length > 0) return `${against.join(", ")} did not agree`;
      const agree = this.counting(stage).filter((s) => s.agrees);
      const officers = this.names(agree, "officer").size;
      if (officers < this.threshold) return `${officers} of ${this.threshold} officers agree`;
      for (const role of ["witness", "auditor"]) if (this.names(agree, role).size === 0) return `no ${role} has signed`;
      const excused = this.absent(stage);
      for (const x of this.replay.plan.people) {
        if (x.role === "officer" || excused.has(x.name)) continue;
        if (!this.counting(stage).some((s) => s.key.print === x.ssh.print && s.role === x.role)) return `no verdict by ${x.name}`;
      }
      return null;
    }

    // absent are those whom an exception names that officers accepted: one before the
    // request for the release, one after it for the close; where keys are destroyed each
    // for the close, which is all that is signed there.
    absent(stage) {
      const needs = this.exceptionNeeds();
      const list = this.replay.exceptions.filter((e, i) => e.absent && (e.afterRequest || this.replay.plan.destroys !== undefined) === (stage === "close") && this.names(this.approvalsOf(needs[i]), "officer").size >= this.threshold);
      return new Set(list.flatMap((e) => e.absent));
    }

    // challenged says whether each key that agrees was challenged by an auditor who is
    // pinned, and who agrees to the release.
    challenged(keys) {
      const agree = this.counting("release").filter((s) => s.agrees && this.person(s, "auditor") !== undefined);
      return keys.every((k) => k.challenger !== undefined && this.replay.plan.people.some((x) => x.name === k.challenger && x.role === "auditor" && agree.some((s) => s.key.print === x.ssh.print)));
    }

    // abort gives the grade of abort.signed, and why.
    abort() {
      const { hash, n } = this.replay.abort_;
      const signed = this.signatures.approvals.filter((s) => s.act === "abort" && s.head === hash && s.n === n);
      const [o, w, a] = ["officer", "witness", "auditor"].map((role) => this.names(signed, role));
      const why = `${o.size} officers, ${w.size} witnesses and ${a.size} auditors signed it`;
      if (o.size >= this.threshold && w.size > 0 && a.size > 0) return ["proven", why];
      return [o.size > 0 && new Set([...o, ...w, ...a]).size >= 2 ? "attested" : "not shown", why];
    }
  };
})((globalThis.fleetctlVerify ??= {}));
