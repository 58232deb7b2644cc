package evidence_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// vectorDir holds packages that verify and packages that must not, each with its
// policy, for implementations of other makers. The test makes them all anew,
// compares, and judges what lies there; FLEETCTL_WRITE=1 writes them.
const vectorDir = "testdata/hostile"

// vector is one of them.
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

func (v *vector) question(m made) evidence.Question {
	return evidence.Question{Now: m.now, Expect: v.expect}
}

// line is the vector's line in EXPECT.
func (v *vector) line(m made) string {
	verdict := "verified"
	if v.want != "" {
		verdict = "not verified"
	}
	expect := string(v.expect)
	if expect == "" {
		expect = "-"
	}
	return strings.Join([]string{v.name, strict.FormatTime(m.now), expect, verdict, v.want}, "\t") + "\n"
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

func TestHostileVectors(t *testing.T) {
	write := os.Getenv("FLEETCTL_WRITE") == "1"
	var expect bytes.Buffer
	want := map[string][]byte{}
	for _, v := range vectors {
		m := v.make(t)
		expect.WriteString(v.line(m))
		want[v.name+".tar"], want[v.name+".yaml"] = m.archive, m.policy
		if m.logged != nil {
			want[v.name+".tlog-proof"] = m.logged
		}
		writeBeside(v.name, m, want)
	}
	want["EXPECT"] = expect.Bytes()
	for name, data := range want {
		path := filepath.Join(vectorDir, name)
		if write {
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, data) {
			t.Errorf("%s is not what is made today; FLEETCTL_WRITE=1 writes it, git diff shows why (%v)", path, err)
		}
	}
	for _, e := range must(os.ReadDir(vectorDir)) {
		if want[e.Name()] == nil && e.Name() != "README.md" {
			t.Errorf("%s/%s belongs to no vector", vectorDir, e.Name())
		}
	}
}

// What lies there is judged as EXPECT says, by what lies there alone.
func TestVectorsAreJudgedAsExpected(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(string(must(os.ReadFile(filepath.Join(vectorDir, "EXPECT")))), "\n"), "\n")
	verified := 0
	for _, line := range lines {
		f := strings.Split(line, "\t")
		if len(f) != 5 {
			t.Fatalf("EXPECT has the line %q", line)
		}
		path := filepath.Join(vectorDir, f[0])
		in := evidence.Input{File: f[0] + ".tar", Data: must(os.ReadFile(path + ".tar"))}
		in.Logged, _ = os.ReadFile(path + ".tlog-proof")
		in.Beside = readBesides(t, f[0])
		q := evidence.Question{Now: must(strict.ParseTime(f[1]))}
		if q.Current = f[2] == string(expectCurrent); f[2] != "-" && !q.Current {
			q.Expect = evidence.Type(f[2])
		}
		p, err := evidence.ParsePolicy(f[0]+".yaml", must(os.ReadFile(path+".yaml")))
		if err != nil { // a policy that can't be used verifies nothing
			if f[3] != "not verified" || !strings.Contains(err.Error(), f[4]) {
				t.Errorf("%s: %v", f[0], err)
			}
			continue
		}
		r := must(evidence.Verify(in, p, q))
		switch {
		case r.Verified != (f[3] == "verified"):
			t.Errorf("%s: verified is %t\n%s", f[0], r.Verified, says(r))
		case !r.Verified && !strings.Contains(says(r), f[4]):
			t.Errorf("%s: want %q in\n%s", f[0], f[4], says(r))
		case r.Verified:
			verified++
		}
	}
	if verified == 0 || verified == len(lines) {
		t.Errorf("%d of %d vectors are verified: nothing is told apart", verified, len(lines))
	}
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
