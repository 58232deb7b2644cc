package evidence_test

import (
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
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
