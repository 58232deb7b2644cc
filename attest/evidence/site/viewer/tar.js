// The archive's one form and its MANIFEST (SPEC 17.2).
(function (F) {
  "use strict";

  F.LIMITS = { package: 67108864, manifest: 1048576, files: 8192, path: 100, yaml: 524288, transcript: 16777216, bundle: 65535, proof: 262144, page: 4194304 };

  const block = 512;

  // A path's segments are tokens, not . or ..
  F.isPath = (path) => F.size(path) <= F.LIMITS.path && path.split("/").every((s) => F.isToken(s) && s !== "." && s !== "..");

  // header is the one that a file has: ustar, mode 0644, all else zero or empty; octal
  // numbers fill their fields but for a NUL at the end, the checksum's six digits are
  // followed by NUL and a space.
  function header(path, size) {
    const h = new Uint8Array(block);
    const put = (at, text) => h.set(F.utf8(text), at);
    const octal = (n, digits) => n.toString(8).padStart(digits, "0");
    put(0, path);
    put(100, octal(0o644, 7));
    for (const at of [108, 116, 329, 337]) put(at, octal(0, 7)); // uid, gid, device numbers
    put(124, octal(size, 11));
    put(136, octal(0, 11));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\u000000");
    put(148, octal(h.reduce((sum, b) => sum + b, 0), 6) + "\u0000 ");
    return h;
  }

  // readTar gives the files of an archive by path. What it read it would pack to the
  // same bytes: each header is made again, and compared.
  F.readTar = function (bytes) {
    const where = "archive";
    if (bytes.length > F.LIMITS.package) F.fault(where, `has ${bytes.length} bytes; ${F.LIMITS.package} are allowed`);
    if (bytes.length % block !== 0 || bytes.length < 2 * block) F.fault(where, "is no tar archive: its length is no multiple of 512, or it ends too early");
    const files = new Map();
    const end = bytes.length - 2 * block;
    if (bytes.subarray(end).some((b) => b !== 0)) F.fault(where, "doesn't end with two blocks of zeros");
    let last = null;
    for (let at = 0; at < end;) {
      const head = bytes.subarray(at, at + block);
      const nul = head.subarray(0, 100).indexOf(0);
      const path = F.text(head.subarray(0, nul < 0 ? 100 : nul), where);
      const m = /^([0-7]{11})\u0000$/.exec(String.fromCharCode(...head.subarray(124, 136)));
      if (!m || !F.isPath(path)) F.fault(where, `has a file ${F.quote(path)} at byte ${at}, which is none that a package has`);
      const size = parseInt(m[1], 8);
      if (!F.equal(head, header(path, size))) F.fault(where, `has a header of ${path} in another form than its one`);
      if (last !== null && F.byBytes(last, path) >= 0) F.fault(where, `has ${path} after ${last}: paths rise`);
      const from = at + block;
      const next = from + Math.ceil(size / block) * block;
      if (next > end) F.fault(where, `ends within ${path}`);
      if (bytes.subarray(from + size, next).some((b) => b !== 0)) F.fault(where, `has something behind the end of ${path}`);
      files.set(path, bytes.subarray(from, from + size));
      if (files.size > F.LIMITS.files) F.fault(where, `has more than ${F.LIMITS.files} files`);
      last = path;
      at = next;
    }
    return files;
  };

  // sums are the lines that sha256sum prints of files, sorted bytewise by path.
  F.sums = function (files, paths) {
    return [...paths].sort(F.byBytes).map((p) => `${F.digest(files.get(p))}  ${p}\n`).join("");
  };

  // checkManifest holds that MANIFEST is exact.
  F.checkManifest = function (files) {
    const manifest = files.get("MANIFEST");
    if (!manifest) F.fault("MANIFEST", "is missing");
    if (manifest.length > F.LIMITS.manifest) F.fault("MANIFEST", "is too large");
    const want = F.sums(files, [...files.keys()].filter((p) => p !== "MANIFEST"));
    if (F.equal(manifest, F.utf8(want))) return;
    const listed = new Set(new TextDecoder().decode(manifest).split("\n"));
    const first = want.split("\n").find((line) => !listed.has(line));
    F.fault("MANIFEST", "is not the list of the archive's files with their digests" + (first ? `: ${first.slice(66)} is not listed with what it has` : ""));
  };
})((globalThis.fleetctlVerify ??= {}));
