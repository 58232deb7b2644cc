// Logs: keys, policies, checkpoints, proofs, cosignatures (SPEC section 16).
(function (F) {
  "use strict";

  const lastTime = 253402300799;
  const skew = 300;

  // vkey reads name+hash+base64(type ‖ key).
  F.vkey = function (text, types, where) {
    const m = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+\/=]+)$/u.exec(text);
    if (!m || !F.isText(m[1], 255) || /\s/u.test(m[1])) F.fault(where, `${F.quote(text)} is no verifier key`);
    const data = F.fromBase64(m[3], where);
    const type = data[0];
    const raw = data.subarray(1);
    if (!types.includes(type)) F.fault(where, `${F.quote(m[1])} has a key of type ${type}, which doesn't stand there`);
    const hash = type === 2 ? F.sha256(raw) : F.sha256(F.concat(F.utf8(m[1] + "\n"), data));
    if (F.hex(hash.subarray(0, 4)) !== m[2]) F.fault(where, `${F.quote(m[1])} has a key of another hash than ${m[2]}`);
    const key = { name: m[1], hash: m[2], type, raw, text };
    if (type === 2) {
      const admitted = F.admitSigner(raw, where);
      if (!admitted.algorithm.startsWith("ecdsa")) F.fault(where, "is no ECDSA key");
      return { ...key, kind: admitted.kind, point: admitted.raw, same: admitted.same };
    }
    if (type === 6) {
      if (raw.length !== 1312) F.fault(where, "is no ML-DSA-44 key");
      return { ...key, same: F.rawKey("mldsa", raw, where).same };
    }
    return { ...key, same: F.rawKey("ed25519", raw, where).same };
  };

  // isURL: an absolute URL without a user's name. It is never used when verifying.
  const isURL = (text) => /^[A-Za-z][A-Za-z0-9+.-]*:\/\/(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[\/?](?:[A-Za-z0-9._~!$&'()*+,;=:@\/?-]|%[0-9A-Fa-f]{2})*)?$/.test(text);

  // parseLogPolicy reads C2SP's tlog-policy.
  F.parseLogPolicy = function (text, where) {
    if (F.size(text) > F.LIMITS.proof) F.fault(where, "is too large");
    const p = { logs: [], witnesses: new Map(), groups: new Map(), quorum: undefined };
    const used = new Set();
    const keys = new Set();
    const once = (key, line) => {
      if (keys.has(key.same)) F.fault(line, `has the key of ${F.quote(key.name)} for the second time`);
      keys.add(key.same);
      return key;
    };
    const free = (name, line) => {
      if (name === "none" || p.witnesses.has(name) || p.groups.has(name)) F.fault(line, `has the name ${F.quote(name)} for the second time`);
      if (p.witnesses.size + p.groups.size >= 128) F.fault(line, "is one witness or group too many: 128 are allowed");
      return name;
    };
    if (!text.endsWith("\n")) F.fault(where, "has a last line without a line feed");
    text.split("\n").forEach((raw, i) => {
      const line = `${where}: line ${i + 1}`;
      if (/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/.test(raw)) F.fault(line, "has a control character");
      const f = raw.split(/[ \t]+/).filter((s) => s !== "");
      if (f.length === 0 || f[0].startsWith("#")) return;
      if (f.some((s) => s.startsWith("#"))) F.fault(line, "has a comment behind something else");
      const url = f[0] === "log" ? f[2] : f[0] === "witness" ? f[3] : undefined;
      if (url !== undefined && !isURL(url)) F.fault(line, `${F.quote(url)} is no absolute URL without a user's name`);
      if (f[0] === "log" && (f.length === 2 || f.length === 3)) {
        if (p.logs.length >= 128) F.fault(line, "is one log too many: 128 are allowed");
        p.logs.push(once(F.vkey(f[1], [1, 2, 6], line), line));
      } else if (f[0] === "witness" && (f.length === 3 || f.length === 4)) {
        p.witnesses.set(free(f[1], line), once(F.vkey(f[2], [4, 6], line), line));
      } else if (f[0] === "group" && f.length >= 4) {
        const members = f.slice(3);
        for (const m of members) {
          if (!p.witnesses.has(m) && !p.groups.has(m)) F.fault(line, `names ${F.quote(m)}, which isn't defined yet`);
          if (used.has(m)) F.fault(line, `names ${F.quote(m)}, which is a member already`);
          used.add(m);
        }
        const k = f[2] === "all" ? members.length : f[2] === "any" ? 1 : /^[1-9][0-9]{0,2}$/.test(f[2]) ? Number(f[2]) : 0;
        if (k < 1 || k > members.length) F.fault(line, `wants ${F.quote(f[2])} of ${members.length} members`);
        p.groups.set(free(f[1], line), { k, members });
      } else if (f[0] === "quorum" && f.length === 2 && p.quorum === undefined) {
        if (f[1] !== "none" && !p.witnesses.has(f[1]) && !p.groups.has(f[1])) F.fault(line, `names ${F.quote(f[1])}, which isn't defined`);
        p.quorum = f[1];
      } else {
        F.fault(line, `${F.quote(raw)} is no line of a log policy`);
      }
    });
    if (p.quorum === undefined) F.fault(where, "has no line quorum");
    return p;
  };

  // meets says whether witnesses, a set of names, make the quorum. None is never met.
  F.meets = function (policy, names) {
    const holds = (name) => {
      const g = policy.groups.get(name);
      return g ? g.members.filter(holds).length >= g.k : names.has(name);
    };
    return policy.quorum !== "none" && holds(policy.quorum);
  };

  // parseCheckpoint reads origin, size, root and signature lines.
  F.parseCheckpoint = function (text, where) {
    if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(text)) F.fault(where, "has a control character");
    const m = /^([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+\/=]{44})\n\n((?:\u2014 [^\n]+\n)+)$/u.exec(text);
    if (!m || F.size(text) > F.LIMITS.proof || Number(m[2]) > Number.MAX_SAFE_INTEGER) F.fault(where, "is no checkpoint of origin, size, root and signatures");
    const lines = m[4].slice(0, -1).split("\n");
    if (lines.length > 64) F.fault(where, "has more than 64 signatures");
    const signatures = lines.map((line) => {
      const f = /^\u2014 ([^\s+]{1,255}) ([A-Za-z0-9+\/=]+)$/u.exec(line);
      if (!f) F.fault(where, `${F.quote(line)} is no signature line`);
      const data = F.fromBase64(f[2], where);
      if (data.length < 5) F.fault(where, "has a signature line without a signature");
      return { name: f[1], hash: F.hex(data.subarray(0, 4)), data: data.subarray(4) };
    });
    const root = F.fromBase64(m[3], where);
    return { origin: m[1], size: Number(m[2]), root, text: text.slice(0, text.indexOf("\n\n") + 1), signatures };
  };

  F.parseProof = function (bytes, where) {
    if (bytes.length > F.LIMITS.proof) F.fault(where, "is too large");
    const text = F.text(bytes, where);
    const m = /^c2sp\.org\/tlog-proof@v1\nindex (0|[1-9][0-9]{0,15})\n((?:[A-Za-z0-9+\/=]{44}\n){0,64})\n/.exec(text);
    if (!m) F.fault(where, "is no proof of c2sp.org/tlog-proof@v1");
    const hashes = m[2] === "" ? [] : m[2].slice(0, -1).split("\n").map((h) => F.base64Of(32)(h, where));
    const checkpoint = F.parseCheckpoint(text.slice(m[0].length), where);
    const index = F.int()(Number(m[1]), where);
    if (index >= checkpoint.size) F.fault(where, `has the index ${index} in a tree of ${checkpoint.size}`);
    return { index, hashes, checkpoint, where };
  };

  const node = (left, right) => F.sha256(F.concat(Uint8Array.of(1), left, right));

  // rootOf computes the root from an entry's leaf and the hashes (RFC 6962 2.1.1); the
  // number of hashes is what index and size ask for.
  function rootOf(entry, proof) {
    let hash = F.sha256(F.concat(Uint8Array.of(0), entry));
    let index = proof.index;
    let last = proof.checkpoint.size - 1;
    let used = 0;
    while (last > 0) {
      if (index % 2 === 1 || index < last) {
        if (used === proof.hashes.length) F.fault(proof.where, "has too few hashes");
        const sibling = proof.hashes[used++];
        hash = index % 2 === 1 ? node(sibling, hash) : node(hash, sibling);
      }
      index = Math.floor(index / 2);
      last = Math.floor(last / 2);
    }
    if (used !== proof.hashes.length) F.fault(proof.where, "has too many hashes");
    return hash;
  }

  F.includes = (entry, proof) => F.equal(rootOf(entry, proof), proof.checkpoint.root);

  async function logSigned(key, checkpoint, sig) {
    const message = F.utf8(checkpoint.text);
    if (key.type === 6) return cosignedByMLDSA(key, checkpoint, sig);
    if (key.type === 1) return F.ed25519(key.raw, message, sig);
    const numbers = F.derNumbers(sig);
    return numbers !== null && F.ecdsaNumbers(key.kind, key.point, "SHA-256", message, numbers, true);
  }

  // timeOf is the time that a cosignature of so many bytes states, -1 of what is none.
  function timeOf(data, size) {
    const time = data.length === 8 + size ? Number(F.bigEndian(data.subarray(0, 8))) : -1;
    return time <= lastTime ? time : -1;
  }

  // cosignedByMLDSA says whether a line of type 6, a witness's or a log's, verifies: it
  // covers the signer's name and the whole tree (C2SP tlog-cosignature).
  function cosignedByMLDSA(key, checkpoint, data) {
    const [name, origin, number] = [F.utf8(key.name), F.utf8(checkpoint.origin), (n) => F.toBigEndian(BigInt(n), 8)];
    if (timeOf(data, 2420) < 0 || origin.length > 255) return false;
    const message = F.concat(F.utf8("subtree/v1\n\0"), Uint8Array.of(name.length), name, data.subarray(0, 8), Uint8Array.of(origin.length), origin,
      number(0), number(checkpoint.size), checkpoint.root);
    return F.mldsa("ml-dsa-44", key.raw, "", message, data.subarray(8));
  }

  // readSignatures verifies every line by a known key. One that doesn't verify, or a
  // key's second line, makes the checkpoint wrong.
  F.readSignatures = async function (checkpoint, policy, where) {
    const found = { logs: [], cosigned: [] };
    const known = new Map();
    for (const key of policy.logs) known.set(`${key.name} ${key.hash}`, { key });
    for (const [witness, key] of policy.witnesses) known.set(`${key.name} ${key.hash}`, { key, witness });
    const seen = new Set();
    for (const s of checkpoint.signatures) {
      const id = `${s.name} ${s.hash}`;
      const who = known.get(id);
      if (!who) continue;
      if (seen.has(id)) F.fault(where, `has a second signature by ${s.name}`);
      seen.add(id);
      if (who.witness === undefined) {
        if (!(await logSigned(who.key, checkpoint, s.data))) F.fault(where, `has a signature by the log ${s.name} that doesn't verify`);
        if (s.name === checkpoint.origin) found.logs.push(who.key);
        continue;
      }
      const time = timeOf(s.data, who.key.type === 6 ? 2420 : 64);
      const text = `cosignature/v1\ntime ${time}\n${checkpoint.text}`;
      const verifies = who.key.type === 6 ? cosignedByMLDSA(who.key, checkpoint, s.data) : time >= 0 && (await F.ed25519(who.key.raw, F.utf8(text), s.data.subarray(8)));
      if (!verifies) {
        F.fault(where, `has a cosignature by ${s.name} that doesn't verify`);
      }
      found.cosigned.push({ witness: who.witness, key: who.key, time });
    }
    return found;
  };

  // cosignatureCounts is 16.2 "as of a time", without requests that continue a checkpoint.
  function cosignatureCounts(c, window, now) {
    if (c.time === 0 || c.time > now + skew) return false;
    if (!window) return true;
    if (window.compromised_after !== undefined && now >= window.compromised_after) return false;
    if (!F.inside(window, c.time) || (window.not_before !== undefined && now < window.not_before)) return false;
    return window.not_after === undefined || now <= window.not_after;
  }

  // judgeProof verifies a proof of an entry under a verifier's policy: {included,
  // quorum: the quorum time or undefined, cosigned, logs}. What is wrong is thrown.
  F.judgeProof = async function (entry, proof, policy, now) {
    const { where, checkpoint } = proof;
    if (!F.includes(entry, proof)) F.fault(where, "is not the proof of these bytes");
    const { logs, cosigned } = await F.readSignatures(checkpoint, policy.log, where);
    if (logs.length === 0) F.fault(where, `is of the log ${F.quote(checkpoint.origin)}, by which no pinned key has signed`);
    const windowOf = (key) => policy.logWindows.get(key.text);
    const counted = cosigned.filter((c) => !policy.silent.has(c.witness) && cosignatureCounts(c, windowOf(c.key), now));
    let quorum;
    for (const t of counted.map((c) => c.time).sort((a, b) => a - b)) {
      if (quorum === undefined && F.meets(policy.log, new Set(counted.filter((c) => c.time <= t).map((c) => c.witness)))) quorum = t;
    }
    const counting = logs.filter((key) => F.counts(windowOf(key), now, quorum));
    const included = counting.length > 0;
    return { included, quorum: included ? quorum : undefined, cosigned, logs: counting, checkpoint };
  };
})((globalThis.fleetctlVerify ??= {}));
