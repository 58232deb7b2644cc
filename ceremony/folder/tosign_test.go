package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// TestNobodySignsWhatWouldCountForNothing: an act whose turn it isn't, an abort
// that isn't on the record, a request that isn't written, what isn't theirs.
func TestNobodySignsWhatWouldCountForNothing(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "to-sign", To: testfleet.ToFleetRun})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("to-sign")))
	defer j.Close()
	a := j.Account()
	for name, c := range map[string]struct {
		wish folder.Wish
		role string
		is   error
		says string
	}{
		"not its turn":             {folder.Wish{Act: ceremony.ApproveReconvene}, ceremony.Officer, nil, `it is not the turn of "reconvene", and its approval would count for nothing`},
		"no abort":                 {folder.Wish{Act: ceremony.ApproveAbort}, ceremony.Officer, folder.ErrNotAborted, ""},
		"no such act":              {folder.Wish{Act: "dance"}, ceremony.Officer, nil, `"dance" is no act that is approved`},
		"no act at all":            {folder.Wish{}, ceremony.Officer, nil, `"" is no act that is approved`},
		"a witness approves":       {folder.Wish{Act: ceremony.ApproveResume}, ceremony.Witness, nil, "officers approve acts; a witness signs stages off"},
		"no exception":             {folder.Wish{Act: ceremony.ApproveException}, ceremony.Officer, nil, "one exception is accepted at a time, and 0 are named"},
		"two exceptions":           {folder.Wish{Act: ceremony.ApproveException, Exceptions: []int{1, 2}}, ceremony.Officer, nil, "one exception is accepted at a time, and 2 are named"},
		"a stage that isn't there": {folder.Wish{Stage: ceremony.StageClose, Verdict: "agree"}, ceremony.Officer, nil, ""},
	} {
		text, err := folder.TextToSign(f.Dir, a, c.wish, c.role)
		if err == nil {
			t.Errorf("%s: signed would be %s", name, text.Text)
			continue
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
		wantError(t, err, c.says)
	}
	var early *folder.NotDue
	if _, err := folder.TextToSign(f.Dir, a, folder.Wish{Act: ceremony.ApproveReconvene}, ceremony.Officer); !errors.As(err, &early) || early.Due != a.DueAct() {
		t.Errorf("%v", err)
	}
	// What is in turn is what a verifier reads.
	got := must(folder.TextToSign(f.Dir, a, folder.Wish{Act: ceremony.ApproveResume}, ceremony.Officer))
	p := must(ceremony.ParseApproval("it", got.Text))
	if p.Act != ceremony.ApproveResume || p.Role != ceremony.Officer || p.Head.N != a.N || got.Namespace != p.Namespace() || got.Folder != ceremony.ApprovalsDir || got.Name != folder.ApprovalName(*p) {
		t.Errorf("%+v\n%+v", got, p)
	}
}

