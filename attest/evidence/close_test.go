package evidence_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// closes tries to close a fleet's ceremony, as a command would.
func closes(t *testing.T, f *testfleet.Fleet) error {
	t.Helper()
	j, err := engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("close"))
	if err != nil {
		return err
	}
	defer j.Close()
	before := j.Account().N
	_, err = closing.Close(j, nil)
	if err != nil && must(folder.Read(f.Dir)).N != before {
		t.Errorf("refused with %v, and recorded all the same", err)
	}
	return err
}

// verifies signs the close off, packs it, and has a stranger verify it.
func verifies(t *testing.T, f *testfleet.Fleet) {
	t.Helper()
	a := must(folder.Read(f.Dir))
	must(0, f.SignOff(f.Dir, a, ceremony.StageClose, ceremony.Agree, testfleet.Signers...))
	files, _, err := closing.PackFolder(f.Dir, false)
	if err != nil {
		t.Fatal(err)
	}
	r := must(evidence.Verify(evidence.Input{File: "evidence.tar", Data: must(evidence.Pack(files))}, must(evidence.ParsePolicy("policy.yaml", f.Policy)), evidence.Question{Now: f.Now()}))
	if !r.Verified {
		t.Errorf("not verified: %+v %+v", r.Problems, r.Claims)
	}
}

// A ceremony whose evidence would not verify is not closed: each of these was
// closed and signed by everybody once, and could never be mended.
func TestACloseThatWouldNotVerifyIsNotRecorded(t *testing.T) {
	one := func(f *testfleet.Fleet, pattern string) string {
		list := must(filepath.Glob(filepath.Join(f.Dir, pattern)))
		if len(list) == 0 {
			panic("nothing is like " + pattern)
		}
		return list[0]
	}
	for _, c := range []struct {
		name, want string
		harm       func(*testfleet.Fleet) (path string)
	}{
		{"an approval is gone", "plan.approved is not shown", func(f *testfleet.Fleet) string { return one(f, "approvals/open-*-olga*") }},
		{"a plan's approval is gone", "1 of 2 officers whom the policy pins approved the plan", func(f *testfleet.Fleet) string { return one(f, "plan-approvals/olga.sig") }},
		{"a release sign-off is gone", "no witness has signed", func(f *testfleet.Fleet) string { return one(f, "signoffs/release/wanda") }},
		{"the key set is gone", "fleet-keys.json: would not verify: is missing", func(f *testfleet.Fleet) string { return one(f, "fleet-keys.json") }},
		{"the request is gone", "request-core.json: would not verify", func(f *testfleet.Fleet) string { return one(f, "request-core.json") }},
		{"the bundle is gone", "bundle.json: would not verify: is missing", func(f *testfleet.Fleet) string { return one(f, "bundle.json") }},
		{"the proof is gone", "bundle.json.tlog-proof: would not verify", func(f *testfleet.Fleet) string { return one(f, "bundle.json.tlog-proof") }},
	} {
		f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToLogged})
		path := strings.TrimSuffix(c.harm(f), ".sig")
		away := filepath.Join(filepath.Dir(f.Dir), "away")
		for _, suffix := range []string{"", ".sig"} {
			if err := os.Rename(path+suffix, away+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		if err := closes(t, f); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error that says %q", c.name, err, c.want)
		}
		for _, suffix := range []string{"", ".sig"} {
			_ = os.Rename(away+suffix, path+suffix)
		}
		if err := closes(t, f); err != nil {
			t.Errorf("%s, and mended: %v", c.name, err)
			continue
		}
		verifies(t, f)
	}
}

// What a kill leaves in published folders is neither listed nor packed.
func TestWhatAKillLeftIsNotInThePackage(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToLogged})
	leave := func(paths ...string) {
		for _, path := range paths {
			must(0, os.MkdirAll(filepath.Dir(filepath.Join(f.Dir, path)), 0o755))
			must(0, os.WriteFile(filepath.Join(f.Dir, path), []byte("half"), 0o600))
		}
	}
	leave("approvals/.open-9-olga.sig.ABCDEFGHIJ", ".index.html.ABCDEFGHIJ", "approvals/exception-40-olga", "signoffs/release/ozan", "private/temp/.fleetctl-ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	if err := closes(t, f); err != nil {
		t.Fatal(err)
	}
	leave("signoffs/close/ozan", "signoffs/close/.ada.sig.ABCDEFGHIJ", "plan-approvals/.ozan.sig.ABCDEFGHIJ")
	verifies(t, f)
}

func TestACeremonyWhoseFolderIsALinkIsClosed(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToLogged})
	link := filepath.Join(t.TempDir(), "ceremony")
	must(0, os.Symlink(f.Dir, link))
	f.Dir = link
	if err := closes(t, f); err != nil {
		t.Fatal(err)
	}
	verifies(t, f)
}

// Whoever writes can't go round the officers: neither request nor close with an
// exception that they didn't accept; and a verifier finds one that was.
func TestAnExceptionHasToBeAcceptedBeforeTheClose(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToLogged})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("exception")))
	must(j.Append(&ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c"}))
	must(0, j.Close())
	var waits *folder.Missing
	if err := closes(t, f); !errors.As(err, &waits) || waits.Exception != 1 {
		t.Fatalf("closed with it: %v", err)
	}
	accept := func() {
		a := must(folder.Read(f.Dir))
		people := must(a.People())
		must(0, f.Approve(t.Context(), f.Dir, people, must(a.ExceptionApproval(1)), nil))
	}
	accept()
	if err := closes(t, f); err != nil {
		t.Fatal(err)
	}
	verifies(t, f)
	// Somebody takes the officers' acceptance out of the package again, and
	// judges it by a policy that doesn't ask who approved what.
	files, _, err := closing.PackFolder(f.Dir, false)
	must(0, err)
	for _, path := range files.Paths() {
		if strings.HasPrefix(path, "approvals/exception-") {
			delete(files, path)
		}
	}
	r := must(evidence.Verify(evidence.Input{File: "x", Folder: files}, must(evidence.ParsePolicy("policy.yaml", f.Policy)), evidence.Question{Now: f.Now(), Only: []string{evidence.ClaimStatement}}))
	said := false
	for _, p := range r.Problems {
		said = said || strings.Contains(p.What, "exception 1 is accepted by 0 of the 2 officers")
	}
	if r.Verified || !said {
		t.Errorf("verified %t, problems %+v", r.Verified, r.Problems)
	}
}
