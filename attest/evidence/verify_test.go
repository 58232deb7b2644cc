package evidence_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestWithheldRecordsLeaveTheSamePackage(t *testing.T) {
	w := newWorld(t, testfleet.New)
	files, _, err := closing.PackFolder(w.good.Dir, true)
	if err != nil {
		t.Fatal(err)
	}
	data := must(evidence.Pack(files))
	if bytes.Equal(data, w.good.Archive) {
		t.Fatal("nothing was withheld")
	}
	a, b := must(w.verify(w.good.Archive)), must(w.verify(data))
	if !b.Verified || a.Identity != b.Identity || a.Identity == "" {
		t.Errorf("withheld: verified %v, identity %s and %s", b.Verified, a.Identity, b.Identity)
	}
}

// narrowed changes the policy by one replacement, which has to be found.
func narrowed(t *testing.T, policy []byte, old, new string) *evidence.Policy {
	t.Helper()
	if !bytes.Contains(policy, []byte(old)) {
		t.Fatalf("the policy has no %q", old)
	}
	p, err := evidence.ParsePolicy("policy.yaml", bytes.ReplaceAll(policy, []byte(old), []byte(new)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhatIsNotShownIsNeverPassed(t *testing.T) {
	w := newWorld(t, testfleet.New)
	for _, name := range []string{"plan.approved", "key.attested", "signoffs.release", "signoffs.close", "log.witnessed", "lockdown", "evidence.bound", "evidence.logged"} {
		r := must(w.verify(w.good.Archive))
		if c := r.Claim(name); c.Grade != evidence.NotShown {
			continue // built by now
		}
		text := strings.Replace(string(w.good.Policy), "  mode: proven\n", fmt.Sprintf("  mode: proven\n  %s: attested\n", name), 1)
		p, err := evidence.ParsePolicy("policy.yaml", []byte(text))
		if err != nil && strings.Contains(err.Error(), "is demanded, but") {
			continue // what nothing pinned could show can't even be demanded
		}
		r, err = evidence.Verify(evidence.Input{File: "f", Data: w.good.Archive}, p, evidence.Question{Now: w.now})
		if err != nil || r.Verified || !r.Claim(name).Short() || r.Shown != r.Demanded-1 {
			t.Errorf("%s: %v, verified %v, %d of %d", name, err, r.Verified, r.Shown, r.Demanded)
		}
	}
}

func TestAnotherPolicyJudgesOtherwise(t *testing.T) {
	w := newWorld(t, testfleet.New)
	for _, c := range []struct{ name, old, new, want string }{
		{"namespace", testfleet.Namespace, "rehearsal.other.v1", "which the policy does not pin"},
		{"form", "form: bound", "form: signature", "form"},
	} {
		p := narrowed(t, w.good.Policy, c.old, c.new)
		r := must(evidence.Verify(evidence.Input{File: "f", Data: w.good.Archive}, p, evidence.Question{Now: w.now}))
		if r.Verified || !strings.Contains(string(r.JSON()), c.want) {
			t.Errorf("%s: verified %v:\n%s", c.name, r.Verified, r.JSON())
		}
	}
	stranger := must(evidence.ParsePolicy("policy.yaml", w.stranger.Policy))
	if r := must(evidence.Verify(evidence.Input{File: "f", Data: w.good.Archive}, stranger, evidence.Question{Now: w.now})); r.Verified {
		t.Error("verified under a stranger's policy")
	}
	sister := must(evidence.ParsePolicy("policy.yaml", w.sister.Policy))
	if r := must(evidence.Verify(evidence.Input{File: "f", Data: w.good.Archive}, sister, evidence.Question{Now: w.now})); !r.Verified {
		t.Errorf("the same parties are pinned, and it is not verified: %+v", r.Problems)
	}
}

func TestAProductionPolicyRefusesARehearsal(t *testing.T) {
	w := newWorld(t, testfleet.New)
	text := strings.NewReplacer("mode: rehearsal", "mode: production", testfleet.Namespace, strings.TrimPrefix(testfleet.Namespace, "rehearsal.")).Replace(string(w.good.Policy))
	p := must(evidence.ParsePolicy("policy.yaml", []byte(text)))
	for name, data := range map[string][]byte{"package": w.good.Archive, "bundle": w.good.Files[ceremony.BundleFile],
		"transcript": w.good.Transcript(), "response": w.good.Response.Raw()} {
		r := must(evidence.Verify(evidence.Input{File: "f", Data: data, Plan: w.good.Plan.Raw(), Proof: w.good.Files[ceremony.ProofFile]}, p, evidence.Question{Now: w.now}))
		if r.Verified || !strings.Contains(fmt.Sprint(r.Problems), "the policy is for production only") {
			t.Errorf("%s: verified %v, %+v", name, r.Verified, r.Problems)
		}
	}
}

// A transcript alone is under nobody's signature: its claims stay the devices'.
func TestATranscriptAloneProvesNothing(t *testing.T) {
	w := newWorld(t, testfleet.New)
	in := evidence.Input{File: "transcript.jsonl", Data: w.good.Transcript(), Plan: w.good.Plan.Raw()}
	r := must(evidence.Verify(in, w.policy, evidence.Question{Now: w.now, Expect: evidence.TypeTranscript}))
	for _, c := range r.Claims {
		if c.Grade > evidence.Device {
			t.Errorf("%s is %s", c.Name, c.Grade)
		}
	}
	if r.Verified {
		t.Error("verified, though key.possession is demanded as proven")
	}
	in.Plan = nil
	if r := must(evidence.Verify(in, w.policy, evidence.Question{Now: w.now})); r.Verified || len(r.Problems) == 0 {
		t.Error("verified without its plan")
	}
}

func TestAQuestionThatAsksForNothingIsAnError(t *testing.T) {
	w := newWorld(t, testfleet.New)
	for _, q := range []evidence.Question{{Only: []string{"rekor.included"}}, {Only: []string{"nonsense"}}, {Expect: "nonsense"},
		{Expect: evidence.TypeTranscript, Only: []string{"countersigned"}}} {
		q.Now = w.now
		if r, err := evidence.Verify(evidence.Input{Data: w.good.Archive}, w.policy, q); err == nil || r != nil {
			t.Errorf("%+v: %v, %v", q, r, err)
		}
	}
	r := must(evidence.Verify(evidence.Input{Data: w.good.Archive}, w.policy, evidence.Question{Now: w.now, Expect: evidence.TypeBundle}))
	if r.Verified {
		t.Error("a package passes for a bundle")
	}
}

func TestAFolderIsVerifiedAsItsArchive(t *testing.T) {
	w := newWorld(t, testfleet.New)
	dir := t.TempDir()
	for path, data := range w.good.Files {
		must(0, os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700))
		must(0, os.WriteFile(filepath.Join(dir, path), data, 0o600))
	}
	files := must(evidence.ReadFolder(dir))
	r := must(evidence.Verify(evidence.Input{File: dir, Folder: files}, w.policy, evidence.Question{Now: w.now}))
	if !r.Verified {
		t.Fatalf("%+v", r.Problems)
	}
	must(0, os.WriteFile(filepath.Join(dir, "extra"), nil, 0o600))
	r = must(evidence.Verify(evidence.Input{File: dir, Folder: must(evidence.ReadFolder(dir))}, w.policy, evidence.Question{Now: w.now}))
	if r.Verified {
		t.Error("verified with a file too many")
	}
	must(0, os.Remove(filepath.Join(dir, "extra")))
	must(0, os.Symlink("/etc/hostname", filepath.Join(dir, "extra")))
	if f, err := evidence.ReadFolder(dir); err == nil {
		t.Errorf("a link is followed: %v", f.Paths())
	}
}

func TestCloseRefusesWhatIsNotPublished(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	must(0, os.WriteFile(filepath.Join(f.Dir, "site.yaml"), []byte("where the HSMs are\n"), 0o600))
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("close")))
	defer j.Close()
	if _, err := closing.Close(j, nil); err == nil || !strings.Contains(err.Error(), "is no file of an evidence package") {
		t.Errorf("got %v", err)
	}
	if _, _, err := closing.PackFolder(f.Dir, false); err == nil || !strings.Contains(err.Error(), "the ceremony is not closed") {
		t.Errorf("packed before its close: %v", err)
	}
	must(0, os.Remove(filepath.Join(f.Dir, "site.yaml")))
	must(closing.Close(j, nil))
	if _, err := closing.Close(j, nil); err == nil {
		t.Error("closed twice")
	}
}

