package viewer_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const hostile = "../../testdata/hostile"

// question is an object that both verifiers judge, by the same policy and time.
type question struct {
	Name   string   `json:"name"`
	Object string   `json:"object"`
	Data   []byte   `json:"data"`
	Policy []byte   `json:"policy"`
	Time   string   `json:"time"`
	Proofs [][]byte `json:"proofs"`
	Expect string   `json:"expect,omitempty"`
	beside bool     // something is given beside it, which JavaScript doesn't judge
}

// library is what the library says of a question: nil under a policy that can't be used.
func library(t *testing.T, q question) *evidence.Report {
	t.Helper()
	p, err := evidence.ParsePolicy("policy.yaml", q.Policy)
	if err != nil {
		return nil
	}
	now, err := strict.ParseTime(q.Time)
	if err != nil {
		t.Fatal(err)
	}
	in := evidence.Input{File: map[string]string{"package": "evidence.tar", "bundle": "bundle.json"}[q.Object], Data: q.Data}
	if q.Object == "package" {
		in.Logged = proofOf(q)
	} else {
		in.Proof = proofOf(q)
	}
	r, err := evidence.Verify(in, p, evidence.Question{Now: now, Expect: evidence.Type(q.Expect)})
	if err != nil {
		t.Fatalf("%s: %v", q.Name, err)
	}
	return r
}

func proofOf(q question) []byte {
	if len(q.Proofs) == 0 {
		return nil
	}
	return q.Proofs[0]
}

// tally counts what comes of asking both.
type tally struct{ cases, agreements, stricter, notChecked, disagreements int }

// weaker says that a grade is below another.
func weaker(a, b string) bool {
	grades := []string{"not shown", "device", "attested", "proven"}
	return slices.Index(grades, a) < slices.Index(grades, b)
}

// compare holds an answer against the library's. Each claim is a case, and the verdict:
// what JavaScript shows, the library shows at least as strongly; what it finds wrong,
// the library does; and what it doesn't check it doesn't call shown.
func (n *tally) compare(t *testing.T, q question, got answer) {
	t.Helper()
	want := library(t, q)
	if want == nil {
		n.verdict(t, q, got, false, false)
		return
	}
	open := q.beside
	for _, p := range want.Problems {
		for _, area := range got.Areas {
			open = open || strings.Contains(p.Where, area)
		}
	}
	for _, c := range want.Claims {
		i := claimIn(got, string(c.Name))
		if i < 0 {
			if len(got.Problems) == 0 {
				t.Errorf("%s: JavaScript has no claim %s", q.Name, c.Name)
			}
			continue
		}
		n.cases++
		grade := got.Claims[i].Grade
		switch {
		case grade == "not checked":
			n.notChecked++
			open = open || c.Short()
			if got.Claims[i].OK != nil && *got.Claims[i].OK && c.Least != evidence.NotShown {
				t.Errorf("%s: %s is not checked, and called ok", q.Name, c.Name)
			}
		case grade == c.Grade.String():
			n.agreements++
		case weaker(grade, c.Grade.String()) && len(got.Problems) > 0 && len(want.Problems) > 0:
			n.stricter++ // both reject it, and say so
		default:
			n.disagreements++
			t.Errorf("%s: %s is %q (%s) in JavaScript, and %q (%s) here", q.Name, c.Name, grade, got.Claims[i].Why, c.Grade, c.Detail)
		}
	}
	n.verdict(t, q, got, want.Verified, open)
}

// verdict compares what is accepted. open says that the library found something wrong in
// what JavaScript says that it doesn't check.
func (n *tally) verdict(t *testing.T, q question, got answer, verified, open bool) {
	t.Helper()
	n.cases++
	switch {
	case got.Accepted == verified:
		n.agreements++
	case !verified && open:
		n.notChecked++
	default:
		n.disagreements++
		t.Errorf("%s: accepted is %t, and verified is %t: %s %v", q.Name, got.Accepted, verified, got.Verdict, got.Problems)
	}
}

func claimIn(a answer, id string) int {
	for i, c := range a.Claims {
		if c.ID == id {
			return i
		}
	}
	return -1
}

// vectors are the hostile packages, each with its policy, proof, time and type.
func vectors(t *testing.T) (list []question) {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(hostile, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return data
	}
	for line := range strings.Lines(string(read("EXPECT"))) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if f[2] == "current" {
			continue // a question that JavaScript doesn't judge: it takes nothing beside
		}
		q := question{Name: f[0], Object: "package", Data: read(f[0] + ".tar"), Policy: read(f[0] + ".yaml"), Time: f[1]}
		if f[2] != "-" {
			q.Expect = f[2]
		}
		if proof := read(f[0] + ".tlog-proof"); proof != nil {
			q.Proofs = [][]byte{proof}
		}
		q.beside = read(f[0]+".beside.tar") != nil || read(f[0]+".beside.json") != nil
		list = append(list, q)
	}
	return list
}

func TestJavaScriptAcceptsNoPackageThatTheLibraryRejects(t *testing.T) {
	list := vectors(t)
	var got []answer
	node(t, "verify", list, &got)
	var n tally
	accepted := 0
	for i, q := range list {
		n.compare(t, q, got[i])
		if got[i].Accepted {
			accepted++
		}
	}
	t.Logf("%d packages, %d cases: %d agreements, %d where JavaScript shows less of what both reject, %d not checked, %d disagreements", len(list), n.cases, n.agreements, n.stricter, n.notChecked, n.disagreements)
	if accepted == 0 || accepted == len(list) || n.agreements < n.cases/2 {
		t.Errorf("%d of %d are accepted, %d of %d cases agree: nothing is told apart", accepted, len(list), n.agreements, n.cases)
	}
}
