// OpenSSH keys and signatures of people (SPEC section 2; OpenSSH PROTOCOL.sshsig and
// PROTOCOL.u2f; RFC 4251 section 5).
(function (F) {
  "use strict";

  const mostBytes = 8192;

  const types = {
    "ssh-ed25519": { kind: "ed25519" },
    "ssh-mldsa44-ed25519@openssh.com": { hybrid: true },
    "ecdsa-sha2-nistp256": { kind: "P-256", curve: "nistp256", hash: "SHA-256" },
    "ecdsa-sha2-nistp384": { kind: "P-384", curve: "nistp384", hash: "SHA-384" },
    "sk-ssh-ed25519@openssh.com": { kind: "ed25519", token: true },
    "sk-ecdsa-sha2-nistp256@openssh.com": { kind: "P-256", curve: "nistp256", hash: "SHA-256", token: true },
  };

  // Hybrid keys, of ML-DSA-44 and Ed25519 in one: both halves sign.
  const label = "COMPSIG-MLDSA44-Ed25519-SHA512";
  const pqKey = 1312;
  const pqSignature = 2420;

  // reader takes length-prefixed fields off bytes.
  function reader(bytes, where) {
    let at = 0;
    const take = (n) => {
      if (at + n > bytes.length) F.fault(where, "ends too early");
      at += n;
      return bytes.subarray(at - n, at);
    };
    const u32 = () => { const b = take(4); return b[0] * 0x1000000 + (b[1] << 16) + (b[2] << 8) + b[3]; };
    const string = () => take(u32());
    return {
      take, u32, string,
      text: () => F.text(string(), where),
      end: () => { if (at !== bytes.length) F.fault(where, "has something left over"); },
    };
  }

  // keyBlob reads a public key in its wire form.
  function keyBlob(blob, where) {
    const r = reader(blob, where);
    const type = r.text();
    if (!Object.hasOwn(types, type)) F.fault(where, `is of type ${F.quote(type)}, which isn't taken`);
    const { kind, curve, token, hybrid } = types[type];
    if (curve && r.text() !== curve) F.fault(where, "names another curve than its type");
    const raw = r.string();
    if (hybrid && raw.length !== pqKey + 32) F.fault(where, `has ${raw.length} bytes; a hybrid key has ${pqKey + 32}`);
    const key = F.rawKey(hybrid ? "ed25519" : kind, hybrid ? raw.subarray(pqKey) : raw, where);
    const pq = hybrid && F.rawKey("mldsa", raw.subarray(0, pqKey), where);
    const application = token ? r.text() : undefined;
    if (token && !application.startsWith("ssh:")) F.fault(where, "is of an application that doesn't begin with ssh:");
    r.end();
    // What makes keys the same: of a hybrid one each half.
    const sames = pq ? [pq.same, key.same] : [key.same];
    return { ...key, pq: pq?.raw, sames, type, application, blob, print: F.base64(F.sha256(blob)) };
  }

  // sshKey reads a key's line: type, base64, and a comment that means nothing.
  F.sshKey = function (line, where) {
    const m = /^([a-z0-9@.-]+) ([A-Za-z0-9+\/=]+)(?: [^\u0000-\u001f\u007f]*)?$/.exec(line);
    if (!m || F.size(line) > mostBytes) F.fault(where, "is no OpenSSH public key in one line, without options");
    const key = keyBlob(F.fromBase64(m[2], where), where);
    if (key.type !== m[1]) F.fault(where, "names another type before its key than in it");
    return key;
  };

  const begin = "-----BEGIN SSH SIGNATURE-----\n";
  const end = "-----END SSH SIGNATURE-----\n";

  // sshSignature reads the armoured file exactly as ssh-keygen writes it.
  F.sshSignature = function (bytes, where) {
    if (bytes.length > mostBytes) F.fault(where, `has ${bytes.length} bytes; ${mostBytes} are allowed`);
    const text = F.text(bytes, where);
    if (!text.startsWith(begin) || !text.endsWith("\n" + end)) F.fault(where, "is no SSH signature as ssh-keygen -Y sign writes it");
    const body = text.slice(begin.length, text.length - end.length);
    if (!/^(?:[A-Za-z0-9+\/=]{70}\n)*[A-Za-z0-9+\/=]{1,70}\n$/.test(body)) F.fault(where, "has lines of another length than 70 characters");
    const r = reader(F.fromBase64(body.replaceAll("\n", ""), where), where);
    if (F.text(r.take(6), where) !== "SSHSIG" || r.u32() !== 1) F.fault(where, "is no SSH signature of version 1");
    const key = keyBlob(r.string(), where);
    const namespace = r.text();
    if (r.string().length !== 0) F.fault(where, "has a reserved field that isn't empty");
    const hash = r.text();
    if (hash !== "sha256" && hash !== "sha512") F.fault(where, `has the hash ${F.quote(hash)}`);
    const inner = reader(r.string(), where);
    r.end();
    if (inner.text() !== key.type) F.fault(where, "is of another type than its key");
    const signature = inner.string();
    let flags = 0;
    let counter;
    if (types[key.type].token) {
      flags = inner.take(1)[0];
      counter = inner.take(4);
      if ((flags & 1) === 0) F.fault(where, "doesn't say that its user was present");
    }
    inner.end();
    if (types[key.type].curve) mpints(signature, where);
    else if (signature.length !== (key.pq ? pqSignature + 64 : 64)) F.fault(where, `has a signature of ${signature.length} bytes, which is none of its key's type`);
    return { key, namespace, hash, signature, flags, counter };
  };

  function mpints(bytes, where) {
    const r = reader(bytes, where);
    const numbers = [r.string(), r.string()].map((b) => {
      if (b.length === 0 || b[0] >= 0x80 || (b[0] === 0 && !(b[1] >= 0x80)) || b.length > 49) F.fault(where, "has a number in another spelling than its one");
      return F.bigEndian(b);
    });
    r.end();
    return numbers;
  }

  const field = (bytes) => F.concat(Uint8Array.of(0, 0, bytes.length >> 8, bytes.length & 255), bytes);

  // sshSigned says whether a signature is over a message, in a namespace.
  F.sshSigned = async function (sig, message, namespace, where) {
    if (sig.namespace !== namespace) return false;
    const digest = sig.hash === "sha256" ? F.sha256(message) : await F.sha512(message);
    let signed = F.concat(F.utf8("SSHSIG"), field(F.utf8(namespace)), field(new Uint8Array(0)), field(F.utf8(sig.hash)), field(digest));
    const { curve, hash, token } = types[sig.key.type];
    if (token) signed = F.concat(F.sha256(F.utf8(sig.key.application)), Uint8Array.of(sig.flags), sig.counter, F.sha256(signed));
    if (sig.key.pq) {
      const text = F.concat(F.utf8(`CompositeAlgorithmSignatures2025${label}\0`), await F.sha512(signed));
      return F.mldsa("ml-dsa-44", sig.key.pq, label, text, sig.signature.subarray(0, pqSignature)) && F.ed25519(sig.key.raw, text, sig.signature.subarray(pqSignature));
    }
    if (!curve) return F.ed25519(sig.key.raw, signed, sig.signature);
    return F.ecdsaNumbers(sig.key.kind, sig.key.raw, hash, signed, mpints(sig.signature, where), true);
  };
})((globalThis.fleetctlVerify ??= {}));
