// What the records say of one key, judged: its attributes (SPEC 4.1 and section 7), the
// attempts to take it out (section 9), its proof of possession (section 8). Each gives
// the fault that it leaves, or null; what is malformed is thrown.
(function (F) {
  "use strict";

  const algorithms = {
    "ed25519": ["0000000000000040"], "ecdsa-p256": ["0000000000000003"], "ecdsa-p384": ["0000000000000003"], "rsa-3072": ["0000000000000000"],
    "ml-dsa-44": ["000000000000004a"], "ml-dsa-65": ["000000000000004a"], "ml-dsa-87": ["000000000000004a"],
    "ecdh-p256": ["0000000000000003"], "x25519": ["0000000000000041", "0000000000000040"],
    "ml-kem-768": ["0000000000000049"],
  };
  const sets = { "ml-dsa-44": ["0000000000000001"], "ml-dsa-65": ["0000000000000002"], "ml-dsa-87": ["0000000000000003"], "ml-kem-768": ["0000000000000002"] };
  const classes = { private: "0000000000000003", public: "0000000000000002" };
  const relaxes = { "relax-extractable": "EXTRACTABLE", "relax-sensitive": "SENSITIVE" };

  const find = (readings, name) => readings.find((r) => r.name === name);

  function half(which, readings, key) {
    if (new Set(readings.map((r) => r.name)).size !== readings.length) return `an attribute of the ${which} half was read twice`;
    if (find(readings, "ID")?.value !== key.intent.cka_id) return `the ${which} half was read back without the CKA_ID of the intent`;
    for (const [name, want] of [["CLASS", [classes[which]]], ["KEY_TYPE", algorithms[key.intent.algorithm]], ["PARAMETER_SET", sets[key.intent.algorithm] ?? []]]) {
      const r = find(readings, name);
      if (r && r.code === undefined && !want.includes(r.value)) return `the ${which} half has another ${name} than such a key`;
    }
    return null;
  }

  function privateHalf(readings, key, relaxed = []) {
    const wrong = half("private", readings, key);
    if (wrong) return wrong;
    for (const a of F.attributesOf(key.role, key.hsm)) {
      const r = find(readings, a.name);
      if (!r || r.code !== undefined) {
        if (a.needed) return `${a.name} can't be read, and the plan requires it`;
        continue;
      }
      const want = relaxed.some((name) => relaxes[name] === a.name) ? !a.value : a.value;
      if (r.value !== String(want)) return `${a.name} is ${F.quote(r.value ?? "")}, and ${want} is wanted`;
    }
    return null;
  }

  F.judgeAttributes = function (c, key) {
    return privateHalf(c.private, key) ?? half("public", c.public, key) ?? sameKey(c.public, key);
  };

  // sameKey holds that what was read of the public half is the key that was generated.
  function sameKey(readings, key) {
    const value = (name) => {
      const r = find(readings, name);
      if (!r || r.code !== undefined || r.value === undefined) return r && r.code === undefined ? new Uint8Array(0) : null;
      return /^(?:true|false)$/.test(r.value) ? new Uint8Array(0) : F.fromHex(r.value, "attribute");
    };
    const other = "the public half that was read back is not the key that was generated";
    if (key.intent.algorithm === "rsa-3072") {
      const [n, e] = [value("MODULUS"), value("PUBLIC_EXPONENT")];
      if (!n || !e) return null;
      return F.bigEndian(n) === F.bigEndian(key.key.raw) && F.bigEndian(e) === 65537n ? null : other;
    }
    if (sets[key.intent.algorithm]) {
      const raw = value("VALUE");
      return !raw || F.equal(raw, key.key.raw) ? null : other;
    }
    const point = value("EC_POINT");
    if (!point) return null;
    const { raw } = key.key;
    const forms = raw.length === 32 ? [[], [4, 32], [3, 33, 0]] : [[], [4, raw.length]];
    return forms.some((f) => F.equal(point, F.concat(f, raw))) ? null : other;
  }

  // ---- attempts ----

  const codes = {
    read: "ATTRIBUTE_SENSITIVE ATTRIBUTE_TYPE_INVALID KEY_UNEXTRACTABLE",
    wrap: "KEY_UNEXTRACTABLE KEY_NOT_WRAPPABLE KEY_FUNCTION_NOT_PERMITTED FUNCTION_NOT_SUPPORTED MECHANISM_INVALID ATTRIBUTE_SENSITIVE ACTION_PROHIBITED",
    sign: "KEY_FUNCTION_NOT_PERMITTED KEY_TYPE_INCONSISTENT MECHANISM_INVALID FUNCTION_NOT_SUPPORTED",
    point: "MECHANISM_PARAM_INVALID PUBLIC_KEY_INVALID DOMAIN_PARAMS_INVALID DATA_INVALID ARGUMENTS_BAD KEY_SIZE_RANGE KEY_INDIGESTIBLE FUNCTION_FAILED GENERAL_ERROR DEVICE_ERROR",
    ciphertext: "ENCRYPTED_DATA_LEN_RANGE ENCRYPTED_DATA_INVALID WRAPPED_KEY_LEN_RANGE WRAPPED_KEY_INVALID DATA_LEN_RANGE DATA_INVALID ARGUMENTS_BAD FUNCTION_FAILED GENERAL_ERROR DEVICE_ERROR",
    change: "ACTION_PROHIBITED ATTRIBUTE_READ_ONLY TEMPLATE_INCONSISTENT FUNCTION_NOT_SUPPORTED ATTRIBUTE_SENSITIVE KEY_UNEXTRACTABLE KEY_FUNCTION_NOT_PERMITTED",
    C_GenerateKey: "MECHANISM_INVALID FUNCTION_NOT_SUPPORTED ATTRIBUTE_TYPE_INVALID TEMPLATE_INCONSISTENT ATTRIBUTE_VALUE_INVALID KEY_SIZE_RANGE SESSION_READ_ONLY KEY_FUNCTION_NOT_PERMITTED",
    C_WrapKey: "FUNCTION_NOT_SUPPORTED MECHANISM_INVALID MECHANISM_PARAM_INVALID WRAPPING_KEY_HANDLE_INVALID WRAPPING_KEY_SIZE_RANGE WRAPPING_KEY_TYPE_INCONSISTENT",
  };
  const has = (list, code) => codes[list].split(" ").some((c) => "CKR_" + c === code);

  // Name, calls, accepted codes, of which keys alone: of all that agree, of ECDH, of ML-KEM.
  const table = [
    ["export", ["C_GetAttributeValue"], "read"], ["wrap-aes-kw", ["C_WrapKey"], "wrap"], ["wrap-aes-kwp", ["C_WrapKey"], "wrap"],
    ["wrap-aes-cbc-pad", ["C_WrapKey"], "wrap"], ["copy-extractable", ["C_CopyObject"], "change"], ["copy-insensitive", ["C_CopyObject"], "change"],
    ["sign", ["C_SignInit", "C_Sign"], "sign", "agree"], ["agree-invalid-point", ["C_DeriveKey"], "point", "ecdh"],
    ["decapsulate-invalid-ciphertext", ["C_DecapsulateKey"], "ciphertext", "mlkem"],
    ["relax-extractable", ["C_SetAttributeValue"], "change"], ["relax-sensitive", ["C_SetAttributeValue"], "change"],
  ];
  const byTPM = {
    "sign": { call: "TPM2_Sign", codes: ["TPM_RC_KEY", "TPM_RC_ATTRIBUTES"] },
    "agree-invalid-point": { call: "TPM2_ECDH_ZGen", codes: ["TPM_RC_ECC_POINT"] },
  };

  const succeeded = (a) => !a.unstaged && (a.code === "CKR_OK" || a.code === "TPM_RC_SUCCESS");

  // formOf holds that an attempt is one of the table, with a call of its own and a code
  // that goes with the call.
  function formOf(a, where) {
    const row = table.find((r) => r[0] === a.name);
    if (!row) F.fault(where, `has the attempt ${F.quote(a.name)}, which there isn't`);
    const tpm = byTPM[a.name]?.call === a.call;
    const generating = a.unstaged && row[2] === "wrap" && a.call === "C_GenerateKey";
    if (!tpm && !generating && !row[1].includes(a.call)) F.fault(where, `has the attempt ${a.name} decided by ${a.call}`);
    if (tpm !== F.TPM_CODES.includes(a.code)) F.fault(where, `has the code ${a.code} of ${a.call}`);
  }

  function unstaged(a, row) {
    if (row[2] !== "wrap") return `attempt ${a.name} is said to be unstaged, which it can't be`;
    return has(a.call, a.code) ? null : `attempt ${a.name} is unstaged with ${a.code}`;
  }

  // judgeAttempts: exactly the rows, each refused; what is tolerated may have succeeded.
  function judgeAttempts(attempts, rows, key, tolerated) {
    if (attempts.length !== rows.length || attempts.some((a, i) => a.name !== rows[i][0])) return "the attempts aren't those of section 9, in their order";
    for (const [i, a] of attempts.entries()) {
      const row = rows[i];
      const tpm = byTPM[a.name];
      if (tpm && key.hsm.agreement) {
        // What the module let succeed stands in place of what its TPM says.
        if (a.call !== tpm.call) return `attempt ${a.name} was decided by ${a.call}, and by the plan ${tpm.call} decides it`;
        if (!tpm.codes.includes(a.code) || a.unstaged) return `attempt ${a.name} ended with ${a.code}`;
        continue;
      }
      if (tpm && a.call === tpm.call) return `attempt ${a.name} was decided by ${a.call}, and by the plan the module decides it`;
      if (a.unstaged) {
        const wrong = unstaged(a, row);
        if (wrong) return wrong;
      } else if (succeeded(a)) {
        if (!tolerated.includes(a.name)) return `attempt ${a.name} succeeded`;
      } else if (!has(row[2], a.code)) {
        return `attempt ${a.name} ended with ${a.code}, which is no refusal`;
      }
    }
    return null;
  }

  F.judgeNegativeTest = function (c, key, where) {
    const { relaxed } = c;
    for (const a of [...c.attempts, ...(relaxed?.attempts ?? [])]) formOf(a, where);
    const names = c.attempts.filter((a) => a.code === "CKR_OK").map((a) => a.name);
    if (relaxed && (relaxed.names.length === 0 || F.canonical(relaxed.names) !== F.canonical(names))) F.fault(where, "says that other attempts made the key weaker than those that succeeded");
    for (const [i, a] of (relaxed?.restored ?? []).entries()) {
      if (!relaxes[a.name] || a.call !== "C_SetAttributeValue" || F.TPM_CODES.includes(a.code) || i >= 1024) F.fault(where, "has a setting back that is none");
    }
    const of = key.role.use === "agree" ? ["agree", key.key.kind === "mlkem" ? "mlkem" : "ecdh"] : [];
    const rows = table.filter((r) => !r[3] || of.includes(r[3]));
    const tolerated = key.hsm.tolerates ?? [];
    const wrong = judgeAttempts(c.attempts, rows, key, tolerated);
    if (wrong) return wrong;
    key.tolerated = names;
    if (names.length === 0) return null;
    if (!relaxed) return "an attempt succeeded, and the others weren't made again";
    const weaker = privateHalf(relaxed.while, key, names);
    if (weaker) return `while it was weaker: ${weaker}`;
    const again = judgeAttempts(relaxed.attempts, rows.slice(0, -2), key, []) ?? strictly(relaxed.attempts);
    if (again) return `while it was weaker: ${again}`;
    if (relaxed.restored.length !== names.length || relaxed.restored.some((a, i) => a.name !== names[i] || a.code !== "CKR_OK" || a.unstaged)) return "what was set wasn't set back, in its order";
    const after = privateHalf(relaxed.after, key);
    return after ? `once it was set back: ${after}` : null;
  };

  // strictly: on the weaker key the token itself has to refuse, or to lack the means.
  function strictly(attempts) {
    for (const a of attempts) {
      if (!a.name.startsWith("wrap-")) continue;
      if (a.unstaged && (a.call === "C_GenerateKey" || !has("wrap", a.code))) return `attempt ${a.name} was not refused by the token itself`;
      if (a.code === "CKR_KEY_FUNCTION_NOT_PERMITTED") return `attempt ${a.name} may have been refused because of the wrapping key`;
    }
    return null;
  }

  // ---- possession ----

  const percent = (serial) => Array.from(F.utf8(serial), (b) => {
    const c = String.fromCharCode(b);
    return F.isToken(c) ? c : "%" + b.toString(16).toUpperCase().padStart(2, "0");
  }).join("");

  F.possessionText = function (key, plan, ceremony) {
    const nonce = F.digest(`fleetctl nonce v1\n${key.peerHash ?? key.hash}\n`);
    return F.utf8(`fleetctl proof-of-possession v1\n${plan.mode}\n${ceremony}\n${plan.digest}\n${percent(key.hsm.serial)}\n${key.role.name}\n${F.digest(key.key.der)}\n${nonce}\n`);
  };

  // readPeer reads a peer: a point for ecdh-p256, a coordinate for x25519, a ciphertext for
  // ml-kem-768. mark is what two peers of one x have in common.
  F.readPeer = function (hex, algorithm, where) {
    const bytes = F.fromHex(hex, where);
    if (algorithm === "ml-kem-768") {
      return bytes.length === 1088 ? { bytes, mark: hex } : F.fault(where, "is no ciphertext of ML-KEM-768");
    }
    if (algorithm === "x25519") {
      return F.x25519Admitted(bytes) ? { bytes, mark: hex } : F.fault(where, "is no coordinate that is admitted");
    }
    const point = F.p256Point(bytes);
    return point ? { bytes, point, mark: hex.slice(2) } : F.fault(where, "is no compressed point of P-256");
  };

  // opened says whether a scalar is the peer's (thrown if not), and the answer the key's.
  F.opened = function (key, scalarHex, text, where) {
    const scalar = F.fromHex(scalarHex, where);
    if (scalar.length !== 32) F.fault(where, "has a scalar that isn't 32 bytes");
    let secret;
    if (key.key.kind === "mlkem") {
      const own = F.encapsulated(key.key.raw, scalar);
      if (!F.equal(own.ciphertext, key.peer.bytes)) F.fault(where, "is not the private half of the peer that the key agreed with");
      secret = own.secret;
    } else if (key.intent.algorithm === "x25519") {
      const base = new Uint8Array(32);
      base[0] = 9;
      if (!F.equal(F.x25519(scalar, base), key.peer.bytes)) F.fault(where, "is not the private half of the peer that the key agreed with");
      secret = F.x25519(scalar, key.key.raw);
    } else {
      const { n, g } = F.CURVES["P-256"];
      const e = F.bigEndian(scalar);
      if (e < 1n || e >= n) F.fault(where, "has a scalar out of range");
      const own = F.p256Times(e, g);
      if (own[0] !== key.peer.point[0] || own[1] !== key.peer.point[1]) F.fault(where, "is not the private half of the peer that the key agreed with");
      const raw = key.key.raw;
      secret = F.toBigEndian(F.p256Times(e, [F.bigEndian(raw.subarray(1, 33)), F.bigEndian(raw.subarray(33))])[0], 32);
    }
    if (secret.every((b) => b === 0)) return false;
    const info = F.utf8(`fleetctl agreement v1\n${key.intent.algorithm}\n${F.hex(key.peer.bytes)}\n${F.digest(key.key.der)}\n`);
    return F.hex(F.hmac(F.hkdf32(secret, info), text)) === key.answer;
  };
})((globalThis.fleetctlVerify ??= {}));
