// The page on which a reader checks a package. What readers give it is read in this
// tab and goes nowhere. All that a package, a policy or a file's name says is put on
// the page as text.
"use strict";
(() => {
  const F = globalThis.fleetctlVerify;
  const $ = (id) => document.getElementById(id);
  const most = { policy: 512 << 10, package: 64 << 20, proof: 1 << 20, proofs: 32 };
  const given = { policy: null, package: null, proofs: [] };
  const turn = { policy: 0, package: 0, proofs: 0 };
  let asked = 0; // a question that was changed has no answer

  // make is an element with texts and elements in it.
  function make(tag, attributes, ...inside) {
    const e = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    e.append(...inside);
    return e;
  }

  function hex(bytes) {
    return [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, "0")).join("");
  }

  const digest = async (bytes) => hex(await crypto.subtle.digest("SHA-256", bytes));

  const folded = (sum) =>
    make("details", { class: "digest" }, make("summary", {}, "SHA-256 ", make("code", {}, sum.slice(0, 16)), "…"), make("code", { class: "whole" }, sum));

  const size = (n) => (n === 1 ? "1 byte" : `${n.toLocaleString("en")} bytes`);
  const clip = (name) => ([...name].length > 80 ? [...name].slice(0, 79).join("") + "…" : name);
  // A file's name is foreign text: what can't be seen or turns the line around is written out.
  const named = (name) => clip(name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`));

  // nothing takes an earlier answer away: it was to another question.
  function nothing(more) {
    asked++;
    $("result").hidden = true;
    $("outcome").replaceChildren();
    say("note verdict", "Nothing is verified here.", more);
  }

  function say(kind, strong, more) {
    $("verdict").className = kind;
    $("verdict").replaceChildren(make("strong", {}, strong), " " + more);
  }

  const missing = () =>
    !given.policy && !given.package ? "Give your policy and a package." : !given.policy ? "Give your policy: without keys of your own nothing can be verified." : !given.package ? "Give a package." : "Press “Check it”.";

  async function read(file, limit, what) {
    if (file.size > limit) throw new Error(`${named(file.name)} has ${size(file.size)}, ${what} has at most ${size(limit)}`);
    return new Uint8Array(await file.arrayBuffer());
  }

  // What is given is read to {value, said}: what to keep, and what the page says of it.
  const aPolicy = async (bytes, name) => ({ value: bytes, said: [`${named(name)}, ${size(bytes.length)}`, folded(await digest(bytes))] });

  async function aPackage(file) {
    const bytes = await read(file, most.package, "a package");
    const sum = await digest(bytes);
    const here = [...document.querySelectorAll("[data-sha256]")].find((e) => e.dataset.sha256 === sum);
    const told = here ? `It is, byte for byte, what this site says it publishes as ${here.dataset.name}.` : "It is no package that this site says it publishes.";
    return { value: bytes, said: [`${named(file.name)}, ${size(bytes.length)}. `, told, folded(sum)] };
  }

  async function someProofs(files) {
    if (files.length > most.proofs) throw new Error(`${files.length} proofs are given, ${most.proofs} are allowed`);
    const value = await Promise.all(files.map((f) => read(f, most.proof, "a proof")));
    return { value, said: [files.map((f) => `${named(f.name)}, ${size(f.size)}`).join("; ")] };
  }

  const none = {
    policy: { value: null, said: ["No policy is given."] },
    package: { value: null, said: ["No package is given."] },
    proofs: { value: [], said: ["No proof is given."] },
  };

  // take reads one thing that was given. What was given before is forgotten at once,
  // and what is read late, after something else was given in its place, too.
  async function take(what, work) {
    const mine = ++turn[what];
    const keep = ({ value, said }) => {
      given[what] = value;
      $(`${what}-given`).replaceChildren(...said);
    };
    keep(none[what]);
    nothing("Reading …");
    let more;
    try {
      const got = (await work()) ?? none[what];
      if (mine === turn[what]) keep(got);
    } catch (e) {
      more = e.message;
    }
    if (mine === turn[what]) nothing(more ?? missing());
  }

  const aPolicyFile = async (file) => aPolicy(await read(file, most.policy, "a policy"), file.name);

  // dropped finds out what a file is by what is in it.
  async function dropped(files) {
    for (const file of files) {
      const head = new Uint8Array(await file.slice(0, 512).arrayBuffer());
      const text = new TextDecoder("latin1").decode(head);
      if (text.slice(257, 262) === "ustar") await take("package", () => aPackage(file));
      else if (text.startsWith("c2sp.org/tlog-proof")) await take("proofs", () => someProofs([file]));
      else await take("policy", () => aPolicyFile(file));
    }
  }

  const words = { true: "shown", false: "FALLS SHORT", null: "not checked here" };

  // table is a table of rows in a box that scrolls by itself.
  function table(label, head, rows) {
    const body = make("tbody", {}, ...rows);
    return make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label },
      make("table", {}, make("thead", {}, make("tr", {}, ...head.map((h) => make("th", {}, h)))), body));
  }

  function show(answer) {
    const strong = answer.accepted ? "Nothing wrong was found, as far as this viewer checks." : "Refused.";
    const parts = [make("p", {}, make("strong", {}, strong), ` ${answer.verdict}.`)];
    const wide = (text, kind) => make("td", { class: kind ?? "wide" }, text);
    if (answer.problems.length > 0) {
      parts.push(make("h3", {}, "What is wrong"), table("What is wrong", ["where", "what"],
        answer.problems.slice(0, 100).map((p) => make("tr", { class: "grave" }, wide(p.where, "wide what"), wide(p.what)))));
    }
    const demanded = answer.claims.filter((c) => c.demanded !== "");
    // Where nothing could be judged there are no claims, and a table of none would look like one of good ones.
    if (demanded.length > 0) parts.push(make("h3", {}, "What your policy demands"), table("What your policy demands", ["claim", "here", "grade", "demanded", "because"],
      demanded.map((c) => make("tr", { class: c.ok === false ? "grave" : "planned" }, make("th", { scope: "row" }, c.id),
        wide(words[c.ok], c.ok === false ? "grave" : "state"), wide(c.grade, "state"), wide(c.demanded, "state"), wide(c.why)))));
    if (answer.notChecked.length > 0) {
      parts.push(make("h3", {}, "Not checked here"), make("ul", {}, ...answer.notChecked.map((text) => make("li", {}, text))), make("p", {}, "fleetctl checks these too."));
    }
    $("command").textContent = answer.command.join(" ");
    $("outcome").replaceChildren(...parts);
    $("result").hidden = false;
    say(answer.accepted ? "note verdict" : "note verdict bad", strong, answer.verdict + ".");
    $("result-h").focus();
  }

  async function check() {
    nothing(missing());
    if (!given.policy || !given.package) return;
    const mine = asked;
    say("note verdict", "Checking …", "");
    await new Promise((done) => setTimeout(done, 20)); // so that this is seen
    const question = { policy: given.policy, proofs: given.proofs, time: $("time").value.trim() };
    if ($("aborted").checked) question.expect = "abort";
    else if ($("destroyed").checked) question.expect = "destruction";
    try {
      const answer = await F.verifyPackage(given.package, question);
      if (mine === asked) show(answer);
    } catch (e) {
      if (mine === asked) say("note verdict bad", "Nothing is verified here.", `This browser could not run the check: ${e.message}`);
    }
  }

  function begin() {
    const now = () => new Date().toISOString().slice(0, 19) + "Z";
    $("time").value = now();
    if (!globalThis.crypto?.subtle || !F?.verifyPackage) {
      say("note verdict bad", "Nothing is verified here.", "This browser offers this page no cryptography: open it from a disk or over https, or use fleetctl.");
      $("check").disabled = true;
      return;
    }
    // What a browser kept in the fields of an earlier visit was not given now.
    for (const id of ["policy-file", "policy-text", "package-file", "proof-files"]) $(id).value = "";
    const chosen = (id, what, work) => $(id).addEventListener("change", (e) => e.target.files.length > 0 && take(what, () => work([...e.target.files])));
    chosen("policy-file", "policy", ([file]) => aPolicyFile(file));
    chosen("package-file", "package", ([file]) => aPackage(file));
    chosen("proof-files", "proofs", someProofs);
    $("policy-text").addEventListener("input", (e) => take("policy", async () => e.target.value.trim() !== "" ? aPolicy(new TextEncoder().encode(e.target.value), "The text above") : undefined));
    $("time").addEventListener("input", () => nothing(missing()));
    for (const id of ["aborted", "destroyed"]) $(id).addEventListener("change", () => nothing(missing()));
    $("check").addEventListener("click", check);
    document.addEventListener("dragover", (e) => e.preventDefault());
    document.addEventListener("drop", (e) => {
      e.preventDefault();
      dropped([...e.dataTransfer.files]);
    });
  }

  begin();
})();
