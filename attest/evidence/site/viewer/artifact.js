// Key set, statements, countersignature, bundle, request core (SPEC 10 to 15).
(function (F) {
  "use strict";

  F.MODES = ["production", "rehearsal"];

  // checkMode: a namespace begins with rehearsal. in a rehearsal and only there.
  F.checkMode = function (mode, namespace, where) {
    if ((mode === "rehearsal") !== namespace.startsWith("rehearsal.")) F.fault(where, `has the namespace ${F.quote(namespace)}, which is none of a ${mode}`);
  };

  F.checkEpoch = function (epoch, previous, where) {
    if ((epoch === 1) !== (previous === "")) F.fault(where, epoch === 1 ? "names a predecessor at epoch 1" : "names no predecessor");
  };


  const shapes = new Map();
  F.shape = (name, make) => {
    if (!shapes.has(name)) shapes.set(name, make());
    return shapes.get(name);
  };

  F.parseKeySet = function (bytes, where) {
    const shape = F.shape("key set", () => F.object({
      format: F.string, mode: F.oneOf(...F.MODES), fleet: F.token, namespace: F.token, epoch: F.int(1), previous: F.mayBeEmpty(F.hex32),
      created: F.timeOf, majority: F.int(1),
      keys: F.list(F.object({ hsm: F.token, role: F.token, use: F.oneOf("sign", "agree"), algorithm: F.oneOf(...F.ALGORITHMS), public_key: F.base64Of() }), 1, 512),
      ceremony: F.object({ id: F.token, plan: F.hexOf(32), transcript: F.hexOf(32) }),
    }));
    const map = F.parseFile(bytes, where, 49152);
    if (map.keys().next().value !== "format" || map.get("format") !== "fleetctl fleet-keys v1") {
      if (["fleetctl fleet-retirement v1", "fleetctl void v1"].includes(map.get("format"))) throw new F.NotChecked(where, `is ${F.quote(map.get("format"))}, which brings no keys`);
      F.fault(where, "is no key set");
    }
    const s = shape(map, where);
    F.checkMode(s.mode, s.namespace, where);
    F.checkEpoch(s.epoch, s.previous, where);
    F.distinct(s.keys, (k) => `${k.hsm} ${k.role}`, where, "the key of");
    const uses = new Map();
    for (const k of s.keys) {
      k.key = F.admit(k.public_key, k.algorithm, `${where}: key of ${k.hsm} ${k.role}`);
      if (k.use !== F.useOf(k.algorithm)) F.fault(where, `has a key of ${k.algorithm} with the use ${k.use}`);
      if ((uses.get(k.role) ?? k.use) !== k.use) F.fault(where, `has the role ${k.role} for two uses`);
      uses.set(k.role, k.use);
    }
    F.distinct(s.keys, (k) => k.key.same, where, "the key");
    const hsms = new Set(s.keys.map((k) => k.hsm));
    if (hsms.size * uses.size !== s.keys.length) F.fault(where, "lacks a role's key in an HSM");
    if (2 * s.majority <= hsms.size || s.majority > hsms.size) F.fault(where, `has a majority of ${s.majority} of ${hsms.size} HSMs`);
    return { ...s, bytes, digest: F.digest(bytes) };
  };

  // parseRetirement reads the notice that ends a fleet (spec-exchange.md). It brings no keys.
  F.parseRetirement = function (bytes, where) {
    const shape = F.shape("retirement", () => F.object({
      format: F.string, mode: F.oneOf(...F.MODES), fleet: F.token, namespace: F.token, epoch: F.int(2), previous: F.hex32, created: F.timeOf, effective: F.timeOf,
      reason: (v, at) => (F.size(F.string(v, at)) <= 1000 && !/[\u0000-\u001f\u007f]/.test(v) ? v : F.fault(at, "is no line of at most 1000 bytes")),
    }));
    const n = shape(F.parseFile(bytes, where, 4096, "fleetctl fleet-retirement v1"), where);
    F.checkMode(n.mode, n.namespace, where);
    return { ...n, keys: [], bytes, digest: F.digest(bytes) };
  };

  // ---- statements (section 12) ----

  const statementMembers = ["version", "ciphersuite", "namespace", "timestamp", "epoch", "digest", "signature", "key_id", "serialized_message"];

  // parseStatement reads a statement. served: as a live service gives it, with white
  // space around it and members that aren't known.
  F.parseStatement = function (bytes, where, served = false) {
    const shape = F.shape("statement", () => F.object({
      version: F.optional(F.int(1, 2)), ciphersuite: F.optional(F.int(1, 2)), namespace: F.token, timestamp: F.int(), epoch: F.int(1),
      digest: F.hex32, signature: F.hexOf(64), key_id: F.optional(F.int(0, 255)), serialized_message: F.optional((v, at) => (v === null ? null : F.hexOf()(v, at))),
    }));
    let map = served ? F.parseJSON(bytes, where, 4096) : F.parseFile(bytes, where, 4096);
    if (served && map instanceof Map) {
      for (const name of map.keys()) {
        if (!statementMembers.includes(name) && statementMembers.includes(name.toLowerCase())) F.fault(where, `has the member ${F.quote(name)} in another case`);
      }
      map = new Map([...map].filter(([name]) => statementMembers.includes(name)));
    }
    const s = shape(map, where);
    if (s.version === undefined && s.ciphersuite === undefined) F.fault(where, "names no ciphersuite");
    if (s.version !== undefined && s.ciphersuite !== undefined && s.version !== s.ciphersuite) F.fault(where, "names two ciphersuites");
    s.suite = s.version ?? s.ciphersuite;
    s.seconds = s.timestamp / 1000;
    s.message = F.statementMessage(s);
    if (typeof s.serialized_message === "string" && s.serialized_message !== F.hex(s.message)) F.fault(where, "has another serialized_message than its fields give");
    return s;
  };

  const varint = (n) => {
    const bytes = [];
    for (; n > 127; n = Math.floor(n / 128)) bytes.push((n % 128) + 128);
    bytes.push(n);
    return Uint8Array.from(bytes);
  };

  const little = (n, bytes) => Uint8Array.from({ length: bytes }, (_, i) => Number((BigInt(n) >> BigInt(8 * i)) & 255n));

  F.statementMessage = function (s) {
    const namespace = F.utf8(s.namespace);
    const digest = F.fromHex(s.digest, "digest");
    if (s.suite === 1) {
      const epoch = varint(s.epoch);
      return F.concat([8], varint(1), [0x12], varint(namespace.length), namespace, [0x18], varint(s.timestamp),
        [0x22], varint(1 + epoch.length), [8], epoch, [0x2a, 0x20], digest);
    }
    return F.concat(little(2, 4), little(namespace.length, 8), namespace, little(s.timestamp, 8), little(s.epoch, 8), little(32, 8), digest);
  };

  F.statementSigned = (s, key) => F.ed25519(key, s.message, F.fromHex(s.signature, "signature"));

  // statements of a bundle or of a core: sorted by raw key, keys distinct and admitted,
  // each about what about says.
  function readStatements(list, about, where) {
    let last = null;
    return list.map(({ key, json, addition }) => {
      const at = `${where}: statement of ${F.base64(key)}`;
      F.rawKey("ed25519", key, at);
      if (last !== null && F.compare(last, key) >= 0) F.fault(where, "has statements that aren't sorted by key");
      last = key;
      const s = F.parseStatement(json, at);
      if (s.key_id !== undefined && s.key_id !== key[31]) F.fault(at, "has another key_id than its key's last byte");
      if (s.namespace !== about.namespace || s.epoch !== about.epoch || s.digest !== about.digest) F.fault(at, "is about something else");
      return { ...s, key, addition };
    });
  }

  // ---- bundle ----

  // checkAdditions holds the form of what third parties added to their statements:
  // post-quantum signatures, each of which the countersignature's text names.
  function checkAdditions(statements, where) {
    const added = statements.filter((s) => s.addition);
    for (const { addition: a } of added) {
      const key = F.admitSigner(a.key, `${where}: addition`);
      if (key.kind !== "mldsa" || a.signature.length !== F.longestSignature(key.algorithm)) F.fault(where, "has an addition that is no signature of ML-DSA");
      a.admitted = key;
    }
    F.distinct(added, (s) => s.addition.admitted.same, where, "an addition by");
  }

  // parseBundle reads a bundle of a fleet's keys, or of a retirement where that is asked for.
  F.parseBundle = function (bytes, where, retirement = false) {
    const shape = F.shape("bundle", () => F.object({
      format: F.string, artifact: F.base64Of(),
      statements: F.list(F.object({ key: F.base64Of(32), json: F.base64Of(), addition: F.optional(F.object({ key: F.base64Of(), signature: F.base64Of() })) })),
      countersignatures: F.list(F.object({ key: F.base64Of(), form: F.oneOf("bound", "signature"), signature: F.base64Of() })),
      transcript: F.optional(F.object({ head: F.hex32, n: F.int(1) })),
    }));
    const b = shape(F.parseFile(bytes, where, F.LIMITS.bundle, "fleetctl validation-bundle v1"), where);
    const keySet = (retirement ? F.parseRetirement : F.parseKeySet)(b.artifact, `${where}: artifact`);
    if ((b.transcript === undefined) !== retirement) F.fault(where, "names a record of a transcript, or none, against what its artifact is");
    const statements = readStatements(b.statements, keySet, where);
    checkAdditions(statements, where);
    const countersignatures = b.countersignatures.map((c) => {
      const key = F.admitSigner(c.key, `${where}: countersignature`);
      if (c.signature.length > F.longestSignature(key.algorithm)) F.fault(where, "has a countersignature that is too long");
      if (c.form === "signature" && statements.length !== 1) F.fault(where, "has a countersignature of form signature and not exactly one statement");
      return { ...c, key };
    });
    F.distinct(countersignatures, (c) => c.key.same, where, "a countersignature by");
    return { keySet, statements, countersignatures, transcript: b.transcript, bytes };
  };

  // countersigned is what the operator's key signs.
  F.countersigned = function (form, keySet, statements) {
    if (form === "signature") return F.fromHex(statements[0].signature, "signature");
    const sorted = [...statements].sort((a, b) => F.compare(a.key, b.key));
    return F.utf8(`fleetctl countersignature v1\n${keySet.mode}\n${keySet.namespace}\n${keySet.epoch}\n${keySet.digest}\n` +
      sorted.map((s) => `signer ${F.base64(s.key)} ${F.base64(F.fromHex(s.signature, "signature"))}\n` +
        (s.addition ? `addition ${F.digest(s.addition.key)} ${F.digest(s.addition.signature)}\n` : "")).join(""));
  };

  // ---- request core ----

  F.parseCore = async function (bytes, where) {
    const shape = F.shape("core", () => F.object({
      format: F.string, artifact: F.base64Of(), predecessor: F.mayBeEmpty(F.base64Of()),
      previous_statements: F.list(F.object({ key: F.base64Of(32), json: F.base64Of() })),
      plan: F.hexOf(32), release: F.object({ head: F.hexOf(32), n: F.int(1) }),
    }));
    const c = shape(F.parseFile(bytes, where, 65535, "fleetctl request-core v1"), where);
    const keySet = F.parseKeySet(c.artifact, `${where}: artifact`);
    if ((keySet.epoch === 1) !== (c.predecessor === "")) F.fault(where, "has a predecessor at epoch 1, or none later");
    if (c.plan !== keySet.ceremony.plan) F.fault(where, "names another plan than its artifact");
    if (c.predecessor === "") {
      if (c.previous_statements.length > 0) F.fault(where, "has statements about no predecessor");
      return { ...c, keySet };
    }
    const before = F.parseKeySet(c.predecessor, `${where}: predecessor`);
    if (before.digest !== keySet.previous || before.namespace !== keySet.namespace || before.epoch !== keySet.epoch - 1) F.fault(where, "has another predecessor than its artifact names");
    for (const s of readStatements(c.previous_statements, before, where)) {
      if (!(await F.statementSigned(s, s.key))) F.fault(where, "has a statement about its predecessor that doesn't verify");
    }
    return { ...c, keySet, before };
  };
})((globalThis.fleetctlVerify ??= {}));
