package evidence_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// oldKeys is epoch 2 of a fleet whose ceremony records the keys of epoch 1 as its
// own, signed by an operator who knows it and a third party that doesn't look.
// refused are what an honest engine and an honest third party say.
func oldKeys(t testing.TB, name string) (one, two *testfleet.Fleet, refused [2]error) {
	t.Helper()
	one = testfleet.New(t, testfleet.Options{Name: name})
	// The tokens' keys follow from the fleet's name: these are the same.
	two = testfleet.New(t, testfleet.Options{Name: name, After: one, To: testfleet.ToFleetRun, Unwary: true})
	ctx, room := t.Context(), two.Config(two.Dir, nil).Participants
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	j := must(two.Journal())
	defer j.Close()
	set, a := must(j.Build(ctx, room)), j.Account()
	do(two.SignOff(two.Dir, a, ceremony.StageRelease, ceremony.Agree, testfleet.Signers...))
	before, previous := must(one.Account.Artifact()), one.Account.Statements()
	_, refused[0] = j.Request(ctx, before.Raw(), previous, two.Approve)

	core := must(bundle.NewCore(set, before, previous, bundle.Head{Hash: a.ReleaseHash, N: uint64(a.ReleaseN)}))
	do(os.WriteFile(filepath.Join(two.Dir, ceremony.CoreFile), core.Raw(), 0o644))
	people := must(ceremony.NewPeople(two.Plan.People, two.Plan.Threshold))
	do(two.Approve(ctx, two.Dir, people, a.Wanted(ceremony.ApproveRequest, core.Subject()), nil))
	files := must(evidence.ReadFolder(two.Dir))
	record := &ceremony.Request{Core: core.Subject()}
	var sent []bundle.File
	for _, path := range files.Paths() {
		signed := strings.Contains(path, "/")
		if signed {
			record.Files = append(record.Files, ceremony.File{Path: path, SHA256: sha256.Sum256(files[path])})
		}
		if signed || path == ceremony.PlanFile || path == ceremony.TranscriptFile {
			sent = append(sent, bundle.File{Path: path, Data: files[path]})
		}
	}
	request := must(bundle.NewRequest(core, sent))
	ledger := must(two.OpenLedger())
	_, refused[1] = thirdparty.Inspect("request", request, must(thirdparty.ParsePolicy("policy", two.ThirdPartyPolicy())), ledger)
	ledger.Close()

	must(j.Append(record))
	must(j.ImportResponse(must(two.Answer(request, two.Last()))))
	do(j.Countersign(ctx, two.Approve, two.Parties.Operator.Public, two.Parties.Operator.Sign))
	b := must(j.Assemble(ctx, room))
	must(j.ImportProof("proof", must(two.Parties.Log.Append(b.Raw()))))
	do(two.End(j))
	return one, two, refused
}

// An epoch's keys are generated in its ceremony. A holder of epoch 1's keys can
// have them answer epoch 2's nonces, so that all its records fit.
func TestTheKeysOfTheEpochBeforeAreNoNewOnes(t *testing.T) {
	one, two, refused := oldKeys(t, "old keys")
	const want = "is one of epoch 1: it was not generated in this ceremony"
	for i, err := range refused {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", []string{"the engine", "the third party"}[i], err)
		}
	}
	policy := must(evidence.ParsePolicy("policy.yaml", two.Policy))
	in := evidence.Input{File: "e", Data: two.Archive}
	if r := must(evidence.Verify(in, policy, evidence.Question{Now: two.Now()})); r.Verified || !strings.Contains(says(r), want) {
		t.Errorf("verified is %t: %s", r.Verified, says(r))
	}
	// A bundle alone doesn't tell; the two beside each other do.
	alone := evidence.Input{File: "b", Data: two.Files[ceremony.BundleFile], Proof: two.Files[ceremony.ProofFile]}
	q := evidence.Question{Now: two.Now(), Expect: evidence.TypeBundle}
	if r := must(evidence.Verify(alone, policy, q)); !r.Verified {
		t.Fatalf("the bundle alone: %s", says(r))
	}
	alone.Beside = []evidence.Input{{File: "one", Data: one.Files[ceremony.BundleFile], Proof: one.Files[ceremony.ProofFile]}}
	if r := must(evidence.Verify(alone, policy, q)); r.Verified || !strings.Contains(says(r), "a key that one has too") && !strings.Contains(says(r), "a key that b has too") {
		t.Errorf("beside epoch 1: verified is %t: %s", r.Verified, says(r))
	}
}
