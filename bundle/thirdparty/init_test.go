package thirdparty_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func names(dir string) (list []string) {
	for _, e := range must(os.ReadDir(dir)) {
		list = append(list, e.Name())
	}
	return list
}

// With a mistyped path the rival of a signed epoch would follow from an empty
// ledger, and be signed.
func TestAMistypedLedgerSignsNoEpochTwice(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one", To: testfleet.ToLogged})
	rival := asked(t, testfleet.Options{Name: "rival"})
	key := one.Parties.Auditor(testfleet.FirstAuditor).Key()
	dir := t.TempDir()
	mistyped := filepath.Join(dir, "legder.jsonl")
	l, err := thirdparty.OpenLedger(mistyped, key)
	if wantError(t, err, "legder.jsonl: does not exist"); err == nil {
		in := must(thirdparty.Inspect("request.json", rival.Request, policy(rival), l))
		r := must(thirdparty.Sign(in, l, rival.Now(), one.Parties.ThirdParty.Sign))
		t.Fatalf("epoch %d was signed twice", r.Statement.Epoch)
	}
	if _, err := thirdparty.ReadLedger(mistyped, key); err == nil {
		t.Error("a ledger that isn't there is read as an empty one")
	}
	// Neither is an empty file a ledger: it has no guard.
	must(0, os.WriteFile(mistyped, nil, 0o600))
	_, err = thirdparty.OpenLedger(mistyped, key)
	wantError(t, err, "legder.jsonl.guard: does not exist")
	must(0, os.Remove(mistyped))
	if left := names(dir); !slices.Equal(left, []string{"legder.jsonl.guard.lock", "legder.jsonl.lock"}) {
		t.Errorf("left behind: %q", left)
	}
}

func TestALedgerIsBegunOnceWithItsGuard(t *testing.T) {
	key := testfleet.SoftSigner(keys.Ed25519, "a third party")
	raw, _ := key.Public.Ed25519()
	dir, stick := t.TempDir(), t.TempDir()
	path, guard := filepath.Join(dir, "ledger.jsonl"), filepath.Join(stick, "guard")
	must(0, thirdparty.InitLedger(path, guard, [32]byte(raw)))
	l := must(thirdparty.OpenGuarded(path, guard, [32]byte(raw)))
	if len(l.Statements()) != 0 {
		t.Error("a new ledger has entries")
	}
	l.Close()

	other, _ := testfleet.SoftSigner(keys.Ed25519, "another").Public.Ed25519()
	_, err := thirdparty.OpenGuarded(path, guard, [32]byte(other))
	wantError(t, err, "is the guard of another key's ledger")

	elsewhere := t.TempDir()
	for _, c := range []struct{ ledger, guard, look, says string }{
		{path, guard, dir, "ledger.jsonl: exists; a ledger is begun once"},
		{path, filepath.Join(dir, "new.guard"), dir, "ledger.jsonl: exists; a ledger is begun once"},
		{filepath.Join(elsewhere, "new"), guard, dir, "guard: exists; a ledger is begun once"},
		{filepath.Join(elsewhere, "new"), filepath.Join(stick, "new.guard"), dir, "guard: is the guard of a ledger of this very key"},
		{filepath.Join(stick, "new"), filepath.Join(elsewhere, "new.guard"), dir, "guard: is the guard of a ledger of this very key"},
		{filepath.Join(elsewhere, "new"), filepath.Join(elsewhere, "new.guard"), stick, "guard: is the guard of a ledger of this very key"},
		{filepath.Join(elsewhere, "new"), filepath.Join(elsewhere, "new.guard"), filepath.Join(elsewhere, "nowhere"), "no such file"},
		{filepath.Join(elsewhere, "no folder", "new"), filepath.Join(elsewhere, "new.guard"), dir, "no such file"},
	} {
		wantError(t, thirdparty.InitLedger(c.ledger, c.guard, [32]byte(raw), c.look), c.says)
	}
	if left := names(elsewhere); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := thirdparty.InitLedger(filepath.Join(elsewhere, "l"), filepath.Join(elsewhere, "l.guard"), [32]byte{}); err == nil {
		t.Error("a key of small order has a ledger")
	}
	// Another key's beside them is another ledger.
	must(0, thirdparty.InitLedger(filepath.Join(dir, "other"), filepath.Join(stick, "other.guard"), [32]byte(other)))
}

