// What comes of judging: claims, problems, and what is left to fleetctl.
(function (F) {
  "use strict";

  const mostProblems = 1000;

  F.Answer = class Answer {
    constructor(object, demands) {
      this.object = object;
      this.demands = demands; // claim → grade
      this.problems = [];
      this.notChecked = [];
      this.areas = [];
      this.unpinned = [];
      this.facts = {};
      this.shown = new Map();
    }

    problem(where, what) {
      if (this.problems.length < mostProblems) this.problems.push({ where, what });
    }

    // leave names what this verifier doesn't check; area is the file, or the claim, that
    // it is about.
    leave(area, what) {
      if (this.areas.includes(area)) return;
      this.areas.push(area);
      this.notChecked.push(what);
    }

    claim(id, grade, why) {
      if (!F.GRADES.includes(grade) && grade !== "not checked") throw new Error(`there is no grade ${grade}`);
      this.shown.set(id, { grade, why });
    }

    // attempt runs a part of the work: what it finds malformed or wrong is a problem.
    async attempt(work) {
      try {
        return await work();
      } catch (e) {
        if (e instanceof F.NotChecked) this.leave(e.where, `${e.where}: ${e.what}`);
        else if (e instanceof F.Fault) this.problem(e.where, e.what);
        else this.problem(this.object, `this verifier failed: ${e && e.message}`);
        return undefined;
      }
    }

    // failed is the answer where nothing was judged.
    failed(command) {
      const verdict = this.problems.length > 0 ? "NOT ACCEPTED: nothing could be judged" : `nothing is judged here; not checked: ${this.areas.join(", ")}`;
      return { accepted: false, verdict, claims: [], problems: this.problems, notChecked: this.notChecked, areas: this.areas, command, facts: {} };
    }

    finish(command) {
      const letter = { package: "E", bundle: "B", abort: "A", destruction: "D" }[this.object];
      const claims = [];
      for (const [id, objects] of F.CLAIMS) {
        const demanded = this.demands.get(id) ?? "";
        if (F.OWN_CLAIMS.has(id) && !objects.includes(letter) && !demanded) continue;
        const carried = objects.includes(letter);
        const { grade, why } = this.shown.get(id) ?? { grade: "not shown", why: carried ? "it could not be judged" : "such an object can't carry it" };
        if (grade === "not checked") this.leave(id, `${id}: ${why}`);
        const ok = demanded === "" ? true : grade === "not checked" ? null : F.GRADES.indexOf(grade) >= F.GRADES.indexOf(demanded);
        claims.push({ id, demanded, grade, ok, why });
      }
      const demanded = claims.filter((c) => c.demanded !== "");
      const shown = demanded.filter((c) => c.ok === true);
      const accepted = this.problems.length === 0 && this.unpinned.length === 0 && demanded.every((c) => c.ok !== false) && shown.length > 0;
      const left = this.notChecked.length > 0 ? `; not checked: ${[...new Set(this.areas)].join(", ")}` : "";
      const none = this.problems.length === 0 && this.unpinned.length === 0 && shown.length === 0 && demanded.every((c) => c.ok === null);
      const verdict = none ? `nothing that is demanded is checked here${left}` : accepted
        ? `checked here: ${shown.length} of ${demanded.length} demanded claims${left}`
        : `NOT ACCEPTED: ${this.problems.length} problems, ${demanded.filter((c) => c.ok === false).length} of ${demanded.length} demanded claims are not shown` +
          (this.unpinned.length > 0 ? `, ${this.unpinned.length} keys of the policy were confirmed by nobody` : "") + left;
      return { accepted, verdict, claims, problems: this.problems, notChecked: this.notChecked, areas: this.areas, command, facts: this.facts };
    }
  };
})((globalThis.fleetctlVerify ??= {}));
