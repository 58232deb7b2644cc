// Points of the curves, in whole numbers: Ed25519 by SPEC section 2's rules, which
// WebCrypto's are not; P-256 and P-384 as far as keys are admitted and secrets agreed
// on; X25519. Everything here is public, so no time depends on a secret.
(function (F) {
  "use strict";

  const P = (1n << 255n) - 19n;
  const L = (1n << 252n) + 27742317777372353535851937790883648493n;
  const mod = (x, m = P) => { const r = x % m; return r < 0n ? r + m : r; };

  function power(x, e, m) {
    let r = 1n;
    for (x = mod(x, m); e > 0n; e >>= 1n) {
      if (e & 1n) r = (r * x) % m;
      x = (x * x) % m;
    }
    return r;
  }

  const D = mod(-121665n * power(121666n, P - 2n, P));
  const D2 = mod(2n * D);
  const root = power(2n, (P - 1n) / 4n, P); // of -1

  // ---- Ed25519: points in extended coordinates X, Y, Z, T ----

  const zero = [0n, 1n, 1n, 0n];

  function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
    const a = ((y1 - x1) * (y2 - x2)) % P;
    const b = ((y1 + x1) * (y2 + x2)) % P;
    const c = (((t1 * D2) % P) * t2) % P;
    const d = (2n * z1 * z2) % P;
    const [e, f, g, h] = [b - a, d - c, d + c, b + a];
    return [(e * f) % P, (g * h) % P, (f * g) % P, (e * h) % P];
  }

  function double([x, y, z]) {
    const a = (x * x) % P;
    const b = (y * y) % P;
    const c = (2n * z * z) % P;
    const s = x + y;
    const e = ((s * s) % P) - a - b;
    const [g, h] = [b - a, -a - b];
    const f = g - c;
    return [(e * f) % P, (g * h) % P, (f * g) % P, (e * h) % P];
  }

  const negated = ([x, y, z, t]) => [-x, y, z, -t];
  const isZero = ([x, y, z]) => mod(x) === 0n && mod(y - z) === 0n;
  const same = (a, b) => mod(a[0] * b[2] - b[0] * a[2]) === 0n && mod(a[1] * b[2] - b[1] * a[2]) === 0n;

  function multiples(point) {
    const list = [zero, point];
    for (let i = 2; i < 16; i++) list.push(i % 2 ? add(list[i - 1], point) : double(list[i / 2]));
    return list;
  }

  // sum is the sum of points, each taken as often as its number says.
  function sum(...terms) {
    let r = zero;
    for (let bit = 252n; bit >= 0n; bit -= 4n) {
      if (r !== zero) for (let i = 0; i < 4; i++) r = double(r);
      for (const [n, table] of terms) {
        const digit = Number((n >> bit) & 15n);
        if (digit) r = add(r, table[digit]);
      }
    }
    return r;
  }

  // decode takes 32 bytes: a point of the curve in its canonical encoding, not of small
  // order. It gives null for any other.
  function decode(bytes) {
    if (bytes.length !== 32) return null;
    const n = F.littleEndian(bytes);
    const sign = n >> 255n;
    const y = n & ((1n << 255n) - 1n);
    if (y >= P) return null;
    const u = mod(y * y - 1n);
    const v = mod(D * y * y + 1n);
    const v3 = (((v * v) % P) * v) % P;
    let x = (((u * v3) % P) * power(((((u * v3) % P) * v3) % P) * v, (P - 5n) / 8n, P)) % P;
    const vxx = (((v * x) % P) * x) % P;
    if (vxx !== u) {
      if (vxx !== mod(-u)) return null;
      x = (x * root) % P;
    }
    if (x === 0n && sign === 1n) return null;
    if ((x & 1n) !== sign) x = P - x;
    const point = [x, y, 1n, (x * y) % P];
    return isZero(double(double(double(point)))) ? null : point;
  }

  // The base point's multiples are made when first used: files come in any order.
  let base;
  const B = () => (base ??= multiples(decode(toLittle((4n * power(5n, P - 2n, P)) % P))));

  function toLittle(n) {
    return Uint8Array.from({ length: 32 }, (_, i) => Number((n >> BigInt(8 * i)) & 255n));
  }

  // Keys that were admitted, with the multiples of their negative.
  const admitted = new Map();

  function tableOf(key) {
    const name = String.fromCharCode(...key);
    let table = admitted.get(name);
    if (table === undefined) {
      const point = decode(key);
      table = point && isZero(sum([L, multiples(point)])) ? multiples(negated(point)) : null;
      if (admitted.size >= 4096) admitted.clear();
      admitted.set(name, table);
    }
    return table;
  }

  F.ed25519Admitted = (key) => key.length === 32 && tableOf(key) !== null;

  // ed25519 verifies by the cofactorless equation, R compared by its bytes.
  F.ed25519 = async function (key, message, signature) {
    if (!F.ed25519Admitted(key) || signature.length !== 64) return false;
    const R = signature.subarray(0, 32);
    const S = F.littleEndian(signature.subarray(32));
    const point = decode(R);
    if (S >= L || !point) return false;
    const k = F.littleEndian(await F.sha512(F.concat(R, key, message))) % L;
    // R is canonical, so the same point has the same bytes.
    return same(sum([S, B()], [k, tableOf(key)]), point);
  };

  // ---- P-256 and P-384 ----

  const curve = (bytes, p, n, b, gx, gy) => ({ bytes, p: BigInt("0x" + p), n: BigInt("0x" + n), b: BigInt("0x" + b), g: [BigInt("0x" + gx), BigInt("0x" + gy)] });

  F.CURVES = {
    "P-256": curve(32, "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
      "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b", "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
      "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
    "P-384": curve(48, "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
      "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
      "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
      "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
      "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f"),
  };

  const onCurve = (c, x, y) => x < c.p && y < c.p && mod(y * y - x * x * x + 3n * x - c.b, c.p) === 0n;

  // isPoint says whether bytes are an uncompressed point of a curve.
  F.isPoint = function (name, bytes) {
    const c = F.CURVES[name];
    return bytes.length === 1 + 2 * c.bytes && bytes[0] === 4 && onCurve(c, F.bigEndian(bytes.subarray(1, 1 + c.bytes)), F.bigEndian(bytes.subarray(1 + c.bytes)));
  };

  // p256Point takes a compressed point, 33 bytes; null if it is none.
  F.p256Point = function (bytes) {
    const c = F.CURVES["P-256"];
    if (bytes.length !== 33 || (bytes[0] !== 2 && bytes[0] !== 3)) return null;
    const x = F.bigEndian(bytes.subarray(1));
    if (x >= c.p) return null;
    let y = power(x * x * x - 3n * x + c.b, (c.p + 1n) / 4n, c.p);
    if ((y & 1n) !== BigInt(bytes[0] & 1)) y = mod(-y, c.p);
    return onCurve(c, x, y) && (y & 1n) === BigInt(bytes[0] & 1) ? [x, y] : null;
  };

  // p256Times is a point taken n times, n from 1 to the order less 1: x and y.
  F.p256Times = function (n, [px, py]) {
    const { p } = F.CURVES["P-256"];
    let [x, y, z] = [0n, 1n, 0n]; // Jacobian; z = 0 is the point at infinity
    const twice = () => {
      const a = (y * y) % p;
      const s = (4n * x * a) % p;
      const m = mod(3n * (x - z * z) * (x + z * z), p);
      const nx = mod(m * m - 2n * s, p);
      [x, y, z] = [nx, mod(m * (s - nx) - 8n * a * a, p), (2n * y * z) % p];
    };
    for (let bit = 255n; bit >= 0n; bit--) {
      if (z !== 0n) twice();
      if (!((n >> bit) & 1n)) continue;
      if (z === 0n) { [x, y, z] = [px, py, 1n]; continue; }
      const zz = (z * z) % p;
      const h = mod(px * zz - x, p);
      const r = mod(py * zz * z - y, p);
      if (h === 0n && r === 0n) { twice(); continue; }
      const hh = (h * h) % p;
      const hhh = (h * hh) % p;
      const v = (x * hh) % p;
      const nx = mod(r * r - hhh - 2n * v, p);
      [x, y, z] = [nx, mod(r * (v - nx) - y * hhh, p), (z * h) % p];
    }
    if (z === 0n) return null;
    const i = power(z, p - 2n, p);
    return [mod(x * i * i, p), mod(y * i * i * i, p)];
  };

  // ---- X25519 (RFC 7748) ----

  F.x25519 = function (scalar, u) {
    const s = Uint8Array.from(scalar);
    s[0] &= 248;
    s[31] = (s[31] & 127) | 64;
    const k = F.littleEndian(s);
    const x1 = F.littleEndian(u) & ((1n << 255n) - 1n);
    let [x2, z2, x3, z3] = [1n, 0n, x1, 1n];
    let swap = 0n;
    for (let t = 254n; t >= 0n; t--) {
      const bit = (k >> t) & 1n;
      if (swap !== bit) [x2, x3, z2, z3] = [x3, x2, z3, z2];
      swap = bit;
      const [a, b, c, d] = [x2 + z2, x2 - z2, x3 + z3, x3 - z3];
      const [aa, bb, da, cb] = [(a * a) % P, (b * b) % P, (d * a) % P, (c * b) % P];
      const e = aa - bb;
      [x3, z3, x2, z2] = [((da + cb) ** 2n) % P, (x1 * (((da - cb) ** 2n) % P)) % P, (aa * bb) % P, (e * (aa + 121665n * e)) % P];
    }
    if (swap) [x2, z2] = [x3, z3];
    return toLittle(mod(x2 * power(z2, P - 2n, P)));
  };

  // x25519Admitted: a canonical u, not of low order: eight times it is not nothing.
  F.x25519Admitted = function (u) {
    if (u.length !== 32 || F.littleEndian(u) >= P) return false;
    return F.x25519(new Uint8Array(32), u).some((b) => b !== 0);
  };
})((globalThis.fleetctlVerify ??= {}));
