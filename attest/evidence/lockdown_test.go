package evidence_test

import (
	"context"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestLockdownIsAttestedByTheClose(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Lockdown: []string{"Bag the HSMs", "Shred the cards"}})
	p, err := evidence.ParsePolicy("policy.yaml", f.Policy)
	if err != nil {
		t.Fatal(err)
	}
	judge := func(files evidence.Files) (*evidence.Report, *evidence.Claim) {
		r, err := evidence.Verify(evidence.Input{File: "evidence", Folder: files}, p, evidence.Question{Now: f.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return r, r.Claim(evidence.ClaimLockdown)
	}
	r, c := judge(f.Files)
	if !r.Verified || c.Grade != evidence.Attested || c.Detail != "2 entries done as planned; signed off with the close" {
		t.Errorf("verified %t, lockdown %s: %s", r.Verified, c.Grade, c.Detail)
	}
	// Without people's signatures on the close, the records are nobody's word.
	bare := evidence.Files{}
	for path, data := range f.Files {
		if len(path) < 15 || path[:15] != "signoffs/close/" {
			bare[path] = data
		}
	}
	bare[evidence.ManifestFile] = bare.Manifest()
	if _, c := judge(bare); c.Grade != evidence.NotShown || c.Detail != "2 entries on the record, but the close is not signed off" {
		t.Errorf("unsigned: lockdown %s: %s", c.Grade, c.Detail)
	}
}

// TestALoginIsReportedAsItWasShown: a refusal of the PIN that opened the HSM is
// one; a try that got in stands beside it; what people only say is not shown.
func TestALoginIsReportedAsItWasShown(t *testing.T) {
	for _, c := range []struct {
		name  string
		tries string // what the token does after each lock-down: in, refused, or nothing is shown
		grade evidence.Grade
		want  string
	}{
		{"refused", "refused", evidence.Attested, "1 entry done as planned, 1 of them a login that was refused; signed off with the close"},
		{"in, then refused", "in refused", evidence.Attested, "1 of them a login that was refused; after a lock-down a PIN still got in, record "},
		{"not shown", "unshown", evidence.NotShown, "that hsm-1 refuses the PIN that opened it was not shown"},
		{"in, then not shown", "in unshown", evidence.NotShown, "that hsm-1 refuses the PIN that opened it was not shown; after a lock-down a PIN still got in, record "},
	} {
		f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged, Lockdown: []string{"login-refused hsm-1"}})
		j, err := engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("a login"))
		if err != nil {
			t.Fatal(err)
		}
		for _, try := range strings.Fields(c.tries) {
			locked := func() error {
				f.Tokens[0].Before = func(call string) error {
					if call == "Login" && try == "refused" {
						return testfleet.Coded("CKR_PIN_LOCKED")
					}
					return nil
				}
				return nil
			}
			if try == "unshown" {
				_, err = j.LoginNotShown("power failed", "machine", "machine")
			} else {
				_, err = j.LoginRefused(context.Background(), f.Bench, f.Site.HSM("hsm-1"), locked, "machine", "machine")
			}
			if (err == nil) != (try != "in") {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if err := f.End(j); err != nil {
			t.Fatal(err)
		}
		j.Close()
		p, err := evidence.ParsePolicy("policy.yaml", f.Policy)
		if err != nil {
			t.Fatal(err)
		}
		r, err := evidence.Verify(evidence.Input{File: "evidence", Folder: f.Files}, p, evidence.Question{Now: f.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Claim(evidence.ClaimLockdown); got.Grade != c.grade || !strings.Contains(got.Detail, c.want) || r.Verified != (c.grade == evidence.Attested) {
			t.Errorf("%s: verified %t, lockdown %s: %s", c.name, r.Verified, got.Grade, got.Detail)
		}
	}
}

// loginRefused is a closed ceremony whose hsm-1 refuses the PIN that opened it.
func loginRefused(t *testing.T, name string) *testfleet.Fleet {
	f := testfleet.New(t, testfleet.Options{Name: name, To: testfleet.ToLogged, Lockdown: []string{"login-refused hsm-1"}})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random(name)))
	defer j.Close()
	locked := func() error {
		f.Tokens[0].Before = func(call string) error {
			if call == "Login" {
				return testfleet.Coded("CKR_PIN_LOCKED")
			}
			return nil
		}
		return nil
	}
	must(j.LoginRefused(context.Background(), f.Bench, f.Site.HSM("hsm-1"), locked, "machine", "machine"))
	if err := f.End(j); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestNoLockdownIsDemandedWhereNoneIsPlanned(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	p, err := evidence.ParsePolicy("policy.yaml", f.Policy)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range p.Demands {
		if d.Claim == evidence.ClaimLockdown {
			t.Error("the policy demands a lock-down that the plan doesn't have")
		}
	}
}
