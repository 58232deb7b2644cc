// The replay of a transcript (SPEC 6.1 to 6.3 and section 7): what may come when, and
// what each record has to say. What can't be is thrown; a check that a record shows to
// have failed leaves a fault, after which next to nothing may follow.
(function (F) {
  "use strict";

  const clockOff = 120;
  const skew = 300;

  // steps are the plan's, each {act, hsm, role, item, kinds}.
  function stepsOf(plan) {
    const steps = [];
    const step = (act, kinds, more = {}) => steps.push({ act, kinds, ...more });
    const making = (role) => ["intent", "outcome", "attributes", "negative-test",
      ...(role.use === "agree" ? ["agreement-peer", "possession", "agreement-opened"] : ["possession"]), "found", "challenge"];
    const end = () => {
      plan.lockdown.forEach((entry, i) => step("lockdown", ["lockdown"], { entry, item: i + 1 }));
      step("close", ["close"]);
      return steps;
    };
    step("open", ["open", "reading", "challenge"]);
    if (plan.destroys) {
      F.stepsOfDestruction(plan, step);
      return end();
    }
    for (const hsm of plan.hsms) step("intake", ["intake", "reading"], { hsm });
    for (const hsm of plan.hsms) {
      step("unlock", ["unlock", "inventory"], { hsm });
      for (const role of plan.roles) step("generate", making(role), { hsm, role });
    }
    if (plan.attested) {
      for (const hsm of plan.hsms) for (const role of plan.roles) step("attest", ["attestation"], { hsm, role });
      if (plan.countersigner.attestation) step("attest", ["attestation"]);
    } else if (plan.countersigner.attestation) {
      step("attest", ["attestation"]);
    }
    step("fleet-check", ["fleet-check", "challenge"]);
    step("release", ["challenge", "release"]);
    step("request", ["request"]);
    for (let i = 0; i < plan.third_parties_needed; i++) step("response", ["response"]);
    step("countersign", ["countersignature"]);
    step("log", ["challenge", "log-proof"]);
    if (plan.drill) step("drill", ["drill"]);
    return end();
  }

  const interjecting = new Set(["exception", "adjourn", "reconvene", "resume", "refusal"]);

  // sealNumber is how numbers of seals are compared: without spaces, A to Z in lower case.
  const sealNumber = (text) => text.replace(/ /g, "").replace(/[A-Z]/g, (c) => c.toLowerCase());

  class Replay {
    constructor(plan) {
      Object.assign(this, {
        plan, steps: stepsOf(plan), step: 0, pos: 0, head: plan.digest, n: 0, time: -Infinity, fault: null, records: [], times: [], needs: [],
        keys: [], key: null, ids: new Set(), made: new Set(), marks: new Set(), intakes: new Map(), exceptions: [], attestations: [], refusals: [], responses: [],
        answers: [], late: [], drills: [], lockdowns: 0, stillOpen: [], notRefused: [], opened: false, adjourned: false, exceptional: new Set(),
        sealsRead: new Set(), held: new Map(), doomed: [], doom: null,
      });
    }

    get now() { return this.steps[this.step]; }
    get wants() { return this.now?.kinds[this.pos]; }
    get ended() { return this.close_ !== undefined || this.abort_ !== undefined; }

    // interjects: records that may come between those that the steps list.
    interjects(kind) { return interjecting.has(kind) || (kind === "response" && this.request_ !== undefined && this.wants !== "response"); }

    async take(r) {
      const where = `transcript.jsonl: record ${r.n}, ${r.kind}`;
      const bad = (what) => F.fault(where, what);
      if (this.ended) bad("comes after the end of the ceremony");
      this.checkTime(r, bad);
      this.checkOrder(r, bad);
      if (!r.withheld) await this[r.kind](r.c, r, bad, where);
      this.noteNeed(r);
      this.passed(r);
      Object.assign(this, { head: r.hash, n: r.n, time: r.time });
      this.records.push(r);
      this.advance(r);
    }

    checkTime(r, bad) {
      const clock = r.kind === "exception" ? r.c.clock : undefined;
      if (!clock && r.time < this.time) bad("is dated before the record before it");
      if (!clock) return;
      if (clock.since !== this.time) bad("says that the clock was set since another time than that of the record before it");
      if (Math.abs(r.time - clock.wall) > clockOff) bad("is more than 2 minutes from what people read off another clock");
    }

    checkOrder(r, bad) {
      if (r.kind === "abort") {
        if (!this.open_) bad("aborts what was not opened");
        if (this.request_) bad("comes after the request");
        return;
      }
      if (r.kind === "unlock" && this.opened) return;
      if (this.adjourned && r.kind !== "reconvene" && r.kind !== "exception") bad("comes while the ceremony is adjourned");
      if (r.kind === "outcome" && r.c.result === "destroyed" && this.key && !this.doom) return;
      if (r.kind === "exception" && r.c.clock && this.open_) return;
      if (r.kind === "exception" && r.c.binary && this.fault) return;
      if (this.fault) bad(`comes after a failed check (${this.fault}), after which only destruction and abort may follow`);
      if (this.interjects(r.kind)) {
        if (!this.open_) bad("comes before the ceremony was opened");
        if (r.kind === "reconvene" && !this.adjourned) bad("reconvenes what is not adjourned");
        if (r.kind === "refusal" && !this.request_) bad("comes before the request");
        if (r.kind === "adjourn" && this.pos > 0) bad("adjourns within a step");
        return;
      }
      if (r.kind === "target" && this.now?.act === "destroy" && this.pos > 0) return; // the step begins again
      if (r.kind !== this.wants) bad(`comes where ${this.wants} is wanted`);
    }

    advance(r) {
      if (this.interjects(r.kind) || r.kind === "abort" || (r.kind === "unlock" && this.wants !== "unlock")) return;
      if (r.kind === "drill" && r.c.outcome === "failed") return;
      if (r.kind === "lockdown" && r.c.code === "CKR_OK") return;
      if (r.kind === "outcome" && r.c.result !== "generated") {
        Object.assign(this, { pos: 0, key: null });
        return;
      }
      if (++this.pos === this.now.kinds.length) Object.assign(this, { step: this.step + 1, pos: 0, key: null, doom: null });
    }

    // noteNeed notes what officers have to approve, and over which head.
    noteNeed(r) {
      const need = (act, subject = "-", head = this.head, n = this.n) => this.needs.push({ act, subject, head, n, record: r.n });
      if (r.kind === "unlock" && !this.opened) {
        this.opened = true;
        need("open");
      } else if (r.kind === "resume" || r.kind === "reconvene") {
        need(r.kind);
      } else if (r.kind === "request") {
        need("request", r.c.core);
      } else if (r.kind === "countersignature") {
        need("countersign", F.digest(this.countersigned));
      } else if (r.kind === "exception") {
        this.exceptional.add(r.n);
        need("exception", r.hash, r.hash, r.n);
      }
    }

    // passed notes a record's time. One dated earlier than the one before says that the
    // clock had been ahead, and what was recorded meanwhile happened before it (6.3).
    passed(r) {
      if (r.time < this.time) {
        const later = this.times.findIndex((t) => t > r.time);
        const sure = later > 0 ? this.times[later - 1] : -Infinity;
        if (this.release_ && this.release_.time > r.time) this.release_.time = sure;
        if (this.counter && this.counter.time > r.time) this.counter.time = sure;
        for (const a of this.attestations) a.time = Math.min(a.time, r.time);
        const unread = this.now?.act === "fleet-check" || (this.now?.act === "release" && this.pos === 0);
        if (this.checked && this.checked.time > r.time && unread) {
          Object.assign(this.checked, { time: r.time, at: r.at });
          this.keySet_ = undefined;
        }
      }
      this.times.push(r.time);
    }

    fail(what) { this.fault ??= what; }

    mayType(by, bad) {
      if (by === "machine" && this.plan.mode !== "rehearsal") bad("says machine where a person types, in production");
    }

    mine(c, bad) {
      if (c.hsm !== this.now.hsm?.name) bad(`is about ${F.quote(c.hsm)}, which the step isn't`);
    }

    // ---- before the keys ----

    open(c, r, bad) {
      const p = this.plan;
      if (c.mode !== p.mode || c.fleet !== p.fleet || c.namespace !== p.namespace || c.epoch !== p.epoch) bad("has another mode, fleet, namespace or epoch than the plan");
      const id = new RegExp("^(.*)\\.([0-9]+)\\.([0-9]{4})([0-9]{2})([0-9]{2})\\.[0-9a-f]{8}$").exec(c.ceremony);
      if (!id || id[1] !== p.fleet.slice(0, 80) || id[2] !== String(p.epoch)) bad("has a ceremony id of another form, fleet or epoch");
      const day = F.parseTime(`${id[3]}-${id[4]}-${id[5]}T00:00:00Z`);
      if (day === null || Math.abs(day - Math.floor(r.time / 86400) * 86400) > 86400) bad("has a ceremony id of another day");
      if (c.words.length !== 3) bad("doesn't have 3 words");
      this.mayType(c.chosen_by, bad);
      this.open_ = { ...c, hash: r.hash };
      this.binary = c.binary;
    }

    reading(c, r, bad, where) {
      this.mayType(c.by, bad);
      if (this.now.act === "open") {
        if (c.what !== "clock" || c.hsm !== undefined || c.confirmed !== undefined) bad("is no reading of the clock");
        if (Math.abs(r.time - F.time(c.value, where)) > clockOff) this.fail("the clock on the wall says another time");
        return;
      }
      if (c.what !== "seal" || c.confirmed === undefined) bad("is no reading of a seal");
      this.mayType(c.confirmed, bad);
      if (c.by === c.confirmed && c.by !== "machine") bad("was read twice by one person");
      this.mine(c, bad);
      if (this.sealsRead.has(sealNumber(c.value))) bad("is the number of another HSM's seal");
      this.sealsRead.add(sealNumber(c.value));
    }

    challenge(c, r, bad) {
      this.mayType(c.by, bad);
      if (c.positions.length !== 3 || !(c.positions[0] < c.positions[1] && c.positions[1] < c.positions[2])) bad("doesn't have 3 different positions, rising");
      const want = {
        "open": () => ["plan", this.plan.digest], "retirement": () => ["key-set", this.plan.destroys.artifact], "generate": () => ["key", F.digest(this.key.key.der)], "fleet-check": () => ["fleet", this.checked.hash],
        "release": () => ["key-set", this.keySet(bad).digest], "log": () => ["bundle", F.digest(this.bundle(bad))],
      }[this.now.act]();
      if (c.what !== want[0] || c.subject !== want[1] || c.intent !== (want[0] === "key" ? this.key.n : undefined)) bad(`is not about the step's ${want[0]}`);
      if (want[0] === "fleet") this.confirmed = true;
    }

    intake(c, r, bad) {
      this.mine(c, bad);
      if (c.serial !== this.now.hsm.serial) this.fail(`${c.hsm} reports another serial than the plan has`);
      if (this.plan.models && !this.plan.models.includes(c.model)) this.fail(`${c.hsm} is of a model that the plan doesn't have`);
      this.intakes.set(c.hsm, c);
    }

    unlock() { /* it may be withheld, so nothing of what it says is judged */ }

    inventory(c, r, bad) {
      this.mine(c, bad);
      this.held.set(c.hsm, c.objects);
      if (c.objects.length > 0 && !this.plan.destroys) this.fail(`the token of ${c.hsm} is not empty`);
    }

    // ---- what people record in between ----

    exception(c, r, bad) {
      if (c.number !== this.exceptions.length + 1) bad(`is numbered ${c.number}`);
      const once = (list, what) => { if (new Set(list ?? []).size !== (list ?? []).length) bad(`names ${what} twice`); };
      once(c.absent, "a person");
      for (const name of c.absent ?? []) {
        if (!this.plan.people.some((x) => x.name === name && x.role !== "officer")) bad(`says that ${F.quote(name)} is absent, who is no witness or auditor of the plan`);
      }
      this.oneIsLeft(c, bad);
      once(c.attestations, "an attestation");
      for (const n of c.attestations ?? []) {
        if (!this.attestations.some((a) => a.n === n && a.c.problems.length > 0)) bad(`is about record ${n}, which is no attestation with problems`);
      }
      once(c.unreached, "a claim");
      if (c.unreached && this.opened) bad("goes on without claims after the first unlocking");
      if (c.torn !== undefined && !c.clock) bad("tells of a torn line and not of the clock");
      this.program(c, bad);
      this.exceptions.push({ ...c, n: r.n, afterRequest: this.request_ !== undefined });
    }

    // oneIsLeft: of those whom exceptions of a stage name as absent, not all are of a role.
    oneIsLeft(c, bad) {
      const stage = this.exceptions.filter((e) => e.afterRequest === (this.request_ !== undefined));
      const gone = new Set([...stage, c].flatMap((e) => e.absent ?? []));
      for (const role of ["witness", "auditor"]) {
        const all = this.plan.people.filter((x) => x.role === role).map((x) => x.name);
        if (all.every((n) => gone.has(n)) && all.some((n) => c.absent?.includes(n))) bad(`leaves no ${role}; one has to be there`);
      }
    }

    program(c, bad) {
      if ((c.version === undefined) !== (c.binary === undefined)) bad("gives one of version and binary");
      if (c.binary === undefined) return;
      if (c.binary === this.binary) bad("names the program that ran before as another one");
      this.binary = c.binary;
    }

    seals(c, bad) {
      if (new Set(c.seals.map((s) => s.what)).size !== c.seals.length) bad("has a seal twice");
      const ofHSMs = c.seals.filter((s) => this.plan.hsms.some((h) => h.name === s.what)).map((s) => sealNumber(s.number));
      if (new Set(ofHSMs).size !== ofHSMs.length) bad("has one seal's number for two HSMs");
      if (this.plan.mode !== "production") return;
      for (const h of this.plan.hsms) if (!c.seals.some((s) => s.what === h.name)) bad(`has no seal of ${h.name}`);
    }

    adjourn(c, r, bad) {
      this.seals(c, bad);
      Object.assign(this, { adjourned: true, sealed: c.seals, exceptionsThen: this.exceptions.length });
    }

    reconvene(c, r, bad) {
      this.seals(c, bad);
      const same = c.seals.length === this.sealed.length && c.seals.every((s, i) => s.what === this.sealed[i].what && s.number === this.sealed[i].number);
      if (!same && this.exceptions.length === this.exceptionsThen) bad("has other seals than the adjournment, and no exception was made of that");
      this.adjourned = false;
    }

    resume(c, r, bad) {
      if (c.since !== this.time) bad("is since another time than that of the record before it");
      if ((c.torn === 0) !== (c.kept === undefined)) bad("has one of torn and kept");
      if (c.intent !== this.key?.n) bad("is about another intent than the open one");
      this.program(c, bad);
      if (this.doom) this.doom.interrupted = true;
    }

    abort(c, r, bad) {
      const begun = this.doom?.intent !== undefined && !this.doom.attempts; // it may be destroyed or not
      const stand = begun ? [this.doom.key] : this.keys;
      const same = c.keys.length === stand.length && c.keys.every((k, i) => k.hsm === stand[i].hsm.name && k.role === stand[i].role.name && k.cka_id === stand[i].intent.cka_id);
      if (!same) bad("doesn't say what became of each key that stands");
      for (const k of c.keys) if (!/^(?:destroyed|absent|not destroyed: .+)$/s.test(k.state)) bad(`has the state ${F.quote(k.state)}`);
      this.abort_ = { ...c, hash: r.hash, n: r.n };
    }

    close(c, r) { this.close_ = { ...c, hash: r.hash, n: r.n, time: r.time }; }
  }

  F.Replay = Replay;
  F.CLOCK_SKEW = skew;

  F.replay = async function (transcript, plan) {
    const a = new Replay(plan);
    F.extendReplay();
    for (const r of transcript.records) await a.take(r);
    return a;
  };
})((globalThis.fleetctlVerify ??= {}));
