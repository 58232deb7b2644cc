// A page that only shows text (SPEC 17.6): no scripts, handlers, links, frames, nothing
// that is loaded. Whether it is the page that fleetctl renders isn't checked here.
(function (F) {
  "use strict";

  const elements = new Set(("html head meta title style body header footer main section article div span p h1 h2 h3 h4 h5 h6 dl dt dd ul ol li table caption " +
    "colgroup col thead tbody tfoot tr th td code pre em strong b i small sub sup br hr details summary time abbr blockquote").split(" "));
  const attributes = new Set("class id lang dir title colspan rowspan scope span datetime open".split(" "));
  const functions = new Set("var calc min max clamp minmax repeat rgb rgba hsl hsla not and or".split(" "));
  const metaNames = new Set(["generator", "viewport", "color-scheme", "description", "author"]);

  F.checkPage = function (bytes) {
    const where = "index.html";
    if (bytes.length > F.LIMITS.page) F.fault(where, "is too large");
    const text = F.text(bytes, where);
    if (/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufeff]/.test(text)) F.fault(where, "has a control character");
    if (!/^<!doctype html>/i.test(text)) F.fault(where, "doesn't begin with <!doctype html>");
    let at = "<!doctype html>".length;
    let version;
    const tag = /<([A-Za-z][A-Za-z0-9]*)((?:[ \n\t]+[A-Za-z][A-Za-z-]*(?:="[^"<>]*")?)*)[ \n\t]*>|<\/([A-Za-z][A-Za-z0-9]*)[ \n\t]*>/y;
    for (at = text.indexOf("<", at); at >= 0; at = text.indexOf("<", at)) {
      tag.lastIndex = at;
      const m = tag.exec(text);
      if (!m) F.fault(where, `has ${F.quote(text.slice(at, at + 30))}, which is no tag of a page that only shows text`);
      const name = (m[1] ?? m[3]).toLowerCase();
      if (!elements.has(name)) F.fault(where, `has the element ${F.quote(name)}`);
      at += m[0].length;
      if (m[3] !== undefined) continue;
      const given = readAttributes(m[2], where);
      if (name === "meta") {
        const generator = checkMeta(given, where);
        if (generator !== undefined && version !== undefined) F.fault(where, "names its version twice");
        version ??= generator;
        continue;
      }
      for (const a of given.keys()) if (!attributes.has(a)) F.fault(where, `has the attribute ${F.quote(a)}`);
      if (name !== "style" && name !== "title") continue;
      const end = text.indexOf("<", at);
      const close = new RegExp(`^</${name}[ \\n\\t]*>`, "i");
      if (end < 0 || !close.test(text.slice(end, end + 64))) F.fault(where, `has something within ${name}`);
      if (name === "style") checkStyle(text.slice(at, end), where);
    }
    return version;
  };

  function readAttributes(text, where) {
    const found = new Map();
    for (const m of text.matchAll(/[ \n\t]+([A-Za-z][A-Za-z-]*)(?:="([^"<>]*)")?/g)) {
      const name = m[1].toLowerCase();
      if (found.has(name)) F.fault(where, `has the attribute ${F.quote(name)} twice`);
      found.set(name, m[2]);
    }
    return found;
  }

  function checkMeta(given, where) {
    const names = [...given.keys()].sort().join(" ");
    if (names === "charset" && /^utf-8$/i.test(given.get("charset") ?? "")) return undefined;
    if (names === "content http-equiv" && /^content-security-policy$/i.test(given.get("http-equiv") ?? "")) return undefined;
    const name = (given.get("name") ?? "").toLowerCase();
    if (names === "content name" && metaNames.has(name)) return name === "generator" ? given.get("content") ?? "" : undefined;
    return F.fault(where, "has a meta of another form");
  }

  function checkStyle(style, where) {
    if (style.includes("\\")) F.fault(where, "has a \\ in its style");
    for (const m of style.matchAll(/@([A-Za-z-]*)/g)) if (m[1] !== "media") F.fault(where, `has @${m[1]} in its style`);
    for (const m of style.matchAll(/([^\s(){}:;,+*\/]*)\(/g)) {
      if (m[1] !== "" && !functions.has(m[1])) F.fault(where, `has ${F.quote(m[1] + "(")} in its style`);
    }
  }
})((globalThis.fleetctlVerify ??= {}));
