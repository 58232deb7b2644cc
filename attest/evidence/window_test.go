package evidence_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// windowed is the policy with a window on the key of each name that is given.
func windowed(t *testing.T, policy []byte, window string, names ...string) *evidence.Policy {
	t.Helper()
	text := string(policy)
	for _, name := range names {
		line := "  - name: " + name + "\n"
		if strings.Count(text, line) != 1 {
			t.Fatalf("the policy names %s %d times", name, strings.Count(text, line))
		}
		text = strings.Replace(text, line, line+"    window: {"+window+"}\n", 1)
	}
	return must(evidence.ParsePolicy("policy.yaml", []byte(text)))
}

// An end of a window that lies in the year 1, which is Go's zero time, or in
// 1970, which is the zero of most others, is an end like every other.
func TestAnEndInTheYearOneIsAnEnd(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "zero times"})
	for who, names := range map[string][]string{
		"third party": {"auditor.example"}, "operator": {"operator-1"}, "officers": {"olga", "omar"}, "witness": {"wanda"}, "auditor": {"ada"},
	} {
		for window, verified := range map[string]bool{
			"compromised_after: 0001-01-01T00:00:00Z":                                   false,
			"not_after: 0001-01-01T00:00:00Z":                                           false,
			"compromised_after: 1970-01-01T00:00:00Z":                                   false,
			"not_after: 1970-01-01T00:00:00Z":                                           false,
			"not_before: 2020-01-01T00:00:00Z, compromised_after: 0001-01-01T00:00:00Z": false,
			"not_before: 9999-12-31T23:59:59Z":                                          false,
			"not_before: 0001-01-01T00:00:00Z":                                          true,
			"not_before: 1970-01-01T00:00:00Z, not_after: 9999-12-31T23:59:59Z":         true,
			"compromised_after: 9999-12-31T23:59:59Z":                                   true,
		} {
			p := windowed(t, f.Policy, window, names...)
			r := must(evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive}, p, evidence.Question{Now: f.Now()}))
			if r.Verified != verified || len(r.Problems) > 0 {
				t.Errorf("%s, %s: verified is %t: %+v", who, window, r.Verified, r.Problems)
			}
		}
	}
}

// Who forgets to say when it is judged gets no verdict.
func TestAQuestionWithoutATimeIsRefused(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "no time"})
	p := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	for _, now := range []time.Time{{}, time.Time{}.In(time.FixedZone("", 3600))} {
		r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive}, p, evidence.Question{Now: now})
		if err == nil || r != nil || !strings.Contains(err.Error(), "no time") {
			t.Errorf("%v: %v", r, err)
		}
	}
}

// An empty list, or a number for nobody, is not read as one that wasn't given.
func TestAPolicyWritesAbsentInOneWayOnly(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "absent", HSMs: 1})
	key := strings.Split(strings.Split(string(f.Policy), "auditor.example\n    key: ")[1], "\n")[0]
	head := "format: fleetctl policy v1\nmode: rehearsal\nnamespaces: [" + testfleet.Namespace + "]\nthird_parties_needed: 1\nthird_parties:\n  - {name: x, key: \"" + key + "\"}\nclaims: {statement.signed: proven}\n"
	for more, want := range map[string]string{
		"people: []\n":                        "people pins nobody",
		"operators: []\n":                     "operators pins nobody",
		"threshold: 2\n":                      "threshold 2, but people pins nobody",
		"threshold: 0\n":                      "threshold is zero, which would mean the same as nothing",
		"tolerates: []\n":                     "tolerates nothing",
		"people: []\nthreshold: 1\n":          "people pins nobody",
		"log_policy: \"\"\n":                  "log_policy is empty",
		"rekor: {logs: [], submitters: []}\n": "rekor pins no log",
	} {
		if p, err := evidence.ParsePolicy("policy.yaml", []byte(head+more)); err == nil || p != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", more, err, want)
		}
	}
	if _, err := evidence.ParsePolicy("policy.yaml", []byte(head)); err != nil {
		t.Error(err)
	}
}
