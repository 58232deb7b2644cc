// The replay, continued: each key's records, the fleet check, the release, what third
// parties and operator signed, the lock-down (SPEC section 7).
(function (F) {
  "use strict";

  const methods = {
    // ---- a key ----

    intent(c, r, bad) {
      const { hsm, role } = this.now;
      this.mine(c, bad);
      if (c.role !== role.name || c.algorithm !== role.algorithm) bad(`is for the role ${F.quote(c.role)}, ${c.algorithm}; the step is for ${role.name}, ${role.algorithm}`);
      if (this.ids.has(c.cka_id)) bad("has a CKA_ID that was used before");
      if (this.ids.size >= 768) bad("is one intent too many: 768 are allowed");
      this.ids.add(c.cka_id);
      const label = `${this.plan.fleet}/${this.plan.epoch}/${hsm.name}/${role.name}`;
      if (c.label !== (this.plan.mode === "rehearsal" ? "REHEARSAL/" : "") + label) bad(`has the label ${F.quote(c.label)}`);
      const want = F.attributesOf(role, hsm).filter((a) => a.template);
      if (c.template.length !== want.length || c.template.some((t, i) => t.name !== want[i].name || t.value !== want[i].value)) bad("has another template than the plan's");
      this.key = { hsm, role, intent: c, n: r.n, hash: r.hash };
      this.keys.push(this.key);
    },

    ofKey(c, bad) {
      if (!this.key || c.intent !== this.key.n) bad(`is about the intent ${c.intent}, which is not the open one`);
      return this.key;
    },

    outcome(c, r, bad, where) {
      const key = this.ofKey(c, bad);
      if (c.result !== "generated") {
        if (c.reason === undefined || c.public_key || c.mechanism || c.dropped) bad("lacks its reason, or has what only a generated key has");
        if (c.result === "failed" && key.key) bad("says that a key failed which was generated");
        this.keys = this.keys.filter((k) => k !== key);
        return;
      }
      if (c.reason !== undefined || !c.public_key) bad("has a reason, or lacks its key");
      key.key = F.admit(c.public_key, key.intent.algorithm, where);
      if (this.made.has(key.key.same)) this.fail(`${key.hsm.name} ${key.role.name} has a key that was made before`);
      this.made.add(key.key.same);
      const dropped = c.dropped ?? [];
      if (new Set(dropped).size !== dropped.length) bad("has an attribute dropped twice");
      const optional = F.attributesOf(key.role, key.hsm).filter((a) => a.template && !a.needed).map((a) => a.name);
      if (dropped.some((name) => !optional.includes(name))) this.fail("a key was generated without an attribute that the plan requires");
    },

    attributes(c, r, bad) {
      const key = this.ofKey(c, bad);
      const wrong = F.judgeAttributes(c, key);
      if (wrong) this.fail(`${key.hsm.name} ${key.role.name}: ${wrong}`);
    },

    "negative-test"(c, r, bad, where) {
      const key = this.ofKey(c, bad);
      const wrong = F.judgeNegativeTest(c, key, where);
      if (wrong) this.fail(`${key.hsm.name} ${key.role.name}: ${wrong}`);
    },

    "agreement-peer"(c, r, bad, where) {
      const key = this.ofKey(c, bad);
      key.peer = F.readPeer(c.peer, key.intent.algorithm, where);
      if (this.marks.has(key.peer.mark)) bad("has a peer that was drawn for another key of this ceremony already");
      this.marks.add(key.peer.mark);
      if (c.by === "machine" ? c.challenger !== undefined : !this.plan.people.some((x) => x.role === "auditor" && x.name === c.challenger)) bad("has a challenger who is no auditor of the plan, or one beside the machine");
      key.challenger = c.challenger;
      key.peerHash = r.hash;
    },

    async possession(c, r, bad) {
      const key = this.ofKey(c, bad);
      if (key.role.use === "agree") {
        if (c.signature !== undefined || c.answer === undefined) bad("has a signature where the key answers, or no answer");
        key.answer = c.answer;
        return;
      }
      if (c.signature === undefined || c.answer !== undefined) bad("has an answer where the key signs, or no signature");
      const text = F.possessionText(key, this.plan, this.open_.ceremony);
      if (!(await F.signed(key.key, F.FOR_POSSESSION, text, c.signature))) this.fail(`${key.hsm.name} ${key.role.name}: its proof of possession doesn't verify`);
      key.shown = true;
    },

    "agreement-opened"(c, r, bad, where) {
      const key = this.ofKey(c, bad);
      const text = F.possessionText(key, this.plan, this.open_.ceremony);
      const shown = F.opened(key, c.scalar, text, where);
      // From one scalar two keys of ML-KEM get two ciphertexts.
      if (this.marks.has(`scalar ${c.scalar}`)) bad("has a scalar that was opened for another key of this ceremony already");
      this.marks.add(`scalar ${c.scalar}`);
      if (!shown) this.fail(`${key.hsm.name} ${key.role.name}: the answer is not the key's`);
      key.shown = true;
    },

    found(c, r, bad) {
      const key = this.ofKey(c, bad);
      if (c.public_key !== F.digest(key.key.der)) this.fail(`${key.hsm.name} ${key.role.name}: a new process found another key`);
      const list = (objects) => F.canonical(objects.sort());
      const want = this.keys.filter((k) => k.hsm === key.hsm).flatMap((k) => [`private ${k.intent.cka_id}`, `public ${k.intent.cka_id}`]);
      if (list(c.objects.map((o) => `${o.class} ${o.id}`)) !== list(want)) this.fail(`${key.hsm.name} holds other objects than this ceremony made`);
    },

    attestation(c, r, bad) {
      const { hsm, role } = this.now;
      const key = hsm && this.keys.find((k) => k.hsm === hsm && k.role === role);
      const device = hsm ? hsm.attestation : this.plan.countersigner.attestation;
      if (c.intent !== key?.n) bad("is about another key than the step's");
      if (c.format !== device.format || c.identity !== device.identity) bad("is of another device than the plan's");
      if (this.attestations.some((a) => a.c.evidence === c.evidence)) bad("has the evidence of another record");
      const anchored = c.level === "anchored" || c.level === "fresh";
      if (anchored !== (c.anchor !== undefined)) bad("has an anchor, or none, against its level");
      this.attestations.push({ c, n: r.n, time: r.time, key });
    },

    // ---- the fleet ----

    // matrix is what the fleet check has to say (7.1).
    matrix() {
      const p = this.plan;
      const first = (in_) => p.hsms.map((h) => this.intakes.get(h.name)).find((o) => !p.models || o.model === in_.model);
      const rows = p.hsms.map((h) => {
        const own = this.intakes.get(h.name);
        const like = own.model === first(own).model && own.firmware === first(own).firmware && (!p.models || p.models.includes(own.model));
        return { hsm: h.name, results: this.checks().map((c) => (c === "firmware" && !like ? "fail" : "pass")) };
      });
      const told = p.hsms.map((h) => this.intakes.get(h.name)).filter((o) => first(o) === o);
      return { rows, firmware: told.map((o) => `${o.model} ${o.firmware}`).join(", ") };
    },

    checks() { return ["serial", "empty", "firmware", "attributes", "refusals", "possession", "found", ...(this.plan.attested ? ["attested"] : [])]; },

    "fleet-check"(c, r, bad) {
      const want = this.matrix();
      const flat = (rows) => F.canonical(rows.map((x) => [x.hsm, ...x.results]));
      if (F.canonical(c.checks) !== F.canonical(this.checks()) || flat(c.rows) !== flat(want.rows) || c.firmware !== want.firmware || c.majority !== this.plan.majority) bad("isn't the matrix that follows from the records before it");
      if (c.rows.some((x) => x.results.includes("fail"))) this.fail("an HSM fails a check of the fleet");
      this.checked = { hash: r.hash, time: r.time, at: r.at, n: r.n };
    },

    // keySet is the artifact that follows from plan and records, byte for byte.
    keySet(bad) {
      if (!this.confirmed || this.fault) bad("comes before the fleet check has passed and was read aloud");
      if (this.keySet_) return this.keySet_;
      const p = this.plan;
      const keys = this.keys.map((k) => new Map([["hsm", k.hsm.name], ["role", k.role.name], ["use", k.role.use], ["algorithm", k.role.algorithm], ["public_key", F.base64(k.key.der)]]));
      const bytes = F.utf8(F.indented(new Map([["format", "fleetctl fleet-keys v1"], ["mode", p.mode], ["fleet", p.fleet], ["namespace", p.namespace], ["epoch", p.epoch],
        ["previous", p.previous], ["created", this.checked.at], ["majority", p.majority], ["keys", keys],
        ["ceremony", new Map([["id", this.open_.ceremony], ["plan", p.digest], ["transcript", this.checked.hash]])]])));
      return (this.keySet_ = F.parseKeySet(bytes, "fleet-keys.json"));
    },

    release(c, r, bad) {
      const excused = new Set(this.exceptions.flatMap((e) => e.attestations ?? []));
      if (this.attestations.some((a) => a.c.problems.length > 0 && !excused.has(a.n))) bad("comes before an exception about each attestation that has problems");
      if (c.artifact !== this.keySet(bad).digest) bad("releases another artifact than follows from the records before it");
      this.release_ = { hash: r.hash, n: r.n, time: r.time, artifact: c.artifact };
    },

    // ofPeople: a list of what people signed so far has no other file.
    ofPeople(c, bad) {
      const other = c.files.find((f) => !/^(?:plan-approvals|approvals|signoffs\/release)\/[^\/]+$/.test(f.path));
      if (other) bad(`lists ${other.path}, which is no file of what people sign until then`);
    },

    request(c, r, bad) {
      this.ofPeople(c, bad);
      this.request_ = { ...c, n: r.n, exceptions: this.exceptions.length };
    },

    // ---- third parties and operator ----

    async response(c, r, bad, where) {
      const party = this.plan.third_parties.find((t) => F.equal(t.key, c.key));
      if (!party) bad("is by a key that is no third party's of the plan");
      if (this.responses.some((x) => x.party === party)) bad(`is a second answer of ${party.name}`);
      const s = F.parseStatement(c.statement, where, true);
      if (s.key_id !== undefined && s.key_id !== c.key[31]) bad("has another key_id than its key's last byte");
      if (!(await F.statementSigned(s, c.key))) bad(`is not signed by ${party.name}`);
      if (s.suite !== party.ciphersuite || s.namespace !== this.plan.namespace || s.epoch !== this.plan.epoch || s.digest !== this.release_.artifact) bad("is about something else than was asked");
      if (s.seconds < this.release_.time - F.CLOCK_SKEW || s.seconds > r.time + F.CLOCK_SKEW) bad("was signed before the release, or after its record");
      const beside = party.post_quantum;
      if ((c.addition === undefined) !== (beside === undefined)) bad("has a post-quantum signature beside the statement, or none, against the plan");
      if (beside && !(await F.signed(beside.admitted, F.FOR_THIRD_PARTY, s.message, c.addition))) bad(`has a post-quantum signature of ${party.name} that doesn't verify`);
      const addition = beside && { key: beside.key, signature: c.addition, admitted: beside.admitted };
      const answer = { party, key: c.key, statement: s, addition, raw: c.statement, n: r.n };
      this.responses.push(answer);
      (this.counter ? this.late : this.answers).push(answer);
    },

    refusal(c, r, bad, where) {
      const s = F.parseStatement(c.statement, where, true);
      if (this.responses.some((x) => F.equal(x.key, c.key) && F.equal(x.raw, c.statement))) bad("refuses an answer that was taken");
      if (this.refusals.length >= 256) bad("is one refusal too many: 256 are allowed");
      this.refusals.push({ key: c.key, statement: s });
    },

    async countersignature(c, r, bad) {
      const want = this.plan.countersigner;
      if (!F.equal(c.key, want.key) || c.form !== want.form) bad("has another key or form than the plan's");
      if (this.answers.length < this.plan.third_parties_needed) bad("comes before enough third parties have answered");
      this.countersigned = F.countersigned(c.form, this.keySet(bad), this.answers.map((x) => ({ key: x.key, signature: x.statement.signature, addition: x.addition })));
      if (!(await F.signed(want.admitted, F.FOR_COUNTERSIGNATURE, this.countersigned, c.signature))) bad("doesn't verify");
      const beside = want.post_quantum;
      if ((c.post_quantum === undefined) !== (beside === undefined)) bad("has a post-quantum signature, or none, against the plan");
      if (beside && !(await F.signed(beside.admitted, F.FOR_COUNTERSIGNATURE, this.countersigned, c.post_quantum))) bad("has a post-quantum signature that doesn't verify");
      this.ofPeople(c, bad);
      const listed = new Map(c.files.map((f) => [f.path, f.sha256]));
      for (const f of this.request_.files) if (listed.get(f.path) !== f.sha256) bad(`lacks ${f.path}, which the request lists, or has another digest`);
      this.counter = { ...c, hash: r.hash, n: r.n, time: r.time };
    },

    // bundle is the one that follows from the records, byte for byte.
    bundle(bad) {
      if (this.bundle_) return this.bundle_;
      if (!this.counter) bad("comes before the countersignature");
      const sorted = [...this.answers].sort((a, b) => F.compare(a.key, b.key));
      const object = (list) => new Map(list);
      const signature = (key, bytes) => object([["key", F.base64(key)], ["form", this.counter.form], ["signature", F.base64(bytes)]]);
      const added = ({ addition: a }) => (a ? [["addition", object([["key", F.base64(a.key)], ["signature", F.base64(a.signature)]])]] : []);
      const { post_quantum: beside } = this.plan.countersigner;
      return (this.bundle_ = F.utf8(F.indented(object([["format", "fleetctl validation-bundle v1"], ["artifact", F.base64(this.keySet(bad).bytes)],
        ["statements", sorted.map((x) => object([["key", F.base64(x.key)], ["json", F.base64(statementFile(x))], ...added(x)]))],
        ["countersignatures", [signature(this.counter.key, this.counter.signature), ...(beside ? [signature(beside.key, this.counter.post_quantum)] : [])]],
        ["transcript", object([["head", this.counter.hash], ["n", this.counter.n]])]]))));
    },

    "log-proof"(c, r, bad) {
      if (c.bundle !== F.digest(this.bundle(bad))) bad("has another bundle than follows from the records before it");
      this.logProof = { ...c, n: r.n, time: r.time };
    },

    drill(c, r, bad) {
      if (c.number !== this.drills.length + 1) bad(`is numbered ${c.number}`);
      const said = c.reason !== undefined || c.by !== undefined || c.confirmed !== undefined;
      const reported = c.report !== undefined || c.size !== undefined;
      if (c.outcome === "none" ? reported || c.reason === undefined || c.by === undefined || c.confirmed === undefined : said || c.report === undefined || c.size === undefined) bad("has a report and why there is none, or neither");
      if (c.outcome === "none") {
        this.mayType(c.by, bad);
        this.mayType(c.confirmed, bad);
        if (c.by === c.confirmed && c.by !== "machine") bad("was said and confirmed by one person");
      } else if (this.drills.some((d) => d.report === c.report)) {
        bad("has the report of an earlier drill");
      }
      const left = c.left ?? [];
      if (new Set(left).size !== left.length || !left.every((name) => this.plan.hsms.some((h) => h.name === name))) bad("says of no HSM of the plan, or twice of one, that something is left in it");
      const since = Math.min(this.logProof.time, ...this.times.slice(this.logProof.n - 1));
      this.drills.push({ ...c, n: r.n, time: r.time, since });
    },

    lockdown(c, r, bad) {
      const { entry, item } = this.now;
      if (c.number !== item || c.text !== entry.text) bad("is not the plan's entry whose turn it is");
      this.mayType(c.by, bad);
      this.mayType(c.confirmed, bad);
      if (c.by === c.confirmed && c.by !== "machine") bad("was done and confirmed by one person");
      const codes = c.before !== undefined || c.code !== undefined;
      if (!entry.hsm || c.reading !== undefined) {
        if (codes || c.reading === undefined) bad("has return codes beside a reading, or neither");
        if (entry.hsm) this.notRefused.push(entry.hsm);
        this.lockdowns++;
        return;
      }
      if (c.before !== "CKR_OK") bad("says of a PIN that it was refused which opened nothing before");
      if (c.code === "CKR_OK") {
        this.stillOpen.push(r.n);
        return;
      }
      if (!["CKR_PIN_INCORRECT", "CKR_PIN_LOCKED", "CKR_PIN_EXPIRED", "CKR_USER_PIN_NOT_INITIALIZED"].includes(c.code)) bad(`has ${F.quote(c.code)}, which refuses no login`);
      this.lockdowns++;
    },
  };

  // statementFile is the statement as it was served where that is a file of 12.1; else
  // it is written anew, with the same fields and the same signature.
  function statementFile(answer) {
    try {
      F.parseStatement(answer.raw, "statement");
      return answer.raw;
    } catch {
      const s = answer.statement;
      return F.utf8(F.canonical(new Map([["version", s.suite], ["ciphersuite", s.suite], ["namespace", s.namespace], ["timestamp", s.timestamp], ["epoch", s.epoch],
        ["digest", s.digest], ["signature", s.signature], ["key_id", answer.key[31]], ["serialized_message", F.hex(s.message)]])));
    }
  }

  // extendReplay puts these beside the rules of replay.js, whichever file came first.
  F.extendReplay = () => Object.assign(F.Replay.prototype, methods, F.destroyMethods);
})((globalThis.fleetctlVerify ??= {}));