// zero is the key of 32 zeros.
const zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// policyFault is a policy with one fault, and what is said of it.
type policyFault struct{ name, old, new, want string }

// policyFaults are those of a fleet's policy.
func policyFaults(policy string) []policyFault {
	third := strings.Split(strings.Split(policy, "auditor.example\n    key: ")[1], "\n")[0]
	return []policyFault{
		{"format-of-another-version", "format: fleetctl policy v1", "format: fleetctl policy v9", `format is "fleetctl policy v9", not`},
		{"mode-unknown", "mode: rehearsal", "mode: both", `mode is "both"`},
		{"namespace-of-another-mode", "  - " + testfleet.Namespace, "  - production.v1", `namespace "production.v1"`},
		{"third-party-key-of-small-order", third, zero, "third party \"auditor.example\": key"},
		{"more-third-parties-needed-than-pinned", "third_parties_needed: 1", "third_parties_needed: 2", "third_parties_needed is 2; with 1 pinned it is from 1 to 1"},
		{"no-third-party-needed", "third_parties_needed: 1", "third_parties_needed: 0", "third_parties_needed is 0"},
		{"threshold-more-than-officers", "threshold: 2", "threshold: 4", "threshold 4 with 3 officers"},
		{"role-unknown", "role: witness", "role: king", `role "king" is none of`},
		{"form-unknown", "form: bound", "form: loose", `form "loose" is neither`},
		{"operator-algorithm-of-another-key", "algorithm: ecdsa-p256", "algorithm: ed25519", "the key is ecdsa-p256, the policy says ed25519"},
		{"grade-unknown", "mode: proven", "mode: perhaps", "claim mode: the least grade is one of"},
		{"grade-above-the-best", "key.generated: device", "key.generated: proven", "claim key.generated can be device at most"},
		{"claim-unknown", "key.generated: device", "key.born: device", `claim "key.born" is not known`},
	}
}

