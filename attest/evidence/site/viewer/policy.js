// A verifier's policy (SPEC 18.1): what it pins, who is whose, what it demands. A
// member that isn't known is refused; it never comes from what is judged.
(function (F) {
  "use strict";

  // Each claim's best grade, and what has to be pinned for it.
  const best = {
    "mode": "proven", "plan.approved": "proven", "key.generated": "device", "key.nonexportable": "device", "key.possession": "proven",
    "key.agreement": "attested", "key.attested": "attested", "fleet.checked": "attested", "signoffs.release": "proven", "statement.signed": "proven",
    "countersigned": "proven", "countersigner.attested": "attested", "log.included": "proven", "log.witnessed": "proven", "rekor.included": "proven",
    "fleet.drilled": "attested", "lockdown": "attested", "signoffs.close": "proven", "evidence.bound": "proven", "page": "proven", "evidence.logged": "proven", "abort.signed": "proven", "keys.destroyed": "attested",
  };
  const restsOn = {
    "countersigned": "operators", "log.included": "log_policy", "log.witnessed": "log_policy", "evidence.logged": "log_policy", "plan.approved": "people",
    "signoffs.release": "people", "signoffs.close": "people", "abort.signed": "people", "keys.destroyed": "people", "key.attested": "attestation", "countersigner.attested": "attestation",
    "rekor.included": "rekor",
  };

  function attestationShape() {
    const level = F.oneOf("module-claimed", "vendor-signed", "anchored", "fresh");
    const list = (shape, key = String) => F.optional((v, where) => {
      const found = F.list(shape, 1, 64)(v, where);
      F.distinct(found, key, where, "the entry");
      return found;
    });
    const version = (v, where) => (/^[0-9]+(?:\.[0-9]+)*$/.test(F.string(v, where)) ? v : F.fault(where, "is no version"));
    const text = F.textOf(500);
    return F.object({
      least: level, countersigner: F.optional(level), vendors: list(F.token), models: list(F.textOf(255)),
      firmware: list(F.object({ model: F.optional(F.textOf(255)), least: version }), (x) => x.model ?? ""), fips_boot: F.optional(F.bool), fips_level: F.optional(F.int(1, 4)),
      sign_only: F.optional(F.bool), understood: F.optional(F.bool), tolerates: list(F.token),
      anchors: F.optional(F.list(F.object({
        vendor: F.token, name: text, operator: F.optional(text), formats: F.list(F.token, 1), spki_sha256: F.hex32, certificate: F.optional(F.base64Of()),
        key: F.optional(F.base64Of()), origin: text, check: text, confirmed: F.optional(text), not_after: F.optional(F.timeOf),
      }), 1, 256)),
    });
  }

  function shapes() {
    const list = (shape) => F.list(shape, 1, 1024);
    const confirmed = F.optional(F.string);
    const window = F.optional(F.window);
    const org = F.optional(F.token);
    const claims = (v, where) => {
      if (!(v instanceof Map) || v.size === 0) F.fault(where, "demands no claim");
      for (const [id, grade] of v) {
        if (!Object.hasOwn(best, id)) F.fault(where, `demands ${F.quote(id)}, which is no claim that this verifier knows`);
        if (!F.GRADES.includes(grade) || grade === "not shown") F.fault(where, `demands the grade ${F.quote(grade)}`);
        if (F.GRADES.indexOf(grade) > F.GRADES.indexOf(best[id])) F.fault(where, `demands ${id} above its best grade, ${best[id]}`);
      }
      return v;
    };
    return F.object({
      format: F.string, mode: F.oneOf(...F.MODES), namespaces: list(F.token), threshold: F.optional(F.int(1)),
      people: F.optional(list(F.object({ name: F.token, role: F.oneOf("officer", "witness", "auditor"), key: F.string, confirmed, window, org }))),
      third_parties: list(F.object({ name: F.token, key: F.base64Of(32), confirmed, window, org })), third_parties_needed: F.int(1),
      operators: F.optional(list(F.object({ name: F.token, algorithm: F.oneOf(...F.ALGORITHMS), key: F.base64Of(), form: F.oneOf("bound", "signature"), confirmed, window, org }))),
      require_all: F.optional(list(F.token)), additional_keys: F.optional(list(F.object({ name: F.token, algorithm: F.oneOf(...F.ALGORITHMS), key: F.base64Of(), confirmed, window }))),
      log_policy: F.optional(F.string), log_windows: F.optional(list(F.object({ key: F.string, window: F.window }))), log_confirmed: confirmed,
      rekor: F.optional(F.object({
        logs: list(F.object({ name: F.token, version: F.int(1, 2), origin: F.string, key: F.string, confirmed, org })),
        submitters: list(F.object({ name: F.token, key: F.string, confirmed, window, org })),
      })),
      log_org: org, witness_orgs: F.optional(list(F.object({ name: F.token, org: F.token }))),
      allows: F.optional(list(F.object({ one_key: F.optional(list(F.string)), one_org: F.optional(list(F.string)) }))),
      tolerates: F.optional(list(F.oneOf(...F.RELAXING))), attestation: F.optional(F.shape("attestation", attestationShape)),
      succession: F.optional(F.object({ threshold: F.int(1), keys: list(F.object({ name: F.token, key: F.string, confirmed, window })) })),
      sites: F.optional(F.object({ least: F.optional(F.int(1, 1024)), no_site_majority: F.optional(F.bool), no_vendor_majority: F.optional(F.bool) })),
      claims,
    });
  }

  F.parsePolicy = function (bytes) {
    const where = "policy";
    const p = F.shape("policy", shapes)(F.parseYAMLFile(bytes, where, "fleetctl policy v1"), where);
    for (const n of p.namespaces) F.checkMode(p.mode, n, where);
    p.people ??= [];
    p.operators ??= [];
    p.additional_keys ??= [];
    readPeople(p, where);
    readParties(p, where);
    readRequired(p, where);
    readLog(p, where);
    readRekor(p, where);
    readKeepers(p, where);
    F.distinct(p.attestation?.anchors ?? [], (a) => `${a.vendor} ${a.spki_sha256}`, where, "the anchor");
    if (p.sites && Object.keys(p.sites).length === 0) F.fault(where, "demands nothing of sites");
    if (p.sites?.no_vendor_majority && !p.attestation) F.fault(where, "demands no_vendor_majority without attestation");
    F.distinct(p.tolerates ?? [], (t) => t, where, "tolerates");
    readAllowed(p, where);
    readOrgs(p, where);
    for (const id of p.claims.keys()) {
      const need = restsOn[id];
      if (need && (p[need] === undefined || p[need].length === 0)) F.fault(where, `demands ${id} and has no ${need}`);
    }
    p.unpinned = unpinned(p);
    return p;
  };

  function readPeople(p, where) {
    for (const x of p.people) x.ssh = F.sshKey(x.key, `${where}: key of ${x.name}`);
    const roles = new Map();
    for (const x of p.people) {
      if ((roles.get(x.name) ?? x.role) !== x.role) F.fault(where, `has ${F.quote(x.name)} in two roles`);
      roles.set(x.name, x.role);
    }
    const officers = new Set(p.people.filter((x) => x.role === "officer").map((x) => x.name)).size;
    if ((p.people.length > 0) !== (p.threshold !== undefined)) F.fault(where, "has a threshold without people, or people without a threshold");
    if (p.threshold !== undefined && (p.threshold > officers || (p.mode === "production" && p.threshold < 2))) F.fault(where, `has a threshold of ${p.threshold} of ${officers} officers`);
  }

  function readParties(p, where) {
    for (const t of p.third_parties) t.same = F.rawKey("ed25519", t.key, `${where}: key of ${t.name}`).same;
    const names = new Set(p.third_parties.map((t) => t.name));
    if (p.third_parties_needed > names.size) F.fault(where, `needs ${p.third_parties_needed} of ${names.size} third parties`);
    for (const o of p.operators) {
      if (F.useOf(o.algorithm) !== "sign") F.fault(where, `has the operator ${o.name}, whose key doesn't sign`);
      o.admitted = F.admit(o.key, o.algorithm, `${where}: key of ${o.name}`);
      if (names.has(o.name)) F.fault(where, `has ${F.quote(o.name)} as third party and operator`);
    }
  }

  // readRequired: of whom a classical and a post-quantum signature must both count.
  function readRequired(p, where) {
    p.requires = new Set(p.require_all ?? []);
    F.distinct(p.require_all ?? [], (name) => name, where, "in require_all");
    if (p.requires.size + p.additional_keys.length > 0 && p.operators.length === 0) F.fault(where, "requires both signatures of somebody, and without operators it judges no bundle");
    for (const k of p.additional_keys) {
      k.admitted = F.admitMLDSA(k.key, k.algorithm, `${where}: additional key of ${k.name}`);
      if (!p.third_parties.some((t) => t.name === k.name)) F.fault(where, `has an additional key of ${F.quote(k.name)}, which is no third party`);
      if (!p.requires.has(k.name)) F.fault(where, `has an additional key of ${k.name}, and requires nothing of it`);
    }
    F.distinct(p.operators.filter((o) => !p.requires.has(o.name)), (o) => o.name, where, "the operator");
    for (const name of p.requires) {
      const operators = p.operators.filter((o) => o.name === name);
      if (operators.some((o) => o.form !== "bound")) F.fault(where, `requires both signatures of ${name} in the form signature, which leaves out what third parties added`);
      const kinds = [...p.third_parties.filter((t) => t.name === name).map(() => "classical"), ...[...operators, ...p.additional_keys.filter((k) => k.name === name)].map((x) => F.groupOf(x.admitted))];
      if (new Set(kinds).size < 2) F.fault(where, `requires both signatures of ${F.quote(name)}, of whom it doesn't have both a classical and a post-quantum key`);
    }
  }

  function readLog(p, where) {
    p.logWindows = new Map();
    p.silent = new Set();
    p.log = p.log_policy === undefined ? null : F.parseLogPolicy(p.log_policy, `${where}: log_policy`);
    const keys = p.log ? [...p.log.logs, ...p.log.witnesses.values()] : [];
    if (p.log && p.log.logs.length === 0) F.fault(where, "has a log_policy without a log");
    if (!p.log && (p.log_windows || p.log_confirmed || p.log_org || p.witness_orgs)) F.fault(where, "says something of a log, and has no log_policy");
    for (const { key, window } of p.log_windows ?? []) {
      if (!keys.some((k) => k.text === key)) F.fault(where, `has a window of ${F.quote(key)}, which isn't in its log_policy`);
      if (p.logWindows.has(key)) F.fault(where, `has two windows of ${F.quote(key)}`);
      p.logWindows.set(key, window);
    }
    if (p.requires.size > 0) { // what dates signatures is as strong as they are
      if (!p.log || p.log.quorum === "none") F.fault(where, "requires post-quantum signatures, and names no quorum of witnesses to date them");
      for (const [name, key] of p.log.witnesses) if (key.type !== 6) p.silent.add(name);
      if (!reachable(p)) F.fault(where, "requires post-quantum signatures, and has a quorum that witnesses with ML-DSA-44 keys can't meet");
    }
    if (p.claims.has("log.witnessed") && p.log && p.log.quorum === "none") F.fault(where, "demands log.witnessed, and its quorum is none");
  }

  const reachable = (p) => F.meets(p.log, new Set([...p.log.witnesses.keys()].filter((n) => !p.silent.has(n))));

  // spkiText reads an SPKI in base64 or PEM.
  function spkiText(text, where) {
    const pem = /^-----BEGIN PUBLIC KEY-----\n((?:[A-Za-z0-9+\/=]{1,64}\n)+)-----END PUBLIC KEY-----\n?$/.exec(text);
    return F.admitSigner(F.fromBase64(pem ? pem[1].replaceAll("\n", "") : text, where), where);
  }

  // readRekor reads whose keys these are. What Rekor's entries show isn't checked here.
  function readRekor(p, where) {
    for (const l of p.rekor?.logs ?? []) l.same = (/^[^+]+\+[0-9a-f]{8}\+/.test(l.key) ? F.vkey(l.key, [1, 2], where) : spkiText(l.key, where)).same;
    for (const s of p.rekor?.submitters ?? []) s.same = spkiText(s.key, where).same;
    F.distinct(p.rekor?.logs ?? [], (l) => `${l.version} ${l.same}`, where, "the log's key");
  }

  // readKeepers reads who signs which policy follows. That isn't judged here.
  function readKeepers(p, where) {
    const keepers = p.succession?.keys ?? [];
    for (const k of keepers) k.ssh = F.sshKey(k.key, `${where}: key of ${k.name}`);
    F.distinct(keepers, (k) => k.name, where, "the keeper");
    if (p.succession && p.succession.threshold > keepers.length) F.fault(where, `has a threshold of ${p.succession.threshold} of ${keepers.length} keepers`);
  }

  // holdersOfPolicy are the keys that it pins.
  F.holdersOfPolicy = function* (p) {
    for (const x of p.people) for (const same of x.ssh.sames) yield { part: "person", name: x.name, same };
    for (const t of p.third_parties) yield { part: "third party", name: t.name, same: t.same };
    for (const k of p.additional_keys) yield { part: "third party", name: k.name, same: k.admitted.same };
    for (const o of p.operators) yield { part: "operator", name: o.name, same: o.admitted.same };
    for (const k of p.log?.logs ?? []) yield { part: "log", name: k.name, same: k.same };
    for (const [name, k] of p.log?.witnesses ?? []) yield { part: "witness", name, same: k.same };
    for (const l of p.rekor?.logs ?? []) yield { part: "log", name: l.name, same: l.same };
    for (const s of p.rekor?.submitters ?? []) yield { part: "submitter", name: s.name, same: s.same };
    for (const k of p.succession?.keys ?? []) for (const same of k.ssh.sames) yield { part: "keeper", name: k.name, same };
  };

  const parts = ["person", "third party", "operator", "log", "witness", "submitter", "keeper", "fleet key"];

  // readAllowed reads allows, and holds that no two holders have one key else.
  function readAllowed(p, where) {
    p.allowed = [];
    const said = (text) => {
      const part = parts.find((x) => text.startsWith(x + " "));
      return part ? { part, name: text.slice(part.length + 1), text } : F.fault(where, `allows something of ${F.quote(text)}, which is no part and name`);
    };
    for (const a of p.allows ?? []) {
      const pair = (a.one_key ?? a.one_org)?.map(said);
      if (!pair || (a.one_key && a.one_org) || pair.length !== 2) F.fault(where, "allows something else than one_key or one_org of two");
      if (a.one_org && !(pair.some((x) => x.part === "witness") && pair.some((x) => x.part === "third party" || x.part === "operator"))) F.fault(where, "allows one_org of others than a witness and a third party or an operator");
      p.allowed.push({ kind: a.one_key ? "one_key" : "one_org", pair, used: false });
    }
    const seen = new Map();
    for (const h of F.holdersOfPolicy(p)) {
      const before = seen.get(h.same);
      if (before?.part === "log" && h.part === "log") continue; // two entries of one key are one log
      if (before && !F.allowsOneKey(p, before, h)) F.fault(where, `has one key of ${before.part} ${F.quote(before.name)} and ${h.part} ${F.quote(h.name)}: two voices of one`);
      if (!before) seen.set(h.same, h);
    }
  }

  // allowsOneKey says whether a policy takes one key of two parts, and notes that it was so.
  F.allowsOneKey = function (p, a, b) {
    const both = new Set([a.part, b.part]);
    if (a.part === b.part || (both.has("third party") && both.has("operator"))) return false;
    return allowed(p, "one_key", `${a.part} ${a.name}`, `${b.part} ${b.name}`);
  };

  function allowed(p, kind, a, b) {
    const hit = p.allowed.find((x) => x.kind === kind && ((x.pair[0].text === a && x.pair[1].text === b) || (x.pair[0].text === b && x.pair[1].text === a)));
    if (hit) hit.used = true;
    return hit !== undefined;
  }

  // readOrgs: whose words add nothing to each other's.
  function readOrgs(p, where) {
    const orgs = new Map();
    const whose = (part, name, org) => {
      const key = `${part} ${name}`;
      const known = orgs.get(key);
      if (known !== undefined && known !== (org ?? name)) F.fault(where, `has ${key} in two organisations`);
      orgs.set(key, org ?? name);
    };
    for (const x of p.people) if (x.org) whose("person", x.name, x.org);
    for (const t of p.third_parties) whose("third party", t.name, t.org);
    for (const o of p.operators) whose("operator", o.name, o.org);
    const parties = [...orgs].filter(([k]) => /^(?:third party|operator) /.test(k));
    for (const [a, orgA] of parties) {
      for (const [b, orgB] of parties) {
        if (a !== b && orgA === orgB && a.startsWith("third party ")) F.fault(where, `has ${a} and ${b} of one organisation: the second's word would add nothing`);
      }
    }
    const said = new Map();
    for (const w of p.witness_orgs ?? []) {
      if (!p.log.witnesses.has(w.name) || said.has(w.name)) F.fault(where, `says twice, or of no witness, whose ${F.quote(w.name)} is`);
      said.set(w.name, w.org);
    }
    for (const name of p.log?.witnesses.keys() ?? []) {
      for (const [party, org] of parties) {
        if ((said.get(name) ?? name) === org && !allowed(p, "one_org", `witness ${name}`, party)) p.silent.add(name);
      }
    }
    if (p.log && p.log.quorum !== "none" && !reachable(p)) F.fault(where, "has a quorum that can't be met without a witness who is a party's own");
    for (const a of p.allowed) {
      if (!a.used && !a.pair.some((x) => x.part === "fleet key")) F.fault(where, `allows ${a.kind} of ${a.pair[0].text} and ${a.pair[1].text}, and it isn't so`);
    }
  }

  const blank = (s) => s === undefined || s.trim() === "";

  function unpinned(p) {
    const names = [];
    for (const x of [...p.people, ...p.third_parties, ...p.additional_keys, ...p.operators, ...(p.rekor?.logs ?? []), ...(p.rekor?.submitters ?? []), ...(p.succession?.keys ?? []), ...(p.attestation?.anchors ?? [])]) {
      if (blank(x.confirmed)) names.push(x.name);
    }
    if (p.log && blank(p.log_confirmed)) names.push("log_policy");
    return names;
  }
})((globalThis.fleetctlVerify ??= {}));
