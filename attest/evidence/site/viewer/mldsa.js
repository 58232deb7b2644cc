// ML-DSA (FIPS 204), verifying alone, and what of SHA-3 (FIPS 202) it takes. Products
// of two numbers below q have 46 bits, which JavaScript's numbers hold exactly.
(function (F) {
  "use strict";

  // ---- SHAKE ----

  // Round constants and rotations follow from their definitions (FIPS 202, 3.2).
  const [roundLow, roundHigh] = [new Uint32Array(24), new Uint32Array(24)];
  for (let round = 0, lfsr = 1; round < 24; round++) {
    for (let j = 0; j <= 6; j++) {
      const bit = (1 << j) - 1;
      if (lfsr & 1) (bit < 32 ? roundLow : roundHigh)[round] ^= (1 << (bit % 32)) >>> 0;
      lfsr = (lfsr << 1) ^ (lfsr >> 7 ? 0x171 : 0);
    }
  }
  const lanes = []; // [from, to, rotation] of rho and pi, in their one cycle
  for (let t = 0, x = 1, y = 0; t < 24; t++) {
    const [nx, ny] = [y, (2 * x + 3 * y) % 5];
    lanes.push([x + 5 * y, nx + 5 * ny, ((t + 1) * (t + 2) / 2) % 64]);
    [x, y] = [nx, ny];
  }

  // permute is Keccak-f[1600] on 25 lanes, each a low and a high half.
  function permute(low, high) {
    const [cl, ch, bl, bh] = [new Uint32Array(5), new Uint32Array(5), new Uint32Array(25), new Uint32Array(25)];
    for (let round = 0; round < 24; round++) {
      for (let x = 0; x < 5; x++) {
        cl[x] = low[x] ^ low[x + 5] ^ low[x + 10] ^ low[x + 15] ^ low[x + 20];
        ch[x] = high[x] ^ high[x + 5] ^ high[x + 10] ^ high[x + 15] ^ high[x + 20];
      }
      for (let x = 0; x < 5; x++) {
        const [a, b] = [(x + 4) % 5, (x + 1) % 5];
        const dl = cl[a] ^ ((cl[b] << 1) | (ch[b] >>> 31));
        const dh = ch[a] ^ ((ch[b] << 1) | (cl[b] >>> 31));
        for (let y = x; y < 25; y += 5) { low[y] ^= dl; high[y] ^= dh; }
      }
      [bl[0], bh[0]] = [low[0], high[0]];
      for (const [from, to, n] of lanes) {
        const [l, h, r] = n < 32 ? [low[from], high[from], n] : [high[from], low[from], n - 32];
        bl[to] = r ? (l << r) | (h >>> (32 - r)) : l;
        bh[to] = r ? (h << r) | (l >>> (32 - r)) : h;
      }
      for (let y = 0; y < 25; y += 5) {
        for (let x = 0; x < 5; x++) {
          const [a, b] = [y + (x + 1) % 5, y + (x + 2) % 5];
          low[y + x] = bl[y + x] ^ (~bl[a] & bl[b]);
          high[y + x] = bh[y + x] ^ (~bh[a] & bh[b]);
        }
      }
      low[0] ^= roundLow[round];
      high[0] ^= roundHigh[round];
    }
  }

  // sponge gives a function that squeezes one byte after the other; rate is 168 of
  // SHAKE128, 136 of SHAKE256 and SHA3-256, 72 of SHA3-512. suffix is 0x1f of SHAKE and
  // 0x06 of SHA-3.
  function sponge(rate, suffix, ...parts) {
    const input = F.concat(...parts, new Uint8Array([suffix]));
    const [low, high] = [new Uint32Array(25), new Uint32Array(25)];
    const mix = (at, b) => { (at & 4 ? high : low)[at >> 3] ^= b << (8 * (at & 3)); };
    for (let i = 0; i < input.length; i++) {
      mix(i % rate, input[i]);
      if (i % rate === rate - 1 && i !== input.length - 1) permute(low, high);
    }
    mix(rate - 1, 0x80);
    let at = rate;
    return () => {
      if (at === rate) { permute(low, high); at = 0; }
      const b = ((at & 4 ? high : low)[at >> 3] >>> (8 * (at & 3))) & 255;
      at++;
      return b;
    };
  }

  const shake = (rate, ...parts) => sponge(rate, 0x1f, ...parts);
  const take = (next, n) => Uint8Array.from({ length: n }, next);
  const shake256 = (n, ...parts) => take(shake(136, ...parts), n);

  // ---- the ring: polynomials of 256 coefficients modulo q ----

  const Q = 8380417;
  const zetas = [];
  for (let k = 0; k < 256; k++) {
    let z = 1; // 1753 to the power of k with its 8 bits reversed
    for (let bit = 0; bit < 8; bit++) {
      z = (z * z) % Q;
      if ((k >> bit) & 1) z = (z * 1753) % Q;
    }
    zetas.push(z);
  }

  function ntt(w) {
    for (let len = 128, m = 0; len >= 1; len /= 2) {
      for (let start = 0; start < 256; start += 2 * len) {
        const z = zetas[++m];
        for (let j = start; j < start + len; j++) {
          const t = (z * w[j + len]) % Q;
          w[j + len] = (w[j] - t + Q) % Q;
          w[j] = (w[j] + t) % Q;
        }
      }
    }
    return w;
  }

  function inverse(w) {
    for (let len = 1, m = 256; len < 256; len *= 2) {
      for (let start = 0; start < 256; start += 2 * len) {
        const z = Q - zetas[--m];
        for (let j = start; j < start + len; j++) {
          const t = w[j];
          w[j] = (t + w[j + len]) % Q;
          w[j + len] = (z * ((t - w[j + len] + Q) % Q)) % Q;
        }
      }
    }
    return w.map((x) => (x * 8347681) % Q); // by 256 to the power of -1
  }

  // numbers reads 256 little-endian numbers of so many bits.
  function numbers(bytes, bits) {
    const list = [];
    for (let i = 0, at = 0; i < 256; i++, at += bits) {
      let n = 0;
      for (let b = bits - 1; b >= 0; b--) n = 2 * n + ((bytes[(at + b) >> 3] >> ((at + b) & 7)) & 1);
      list.push(n);
    }
    return list;
  }

  // ---- verifying ----

  // FIPS 204, table 1. beta is tau times eta, challenge the bytes of the challenge hash.
  const sets = {
    "ml-dsa-44": { k: 4, l: 4, tau: 39, beta: 78, omega: 80, zBits: 18, gamma2: (Q - 1) / 88, wBits: 6, challenge: 32 },
    "ml-dsa-65": { k: 6, l: 5, tau: 49, beta: 196, omega: 55, zBits: 20, gamma2: (Q - 1) / 32, wBits: 4, challenge: 48 },
    "ml-dsa-87": { k: 8, l: 7, tau: 60, beta: 120, omega: 75, zBits: 20, gamma2: (Q - 1) / 32, wBits: 4, challenge: 64 },
  };

  // readHints gives k rows of 256 zeros and ones; null of what isn't their one encoding.
  function readHints(y, { k, omega }) {
    const rows = [];
    let at = 0;
    for (let i = 0; i < k; i++) {
      const [row, end, first] = [new Array(256).fill(0), y[omega + i], at];
      if (end < at || end > omega) return null;
      for (; at < end; at++) {
        if (at > first && y[at - 1] >= y[at]) return null;
        row[y[at]] = 1;
      }
      rows.push(row);
    }
    return y.subarray(at, omega).every((b) => b === 0) ? rows : null;
  }

  // entry is one polynomial of the matrix, which is drawn as its transform is.
  function entry(rho, s, r) {
    const next = shake(168, rho, new Uint8Array([s, r]));
    const list = [];
    while (list.length < 256) {
      const n = next() + 256 * next() + 65536 * (next() & 127);
      if (n < Q) list.push(n);
    }
    return list;
  }

  // ball draws the challenge: tau coefficients of 1 or -1.
  function ball(seed, tau) {
    const next = shake(136, seed);
    const signs = take(next, 8);
    const c = new Array(256).fill(0);
    for (let i = 256 - tau; i < 256; i++) {
      let j = next();
      while (j > i) j = next();
      const bit = i + tau - 256;
      c[i] = c[j];
      c[j] = (signs[bit >> 3] >> (bit & 7)) & 1 ? Q - 1 : 1;
    }
    return c;
  }

  // high is the high part of a number, moved by a hint.
  function high(r, hint, gamma2) {
    const m = (Q - 1) / (2 * gamma2);
    let r0 = r % (2 * gamma2);
    if (r0 > gamma2) r0 -= 2 * gamma2;
    let r1 = (r - r0) / (2 * gamma2);
    if (r - r0 === Q - 1) { r1 = 0; r0 -= 1; }
    if (!hint) return r1;
    return r0 > 0 ? (r1 + 1) % m : (r1 + m - 1) % m;
  }

  // packed writes numbers of so many bits.
  function packed(list, bits) {
    const out = new Uint8Array((list.length * bits) / 8);
    list.forEach((n, i) => {
      for (let b = 0; b < bits; b++) out[(i * bits + b) >> 3] |= ((n >> b) & 1) << ((i * bits + b) & 7);
    });
    return out;
  }

  // What ML-KEM takes too.
  F.lattice = { sponge, take, numbers, packed };

  // mldsa says whether a signature over a message for a context verifies under a raw key.
  F.mldsa = function (algorithm, raw, context, message, sig) {
    const set = sets[algorithm];
    const { k, l, zBits, gamma2, challenge, omega } = set;
    const ctx = F.utf8(context);
    const zSize = 32 * zBits;
    if (sig.length !== challenge + l * zSize + omega + k || raw.length !== 32 + 320 * k || ctx.length > 255) return false;
    const gamma1 = 2 ** (zBits - 1);
    const z = Array.from({ length: l }, (_, i) => numbers(sig.subarray(challenge + i * zSize), zBits).map((n) => gamma1 - n));
    if (z.some((p) => p.some((n) => Math.abs(n) >= gamma1 - set.beta))) return false;
    const hints = readHints(sig.subarray(challenge + l * zSize), set);
    if (!hints) return false;
    const mu = shake256(64, shake256(64, raw), new Uint8Array([0, ctx.length]), ctx, message);
    const seed = sig.subarray(0, challenge);
    const c = ntt(ball(seed, set.tau));
    const zs = z.map((p) => ntt(p.map((n) => (n + Q) % Q)));
    const rho = raw.subarray(0, 32);
    const rows = hints.map((hint, r) => {
      const t1 = ntt(numbers(raw.subarray(32 + 320 * r), 10).map((n) => n * 8192));
      const sum = t1.map((n, i) => Q - ((c[i] * n) % Q));
      zs.forEach((p, s) => entry(rho, s, r).forEach((a, i) => { sum[i] = (sum[i] + a * p[i]) % Q; }));
      return packed(inverse(sum).map((n, i) => high(n, hint[i], gamma2)), set.wBits);
    });
    return F.equal(seed, shake256(challenge, mu, ...rows));
  };
})((globalThis.fleetctlVerify ??= {}));