// A ledger is known by its first entry, whatever its name and without its guard.
func TestALedgerBesideTheNewOneIsFound(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	dir := t.TempDir()
	must(0, os.WriteFile(filepath.Join(dir, "copy of last year"), must(os.ReadFile(f.Parties.Ledger)), 0o600))
	path := filepath.Join(dir, "ledger.jsonl")
	err := thirdparty.InitLedger(path, filepath.Join(t.TempDir(), "guard"), f.Parties.Auditor(testfleet.FirstAuditor).Key())
	wantError(t, err, "copy of last year: is a ledger of this very key")
	wantHint(t, err, "sign with the ledger that the key has")
}

// An empty file gets no guard where the key has a ledger: that would begin a
// second one.
func TestAGuardIsNotBegunForASecondLedger(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	key := f.Parties.Auditor(testfleet.FirstAuditor).Key()
	path := f.Parties.Ledger + ".new"
	must(0, os.WriteFile(path, nil, 0o600))
	l := must(thirdparty.ReadLedger(path, key))
	wantError(t, l.BeginGuard(thirdparty.GuardPath(path)), "of this very key; a key has one ledger")
	wantError(t, l.BeginGuard(filepath.Join(t.TempDir(), "guard")), "of this very key; a key has one ledger")

	// Alone it is a ledger whose beginning was interrupted before its guard.
	alone := filepath.Join(t.TempDir(), "ledger.jsonl")
	must(0, os.WriteFile(alone, nil, 0o600))
	must(0, must(thirdparty.ReadLedger(alone, key)).BeginGuard(thirdparty.GuardPath(alone)))
	must(thirdparty.OpenLedger(alone, key)).Close()
}

// A beginning that was cut off may leave the guard under the name of a temporary file.
// The ledger is begun all the same, as long as nothing was signed under that guard.
func TestWhatABeginningThatWasCutOffLeftIsNoGuard(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	key := f.Parties.Auditor(testfleet.FirstAuditor).Key()
	for what, guard := range map[string]string{"nothing signed": "", "one signed": thirdparty.GuardPath(f.Parties.Ledger)} {
		path := filepath.Join(t.TempDir(), "ledger.jsonl")
		temp := filepath.Join(filepath.Dir(path), ".fleetctl-"+strings.Repeat("A", 26))
		if guard == "" {
			guard = thirdparty.GuardPath(filepath.Join(t.TempDir(), "another"))
			must(0, thirdparty.InitLedger(strings.TrimSuffix(guard, ".guard"), guard, key))
		}
		must(0, os.WriteFile(temp, must(os.ReadFile(guard)), 0o600))
		must(0, os.WriteFile(path, nil, 0o600))
		err := must(thirdparty.ReadLedger(path, key)).BeginGuard(thirdparty.GuardPath(path))
		if what == "one signed" {
			wantError(t, err, temp+": is the guard of a ledger of this very key")
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		// Under any other name it is another ledger's.
		second := filepath.Join(filepath.Dir(path), "second")
		must(0, os.Rename(temp, filepath.Join(filepath.Dir(path), "kept")))
		must(0, os.Remove(path))
		must(0, os.Remove(thirdparty.GuardPath(path)))
		wantError(t, thirdparty.InitLedger(second, second+".guard", key), "of this very key")
	}
}

// Where the guard can't be written there is no ledger either.
func TestALedgerIsNotBegunWithoutItsGuard(t *testing.T) {
	raw, _ := testfleet.SoftSigner(keys.Ed25519, "a third party").Public.Ed25519()
	dir := t.TempDir()
	// Under the ledger's own name it can't.
	path := filepath.Join(dir, "ledger.jsonl")
	if err := thirdparty.InitLedger(path, path, [32]byte(raw)); err == nil {
		t.Error("begun")
	}
	if left := names(dir); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// A ledger that is removed while it is open isn't begun anew with what would
// then be its only entry.
func TestALedgerThatVanishedTakesNoEntry(t *testing.T) {
	f := asked(t, testfleet.Options{})
	l := ledger(t, f)
	in := must(thirdparty.Inspect("request.json", f.Request, policy(f), l))
	must(0, os.Remove(f.Parties.Ledger))
	r, err := thirdparty.Sign(in, l, f.Now(), f.Parties.ThirdParty.Sign)
	if wantError(t, err, "can't be written, so nothing was signed"); r != nil {
		t.Error("a signature left")
	}
	if _, err := os.Stat(f.Parties.Ledger); !errors.Is(err, os.ErrNotExist) {
		t.Error("a ledger was begun")
	}
}
