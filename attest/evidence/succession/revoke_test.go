package succession

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
)

var revokedAt = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

func TestAKeyIsRevokedAndNothingElseChanges(t *testing.T) {
	w := newWorld(t)
	log := regexp.MustCompile(`log ([^+\s]+)\+`).FindSubmatch(w.policy)
	if log == nil {
		t.Fatalf("no log in\n%s", w.policy)
	}
	policy := append([]byte("# whose policy this is\n"), w.policy...)
	for who, path := range map[string]string{
		"person " + w.f.Plan.People[0].Name:            "people[",
		"third party " + w.f.Plan.ThirdParties[0].Name: "third_parties[",
		"operator " + w.f.Plan.Countersigner.Name:      "operators[",
		"keeper kim":            "succession.keys[kim].window",
		"keeper max":            "succession.keys[max].window",
		"log " + string(log[1]): "log_windows[" + logID(w.policy) + "]",
	} {
		for _, end := range []string{NotAfter, CompromisedAfter} {
			next, err := Revoke("policy.yaml", policy, who, end, revokedAt)
			if err != nil {
				t.Errorf("%s: %v", who, err)
				continue
			}
			changes, err := Diff("old", policy, "new", next)
			if err != nil || len(changes) != 1 || changes[0].Effect != Stricter || !strings.HasPrefix(changes[0].Path, path) || !strings.Contains(changes[0].Text, end+" 2020-01-02T03:04:05Z") {
				t.Errorf("%s: %+v, %v", who, changes, err)
			}
			if !bytes.HasPrefix(next, []byte("# whose policy this is\n")) {
				t.Errorf("%s: the comment is gone", who)
			}
			// Once more, earlier: the end moves.
			again, err := Revoke("policy.yaml", next, who, end, revokedAt.Add(-time.Hour))
			if err != nil || bytes.Count(again, []byte("2020-01-02T02:04:05Z")) != 1 || bytes.Contains(again, []byte("2020-01-02T03:04:05Z")) {
				t.Errorf("%s again: %v", who, err)
			}
			if _, err := Revoke("policy.yaml", next, who, end, revokedAt.Add(time.Hour)); err == nil {
				t.Errorf("%s: a revocation was taken back", who)
			}
		}
	}
}

// logID is the name and key ID of the log in a policy: what a change of it is called by, so
// that a line of a terminal holds it.
func logID(policy []byte) string {
	return string(regexp.MustCompile(`log ([^+\s]+\+[0-9a-f]{8})\+`).FindSubmatch(policy)[1])
}

func TestWhatCannotBeRevokedBySelfIsSaid(t *testing.T) {
	w := newWorld(t)
	wide := w.with(t, "      window: {not_after: 2026-01-01T00:00:00Z}\n", "      window:\n        not_after: 2026-01-01T00:00:00Z\n")
	for _, c := range []struct {
		policy    []byte
		who, want string
	}{
		{w.policy, "person nobody", "has no person nobody"},
		{w.policy, "witness w9", "log_policy has no witness w9"},
		{w.policy, "olga", "says no part and name"},
		{w.policy, "person ", "has no person"},
		{wide, "keeper max", "doesn't stand in one line"},
		{[]byte("format: x\n"), "keeper max", "fleetctl policy v1"},
	} {
		if out, err := Revoke("policy.yaml", c.policy, c.who, NotAfter, revokedAt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %s, %v", c.who, out, err)
		}
	}
}

// TestWhatARevokedKeySignedCountsNoMore judges a package under a policy before and after.
func TestWhatARevokedKeySignedCountsNoMore(t *testing.T) {
	w := newWorld(t)
	verdict := func(policy []byte) *evidence.Report {
		t.Helper()
		p, err := evidence.ParsePolicy("policy.yaml", policy)
		if err != nil {
			t.Fatal(err)
		}
		r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: w.f.Archive}, p, evidence.Question{Now: w.f.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if !verdict(w.policy).Verified {
		t.Fatal("the package doesn't verify before")
	}
	for who, claim := range map[string]string{
		"third party " + w.f.Plan.ThirdParties[0].Name: "statement.signed",
		"operator " + w.f.Plan.Countersigner.Name:      "countersigned",
	} {
		next, err := Revoke("policy.yaml", w.policy, who, CompromisedAfter, revokedAt)
		if err != nil {
			t.Fatal(err)
		}
		r := verdict(next)
		i := slices.IndexFunc(r.Claims, func(c evidence.Claim) bool { return c.Name == claim })
		if r.Verified || i < 0 || r.Claims[i].Grade != evidence.NotShown {
			t.Errorf("%s: verified %v, %+v", who, r.Verified, r.Claims[i])
		}
	}
}

// TestAFlowIsRevokedToo writes an element in the other style of YAML.
func TestAFlowIsRevokedToo(t *testing.T) {
	w := newWorld(t)
	flow := w.with(t, fmt.Sprintf("    - name: lee\n      key: %s\n      confirmed: \"in person\"\n", w.lee.key), fmt.Sprintf("    - {name: lee, key: %s, confirmed: \"in person\"}\n", w.lee.key))
	next, err := Revoke("policy.yaml", flow, "keeper lee", NotAfter, revokedAt)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(next, []byte("- {window: {not_after: 2020-01-02T03:04:05Z}, name: lee")) {
		t.Errorf("%s", next)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("fleetctl policy-succession v1\nfrom " + strings.Repeat("0a", 32) + "\nto " + strings.Repeat("0b", 32) + "\ntime 2026-11-21T10:00:00Z\nreason one left\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := Parse("", data)
		if err != nil {
			return
		}
		again := fmt.Appendf(nil, "fleetctl policy-succession v1\nfrom %x\nto %x\ntime %s\nreason %s\n", x.From, x.To, x.Time.UTC().Format(time.RFC3339), x.Reason)
		if !bytes.Equal(again, data) {
			t.Fatalf("%q was read as %q", data, again)
		}
	})
}

// FuzzRevoke: whatever the policy, a revocation ends one window and changes nothing else.
func FuzzRevoke(f *testing.F) {
	f.Add([]byte("format: fleetctl policy v1\n"), "keeper kim")
	f.Fuzz(func(t *testing.T, policy []byte, who string) {
		next, err := Revoke("", policy, who, NotAfter, revokedAt)
		if err != nil {
			return
		}
		if changes, err := Diff("", policy, "", next); err != nil || len(changes) != 1 || changes[0].Effect != Stricter {
			t.Fatalf("%v, %v", changes, err)
		}
	})
}
