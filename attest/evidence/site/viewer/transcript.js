// A transcript: canonical lines, commitments, the chain (SPEC section 6), and what
// each kind of record has for members (section 7).
(function (F) {
  "use strict";

  const mostRecords = 8192;
  const mostLine = 1048576;

  const recordShape = () => F.object({
    n: F.int(1), time: F.timeOf, kind: F.token, prev: F.hexOf(32), commit: F.hexOf(32),
    salt: F.optional(F.base64Of(32)), body: F.optional(F.string),
  }, { ordered: true });

  // parseTranscript reads the records and holds that each follows the one before; of
  // the first, the plan's digest is what it follows.
  F.parseTranscript = function (bytes, planDigest) {
    const file = "transcript.jsonl";
    if (bytes.length > F.LIMITS.transcript) F.fault(file, `has ${bytes.length} bytes; ${F.LIMITS.transcript} are allowed`);
    const records = [];
    let head = planDigest;
    let from = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      const where = `${file}: record ${records.length + 1}`;
      if (end - from > mostLine) F.fault(where, `has more than ${mostLine} bytes`);
      if (records.length === mostRecords) F.fault(file, `has more than ${mostRecords} records`);
      const r = readRecord(bytes.subarray(from, end), where);
      if (r.n !== records.length + 1 || r.prev !== head) F.fault(where, "does not follow the record before it");
      r.hash = F.digest(`fleetctl record v1\n${r.n}\n${r.at}\n${r.kind}\n${r.prev}\n${r.commit}\n`);
      head = r.hash;
      records.push(r);
      from = end + 1;
    }
    return { records, head, torn: bytes.length - from };
  };

  function readRecord(line, where) {
    const text = F.text(line, where);
    const map = F.parseJSONText(text, where, mostLine);
    const r = F.shape("record", recordShape)(map, where);
    if (F.canonical(map) !== text) F.fault(where, "is no canonical line");
    r.at = map.get("time");
    const kind = F.shape("kinds", kinds).get(r.kind);
    if (!kind) F.fault(where, `is of the kind ${F.quote(r.kind)}, which there isn't`);
    if ((r.salt === undefined) !== (r.body === undefined)) F.fault(where, "has one of salt and body");
    r.withheld = r.body === undefined;
    if (r.withheld) {
      if (r.kind !== "unlock") F.fault(where, "is withheld, and only unlock may be");
      return r;
    }
    if (F.size(r.body) > mostLine) F.fault(where, "has a body that is too long");
    if (F.digest(F.concat(r.salt, F.utf8(r.body))) !== r.commit) F.fault(where, "doesn't have the body that it committed to");
    const body = F.parseJSONText(r.body, `${where}: body`, mostLine);
    if (F.canonical(body) !== r.body) F.fault(where, "has a body that is no canonical line");
    r.c = kind(body, `${where}: ${r.kind}`);
    return r;
  }

  // What may be read of a key's halves.
  const bothHalves = ["CLASS", "KEY_TYPE", "ID", "LABEL", "KEY_GEN_MECHANISM"];
  const privateNames = [...bothHalves, "SENSITIVE", "EXTRACTABLE", "NEVER_EXTRACTABLE", "ALWAYS_SENSITIVE", "LOCAL", "TOKEN", "PRIVATE", "SIGN", "DERIVE",
    "DECRYPT", "UNWRAP", "MODIFIABLE", "SIGN_RECOVER", "COPYABLE", "DESTROYABLE", "WRAP_WITH_TRUSTED", "ALWAYS_AUTHENTICATE", "PARAMETER_SET", "DECAPSULATE"];
  const publicNames = [...bothHalves, "TOKEN", "PRIVATE", "LOCAL", "TRUSTED", "MODIFIABLE", "COPYABLE", "DESTROYABLE", "VERIFY", "VERIFY_RECOVER", "ENCRYPT",
    "WRAP", "DERIVE", "EC_PARAMS", "EC_POINT", "MODULUS", "PUBLIC_EXPONENT", "PARAMETER_SET", "ENCAPSULATE", "VALUE"];

  function kinds() {
    const object = (members) => F.object(members, { ordered: true });
    const { token, int, string, hex32, timeOf, bool } = F;
    const optional = F.optional;
    const text = F.textOf(255);
    const long = F.textOf(4096);
    const list = (shape) => F.list(shape);
    const hex = (n) => F.hexOf(n);
    const anyDigest = hex(32); // of a member that is always there; what may be left out is never zeros
    const code = (v, where) => (F.isCode(string(v, where)) ? v : F.fault(where, `${F.quote(v)} is no return code`));
    const version = (v, where) => (/^(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})$/.test(string(v, where)) && v.split(".").every((n) => n <= 255) ? v : F.fault(where, `${F.quote(v)} is no major.minor`));
    const by = F.oneOf("witness", "auditor", "machine");
    const thing = object({ class: F.oneOf("private", "public", "secret", "certificate", "data", "other"), id: F.mayBeEmpty(hex()) });
    const reading = (names) => {
      const shape = object({
        name: (v, where) => (names.includes(v) ? v : F.fault(where, `${F.quote(v)} is no attribute that may stand there`)),
        value: optional((v, where) => (v === "true" || v === "false" ? v : hex()(v, where))),
        code: optional((v, where) => (v === "CKR_OK" ? F.fault(where, "is CKR_OK without a value") : v === "CK_UNAVAILABLE_INFORMATION" ? v : code(v, where))),
      });
      return (v, where) => {
        const r = shape(v, where);
        if (r.value !== undefined && r.code !== undefined) F.fault(where, "has a value and a code");
        return r;
      };
    };
    const attempt = object({ name: token, call: token, code, unstaged: optional(bool) });
    const attempts = list(attempt);
    const privates = list(reading(privateNames));
    const path = (v, where) => (F.isPath(string(v, where)) ? v : F.fault(where, `${F.quote(v)} is no path`));
    const filesShape = list(object({ path, sha256: anyDigest }));
    const files = (v, where) => {
      const found = filesShape(v, where);
      for (let i = 1; i < found.length; i++) if (F.byBytes(found[i - 1].path, found[i].path) >= 0) F.fault(where, "isn't sorted by path");
      return found;
    };
    const seals = list(object({ what: text, number: text }));
    const mechanism = (v, where) => (/^(?:CKM_[A-Z0-9_]{1,124}|0x(?:0|[1-9A-F][0-9A-F]{0,15}))$/.test(string(v, where)) ? v : F.fault(where, `${F.quote(v)} is no mechanism`));
    const some = (shape) => F.list(shape, 1);
    const claim = (v, where) => (F.CLAIMS.some(([id]) => id === v) ? v : F.fault(where, `${F.quote(v)} is no claim`));
    return new Map(Object.entries({
      "open": object({ ceremony: token, mode: F.oneOf(...F.MODES), fleet: token, namespace: token, epoch: int(1), version: text, binary: anyDigest, words: list(token), chosen_by: F.oneOf("witness", "machine") }),
      "intake": object({ hsm: token, serial: text, manufacturer: F.mayBeEmpty(text), model: F.mayBeEmpty(text), hardware: version, firmware: version, library: text, module: anyDigest }),
      "reading": object({ what: F.oneOf("clock", "seal"), hsm: optional(token), value: text, by, confirmed: optional(by) }),
      "unlock": object({ hsm: token, method: string, result: string }),
      "inventory": object({ hsm: token, objects: list(thing) }),
      "intent": object({ hsm: token, role: token, algorithm: token, cka_id: hex(16), label: string, template: list(object({ name: token, value: bool })) }),
      "outcome": object({ intent: int(1), result: F.oneOf("generated", "failed", "destroyed"), reason: optional(long), mechanism: optional(mechanism), public_key: optional(F.base64Of()), dropped: optional(list(token)) }),
      "attributes": object({ intent: int(1), private: privates, public: list(reading(publicNames)) }),
      "negative-test": object({ intent: int(1), attempts, relaxed: optional(object({ names: list(token), while: privates, attempts, restored: attempts, after: privates })) }),
      "agreement-peer": object({ intent: int(1), peer: hex(), by: F.oneOf("auditor", "machine"), challenger: optional(token) }),
      "possession": object({ intent: int(1), signature: optional(F.base64Of()), answer: optional(hex32) }),
      "agreement-opened": object({ intent: int(1), scalar: hex() }),
      "found": object({ intent: int(1), public_key: anyDigest, objects: list(thing) }),
      "challenge": object({ what: F.oneOf("plan", "key", "fleet", "key-set", "bundle"), intent: optional(int(1)), subject: anyDigest, positions: list(int(1, 32)), tries: int(1), by }),
      "attestation": object({ intent: optional(int(1)), format: token, evidence: anyDigest, identity: text, level: F.oneOf("module-claimed", "vendor-signed", "anchored", "fresh"), anchor: optional(text), firmware: optional(text), problems: F.list(F.textOf(500), 0, 64), by: F.oneOf("collected", "imported") }),
      "fleet-check": object({ checks: list(token), rows: list(object({ hsm: token, results: list(token) })), firmware: string, majority: int(1) }),
      "release": object({ artifact: anyDigest }),
      "request": object({ core: anyDigest, files }),
      "response": object({ key: F.base64Of(32), statement: F.base64Of(), addition: optional(F.base64Of()) }),
      "refusal": object({ key: F.base64Of(32), statement: F.base64Of(), reason: F.textOf(500) }),
      "countersignature": object({ key: F.base64Of(), form: F.oneOf("bound", "signature"), signature: F.base64Of(), post_quantum: optional(F.base64Of()), files }),
      "log-proof": object({ bundle: anyDigest, proof: anyDigest }),
      "drill": object({ number: int(1, 16), outcome: F.oneOf("passed", "failed", "none"), report: optional(hex32), size: optional(int(1, 1048576)), left: optional(some(token)), reason: optional(long), by: optional(by), confirmed: optional(by) }),
      "lockdown": object({ number: int(1), text: string, reading: optional(long), before: optional(code), code: optional(code), by, confirmed: by }),
      "retirement": object({ bundle: anyDigest, proof: anyDigest, keys: anyDigest, keys_proof: anyDigest }),
      "target": object({ hsm: token, role: token, cka_id: hex(), public_key: anyDigest, halves: list(token) }),
      "destroy-intent": object({ target: int(1), cka_id: hex() }),
      "destruction": object({ intent: int(1), held: list(token), attempts, searches: list(object({ by: token, found: int() })) }),
      "gone": object({ hsm: token, objects: list(thing) }),
      "exception": object({
        number: int(1, 1024), expected: long, happened: long, decided: long, absent: optional(some(token)), attestations: optional(some(int(1))), unreached: optional(some(claim)),
        clock: optional(object({ since: timeOf, wall: timeOf })), version: optional(text), binary: optional(hex32), torn: optional(int(1)),
      }),
      "adjourn": object({ reason: long, seals }),
      "reconvene": object({ seals }),
      "resume": object({ since: timeOf, torn: int(), kept: optional(hex32), intent: optional(int(1)), version: optional(text), binary: optional(hex32) }),
      "abort": object({ reason: long, keys: list(object({ hsm: token, role: token, cka_id: hex(), state: long })), torn: optional(int(1)) }),
      "close": object({ files: list(object({ path: string, sha256: anyDigest })) }), // judged with the package
    }));
  }

  // ---- return codes (7.4) ----

