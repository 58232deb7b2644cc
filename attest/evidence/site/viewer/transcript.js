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
    "DECRYPT", "UNWRAP", "MODIFIABLE", "SIGN_RECOVER", "COPYABLE", "DESTROYABLE", "WRAP_WITH_TRUSTED", "ALWAYS_AUTHENTICATE"];
  const publicNames = [...bothHalves, "TOKEN", "PRIVATE", "LOCAL", "TRUSTED", "MODIFIABLE", "COPYABLE", "DESTROYABLE", "VERIFY", "VERIFY_RECOVER", "ENCRYPT",
    "WRAP", "DERIVE", "EC_PARAMS", "EC_POINT", "MODULUS", "PUBLIC_EXPONENT"];

  function kinds() {
    const object = (members) => F.object(members, { ordered: true });
    const { token, int, string, hex32, timeOf, bool } = F;
    const optional = F.optional;
    const text = F.textOf(255);
    const long = F.textOf(4096);
    const list = (shape) => F.list(shape);
    const hex = (n) => F.hexOf(n);
    const anyDigest = hex32;
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
      "possession": object({ intent: int(1), signature: optional(F.base64Of()), answer: optional(anyDigest) }),
      "agreement-opened": object({ intent: int(1), scalar: hex() }),
      "found": object({ intent: int(1), public_key: anyDigest, objects: list(thing) }),
      "challenge": object({ what: F.oneOf("plan", "key", "fleet", "key-set", "bundle"), intent: optional(int(1)), subject: anyDigest, positions: list(int(1, 32)), tries: int(1), by }),
      "attestation": object({ intent: optional(int(1)), format: token, evidence: anyDigest, identity: text, level: F.oneOf("module-claimed", "vendor-signed", "anchored", "fresh"), anchor: optional(text), firmware: optional(text), problems: F.list(F.textOf(500), 0, 64), by: F.oneOf("collected", "imported") }),
      "fleet-check": object({ checks: list(token), rows: list(object({ hsm: token, results: list(token) })), firmware: string, majority: int(1) }),
      "release": object({ artifact: anyDigest }),
      "request": object({ core: anyDigest, files }),
      "response": object({ key: F.base64Of(32), statement: F.base64Of() }),
      "refusal": object({ key: F.base64Of(32), statement: F.base64Of(), reason: F.textOf(500) }),
      "countersignature": object({ key: F.base64Of(), form: F.oneOf("bound", "signature"), signature: F.base64Of(), files }),
      "log-proof": object({ bundle: anyDigest, proof: anyDigest }),
      "lockdown": object({ number: int(1), text: string, reading: optional(long), before: optional(code), code: optional(code), by, confirmed: by }),
      "exception": object({
        number: int(1, 1024), expected: long, happened: long, decided: long, absent: optional(some(token)), attestations: optional(some(int(1))), unreached: optional(some(claim)),
        clock: optional(object({ since: timeOf, wall: timeOf })), version: optional(text), binary: optional(anyDigest), torn: optional(int(1)),
      }),
      "adjourn": object({ reason: long, seals }),
      "reconvene": object({ seals }),
      "resume": object({ since: timeOf, torn: int(), kept: optional(anyDigest), intent: optional(int(1)), version: optional(text), binary: optional(anyDigest) }),
      "abort": object({ reason: long, keys: list(object({ hsm: token, role: token, cka_id: hex(), state: long })), torn: optional(int(1)) }),
      "close": object({ files }),
    }));
  }

  // ---- return codes (7.4) ----

  const named = new Set(("OK CANCEL HOST_MEMORY SLOT_ID_INVALID GENERAL_ERROR FUNCTION_FAILED ARGUMENTS_BAD NO_EVENT NEED_TO_CREATE_THREADS CANT_LOCK " +
    "ATTRIBUTE_READ_ONLY ATTRIBUTE_SENSITIVE ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID ACTION_PROHIBITED DATA_INVALID DATA_LEN_RANGE DEVICE_ERROR " +
    "DEVICE_MEMORY DEVICE_REMOVED ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE AEAD_DECRYPT_FAILED FUNCTION_CANCELED FUNCTION_NOT_PARALLEL " +
    "FUNCTION_NOT_SUPPORTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT KEY_NOT_NEEDED KEY_CHANGED KEY_NEEDED KEY_INDIGESTIBLE " +
    "KEY_FUNCTION_NOT_PERMITTED KEY_NOT_WRAPPABLE KEY_UNEXTRACTABLE MECHANISM_INVALID MECHANISM_PARAM_INVALID OBJECT_HANDLE_INVALID OPERATION_ACTIVE " +
    "OPERATION_NOT_INITIALIZED PIN_INCORRECT PIN_INVALID PIN_LEN_RANGE PIN_EXPIRED PIN_LOCKED SESSION_CLOSED SESSION_COUNT SESSION_HANDLE_INVALID " +
    "SESSION_PARALLEL_NOT_SUPPORTED SESSION_READ_ONLY SESSION_EXISTS SESSION_READ_ONLY_EXISTS SESSION_READ_WRITE_SO_EXISTS SIGNATURE_INVALID " +
    "SIGNATURE_LEN_RANGE TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_NOT_PRESENT TOKEN_NOT_RECOGNIZED TOKEN_WRITE_PROTECTED " +
    "UNWRAPPING_KEY_HANDLE_INVALID UNWRAPPING_KEY_SIZE_RANGE UNWRAPPING_KEY_TYPE_INCONSISTENT USER_ALREADY_LOGGED_IN USER_NOT_LOGGED_IN " +
    "USER_PIN_NOT_INITIALIZED USER_TYPE_INVALID USER_ANOTHER_ALREADY_LOGGED_IN USER_TOO_MANY_TYPES WRAPPED_KEY_INVALID WRAPPED_KEY_LEN_RANGE " +
    "WRAPPING_KEY_HANDLE_INVALID WRAPPING_KEY_SIZE_RANGE WRAPPING_KEY_TYPE_INCONSISTENT RANDOM_SEED_NOT_SUPPORTED RANDOM_NO_RNG DOMAIN_PARAMS_INVALID " +
    "CURVE_NOT_SUPPORTED BUFFER_TOO_SMALL SAVED_STATE_INVALID INFORMATION_SENSITIVE STATE_UNSAVEABLE CRYPTOKI_NOT_INITIALIZED " +
    "CRYPTOKI_ALREADY_INITIALIZED MUTEX_BAD MUTEX_NOT_LOCKED NEW_PIN_MODE NEXT_OTP EXCEEDED_MAX_ITERATIONS FIPS_SELF_TEST_FAILED LIBRARY_LOAD_FAILED " +
    "PIN_TOO_WEAK PUBLIC_KEY_INVALID FUNCTION_REJECTED TOKEN_RESOURCE_EXCEEDED OPERATION_CANCEL_FAILED KEY_EXHAUSTED PENDING " +
    "SESSION_ASYNC_NOT_SUPPORTED SEED_RANDOM_REQUIRED OPERATION_NOT_VALIDATED TOKEN_NOT_INITIALIZED PARAMETER_SET_NOT_SUPPORTED").split(" "));

  F.TPM_CODES = ["TPM_RC_SUCCESS", "TPM_RC_KEY", "TPM_RC_ATTRIBUTES", "TPM_RC_ECC_POINT"];

  F.isCode = function (text) {
    if (text === "no answer" || F.TPM_CODES.includes(text)) return true;
    if (text.startsWith("CKR_") && named.has(text.slice(4))) return true;
    if (/^CKR_VENDOR_DEFINED_0x(?:[89A-F][0-9A-F]{7}|[1-9A-F][0-9A-F]{8,15})$/.test(text)) return true;
    return /^CKR_UNKNOWN_0x[0-7][0-9A-F]{7}$/.test(text);
  };
})((globalThis.fleetctlVerify ??= {}));
