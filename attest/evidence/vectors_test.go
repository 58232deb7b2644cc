package evidence_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// vector is a package that verifies or must not, with its policy, for implementations
// of other makers: a case of testdata/vectors.
type vector struct {
	name   string
	kind   string // what is wrong with it, as SPEC 18.4 has it
	want   string // what a verifier says; empty: it is verified
	expect evidence.Type
	make   func(t *testing.T) made
}

// made are a vector's files and the time at which it is judged.
type made struct {
	archive, policy []byte
	logged          []byte // that its end is logged; nil where it isn't
	now             time.Time
	beside          *evidence.Input // what is given beside it; nil where nothing is
}

// says are all words of a report that a reason can be found in.
func says(r *evidence.Report) string {
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "%s: %s\n", p.Where, p.What)
	}
	for _, c := range r.Claims {
		if c.Short() {
			fmt.Fprintf(&b, "%s: %s\n", c.Name, c.Detail)
		}
	}
	if list := r.Policy.Unpinned(); len(list) > 0 {
		fmt.Fprintf(&b, "UNPINNED: %s\n", strings.Join(list, ", "))
	}
	return b.String()
}

// asCase is the vector as testdata/vectors has it, with what fleetctl makes of it.
func (v *vector) asCase(m made) testvectors.Case {
	c := testvectors.Case{Name: v.name, What: v.kind, With: map[string]string{"time": strict.FormatTime(m.now)},
		Verdict: testvectors.Accept, Reason: v.want}
	if v.want != "" {
		c.Verdict = testvectors.Reject
	}
	if v.expect != "" {
		c.With["expect"] = string(v.expect)
	}
	p, err := evidence.ParsePolicy("policy.yaml", m.policy)
	if err != nil { // a policy that can't be used verifies nothing
		return c
	}
	in := evidence.Input{File: "evidence.tar", Data: m.archive, Logged: m.logged}
	if m.beside != nil {
		in.Beside = []evidence.Input{*m.beside}
	}
	q := evidence.Question{Now: m.now, Current: v.expect == expectCurrent}
	if !q.Current {
		q.Expect = v.expect
	}
	c.Claims = map[string]string{}
	for _, claim := range must(evidence.Verify(in, p, q)).Claims {
		if claim.Grade != evidence.NotShown {
			c.Claims[claim.Name] = claim.Grade.String()
		}
		if claim.Short() {
			c.NotShown = append(c.NotShown, claim.Name)
		}
	}
	return c
}

// The packages are made anew, and compared with those that lie in testdata/vectors.
func TestPackageVectors(t *testing.T) {
	set := testvectors.NewSet("package")
	for _, v := range vectors {
		m := v.make(t)
		files := []testvectors.Part{{Part: "package", Name: "evidence.tar", Data: m.archive}, {Part: "policy", Name: "policy.yaml", Data: m.policy},
			{Part: "logged", Name: "evidence.tar.tlog-proof", Data: m.logged}}
		if m.beside != nil {
			files = append(files, besideFiles(m.beside)...)
		}
		set.Add(t, v.asCase(m), files...)
	}
	set.Check(t)
}

// SPEC's table of hostile packages names the same ones, with what is wrong.
func TestTheSpecificationNamesEveryVector(t *testing.T) {
	text := string(must(os.ReadFile("../../docs/SPEC.md")))
	_, text, ok := strings.Cut(text, "### 18.4 ")
	if !ok {
		t.Fatal("SPEC has no section 18.4")
	}
	text, _, _ = strings.Cut(text, "\n---\n")
	var have, want []string
	for line := range strings.Lines(text) {
		if f := strings.Split(line, "|"); len(f) == 5 && strings.HasPrefix(f[1], " `") {
			have = append(have, strings.Trim(f[1], " `")+": "+strings.TrimSpace(f[2]))
		}
	}
	for _, v := range vectors {
		want = append(want, v.name+": "+v.kind)
	}
	if !slices.Equal(have, want) {
		t.Errorf("SPEC 18.4 has\n%s\nand the vectors are\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}
