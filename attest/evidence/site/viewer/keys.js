// Keys and signatures, as SPEC section 2 has them.
(function (F) {
  "use strict";

  const spki = (prefix, rest, tail = "") => ({ prefix: fromHex(prefix), rest, tail: fromHex(tail) });

  function fromHex(text) {
    return Uint8Array.from(text.match(/../g) ?? [], (d) => parseInt(d, 16));
  }

  const ed25519 = spki("302a300506032b6570032100", 32);
  const p256 = spki("3059301306072a8648ce3d020106082a8648ce3d030107034200", 65);
  const p384 = spki("3076301006072a8648ce3d020106052b81040022036200", 97);

  // What an algorithm's SubjectPublicKeyInfo is, and whether its keys sign or agree.
  const algorithms = {
    "ed25519": { use: "sign", form: ed25519, kind: "ed25519", longest: 64 },
    "ecdsa-p256": { use: "sign", form: p256, kind: "P-256", longest: 72 },
    "ecdsa-p384": { use: "sign", form: p384, kind: "P-384", longest: 104 },
    "x25519": { use: "agree", form: spki("302a300506032b656e032100", 32), kind: "x25519", longest: 0 },
    "rsa-3072": { use: "sign", form: spki("308201a2300d06092a864886f70d01010105000382018f003082018a0282018100", 384, "0203010001"), kind: "rsa", longest: 384 },
    "ecdh-p256": { use: "agree", form: p256, kind: "P-256", longest: 0 },
    "ml-dsa-44": { use: "sign", form: spki("30820532300b06096086480165030403110382052100", 1312), kind: "mldsa", longest: 2420 },
    "ml-dsa-65": { use: "sign", form: spki("308207b2300b0609608648016503040312038207a100", 1952), kind: "mldsa", longest: 3309 },
    "ml-dsa-87": { use: "sign", form: spki("30820a32300b060960864801650304031303820a2100", 2592), kind: "mldsa", longest: 4627 },
    "ml-kem-768": { use: "agree", form: spki("308204b2300b0609608648016503040402038204a100", 1184), kind: "mlkem", longest: 0 },
  };

  F.ALGORITHMS = Object.keys(algorithms);
  F.useOf = (algorithm) => algorithms[algorithm].use;
  F.sizeOfSPKI = (algorithm) => { const { prefix, rest, tail } = algorithms[algorithm].form; return prefix.length + rest + tail.length; };
  F.longestSignature = (algorithm) => algorithms[algorithm].longest;

  // smallT1 says whether more than half of an ML-DSA key's numbers, of 10 bits, are within
  // 16 of 0 modulo 1024: then anyone can sign.
  function smallT1(t1) {
    const count = (t1.length * 8) / 10;
    let small = 0;
    for (let i = 0; i < count; i++) {
      const at = 10 * i;
      const n = ((t1[at >> 3] | (t1[(at >> 3) + 1] << 8)) >> (at & 7)) & 1023;
      if (((n + 16) & 1023) <= 32) small++;
    }
    return 2 * small > count;
  }

  const admits = {
    "ed25519": (raw) => F.ed25519Admitted(raw),
    "x25519": (raw) => F.x25519Admitted(raw),
    "P-256": (raw) => F.isPoint("P-256", raw),
    "P-384": (raw) => F.isPoint("P-384", raw),
    "rsa": (raw) => raw[0] >= 0x80,
    "mlkem": (raw) => F.mlkemAdmitted(raw),
    "mldsa": (raw) => !smallT1(raw.subarray(32)),
  };

  // rawKey is a key in the form in which it is computed with: {kind, raw}; same says
  // what is one key in whatever form it was written.
  F.rawKey = function (kind, raw, where) {
    if (!admits[kind](raw)) F.fault(where, `is no key that is admitted (${kind})`);
    return { kind, raw, same: `${kind} ${F.hex(raw)}` };
  };

  // admit reads an SPKI of a named algorithm, in its one DER encoding.
  F.admit = function (der, algorithm, where) {
    const a = algorithms[algorithm];
    const { prefix, rest, tail } = a.form;
    const end = prefix.length + rest;
    if (der.length !== end + tail.length || !F.equal(der.subarray(0, prefix.length), prefix) || !F.equal(der.subarray(end), tail)) {
      F.fault(where, `is no SubjectPublicKeyInfo of ${algorithm} in its one encoding`);
    }
    return { ...F.rawKey(a.kind, der.subarray(prefix.length, end), where), der, algorithm };
  };

  // admitSigner reads an SPKI of any algorithm that signs.
  F.admitSigner = function (der, where) {
    for (const name of F.ALGORITHMS) {
      const { use, form } = algorithms[name];
      if (use === "sign" && F.equal(der.subarray(0, form.prefix.length), form.prefix)) return F.admit(der, name, where);
    }
    return F.fault(where, "is no SubjectPublicKeyInfo of an algorithm that signs");
  };

  F.spkiOfEd25519 = (raw) => F.concat(ed25519.prefix, raw);

  // ---- ECDSA ----

  // derNumbers reads SEQUENCE{INTEGER r, INTEGER s} in its one encoding; null if it is none.
  F.derNumbers = function (sig) {
    const numbers = [];
    if (sig.length < 8 || sig[0] !== 0x30 || sig[1] !== sig.length - 2 || sig[1] > 127) return null;
    let at = 2;
    for (let i = 0; i < 2; i++) {
      const length = sig[at + 1];
      const number = sig.subarray(at + 2, at + 2 + length);
      if (sig[at] !== 2 || !(length > 0) || number.length !== length) return null;
      if (number[0] >= 0x80 || (length > 1 && number[0] === 0 && number[1] < 0x80)) return null;
      numbers.push(F.bigEndian(number));
      at += 2 + length;
    }
    return at === sig.length ? numbers : null;
  };

  // ecdsaNumbers verifies r and s under a point; a high s is taken where either counts.
  F.ecdsaNumbers = async function (curve, point, hash, message, [r, s], eitherS) {
    const { n, bytes } = F.CURVES[curve];
    if (r < 1n || s < 1n || r >= n || s >= n || (!eitherS && 2n * s > n)) return false;
    const key = await crypto.subtle.importKey("raw", point, { name: "ECDSA", namedCurve: curve }, false, ["verify"]);
    const raw = F.concat(F.toBigEndian(r, bytes), F.toBigEndian(s, bytes));
    return crypto.subtle.verify({ name: "ECDSA", hash }, key, raw, message);
  };

  async function ecdsa(key, hash, message, sig) {
    const numbers = sig.length <= algorithms[key.algorithm].longest ? F.derNumbers(sig) : null;
    return numbers !== null && F.ecdsaNumbers(key.kind, key.raw, hash, message, numbers, false);
  }

  const verifiers = {
    "ed25519": (key, message, sig) => F.ed25519(key.raw, message, sig),
    "ecdsa-p256": (key, message, sig) => ecdsa(key, "SHA-256", message, sig),
    "ecdsa-p384": (key, message, sig) => ecdsa(key, "SHA-384", message, sig),
    async "rsa-3072"(key, message, sig) {
      if (sig.length !== 384) return false;
      const imported = await crypto.subtle.importKey("spki", key.der, { name: "RSA-PSS", hash: "SHA-256" }, false, ["verify"]);
      return crypto.subtle.verify({ name: "RSA-PSS", saltLength: 32 }, imported, sig, message);
    },
  };

  // signed says whether a signature by an admitted key, made for a context, verifies. What
  // agrees signs nothing.
  F.signed = async function (key, context, message, sig) {
    if (key.kind === "mldsa") return F.mldsa(key.algorithm, key.raw, context, message, sig);
    const verify = verifiers[key.algorithm];
    try {
      return verify ? await verify(key, message, sig) : false;
    } catch (e) {
      if (e instanceof F.Fault) throw e;
      return false; // WebCrypto imports no such key, an RSA modulus that is even for one
    }
  };

  // What an ML-DSA signature is for (SPEC section 2).
  F.FOR_POSSESSION = "fleetctl/possession/v1";
  F.FOR_COUNTERSIGNATURE = "fleetctl/countersignature/v1";
  F.FOR_THIRD_PARTY = "fleetctl/third-party/v1";

  // groupOf is the part that a key's signature has where both are required.
  F.groupOf = (key) => (key.kind === "mldsa" ? "post-quantum" : "classical");

  // admitMLDSA reads an SPKI of ML-DSA, of a key that signs beside another one.
  F.admitMLDSA = function (der, algorithm, where) {
    const key = F.admit(der, algorithm, where);
    return key.kind === "mldsa" ? key : F.fault(where, `is of ${algorithm}, and ML-DSA signs beside another key`);
  };

  // ---- windows ----

  F.window = (v, where) => {
    return F.object({ not_before: F.optional(F.timeOf), not_after: F.optional(F.timeOf), compromised_after: F.optional(F.timeOf) })(v, where);
  };

  F.inside = (w, t) => !w || ((w.not_before === undefined || t >= w.not_before) && (w.not_after === undefined || t <= w.not_after) &&
    (w.compromised_after === undefined || t < w.compromised_after));

  // counts says whether a signature counts by its key's window: now is the verifier's
  // time, witnessed the time by which a quorum had seen it, or undefined.
  F.counts = function (w, now, witnessed) {
    if (!w) return true;
    if (witnessed !== undefined && w.not_before !== undefined && witnessed < w.not_before) return false;
    return F.inside(w, now) || (witnessed !== undefined && F.inside(w, witnessed));
  };
})((globalThis.fleetctlVerify ??= {}));
