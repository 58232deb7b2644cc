// The strict reader of JSON (SPEC 1.1), and the shapes that files and records have.
// Objects are Maps, so that no name means anything to JavaScript; what YAML gives has
// the same form.
(function (F) {
  "use strict";

  const escapes = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

  // parseJSON reads one value. limit is the format's in bytes.
  F.parseJSON = function (bytes, where, limit) {
    if (bytes.length > limit) F.fault(where, `has ${bytes.length} bytes; ${limit} are allowed`);
    return F.parseJSONText(F.text(bytes, where), where, limit);
  };

  F.parseJSONText = function (text, where, limit) {
    const most = Math.min(262144, limit < 4096 ? 256 : Math.floor(limit / 16));
    let at = 0;
    let count = 0;

    const bad = (what) => F.fault(where, `${what} at character ${at + 1}`);
    const space = () => { while (at < text.length && " \t\n\r".includes(text[at])) at++; };

    function string() {
      const parts = [];
      let from = ++at;
      for (;;) {
        const c = text.charCodeAt(at);
        if (at >= text.length) bad("a string without an end");
        if (c === 0x22) break;
        if (c < 0x20) bad("a control character in a string");
        if (c !== 0x5c) { at++; continue; }
        parts.push(text.slice(from, at), escaped());
        from = at;
      }
      parts.push(text.slice(from, at++));
      return parts.join("");
    }

    function escaped() {
      const e = text[at + 1];
      if (e !== undefined && Object.hasOwn(escapes, e)) { at += 2; return escapes[e]; }
      const unit = () => {
        const m = /^\\u([0-9a-fA-F]{4})$/.exec(text.slice(at, at + 6));
        if (!m) bad("an escape that JSON doesn't have");
        at += 6;
        return parseInt(m[1], 16);
      };
      const first = unit();
      if (first < 0xd800 || first > 0xdfff) return String.fromCharCode(first);
      if (first > 0xdbff || text[at] !== "\\") bad("half a surrogate pair");
      const second = unit();
      if (second < 0xdc00 || second > 0xdfff) bad("half a surrogate pair");
      return String.fromCharCode(first, second);
    }

    function number() {
      const from = at;
      while (at < text.length && /[-+.0-9eE]/.test(text[at])) at++;
      const s = text.slice(from, at);
      const n = Number(s);
      if (!/^(?:0|[1-9][0-9]{0,15})$/.test(s) || n > Number.MAX_SAFE_INTEGER) bad(`the number ${F.quote(s)}, which is no integer from 0 to 2^53-1,`);
      return n;
    }

    function value(depth) { // depth is how many others a value is in
      if (++count > most) bad(`more than ${most} values`);
      if (depth > 32) bad("more than 32 levels of nesting");
      space();
      const c = text[at];
      if (c === "{") return object(depth);
      if (c === "[") return list(depth);
      if (c === '"') return string();
      for (const [word, v] of [["true", true], ["false", false], ["null", null]]) {
        if (text.startsWith(word, at)) { at += word.length; return v; }
      }
      if (c !== undefined && /[-0-9]/.test(c)) return number();
      return bad("no JSON value");
    }

    function object(depth) {
      const found = new Map();
      at++;
      space();
      if (text[at] === "}") { at++; return found; }
      for (;;) {
        space();
        if (text[at] !== '"') bad("no member's name");
        const name = string();
        if (found.has(name)) bad(`the member ${F.quote(name)} for the second time`);
        space();
        if (text[at] !== ":") bad("no colon after a name");
        at++;
        found.set(name, value(depth + 1));
        space();
        if (text[at] === "}") { at++; return found; }
        if (text[at] !== ",") bad("no comma between members");
        at++;
      }
    }

    function list(depth) {
      const found = [];
      at++;
      space();
      if (text[at] === "]") { at++; return found; }
      for (;;) {
        found.push(value(depth + 1));
        space();
        if (text[at] === "]") { at++; return found; }
        if (text[at] !== ",") bad("no comma between values");
        at++;
      }
    }

    const result = value(0);
    space();
    if (at < text.length) bad("something after the value");
    return result;
  };

  // parseFile reads a file of sections 10 to 12 and 15: { first, } last, at most one
  // LF after it, and the member format first.
  F.parseFile = function (bytes, where, limit, format) {
    if (bytes.length > limit) F.fault(where, `has ${bytes.length} bytes; ${limit} are allowed`);
    const end = bytes.length - (bytes[bytes.length - 1] === 0x0a ? 1 : 0);
    if (end < 2 || bytes[0] !== 0x7b || bytes[end - 1] !== 0x7d) F.fault(where, "doesn't begin with { and end with } and at most one line feed");
    const found = F.parseJSON(bytes, where, limit);
    if (format !== undefined && (found.keys().next().value !== "format" || found.get("format") !== format)) {
      F.fault(where, `its first member is not format ${F.quote(format)}`);
    }
    return found;
  };

  // ---- writing ----

  const written = { '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\u2028": "\\u2028", "\u2029": "\\u2029" };

  function quoted(s) {
    return '"' + s.replace(/["\\\u0000-\u001f\u2028\u2029]/g, (c) => written[c] ?? "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0")) + '"';
  }

  // canonical is the one line that a value has, members in the order in which they stand.
  F.canonical = function (v) {
    if (typeof v === "string") return quoted(v);
    if (Array.isArray(v)) return "[" + v.map(F.canonical).join(",") + "]";
    if (v instanceof Map) return "{" + Array.from(v, ([k, x]) => quoted(k) + ":" + F.canonical(x)).join(",") + "}";
    return String(v);
  };

  // indented is how fleetctl writes files: two spaces, one LF at the end; an empty list is [].
  F.indented = function (v) {
    const write = (x, pad) => {
      const inner = pad + "  ";
      if (Array.isArray(x)) return x.length === 0 ? "[]" : "[\n" + x.map((e) => inner + write(e, inner)).join(",\n") + "\n" + pad + "]";
      if (x instanceof Map) return x.size === 0 ? "{}" : "{\n" + Array.from(x, ([k, e]) => inner + quoted(k) + ": " + write(e, inner)).join(",\n") + "\n" + pad + "}";
      return F.canonical(x);
    };
    return write(v, "") + "\n";
  };

  // ---- shapes: each is a function (value, where) that gives what was read, or throws ----

  const kind = (v) => (v === null ? "null" : Array.isArray(v) ? "a list" : v instanceof Map ? "an object" : typeof v === "number" ? "a number" : typeof v === "boolean" ? "a boolean" : "a string");

  F.optional = (shape) => Object.assign((v, where) => shape(v, where), { optional: true });

  // object reads members by their shapes, in their order where a canonical line asks
  // for it. A member that isn't known is refused, and a missing one.
  F.object = function (members, { ordered = false } = {}) {
    const known = new Map(Object.entries(members));
    const order = Array.from(known.keys());
    return function (v, where) {
      if (!(v instanceof Map)) F.fault(where, `is ${kind(v)} where an object is wanted`);
      const out = {};
      let last = -1;
      for (const [name, x] of v) {
        const shape = known.get(name);
        if (!shape) F.fault(where, `has the member ${F.quote(name)}, which its format doesn't have`);
        const place = order.indexOf(name);
        if (ordered && place < last) F.fault(where, `has the member ${F.quote(name)} in the wrong place`);
        last = place;
        if (ordered && shape.optional && (x === false || x === 0 || x === "")) F.fault(where, `has ${F.quote(name)} with a value that is left out`);
        out[name] = shape(x, `${where}: ${name}`);
      }
      for (const [name, shape] of known) {
        if (!v.has(name) && !shape.optional) F.fault(where, `lacks the member ${F.quote(name)}`);
      }
      return out;
    };
  };

  F.list = (shape, least = 0, most = 262144) => function (v, where) {
    if (!Array.isArray(v)) F.fault(where, `is ${kind(v)} where a list is wanted`);
    if (v.length < least) F.fault(where, `has ${v.length} entries; at least ${least} are wanted`);
    if (v.length > most) F.fault(where, `has ${v.length} entries; ${most} are allowed`);
    return v.map((x, i) => shape(x, `${where}[${i + 1}]`));
  };

  F.string = function (v, where) {
    if (typeof v !== "string") F.fault(where, `is ${kind(v)} where a string is wanted`);
    if (v === "") F.fault(where, "is empty");
    return v;
  };

  F.mayBeEmpty = (shape) => (v, where) => (v === "" ? "" : shape(v, where));

  F.oneOf = (...words) => function (v, where) {
    F.string(v, where);
    return words.includes(v) ? v : F.fault(where, `is ${F.quote(v)}, and ${words.join(", ")} is wanted`);
  };

  F.token = (v, where) => (F.isToken(F.string(v, where)) ? v : F.fault(where, `${F.quote(v)} is no token`));

  F.textOf = (most) => (v, where) => (F.isText(F.string(v, where), most) ? v : F.fault(where, `${F.quote(v)} is no text of one line of at most ${most} bytes`));

  F.int = (least = 0, most = Number.MAX_SAFE_INTEGER) => function (v, where) {
    if (typeof v !== "number") F.fault(where, `is ${kind(v)} where a number is wanted`);
    return v >= least && v <= most ? v : F.fault(where, `is ${v}, and ${least} to ${most} is wanted`);
  };

  F.bool = (v, where) => (typeof v === "boolean" ? v : F.fault(where, `is ${kind(v)} where true or false is wanted`));

  F.timeOf = (v, where) => F.time(F.string(v, where), where);

  // hex32 is a digest in hex; 32 zero bytes are none.
  F.hex32 = function (v, where) {
    F.string(v, where);
    if (!/^[0-9a-f]{64}$/.test(v)) F.fault(where, `${F.quote(v)} is no 32 bytes in lowercase hex`);
    return /^0+$/.test(v) ? F.fault(where, "is 32 zero bytes") : v;
  };

  F.hexOf = (bytes) => function (v, where) {
    F.fromHex(F.string(v, where), where);
    return bytes === undefined || v.length === 2 * bytes ? v : F.fault(where, `has ${v.length / 2} bytes; ${bytes} are wanted`);
  };

  F.base64Of = (bytes) => function (v, where) {
    const data = F.fromBase64(F.string(v, where), where);
    return bytes === undefined || data.length === bytes ? data : F.fault(where, `has ${data.length} bytes; ${bytes} are wanted`);
  };

  F.distinct = function (list, key, where, what) {
    const seen = new Set();
    for (const x of list) {
      const k = key(x);
      if (seen.has(k)) F.fault(where, `has ${what} ${F.quote(k)} twice`);
      seen.add(k);
    }
  };
})((globalThis.fleetctlVerify ??= {}));
