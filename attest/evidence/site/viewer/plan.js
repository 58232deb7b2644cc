// A plan (SPEC section 4), and what a key's attributes have to be by it.
(function (F) {
  "use strict";

  // The attribute policy of 4.1: in its order, what is demanded of a key that signs and
  // of one that agrees, whether it stands in the template, whether a plan may change it.
  const attributes = [
    ["SENSITIVE", "required true", null, true, "no"], ["EXTRACTABLE", "required false", null, true, "no"],
    ["NEVER_EXTRACTABLE", "required true", null, false, "no"], ["ALWAYS_SENSITIVE", "required true", null, false, "no"],
    ["LOCAL", "required true", null, false, "no"], ["TOKEN", "required true", null, true, "no"], ["PRIVATE", "required true", null, true, "no"],
    ["SIGN", "required true", "required false", true, "no"], ["DERIVE", "required false", "required true", true, "no"],
    ["DECRYPT", "required false", null, true, "sign"], ["UNWRAP", "required false", null, true, "sign"], ["MODIFIABLE", "required false", null, true, "yes"],
    ["SIGN_RECOVER", "if-supported false", null, true, "sign"], ["COPYABLE", "if-supported false", null, true, "yes"], ["DESTROYABLE", "if-supported true", null, true, "yes"],
  ];
  const demands = ["required true", "required false", "if-supported true", "if-supported false"];

  F.DEVICE_FORMATS = ["tpm2-certify", "yubihsm2", "yubikey-piv", "marvell-liquidsecurity", "luna-pkc", "nshield", "pkix-evidence", "securosys-xml", "smartcard-hsm"];
  F.DRILL_STAGES = ["sessions", "logins", "faults", "lock", "rollback", "succession", "passkey"];
  F.RELAXING = ["relax-extractable", "relax-sensitive"];

  // attributesOf is what is demanded of a role's key in an HSM: list of {name, needed, value, template}.
  F.attributesOf = function (role, hsm) {
    const agrees = F.useOf(role.algorithm) === "agree";
    const kem = role.algorithm === "ml-kem-768";
    const list = attributes.map(([name, signs, agreeing, template]) => {
      let demand = role.attributes?.get(name) ?? (kem && name === "DERIVE" ? "required false" : (agrees && agreeing) || signs);
      if (agrees && hsm.agreement) demand = name === "DERIVE" ? "required false" : name === "DECRYPT" ? "required true" : demand;
      return { name, needed: demand.startsWith("required"), value: demand.endsWith("true"), template };
    });
    return kem ? [...list, { name: "DECAPSULATE", needed: true, value: true, template: true }] : list;
  };

  function readAttributes(v, where, agrees, kem) {
    if (!(v instanceof Map) || v.size === 0) F.fault(where, "is no mapping of attributes");
    for (const [name, demand] of v) {
      const known = kem && name === "DECAPSULATE" ? [name, "required true", null, true, "no"] : attributes.find((a) => a[0] === name);
      if (!known || !demands.includes(demand)) F.fault(where, `has ${F.quote(name)}: ${F.quote(demand)}, which it can't have`);
      const usual = kem && name === "DERIVE" ? "required false" : (agrees && known[2]) || known[1];
      if (demand !== usual && !(known[4] === "yes" || (known[4] === "sign" && !agrees))) F.fault(where, `changes ${name}, which no plan may`);
    }
    return v;
  }

  function shapes() {
    const device = F.object({ format: F.oneOf(...F.DEVICE_FORMATS), identity: F.textOf(255) });
    const postQuantum = F.optional(F.object({ algorithm: F.oneOf(...F.ALGORITHMS), key: F.base64Of() }));
    const list = (shape, least = 1) => F.list(shape, least, 1024);
    const lockdown = (v, where) => (F.isText(F.string(v, where), 300) && v.trim() === v ? v : F.fault(where, "is no text of at most 300 bytes without space around it"));
    return F.object({
      format: F.string, mode: F.oneOf(...F.MODES), rehearses: F.optional(F.hex32), fleet: F.token, namespace: F.token, epoch: F.int(1),
      previous: F.mayBeEmpty(F.hex32), majority: F.int(1),
      hsms: list(F.object({
        name: F.token, site: F.token, serial: F.textOf(64), attestation: F.optional(device), agreement: F.optional(F.oneOf("tpm2-ecdh-zgen")),
        tolerates: F.optional(list(F.oneOf(...F.RELAXING))),
      })),
      models: F.optional(list(F.textOf(255))),
      roles: list(F.object({ name: F.token, use: F.optional(F.oneOf("sign", "agree")), algorithm: F.oneOf(...F.ALGORITHMS), attributes: F.optional((v) => v) })),
      threshold: F.int(1),
      people: list(F.object({ name: F.token, role: F.oneOf("officer", "witness", "auditor"), key: F.string })),
      third_parties_needed: F.optional(F.int(1)),
      third_parties: list(F.object({ name: F.token, key: F.base64Of(32), ciphersuite: F.int(1, 2), post_quantum: postQuantum })),
      countersigner: F.object({ name: F.token, algorithm: F.oneOf(...F.ALGORITHMS), key: F.base64Of(), form: F.oneOf("bound", "signature"), post_quantum: postQuantum, attestation: F.optional(device) }),
      log_policy: F.string, drill: F.optional(F.object({ session: F.token, agreement: F.token, stages: F.list(F.oneOf(...F.DRILL_STAGES), 1, 1024) })), lockdown: F.optional(list(lockdown)), destroys: F.optional(F.destroysShape()),
    });
  }

  F.parsePlan = function (bytes) {
    const where = "plan.yaml";
    const read = F.parseYAMLFile(bytes, where, "fleetctl plan v1");
    const p = F.shape("plan", shapes)(read, where);
    F.checkMode(p.mode, p.namespace, where);
    F.checkEpoch(p.epoch, p.previous, where);
    if (p.mode === "production" && p.rehearses !== undefined) F.fault(where, "rehearses another, and is of a production");
    checkHSMs(p, where);
    checkRoles(p, where);
    checkPeople(p, where);
    const { countersigner: c } = p;
    if (F.useOf(c.algorithm) !== "sign") F.fault(where, "has a countersigner whose key doesn't sign");
    c.admitted = F.admit(c.key, c.algorithm, `${where}: countersigner`);
    if (c.form === "signature" && p.third_parties.length !== 1) F.fault(where, "has the form signature and more than one third party");
    if (c.post_quantum && F.groupOf(c.admitted) === "post-quantum") F.fault(where, "has a countersigner both of whose keys are post-quantum");
    for (const x of [c, ...p.third_parties]) {
      if (!x.post_quantum) continue;
      x.post_quantum.admitted = F.admitMLDSA(x.post_quantum.key, x.post_quantum.algorithm, `${where}: post_quantum key of ${x.name}`);
      if (c.form === "signature") F.fault(where, "has the form signature, which covers no post-quantum signature");
    }
    p.log = F.parseLogPolicy(p.log_policy, `${where}: log_policy`);
    F.distinct([...F.holdersOfPlan(p)], (h) => h.same, where, "the key");
    p.lockdown = (p.lockdown ?? []).map((text) => {
      const m = /^login-refused (.*)$/.exec(text);
      if (text.startsWith("login-refused") && !(m && p.hsms.some((h) => h.name === m[1]))) F.fault(where, `has the lock-down ${F.quote(text)} of no HSM of the plan`);
      return { text, hsm: m?.[1] };
    });
    if (p.drill) checkDrill(p, where);
    if (p.destroys) F.checkDestroys(p, where);
    p.digest = F.digest(bytes);
    checkLargest(p, where);
    return p;
  };

  function checkHSMs(p, where) {
    F.distinct(p.hsms, (h) => h.name, where, "the HSM");
    F.distinct(p.hsms.filter((h) => !h.attestation && !p.destroys), (h) => h.serial, where, "the serial");
    const devices = p.hsms.filter((h) => h.attestation).map((h) => h.attestation);
    if (devices.length !== 0 && devices.length !== p.hsms.length) F.fault(where, "has HSMs with attestation and without");
    if (p.countersigner.attestation) devices.push(p.countersigner.attestation);
    F.distinct(devices, (d) => `${d.format} ${d.identity}`, where, "the device");
    p.attested = p.hsms[0].attestation !== undefined;
    if (2 * p.majority <= p.hsms.length || p.majority > p.hsms.length) F.fault(where, `has a majority of ${p.majority} of ${p.hsms.length} HSMs`);
    for (const h of p.hsms) F.distinct(h.tolerates ?? [], (t) => t, where, "tolerates");
    F.distinct(p.models ?? [], (m) => m, where, "the model");
  }

  function checkRoles(p, where) {
    F.distinct(p.roles, (r) => r.name, where, "the role");
    for (const r of p.roles) {
      const use = F.useOf(r.algorithm);
      if ((r.use ?? "sign") !== use) F.fault(where, `has the role ${r.name} for another use than ${r.algorithm} has`);
      r.use = use;
      if (r.attributes !== undefined) readAttributes(r.attributes, `${where}: role ${r.name}: attributes`, use === "agree", r.algorithm === "ml-kem-768");
    }
    const agreeing = p.roles.filter((r) => r.use === "agree");
    if (p.hsms.some((h) => h.agreement) && (agreeing.length === 0 || agreeing.some((r) => r.algorithm !== "ecdh-p256"))) F.fault(where, "has agreement: tpm2-ecdh-zgen without a role that agrees so");
    if (p.hsms.length * p.roles.length > 512) F.fault(where, "has more than 512 keys");
  }

  // checkDrill: the roles that a drill uses, its stages, and a fleet that can lose one.
  function checkDrill(p, where) {
    const { session, agreement, stages } = p.drill;
    const role = (name) => p.roles.find((r) => r.name === name);
    if (!["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-3072"].includes(role(session)?.algorithm)) F.fault(where, `has a drill by ${F.quote(session)}, which is no role of keys that TLS answers with`);
    if (role(agreement)?.algorithm !== "ecdh-p256") F.fault(where, `has a drill sealed to ${F.quote(agreement)}, which is no role of ecdh-p256`);
    if (p.hsms.length < 3 || p.majority !== Math.floor(p.hsms.length / 2) + 1) F.fault(where, `has a drill of ${p.hsms.length} HSMs with a majority of ${p.majority}`);
    const order = stages.map((s) => F.DRILL_STAGES.indexOf(s));
    if (!order.every((n, i) => i === 0 || order[i - 1] < n) || order[0] !== 0) F.fault(where, "has stages of a drill that are not in their order, or without sessions");
    if (p.mode === "production" && stages.includes("succession")) F.fault(where, "has a drill of a second epoch, in production");
  }

  function checkPeople(p, where) {
    F.distinct(p.people, (x) => x.name, where, "the person");
    for (const x of p.people) x.ssh = F.sshKey(x.key, `${where}: key of ${x.name}`);
    const count = (role) => p.people.filter((x) => x.role === role).length;
    if (p.threshold > count("officer")) F.fault(where, `needs ${p.threshold} of ${count("officer")} officers`);
    if (p.mode === "production" && p.threshold < 2) F.fault(where, "needs one officer alone, in production");
    if (count("witness") === 0 || count("auditor") === 0) F.fault(where, "has no witness or no auditor");
    F.distinct(p.third_parties, (t) => t.name, where, "the third party");
    for (const t of p.third_parties) t.same = F.rawKey("ed25519", t.key, `${where}: key of ${t.name}`).same;
    p.third_parties_needed ??= p.third_parties.length;
    if (p.third_parties_needed > p.third_parties.length) F.fault(where, `needs ${p.third_parties_needed} of ${p.third_parties.length} third parties`);
  }

  // holdersOfPlan are the keys that a plan names: part, name, what makes them the same.
  F.holdersOfPlan = function* (p) {
    for (const x of p.people) for (const same of x.ssh.sames) yield { part: "person", name: x.name, same };
    for (const t of p.third_parties) yield { part: "third party", name: t.name, same: t.same };
    yield { part: "operator", name: p.countersigner.name, same: p.countersigner.admitted.same };
    for (const x of p.third_parties) if (x.post_quantum) yield { part: "third party", name: x.name, same: x.post_quantum.admitted.same };
    const { post_quantum: beside, name } = p.countersigner;
    if (beside) yield { part: "operator", name, same: beside.admitted.same };
    for (const k of p.log.logs) yield { part: "log", name: k.name, same: k.same };
    for (const [name, k] of p.log.witnesses) yield { part: "witness", name, same: k.same };
  };

  // checkLargest computes the largest bundle that could come of a plan.
  function checkLargest(p, where) {
    const base64 = (n) => "A".repeat(4 * Math.ceil(n / 3));
    const hex = "f".repeat(64);
    const signature = (x) => [["key", base64(F.sizeOfSPKI(x.algorithm))], ["signature", base64(F.longestSignature(x.algorithm))]];
    const time = "2026-11-21T10:00:00Z";
    const keys = p.hsms.flatMap((h) => p.roles.map((r) => new Map([["hsm", h.name], ["role", r.name], ["use", r.use], ["algorithm", r.algorithm], ["public_key", base64(F.sizeOfSPKI(r.algorithm))]])));
    const artifact = F.indented(new Map([["format", "fleetctl fleet-keys v1"], ["mode", p.mode], ["fleet", p.fleet], ["namespace", p.namespace], ["epoch", p.epoch],
      ["previous", p.previous], ["created", time], ["majority", p.majority], ["keys", keys],
      ["ceremony", new Map([["id", `${p.fleet.slice(0, 80)}.${p.epoch}.20261121.00000000`], ["plan", hex], ["transcript", hex]])]]));
    const message = F.statementMessage({ suite: 2, namespace: p.namespace, timestamp: Number.MAX_SAFE_INTEGER, epoch: p.epoch, digest: hex });
    const json = F.canonical(new Map([["version", 2], ["ciphersuite", 2], ["namespace", p.namespace], ["timestamp", Number.MAX_SAFE_INTEGER], ["epoch", p.epoch],
      ["digest", hex], ["signature", hex + hex], ["key_id", 255], ["serialized_message", F.hex(message)]]));
    const bundle = F.indented(new Map([["format", "fleetctl validation-bundle v1"], ["artifact", base64(artifact.length)],
      ["statements", p.third_parties.map((t) => new Map([["key", base64(32)], ["json", base64(json.length)], ...(t.post_quantum ? [["addition", new Map(signature(t.post_quantum))]] : [])]))],
      ["countersignatures", [p.countersigner, p.countersigner.post_quantum].filter((x) => x).map((x) => { const [key, signed] = signature(x); return new Map([key, ["form", "signature"], signed]); })],
      ["transcript", new Map([["head", hex], ["n", 8192]])]]));
    if (bundle.length > F.LIMITS.bundle) F.fault(where, `may give a bundle of ${bundle.length} bytes; ${F.LIMITS.bundle} are allowed`);
  }
})((globalThis.fleetctlVerify ??= {}));