func TestAPolicysFaultsAreAllNamed(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1})
	for _, c := range policyFaults(string(f.Policy)) {
		text := strings.Replace(string(f.Policy), c.old, c.new, 1)
		p, err := evidence.ParsePolicy("policy.yaml", []byte(text))
		if text == string(f.Policy) || err == nil || p != nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "policy.yaml:") {
			t.Errorf("%q for %q: got %v, want %q", c.new, c.old, err, c.want)
		}
	}
	// A policy for statements alone pins no operator: its keys are admitted all
	// the same. The key of 32 zeros is of small order: anyone can sign for it.
	for _, key := range []string{zero, "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="} {
		text := fmt.Sprintf("format: fleetctl policy v1\nmode: rehearsal\nnamespaces: [%s]\nthird_parties_needed: 1\nthird_parties:\n  - name: x\n    key: %s\nclaims:\n  statement.signed: proven\n", testfleet.Namespace, key)
		if p, err := evidence.ParsePolicy("policy.yaml", []byte(text)); err == nil || p != nil {
			t.Errorf("the key %s is pinned", key)
		}
	}
}

// TestWhatAFileIsIsFoundInIt: in the order that the SPEC gives, before section 17.3,
// whatever the file is called.
func TestWhatAFileIsIsFoundInIt(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	statement := f.Response.Statement.Raw()
	record, _, _ := strings.Cut(string(f.Transcript()), "\n")
	for _, c := range []struct {
		name, data string
		want       evidence.Type
	}{
		{"an archive", string(f.Archive), evidence.TypeEvidence},
		{"an archive's magic in JSON", `{"format":"` + bundle.BundleFormat + `","x":"` + strings.Repeat("x", 257-len(`{"format":"`+bundle.BundleFormat+`","x":"`)) + `ustar"}`, evidence.TypeEvidence},
		{"a transcript", string(f.Transcript()), evidence.TypeTranscript},
		{"its first record", record + "\n", evidence.TypeTranscript},
		{"a record without LF", record, ""},
		{"a prev before all else", `{"prev":"","format":"` + bundle.BundleFormat + `"}` + "\n", evidence.TypeTranscript},
		{"a prev on a later line", "{\n\"prev\":\"\",\"format\":\"" + bundle.BundleFormat + "\"}\n", evidence.TypeBundle},
		{"a bundle", string(f.Files[ceremony.BundleFile]), evidence.TypeBundle},
		{"a response", string(f.Response.Raw()), evidence.TypeStatement},
		{"a statement as served", string(statement), evidence.TypeStatement},
		{"a statement with a format", strings.Replace(string(statement), "{", `{"format":"x",`, 1), ""},
		{"a key set", string(f.Files[ceremony.ArtifactFile]), ""},
		{"a plan", string(f.Plan.Raw()), ""},
		{"a list", "[]\n", ""},
		{"nothing", "", ""},
	} {
		if got := evidence.Detect([]byte(c.data)); got != c.want {
			t.Errorf("%s is taken for %q, want %q", c.name, got, c.want)
		}
	}
	r := must(evidence.Verify(evidence.Input{File: "evidence.tar", Data: []byte("{}")}, must(evidence.ParsePolicy("p", f.Policy)), evidence.Question{Now: f.Now()}))
	if r.Verified || len(r.Problems) == 0 || r.Shown > 0 {
		t.Errorf("nothing is called evidence: %+v", r)
	}
}