// Names and numbers of PKCS#11 3.2.
  const codes = ("OK:0 CANCEL:1 HOST_MEMORY:2 SLOT_ID_INVALID:3 GENERAL_ERROR:5 FUNCTION_FAILED:6 ARGUMENTS_BAD:7 NO_EVENT:8 NEED_TO_CREATE_THREADS:9 " +
    "CANT_LOCK:A ATTRIBUTE_READ_ONLY:10 ATTRIBUTE_SENSITIVE:11 ATTRIBUTE_TYPE_INVALID:12 ATTRIBUTE_VALUE_INVALID:13 ACTION_PROHIBITED:1B " +
    "DATA_INVALID:20 DATA_LEN_RANGE:21 DEVICE_ERROR:30 DEVICE_MEMORY:31 DEVICE_REMOVED:32 ENCRYPTED_DATA_INVALID:40 " +
    "ENCRYPTED_DATA_LEN_RANGE:41 AEAD_DECRYPT_FAILED:42 FUNCTION_CANCELED:50 FUNCTION_NOT_PARALLEL:51 FUNCTION_NOT_SUPPORTED:54 " +
    "KEY_HANDLE_INVALID:60 KEY_SIZE_RANGE:62 KEY_TYPE_INCONSISTENT:63 KEY_NOT_NEEDED:64 KEY_CHANGED:65 KEY_NEEDED:66 KEY_INDIGESTIBLE:67 " +
    "KEY_FUNCTION_NOT_PERMITTED:68 KEY_NOT_WRAPPABLE:69 KEY_UNEXTRACTABLE:6A MECHANISM_INVALID:70 MECHANISM_PARAM_INVALID:71 " +
    "OBJECT_HANDLE_INVALID:82 OPERATION_ACTIVE:90 OPERATION_NOT_INITIALIZED:91 PIN_INCORRECT:A0 PIN_INVALID:A1 PIN_LEN_RANGE:A2 " +
    "PIN_EXPIRED:A3 PIN_LOCKED:A4 SESSION_CLOSED:B0 SESSION_COUNT:B1 SESSION_HANDLE_INVALID:B3 SESSION_PARALLEL_NOT_SUPPORTED:B4 " +
    "SESSION_READ_ONLY:B5 SESSION_EXISTS:B6 SESSION_READ_ONLY_EXISTS:B7 SESSION_READ_WRITE_SO_EXISTS:B8 SIGNATURE_INVALID:C0 " +
    "SIGNATURE_LEN_RANGE:C1 TEMPLATE_INCOMPLETE:D0 TEMPLATE_INCONSISTENT:D1 TOKEN_NOT_PRESENT:E0 TOKEN_NOT_RECOGNIZED:E1 " +
    "TOKEN_WRITE_PROTECTED:E2 UNWRAPPING_KEY_HANDLE_INVALID:F0 UNWRAPPING_KEY_SIZE_RANGE:F1 UNWRAPPING_KEY_TYPE_INCONSISTENT:F2 " +
    "USER_ALREADY_LOGGED_IN:100 USER_NOT_LOGGED_IN:101 USER_PIN_NOT_INITIALIZED:102 USER_TYPE_INVALID:103 USER_ANOTHER_ALREADY_LOGGED_IN:104 " +
    "USER_TOO_MANY_TYPES:105 WRAPPED_KEY_INVALID:110 WRAPPED_KEY_LEN_RANGE:112 WRAPPING_KEY_HANDLE_INVALID:113 WRAPPING_KEY_SIZE_RANGE:114 " +
    "WRAPPING_KEY_TYPE_INCONSISTENT:115 RANDOM_SEED_NOT_SUPPORTED:120 RANDOM_NO_RNG:121 DOMAIN_PARAMS_INVALID:130 CURVE_NOT_SUPPORTED:140 " +
    "BUFFER_TOO_SMALL:150 SAVED_STATE_INVALID:160 INFORMATION_SENSITIVE:170 STATE_UNSAVEABLE:180 CRYPTOKI_NOT_INITIALIZED:190 " +
    "CRYPTOKI_ALREADY_INITIALIZED:191 MUTEX_BAD:1A0 MUTEX_NOT_LOCKED:1A1 NEW_PIN_MODE:1B0 NEXT_OTP:1B1 EXCEEDED_MAX_ITERATIONS:1B5 " +
    "FIPS_SELF_TEST_FAILED:1B6 LIBRARY_LOAD_FAILED:1B7 PIN_TOO_WEAK:1B8 PUBLIC_KEY_INVALID:1B9 FUNCTION_REJECTED:200 " +
    "TOKEN_RESOURCE_EXCEEDED:201 OPERATION_CANCEL_FAILED:202 KEY_EXHAUSTED:203 PENDING:204 SESSION_ASYNC_NOT_SUPPORTED:205 " +
    "SEED_RANDOM_REQUIRED:206 OPERATION_NOT_VALIDATED:207 TOKEN_NOT_INITIALIZED:208 PARAMETER_SET_NOT_SUPPORTED:209").split(" ").map((x) => x.split(":"));
  const named = new Set(codes.map(([name]) => name));
  const numbers = new Set(codes.map(([, number]) => number.padStart(8, "0")));

  F.TPM_CODES = ["TPM_RC_SUCCESS", "TPM_RC_KEY", "TPM_RC_ATTRIBUTES", "TPM_RC_ECC_POINT"];

  F.isCode = function (text) {
    if (text === "no answer" || F.TPM_CODES.includes(text)) return true;
    if (text.startsWith("CKR_") && named.has(text.slice(4))) return true;
    if (/^CKR_VENDOR_DEFINED_0x(?:[89A-F][0-9A-F]{7}|[1-9A-F][0-9A-F]{8,15})$/.test(text)) return true;
    const m = /^CKR_UNKNOWN_0x([0-7][0-9A-F]{7})$/.exec(text);
    return m !== null && !numbers.has(m[1]); // a number that has a name is written by it
  };
})((globalThis.fleetctlVerify ??= {}));
