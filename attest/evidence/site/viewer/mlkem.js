// ML-KEM-768 (FIPS 203), encapsulating alone, from 32 bytes that somebody told: so that
// the ciphertext and the secret of a challenge can be made again.
(function (F) {
  "use strict";

  const [Q, K] = [3329, 3];
  // What ML-DSA has too, once its file is there.
  const sponge = (...args) => F.lattice.sponge(...args);
  const take = (...args) => F.lattice.take(...args);
  const numbers = (...args) => F.lattice.numbers(...args);
  const packed = (...args) => F.lattice.packed(...args);

  // power is 17 to the power of k's seven bits in reverse.
  function power(k) {
    let z = 1;
    for (let bit = 0; bit < 7; bit++) {
      z = (z * z) % Q;
      if ((k >> bit) & 1) z = (z * 17) % Q;
    }
    return z;
  }
  const zetas = Array.from({ length: 128 }, (_, k) => power(k));

  function ntt(f) {
    for (let len = 128, m = 0; len >= 2; len /= 2) {
      for (let start = 0; start < 256; start += 2 * len) {
        const z = zetas[++m];
        for (let j = start; j < start + len; j++) {
          const t = (z * f[j + len]) % Q;
          f[j + len] = (f[j] - t + Q) % Q;
          f[j] = (f[j] + t) % Q;
        }
      }
    }
    return f;
  }

  function inverse(f) {
    for (let len = 2, m = 128; len <= 128; len *= 2) {
      for (let start = 0; start < 256; start += 2 * len) {
        const z = zetas[--m];
        for (let j = start; j < start + len; j++) {
          const t = f[j];
          f[j] = (t + f[j + len]) % Q;
          f[j + len] = (z * (f[j + len] - t + Q)) % Q;
        }
      }
    }
    return f.map((x) => (x * 3303) % Q); // by 128 to the power of -1
  }

  const plus = (...list) => list[0].map((_, i) => list.reduce((sum, f) => sum + f[i], 0) % Q);

  // times multiplies transforms: in pairs, modulo x² minus an odd power of 17.
  function times(f, g) {
    const h = new Array(256);
    for (let i = 0; i < 128; i++) {
      const [a, b, c, d] = [f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]];
      const gamma = (((zetas[i] * zetas[i]) % Q) * 17) % Q;
      h[2 * i] = (a * c + ((b * d) % Q) * gamma) % Q;
      h[2 * i + 1] = (a * d + b * c) % Q;
    }
    return h;
  }

  // entry is one polynomial of the matrix, which is drawn as its transform is.
  function entry(rho, i, j) {
    const next = sponge(168, 0x1f, rho, new Uint8Array([i, j]));
    const list = [];
    while (list.length < 256) {
      const [x, y, z] = take(next, 3);
      for (const n of [x + 256 * (y & 15), (y >> 4) + 16 * z]) {
        if (n < Q && list.length < 256) list.push(n);
      }
    }
    return list;
  }

  // noise draws small coefficients: two bits minus two bits.
  function noise(seed, n) {
    return numbers(take(sponge(136, 0x1f, seed, new Uint8Array([n])), 128), 4).map((b) => ((b & 1) + ((b >> 1) & 1) - ((b >> 2) & 1) - (b >> 3) + Q) % Q);
  }

  const compressed = (f, bits) => packed(f.map((x) => Math.floor((2 ** (bits + 1) * x + Q) / (2 * Q)) % 2 ** bits), bits);
  const vector = (raw) => Array.from({ length: K }, (_, i) => numbers(raw.subarray(384 * i), 12));

  // mlkemAdmitted: every number is below q, and t isn't small, which would cover nothing.
  F.mlkemAdmitted = function (raw) {
    const t = vector(raw);
    if (t.some((f) => f.some((x) => x >= Q))) return false;
    const small = t.flatMap(inverse).filter((x) => (x + 16) % Q <= 32).length;
    return 2 * small <= 256 * K;
  };

  // encapsulated is ML-KEM.Encaps_internal of section 6.2: {secret, ciphertext}.
  F.encapsulated = function (raw, m) {
    const hash = take(sponge(136, 0x06, raw), 32);
    const both = take(sponge(72, 0x06, m, hash), 64);
    const [secret, seed] = [both.subarray(0, 32), both.subarray(32)];
    const [t, rho] = [vector(raw), raw.subarray(384 * K)];
    const y = Array.from({ length: K }, (_, i) => ntt(noise(seed, i)));
    const inner = (row) => inverse(plus(...row.map((f, j) => times(f, y[j]))));
    const parts = [];
    for (let i = 0; i < K; i++) {
      const row = Array.from({ length: K }, (_, j) => entry(rho, i, j)); // a column: the matrix is transposed
      parts.push(compressed(plus(inner(row), noise(seed, K + i)), 10));
    }
    const message = numbers(m, 1).map((b) => b * ((Q + 1) / 2));
    parts.push(compressed(plus(inner(t), noise(seed, 2 * K), message), 4));
    return { secret, ciphertext: F.concat(...parts) };
  };
})((globalThis.fleetctlVerify ??= {}));
