package evidence_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// An end counts where the ceremony's bundle would be: in a log that its plan
// names. Another pinned log may not know of its other ending.
func TestAnEndInALogThatThePlanDoesNotNameIsNotLogged(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "plans log"})
	other := testfleet.SoftLog("log.example/other", "another log")
	policy := strings.Replace(string(f.Policy), "  log "+f.Parties.Log.VKey()+"\n", "  log "+f.Parties.Log.VKey()+"\n  log "+other.VKey()+"\n", 1)
	p := must(evidence.ParsePolicy("policy.yaml", []byte(policy+"  evidence.logged: proven\n")))
	leaf := must(evidence.PackageLeaf("evidence.tar", f.Archive)).Marshal()
	for name, log := range map[string]testfleet.Log{"the plan's": f.Parties.Log, "another": other} {
		in := evidence.Input{File: "evidence.tar", Data: f.Archive, Logged: must(log.Append(leaf))}
		r := must(evidence.Verify(in, p, evidence.Question{Now: f.Now()}))
		if r.Verified != (name == "the plan's") || len(r.Problems) > 0 {
			t.Errorf("%s: verified is %t: %+v", name, r.Verified, r.Problems)
		}
		if c := r.Claim(evidence.ClaimLogged); name == "another" && (c.Grade != evidence.NotShown || !strings.Contains(c.Detail, "which is no log of the plan's")) {
			t.Errorf("%s: %s", c.Grade, c.Detail)
		}
	}
}

// A proof that was recorded had its cosignatures. A record that is older than
// they are was written later than it says.
func TestAProofIsNotRecordedBeforeItWasCosigned(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "recorded early", Witnesses: 2, To: -1})
	w := f.Parties.Log.(*testfleet.Witnesses)
	w.At = func(int) time.Time { return f.Last().AddDate(0, 0, 7) }
	if err := f.Live(); err == nil || !strings.Contains(err.Error(), "which is in the future by this computer's clock") {
		t.Fatalf("the ceremony took the proof: %v", err)
	}
	j := must(f.Journal())
	defer j.Close()
	b := must(j.Account().Bundle()).Raw()
	proof := must(w.Append(b))
	if err := os.WriteFile(filepath.Join(f.Dir, ceremony.ProofFile), proof, 0o644); err != nil {
		t.Fatal(err)
	}
	f.Anyway = func(error) error { return nil }
	must(j.Append(&ceremony.LogProof{Bundle: sha256.Sum256(b), Proof: sha256.Sum256(proof)}))
	if err := f.End(j); err != nil {
		t.Fatal(err)
	}
	d := &dated{Fleet: f, witnesses: w}
	w.At = func(int) time.Time { return f.Last().AddDate(0, 0, 8) }
	d.log()
	now := f.Last().AddDate(1, 0, 0)
	for name, more := range map[string][]evidence.Input{"alone": nil, "with a newer proof beside": {{File: "newer", Data: must(w.Prove(w.Size()-2, w.Size()))}}} {
		r := d.judge(d.pinned(), now, more...)
		if r.Verified || !strings.Contains(fmt.Sprint(r.Problems), "has a proof that was cosigned at") {
			t.Errorf("%s: verified is %t: %+v", name, r.Verified, r.Problems)
		}
	}
}

// Who is a witness in the plan is no officer by a policy's word, nor the other
// way: their approvals would count in a part that they did not have.
func TestAPersonHasOnePartInPlanAndPolicy(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "parts"})
	good := string(f.Policy)
	if r := judge(t, f, good); !r.Verified {
		t.Fatalf("%+v", r.Problems)
	}
	for name, edit := range map[string][2]string{
		"a witness as an officer":  {"- name: wanda\n    role: witness\n", "- name: wanda\n    role: officer\n"},
		"an officer as an auditor": {"- name: ozan\n    role: officer\n", "- name: ozan\n    role: auditor\n"},
		"under another name too":   {"- name: wanda\n    role: witness\n", "- name: willa\n    role: officer\n"},
	} {
		if !strings.Contains(good, edit[0]) {
			t.Fatalf("%s: nothing is changed", name)
		}
		r := judge(t, f, strings.Replace(good, edit[0], edit[1], 1))
		wantProblem(t, r, "what they signed would count in a part that they did not have")
	}
}