// TestWhoAgreesWithExceptionsSaysWithWhich: to one that is there, and the stage's.
func TestWhoAgreesWithExceptionsSaysWithWhich(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "agree-with", To: testfleet.ToFleetRun})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("agree-with")))
	defer j.Close()
	with := func(numbers ...int) (*ceremony.Signoff, error) {
		text, err := folder.TextToSign(f.Dir, j.Account(), folder.Wish{Stage: ceremony.StageRelease, Verdict: ceremony.AgreeWithExceptions, Exceptions: numbers}, ceremony.Auditor)
		if err != nil {
			return nil, err
		}
		return ceremony.ParseSignoff("it", text.Text)
	}
	must(j.Build(t.Context(), testfleet.Machine{}))
	var unnamed *folder.Unnamed
	if _, err := with(1); !errors.As(err, &unnamed) || len(unnamed.There) != 0 {
		t.Errorf("without any exception: %v", err)
	}
	for n := 1; n <= 2; n++ {
		must(j.Append(&ceremony.Exception{Number: n, Expected: "a", Happened: "b", Decided: "c"}))
	}
	if _, err := with(); !errors.As(err, &unnamed) || len(unnamed.There) != 2 {
		t.Errorf("without a number: %v", err)
	}
	_, err := with(1, 3)
	wantError(t, err, "exception 3 is none that release could be agreed to with")
	if s, err := with(2, 1, 2); err != nil || !slices.Equal(s.Exceptions, []int{1, 2}) {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestTheExceptionThatWaitsForAPersonIsChosen: the first that lacks officers and
// that they haven't signed.
func TestTheExceptionThatWaitsForAPersonIsChosen(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "exceptions-to-sign", To: testfleet.ToFleetRun})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("exceptions-to-sign")))
	defer j.Close()
	for n := range 3 {
		must(j.Append(&ceremony.Exception{Number: n + 1, Expected: "a", Happened: "b", Decided: "c"}))
	}
	a := j.Account()
	var officers []string
	for _, p := range f.Plan.People {
		if p.Role == ceremony.Officer {
			officers = append(officers, p.Name)
		}
	}
	sign := func(name string, n int) {
		t.Helper()
		text := must(folder.TextToSign(f.Dir, a, folder.Wish{Act: ceremony.ApproveException, Exceptions: []int{n}}, ceremony.Officer))
		sig := must(f.Parties.People[name].Sign(text.Namespace, text.Text))
		must(folder.StoreSignature(f.Dir, text.Folder, text.Name, must(a.People()), text.Namespace, text.Text, sig))
	}
	want := func(name string, n int) {
		t.Helper()
		if got := must(folder.ExceptionToAccept(f.Dir, a, name)); got != n {
			t.Errorf("%s is to accept exception %d, want %d", name, got, n)
		}
	}
	first, second := officers[0], officers[1]
	want(first, 1)
	sign(first, 1)
	want(first, 2)
	want(second, 1)
	for i := range f.Plan.Threshold {
		if i > 0 {
			sign(officers[i], 1)
		}
	}
	want(officers[len(officers)-1], 2)
	sign(first, 2)
	sign(first, 3)
	want(first, 3) // the last, since none waits for them
}

// TestAFileThatIsNamedHasTheDigestThatIsSigned: people look at the file, and sign the
// digest.
func TestAFileThatIsNamedHasTheDigestThatIsSigned(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "named", To: testfleet.ToFleetRun})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("named")))
	defer j.Close()
	set := must(j.Build(t.Context(), testfleet.Machine{}))
	wish := folder.Wish{Stage: ceremony.StageRelease, Verdict: ceremony.Agree}
	got := must(folder.TextToSign(f.Dir, j.Account(), wish, ceremony.Auditor))
	if len(got.Names) != 1 || got.Names[0].File != ceremony.ArtifactFile || got.Names[0].Digest != set.Digest() {
		t.Errorf("%+v", got.Names)
	}
	path := filepath.Join(f.Dir, ceremony.ArtifactFile)
	must(0, os.WriteFile(path, append(set.Raw(), ' '), 0o600))
	_, err := folder.TextToSign(f.Dir, j.Account(), wish, ceremony.Auditor)
	wantError(t, err, "it isn't the file that the transcript tells of")
	must(0, os.Remove(path))
	if _, err = folder.TextToSign(f.Dir, j.Account(), wish, ceremony.Auditor); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	must(0, os.WriteFile(path, set.Raw(), 0o600))
	must(0, f.SignOff(f.Dir, j.Account(), ceremony.StageRelease, ceremony.Agree, testfleet.Signers...))
	act := folder.Wish{Act: ceremony.ApproveRequest}
	_, err = folder.TextToSign(f.Dir, j.Account(), act, ceremony.Officer)
	if !errors.Is(err, folder.ErrNoRequest) {
		t.Fatal(err)
	}
	other := testfleet.New(t, testfleet.Options{Name: "named otherwise", To: testfleet.ToRequest})
	core := filepath.Join(f.Dir, ceremony.CoreFile)
	must(0, os.WriteFile(core, must(os.ReadFile(filepath.Join(other.Dir, ceremony.CoreFile))), 0o600))
	_, err = folder.TextToSign(f.Dir, j.Account(), act, ceremony.Officer)
	wantError(t, err, "asks for something else than was released")
	must(0, os.Remove(core))
	if _, err := j.Request(t.Context(), nil, nil, nil); err == nil {
		t.Fatal("a request without officers")
	}
	got = must(folder.TextToSign(f.Dir, j.Account(), act, ceremony.Officer))
	if len(got.Names) != 2 || got.Names[0].File != ceremony.CoreFile || got.Names[1].Digest != set.Digest() {
		t.Errorf("%+v", got.Names)
	}
}
