package folder_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// What a kill between two writes leaves is out of the way before a request or a
// close lists anything, whoever opens the ceremony next.
func TestWhatAnInterruptionLeavesIsNeitherListedNorSigned(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	left := []string{
		"plan-approvals/.olga.sig.ABCDEFGHIJ", ".plan.yaml.ABCDEFGHIJ", ".index.html.ABCDEFGHIJ",
		"approvals/.open-9-olga.ABCDEFGHIJ", "approvals/request-40-olga", "signoffs/release/wanda", "signoffs/release/.ada.sig.ABCDEFGHIJ",
		"plan-approvals/note", "private/temp/.fleetctl-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	}
	leave := func() {
		for _, path := range left {
			must(0, os.MkdirAll(filepath.Dir(filepath.Join(f.Dir, path)), 0o755))
			must(0, os.WriteFile(filepath.Join(f.Dir, path), []byte("half a fi"), 0o600))
		}
	}
	leave()
	if _, err := folder.ReadSignings(f.Dir, ceremony.ApprovalsDir); err != nil {
		t.Errorf("before it is mended: %v", err)
	}
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("left")))
	defer j.Close()
	gone := func() {
		t.Helper()
		for _, path := range left {
			if _, err := os.Lstat(filepath.Join(f.Dir, path)); err == nil && !strings.HasPrefix(path, "private/") {
				t.Errorf("%s is still there", path)
			}
			aside := must(filepath.Glob(filepath.Join(f.Dir, "private", "set-aside", strings.ReplaceAll(path, "/", "-")+"-*")))
			if len(aside) != 1 && !strings.HasPrefix(path, "private/") {
				t.Errorf("%s was not set aside: %v", path, aside)
			}
		}
	}
	gone()
	if _, err := os.Lstat(filepath.Join(f.Dir, left[len(left)-1])); err == nil {
		t.Error("the temporary file was not swept")
	}
	must(j.Build(context.Background(), testfleet.Machine{}))
	must(0, f.SignOff(f.Dir, j.Account(), ceremony.StageRelease, ceremony.Agree, testfleet.Signers...))
	// Once more while the ceremony is open: a signer was killed beside it.
	must(0, os.Remove(filepath.Join(f.Dir, "signoffs/release/wanda.sig")))
	left = left[:6]
	leave()
	_, err := j.Request(context.Background(), nil, nil, f.Approve)
	wantError(t, err, "no witness has signed")
	must(0, f.SignOff(f.Dir, j.Account(), ceremony.StageRelease, ceremony.Agree, "wanda"))
	r := must(j.Request(context.Background(), nil, nil, f.Approve))
	left = left[:5]
	gone()
	for _, file := range r.Files {
		if strings.Contains(file.Path, "/.") || string(file.Data) == "half a fi" {
			t.Errorf("the request carries %s", file.Path)
		}
	}
}

func TestASignatureWithoutItsTextIsNamedBeforeAnythingFollows(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	path := filepath.Join(f.Dir, ceremony.ApprovalsDir, "request-40-olga.sig")
	must(0, os.WriteFile(path, []byte("x"), 0o600))
	_, err := engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("lone"))
	wantError(t, err, path+": signs a text that is not beside it")
	must(0, os.Remove(path))
	must(0, must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("lone"))).Close())
}

func TestALinkInTheFolderIsRefusedAtTheFirstStep(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	for _, path := range []string{"approvals", "plan.yaml"} {
		at, away := filepath.Join(f.Dir, path), filepath.Join(filepath.Dir(f.Dir), "away")
		must(0, os.Rename(at, away))
		must(0, os.Symlink(away, at))
		_, err := engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("link"))
		wantError(t, err, at+": is no")
		must(0, os.Remove(at))
		must(0, os.Rename(away, at))
	}
	must(0, must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("link"))).Close())
}
