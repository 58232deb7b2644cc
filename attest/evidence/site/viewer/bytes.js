// Bytes, texts and hashes, as SPEC section 1 has them.
(function (F) {
  "use strict";

  // Fault is what makes bytes malformed or wrong. NotChecked is what this verifier
  // leaves to fleetctl: it is never taken for a pass.
  F.Fault = class Fault extends Error {
    constructor(where, what) { super(what); this.where = where; this.what = what; }
  };
  F.NotChecked = class NotChecked extends Error {
    constructor(where, what) { super(what); this.where = where; this.what = what; }
  };
  F.fault = (where, what) => { throw new F.Fault(where, what); };

  // ---- bytes ----

  F.concat = function (...parts) {
    const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const p of parts) { all.set(p, at); at += p.length; }
    return all;
  };

  F.compare = function (a, b) {
    const n = Math.min(a.length, b.length);
    for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i] - b[i];
    return a.length - b.length;
  };

  F.equal = (a, b) => a.length === b.length && F.compare(a, b) === 0;

  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  F.utf8 = (text) => encoder.encode(text);

  // text decodes UTF-8; what is none is refused, and a byte order mark stays a character.
  F.text = function (bytes, where) {
    try {
      return decoder.decode(bytes);
    } catch {
      return F.fault(where, "is no UTF-8");
    }
  };

  // size is how many bytes a text has in UTF-8.
  F.size = (text) => encoder.encode(text).length;

  // byBytes orders texts by their UTF-8, as "sorted bytewise" says; JavaScript's own
  // order is by UTF-16.
  F.byBytes = (a, b) => F.compare(F.utf8(a), F.utf8(b));

  const digits = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

  F.hex = (bytes) => Array.from(bytes, (b) => digits[b]).join("");

  F.fromHex = function (text, where) {
    if (!/^(?:[0-9a-f]{2})*$/.test(text)) F.fault(where, `${F.quote(text)} is no lowercase hex`);
    const bytes = new Uint8Array(text.length / 2);
    for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
    return bytes;
  };

  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const values = new Int16Array(128).fill(-1);
  for (let i = 0; i < 64; i++) values[alphabet.charCodeAt(i)] = i;

  F.base64 = function (bytes) {
    const out = [];
    for (let i = 0; i < bytes.length; i += 3) {
      const n = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
      out.push(alphabet[n >> 18] + alphabet[(n >> 12) & 63] +
        (i + 1 < bytes.length ? alphabet[(n >> 6) & 63] : "=") + (i + 2 < bytes.length ? alphabet[n & 63] : "="));
    }
    return out.join("");
  };

  // fromBase64 takes the one spelling: padded, unused bits zero.
  F.fromBase64 = function (text, where) {
    const bad = () => F.fault(where, "is no base64 in its one spelling (RFC 4648 section 4)");
    if (text.length % 4 !== 0) bad();
    const pad = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
    const bytes = new Uint8Array((text.length / 4) * 3 - pad);
    let held = 0;
    let at = 0;
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      let v = c < 128 ? values[c] : -1;
      if (i >= text.length - pad) v = 0;
      if (v < 0) bad();
      held = (held << 6) | v;
      if (i % 4 === 3) {
        for (let k = 16; k >= 0; k -= 8) {
          const b = (held >> k) & 255;
          if (at < bytes.length) bytes[at++] = b;
          else if (b !== 0) bad();
        }
        held = 0;
      }
    }
    return bytes;
  };

  // quote shows a text in a message, short and on one line.
  F.quote = function (text) {
    const s = String(text);
    return JSON.stringify(s.length > 80 ? s.slice(0, 80) + "…" : s);
  };

  // ---- big numbers ----

  F.bigEndian = (bytes) => (bytes.length === 0 ? 0n : BigInt("0x" + F.hex(bytes)));
  F.littleEndian = (bytes) => F.bigEndian(Uint8Array.from(bytes).reverse());

  F.toBigEndian = function (n, length) {
    return F.fromHex(n.toString(16).padStart(2 * length, "0"), "number");
  };

  // ---- texts of section 1 ----

  F.isToken = (text) => /^[A-Za-z0-9._-]{1,128}$/.test(text);

  // What can't be seen, looks like a space and is none, or moves what stands beside it.
  const unseen = new RegExp("[\\u0000-\\u001F\\u007F-\\u00A0\\u00AD\\u034F\\u061C\\u115F-\\u1160\\u1680\\u17B4-\\u17B5" +
    "\\u180B-\\u180F\\u2000-\\u200F\\u2028-\\u202F\\u205F-\\u206F\\u2800\\u3000\\u3164\\uE000-\\uF8FF\\uFE00-\\uFE0F\\uFEFF" +
    "\\uFFA0\\uFFF0-\\uFFFB\\uFFFE-\\uFFFF\\u{E0000}-\\u{10FFFF}]", "u");

  F.isText = (text, most) => !/^ *$/.test(text) && !unseen.test(text) && F.size(text) <= most;

  const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

  // time reads RFC 3339 in UTC with whole seconds, as seconds since 1970; null if it
  // is none.
  F.parseTime = function (text) {
    const m = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z$/.exec(text);
    if (!m) return null;
    const [y, mo, d, h, mi, s] = m.slice(1).map(Number);
    const leap = (y % 4 === 0 && y % 100 !== 0) || y % 400 === 0;
    if (mo < 1 || mo > 12 || d < 1 || d > monthDays[mo - 1] + (mo === 2 && leap ? 1 : 0)) return null;
    if (h > 23 || mi > 59 || s > 59) return null;
    const before = y - 1; // whole years since the year 1; of the year 0 it is -1
    let days = before * 365 + Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400);
    for (let i = 0; i < mo - 1; i++) days += monthDays[i] + (i === 1 && leap ? 1 : 0);
    return (days + d - 1 - 719162) * 86400 + h * 3600 + mi * 60 + s;
  };

  F.time = function (text, where) {
    const t = F.parseTime(text);
    return t === null ? F.fault(where, `${F.quote(text)} is no time as 2026-11-21T10:00:00Z`) : t;
  };

  // ---- SHA-256 (FIPS 180-4), HMAC, HKDF ----

  const K = new Int32Array(64);
  const H0 = new Int32Array(8);
  (function () {
    let n = 2;
    for (let found = 0; found < 64; n++) {
      let prime = true;
      for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
      if (!prime) continue;
      // The first 32 bits of the fraction: floor(root · 2^32) of whole numbers.
      K[found] = Number(BigInt.asIntN(32, root(BigInt(n) << 96n, 3n)));
      if (found < 8) H0[found] = Number(BigInt.asIntN(32, root(BigInt(n) << 64n, 2n)));
      found++;
    }
    function root(x, k) {
      let low = 0n;
      let high = 1n << 40n;
      while (high - low > 1n) {
        const mid = (low + high) / 2n;
        if (mid ** k <= x) low = mid; else high = mid;
      }
      return low;
    }
  })();

  const W = new Int32Array(64);

  function compress(h, data, at) {
    for (let i = 0; i < 16; i++, at += 4) {
      W[i] = (data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3];
    }
    for (let i = 16; i < 64; i++) {
      const x = W[i - 15];
      const y = W[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, k] = h;
    for (let i = 0; i < 64; i++) {
      const S1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (k + S1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
      const S0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (S0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      k = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += k;
  }

  F.sha256 = function (data) {
    const h = Int32Array.from(H0);
    const whole = data.length - (data.length % 64);
    for (let at = 0; at < whole; at += 64) compress(h, data, at);
    const rest = data.length - whole;
    const tail = new Uint8Array(rest + 9 > 64 ? 128 : 64);
    tail.set(data.subarray(whole));
    tail[rest] = 0x80;
    const view = new DataView(tail.buffer);
    view.setUint32(tail.length - 8, Math.floor(data.length / 0x20000000));
    view.setUint32(tail.length - 4, (data.length << 3) >>> 0);
    for (let at = 0; at < tail.length; at += 64) compress(h, tail, at);
    const out = new DataView(new ArrayBuffer(32));
    for (let i = 0; i < 8; i++) out.setInt32(4 * i, h[i]);
    return new Uint8Array(out.buffer);
  };

  // digest is the SHA-256 of bytes, or of a text's UTF-8, in hex.
  F.digest = (data) => F.hex(F.sha256(typeof data === "string" ? F.utf8(data) : data));

  F.hmac = function (key, data) {
    const block = new Uint8Array(64);
    block.set(key.length > 64 ? F.sha256(key) : key);
    return F.sha256(F.concat(block.map((b) => b ^ 0x5c), F.sha256(F.concat(block.map((b) => b ^ 0x36), data))));
  };

  // hkdf32 is HKDF-SHA-256 (RFC 5869) without salt, for 32 bytes.
  F.hkdf32 = (secret, info) => F.hmac(F.hmac(new Uint8Array(32), secret), F.concat(info, Uint8Array.of(1)));

  // sha512 and sha384 are the platform's.
  F.sha512 = async (data) => new Uint8Array(await crypto.subtle.digest("SHA-512", data));
})((globalThis.fleetctlVerify ??= {}));
