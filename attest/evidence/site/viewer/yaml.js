// A strict reader of a part of SPEC 1.2's YAML: block mappings and lists, flow ones,
// scalars on one line, block scalars. What it doesn't read it refuses: a plan or a
// policy that is spread otherwise is for fleetctl alone. What it reads it reads as
// every reader of that section does.
(function (F) {
  "use strict";

  const refused = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufeff\u2028\u2029\u202a-\u202e\u2066-\u2069]|\r(?!\n)/;

  // Words that readers of YAML 1.1 take for booleans, and others that mean two things.
  const twoMeanings = new Set(["y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF",
    "True", "TRUE", "False", "FALSE", "Null", "NULL", "=", "<<"]);

  // What any YAML resolves to a number, and a little more.
  const numbers = [/^[-+]?[0-9][0-9_]*$/, /^[-+]?0[bB][01_]+$/, /^[-+]?0[oO][0-7_]+$/, /^[-+]?0[xX][0-9a-fA-F_]+$/,
    /^[-+]?(?:[0-9_]*|(?:[0-9][0-9_]*)?\.[0-9_]*)(?:[eE][-+]?[0-9_]+)?$/, /^[-+]?\.(?:inf|Inf|INF)$/, /^\.(?:nan|NaN|NAN)$/];

  const mostEntries = 1024;

  F.parseYAML = function (bytes, where, limit) {
    if (bytes.length > limit) F.fault(where, `has ${bytes.length} bytes; ${limit} are allowed`);
    const text = F.text(bytes, where);
    if (refused.test(text)) F.fault(where, "has a control character or one that moves what stands beside it");
    const lines = text.replaceAll("\r\n", "\n").split("\n");
    const whole = lines[lines.length - 1] === "";
    let at = 0; // the line that is read next

    const bad = (what, line = at) => F.fault(`${where}: line ${line + 1}`, what);
    const indentOf = (line) => /^ */.exec(line)[0].length;

    // next passes over blank lines and comments, and gives the indent of the line that
    // comes then, or -1.
    function next() {
      for (; at < lines.length; at++) {
        const line = lines[at];
        const n = indentOf(line);
        if (line.length === n || line[n] === "#") continue;
        if (line[n] === "\t") bad("begins with a TAB");
        if (n === 0 && /^(?:---|\.\.\.|%)/.test(line)) bad("a directive or a document's mark, which this reader doesn't read");
        return n;
      }
      return -1;
    }

    // ended holds that nothing goes on below a value on one line.
    function ended(parent) {
      if (next() > parent) bad("goes on from the value above it, in a form that this reader doesn't read");
    }

    function block(n, depth) {
      if (depth > 32) bad("more than 32 levels of nesting");
      if (/^-(?: |$)/.test(lines[at].slice(n))) return sequence(n, depth);
      return mapping(n, depth);
    }

    function sequence(n, depth) {
      const found = [];
      while (next() === n && /^-(?: |$)/.test(lines[at].slice(n))) {
        if (found.length === mostEntries) bad(`more than ${mostEntries} entries`);
        const rest = lines[at].slice(n + 1);
        const m = n + 1 + indentOf(rest);
        const inner = lines[at].slice(m);
        if (inner === "" || inner[0] === "#") {
          at++;
          found.push(below(n, depth));
        } else if (/^-(?: |$)/.test(inner) || keyOf(inner) !== null) {
          lines[at] = " ".repeat(m) + inner; // as if it stood on a line of its own
          found.push(block(m, depth + 1));
        } else {
          found.push(inline(m, n, depth));
        }
      }
      if (next() > n) bad("stands deeper than the list above it");
      return found;
    }

    // below is what stands on the lines after a key or a dash, or null.
    function below(n, depth, listToo = false) {
      const m = next();
      if (m > n || (m === n && listToo && /^-(?: |$)/.test(lines[at].slice(n)))) return block(m, depth + 1);
      return null;
    }

    // keyOf takes a line's key: its name and what stands after the colon.
    function keyOf(text) {
      let m = /^([A-Za-z_][A-Za-z0-9_.\-]*)[ ]*:(?: |$)/.exec(text);
      if (m) return { name: m[1], plain: true, rest: text.slice(m[0].length), length: m[0].length };
      m = /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')[ ]*:(?: |$)/.exec(text);
      return m ? { name: quotedAt(m[1], 0).value, plain: false, rest: text.slice(m[0].length), length: m[0].length } : null;
    }

    function mapping(n, depth) {
      const found = new Map();
      for (let m = next(); m === n; m = next()) {
        const key = keyOf(lines[at].slice(n));
        if (!key) {
          if (found.size > 0 && /^-(?: |$)/.test(lines[at].slice(n))) break; // a list's next entry, n being inside of it
          bad("is no key with a colon, in a form that this reader reads");
        }
        if (key.plain && typeof F.plainScalar(key.name, bad) !== "string") bad(`the key ${F.quote(key.name)} is no string`);
        if (found.has(key.name)) bad(`the key ${F.quote(key.name)} for the second time`);
        if (found.size === mostEntries) bad(`more than ${mostEntries} entries`);
        const gap = indentOf(key.rest);
        const inner = key.rest.slice(gap);
        if (inner === "" || inner[0] === "#") {
          at++;
          found.set(key.name, below(n, depth, true));
        } else {
          found.set(key.name, inline(n + key.length + gap, n, depth));
        }
      }
      if (next() > n) bad("stands deeper than the mapping above it");
      return found;
    }

    // inline reads a value that begins on this line at a column.
    function inline(column, parent, depth) {
      const line = lines[at];
      const c = line[column];
      if (c === "|" || c === ">") return blockScalar(line.slice(column), parent);
      if (c === "[" || c === "{") {
        const cursor = { column };
        const v = flow(cursor, parent, depth + 1);
        onlyComment(lines[at].slice(cursor.column));
        at++;
        ended(parent);
        return v;
      }
      let v;
      if (c === '"' || c === "'") {
        const q = quotedAt(line, column);
        onlyComment(line.slice(q.end));
        v = q.value;
      } else {
        v = plainLine(line.slice(column));
      }
      at++;
      ended(parent);
      return v;
    }

    function onlyComment(rest) {
      if (!/^ *$|^ +#/.test(rest)) bad(`${F.quote(rest.trim())} after a value`);
    }

    function plainLine(rest) {
      let text = rest.replace(/ #.*$/, "");
      let end = text.length;
      while (text[end - 1] === " ") end--; // an expression would try each space
      text = text.slice(0, end);
      if (/^[,[\]{}#&*!|>'"%@`]|^[-?:](?: |$)/.test(text)) bad(`a value that begins with ${F.quote(text[0])}: put it in quotes`);
      if (/: |:$|\t/.test(text)) bad("a colon or a TAB in a value: put it in quotes");
      return F.plainScalar(text, bad);
    }

    function quotedAt(line, from) {
      if (line[from] === "'") {
        const m = /^'((?:[^']|'')*)'/.exec(line.slice(from));
        return m ? { value: m[1].replaceAll("''", "'"), end: from + m[0].length } : bad("a quote without an end on its line");
      }
      const m = /^"((?:[^"\\]|\\.)*)"/.exec(line.slice(from));
      if (!m) bad("a quote without an end on its line");
      const value = m[1].replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))/gu, (_, x, u, c) => {
        if (x ?? u) {
          const code = parseInt(x ?? u, 16);
          if (code >= 0xd800 && code <= 0xdfff) bad("half a surrogate pair");
          return String.fromCharCode(code);
        }
        const i = '"\\/ntrbf'.indexOf(c);
        return i < 0 ? bad(`the escape ${F.quote("\\" + c)}, which this reader doesn't read`) : '"\\/\n\t\r\b\f'[i];
      });
      return { value, end: from + m[0].length };
    }

    function blockScalar(head, parent) {
      const m = /^([|>])([-+]?) *(?: #.*)?$/.exec(head);
      if (!m || !whole) bad("a block scalar in a form that this reader doesn't read");
      at++;
      const content = [];
      let indent = 0;
      for (; at < lines.length - 1; at++) {
        const line = lines[at];
        const n = indentOf(line);
        if (n < line.length) {
          if (indent === 0) {
            if (n <= parent) break;
            if (line[n] === "\t") bad("begins with a TAB");
            if (content.some((l) => l.length > n)) bad("follows a line of spaces that is longer");
            indent = n;
          }
          if (n < indent) break;
        }
        content.push(line);
      }
      if (indent === 0) bad("a block scalar without text");
      const text = content.map((l) => l.slice(indent));
      let end = text.length;
      while (text[end - 1] === "") end--;
      if (text.slice(end).some((l) => l !== "") || content.slice(end).some((l) => l !== "")) bad("spaces at the end of a block scalar");
      const kept = text.slice(0, end);
      if (m[1] === ">" && kept.some((l) => /^[ \t]/.test(l))) bad("a folded scalar in a form that this reader doesn't read");
      if (kept[0] === "" || content.slice(0, end).some((l, i) => text[i] === "" && l !== "")) bad("a block scalar with blank lines that this reader doesn't read");
      const joined = m[1] === "|" ? kept.join("\n") : kept.join("\n").replace(/\n+/g, (breaks) => (breaks.length === 1 ? " " : breaks.slice(1)));
      ended(parent);
      return joined + (m[2] === "-" ? "" : m[2] === "+" ? "\n".repeat(1 + text.length - end) : "\n");
    }

    // ---- flow style ----

    // skip passes over spaces, comments and the ends of lines inside brackets.
    function skip(cursor, parent) {
      for (;;) {
        const line = lines[at];
        while (line[cursor.column] === " ") cursor.column++;
        const c = line[cursor.column];
        if (c !== undefined && !(c === "#" && (cursor.column === 0 || line[cursor.column - 1] === " "))) return c;
        at++;
        const n = next();
        if (n <= parent) bad("brackets that aren't closed, or not in a form that this reader reads");
        cursor.column = n;
      }
    }

    function flow(cursor, parent, depth) {
      if (depth > 32) bad("more than 32 levels of nesting");
      const open = lines[at][cursor.column++];
      const close = open === "[" ? "]" : "}";
      const found = open === "[" ? [] : new Map();
      for (;;) {
        if (skip(cursor, parent) === close) { cursor.column++; return found; }
        if ((open === "[" ? found.length : found.size) === mostEntries) bad(`more than ${mostEntries} entries`);
        if (open === "[") {
          found.push(flowValue(cursor, parent, depth));
        } else {
          const key = flowValue(cursor, parent, depth);
          if (typeof key !== "string") bad("a key that is no string");
          if (found.has(key)) bad(`the key ${F.quote(key)} for the second time`);
          if (skip(cursor, parent) !== ":" || lines[at][cursor.column + 1] !== " ") bad("no colon and space after a key");
          cursor.column++;
          skip(cursor, parent);
          found.set(key, flowValue(cursor, parent, depth));
        }
        const c = skip(cursor, parent);
        if (c === ",") cursor.column++;
        else if (c !== close) bad("no comma between entries");
      }
    }

    function flowValue(cursor, parent, depth) {
      const line = lines[at];
      const c = line[cursor.column];
      if (c === "[" || c === "{") return flow(cursor, parent, depth + 1);
      if (c === '"' || c === "'") {
        const q = quotedAt(line, cursor.column);
        cursor.column = q.end;
        return q.value;
      }
      const m = /^[A-Za-z0-9_.+\/=~](?:[A-Za-z0-9_.+\/=~@-]|:(?![ ,\]}]|$)| (?=[A-Za-z0-9_.+\/=~@-]))*/.exec(line.slice(cursor.column));
      if (!m) bad("a value in brackets in a form that this reader doesn't read");
      cursor.column += m[0].length;
      return F.plainScalar(m[0], bad);
    }

    const n = next();
    if (n < 0) F.fault(where, "is empty");
    const found = block(n, 1);
    if (next() >= 0) bad("doesn't belong to what stands above it");
    if (!(found instanceof Map)) F.fault(where, "is no mapping");
    return found;
  };

  // parseYAMLFile reads a file that people write: its first member names its format.
  F.parseYAMLFile = function (bytes, where, format) {
    const found = F.parseYAML(bytes, where, F.LIMITS.yaml);
    if (found.keys().next().value !== "format" || found.get("format") !== format) F.fault(where, `its first member is not format: ${format}`);
    return found;
  };

  // plainScalar says what a scalar without quotes is.
  F.plainScalar = function (text, bad) {
    if (text === "" || text === "null" || text === "~") return null;
    if (text === "true" || text === "false") return text === "true";
    if (twoMeanings.has(text) || /^[-+]?[0-9][0-9_]*:[0-9]/.test(text)) return bad(`${F.quote(text)} means two things: put it in quotes`);
    if (/^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}/.test(text)) return F.parseTime(text) === null ? bad(`${F.quote(text)} begins as a day: put it in quotes`) : text;
    if (numbers.some((n) => n.test(text))) {
      const n = Number(text);
      if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text) || n > Number.MAX_SAFE_INTEGER) return bad(`${F.quote(text)} is a number and no integer from 0 to 2^53-1: put it in quotes`);
      return n;
    }
    return text;
  };
})((globalThis.fleetctlVerify ??= {}));
