package thirdparty_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// guardAgain replaces a fleet's guard by that of a ledger with these bytes.
func guardAgain(t *testing.T, f *testfleet.Fleet, ledger []byte) {
	t.Helper()
	dir := t.TempDir()
	path, guard := filepath.Join(dir, "ledger"), filepath.Join(dir, "guard")
	must(0, os.WriteFile(path, ledger, 0o600))
	l := must(thirdparty.ReadLedger(path, f.Parties.Auditor(testfleet.FirstAuditor).Key()))
	must(0, l.BeginGuard(guard))
	must(0, os.WriteFile(thirdparty.GuardPath(f.Parties.Ledger), must(os.ReadFile(guard)), 0o600))
}

// What a copy of the ledger can't know, the guard does: even where the request
// is for exactly the epoch after the copy's last one.
func TestALedgerRestoredFromABackupSignsNothing(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one", To: testfleet.ToLogged})
	backup := must(os.ReadFile(one.Parties.Ledger))
	oldGuard := must(os.ReadFile(thirdparty.GuardPath(one.Parties.Ledger)))
	two := testfleet.New(t, testfleet.Options{Name: "two", After: one, To: testfleet.ToLogged})
	three := testfleet.New(t, testfleet.Options{Name: "three", After: two, To: testfleet.ToRequest})
	rival := testfleet.New(t, testfleet.Options{Name: "rival", After: one, To: testfleet.ToRequest})
	guard := must(os.ReadFile(thirdparty.GuardPath(one.Parties.Ledger)))

	must(0, os.WriteFile(one.Parties.Ledger, backup, 0o600))
	for _, f := range []*testfleet.Fleet{rival, three} {
		_, err := f.Answer(f.Request, f.Now())
		wantError(t, err, "has 1 of the 2 entries that its guard")
	}
	must(0, os.Remove(one.Parties.Ledger))
	_, err := rival.Answer(rival.Request, rival.Now())
	wantError(t, err, "there is no such ledger")
	if _, err := os.Stat(one.Parties.Ledger); !os.IsNotExist(err) {
		t.Error("a ledger was begun")
	}

	// A ledger of the same length with another end.
	must(0, os.WriteFile(one.Parties.Ledger, backup, 0o600))
	must(0, os.WriteFile(thirdparty.GuardPath(one.Parties.Ledger), oldGuard, 0o600))
	// Here folder and guard were put back together: an honest operator's
	// request is still noticed, since it names what the ledger lacks.
	_, err = three.Answer(three.Request, three.Now())
	wantError(t, err, "asks for epoch 3 of "+testfleet.Namespace+"; the next one is 2")
	wantHint(t, err, "names a statement by our key about epoch 2, which the ledger lacks")
	r := must(rival.Answer(rival.Request, rival.Now()))
	if r.Statement.Epoch != 2 {
		t.Error("a second epoch 2: that nothing here shows it is what the handbook says")
	}
	// With the guard on another disk it would have been.
	must(0, os.WriteFile(thirdparty.GuardPath(one.Parties.Ledger), guard, 0o600))
	_, err = three.Answer(three.Request, three.Now())
	wantError(t, err, "has another entry 2 than its guard")
}

func TestALedgerWithoutItsGuardIsNotOpened(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	path := thirdparty.GuardPath(f.Parties.Ledger)
	good := must(os.ReadFile(path))
	must(0, os.Remove(path))
	_, err := f.OpenLedger()
	wantError(t, err, "does not exist, and the ledger")
	key := f.Parties.Auditor(testfleet.FirstAuditor).Key()
	l := must(thirdparty.ReadLedger(f.Parties.Ledger, key))
	must(0, l.BeginGuard(path))
	if again := must(os.ReadFile(path)); !bytes.Equal(again, good) {
		t.Errorf("%s is another guard than %s", again, good)
	}
	wantError(t, l.BeginGuard(path), "nothing is overwritten")
	ledger(t, f).Close()

	for name, text := range map[string]string{
		"empty":         "",
		"another form":  strings.Replace(string(good), "v1", "v2", 1),
		"another key":   strings.Replace(string(good), "key ", "key A", 1),
		"no number":     strings.Replace(string(good), "entries 1", "entries one", 1),
		"huge number":   strings.Replace(string(good), "entries 1", "entries 9007199254740991", 1),
		"cut off":       string(good[:len(good)-1]),
		"more after it": string(good) + "x\n",
		"too long":      string(good) + strings.Repeat("x", 2000),
	} {
		must(0, os.WriteFile(path, []byte(text), 0o600))
		if l, err := f.OpenLedger(); err == nil {
			l.Close()
			t.Errorf("%s: taken", name)
		}
	}
}

// A crash after the ledger was written and before the guard was leaves the
// ledger ahead; the same request then gets the same answer.
func TestALedgerAheadOfItsGuardGoesOn(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	first := must(f.Answer(f.Request, f.Now()))
	good := must(os.ReadFile(thirdparty.GuardPath(f.Parties.Ledger)))
	guardAgain(t, f, nil)
	again := must(f.Answer(f.Request, f.Now()))
	if !bytes.Equal(first.Raw(), again.Raw()) || !bytes.Equal(good, must(os.ReadFile(thirdparty.GuardPath(f.Parties.Ledger)))) {
		t.Error("another answer, or the guard was left behind")
	}
	// Where the guard can't be written no signature leaves.
	g := testfleet.New(t, testfleet.Options{Name: "g", To: testfleet.ToRequest})
	path := thirdparty.GuardPath(g.Parties.Ledger)
	l := must(g.OpenLedger())
	defer l.Close()
	in := must(thirdparty.Inspect("r", g.Request, policy(g), l))
	must(0, os.Remove(path))
	must(0, os.MkdirAll(filepath.Join(path, "in the way"), 0o700))
	r, err := thirdparty.Sign(in, l, g.Now(), g.Parties.ThirdParty.Sign)
	if wantError(t, err, "so no signature leaves"); r != nil {
		t.Error("one did")
	}
}

// A copy of the ledger under the same guard signs nothing at the same time, and
// a guard that was moved on behind the ledger's back is noticed before the key
// is used.
func TestTwoLedgersDoNotShareAGuard(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one", To: testfleet.ToLogged})
	two := testfleet.New(t, testfleet.Options{Name: "two", After: one, To: testfleet.ToRequest})
	guard := thirdparty.GuardPath(one.Parties.Ledger)
	key := one.Parties.Auditor(testfleet.FirstAuditor).Key()
	standby := filepath.Join(t.TempDir(), "standby")
	must(0, os.WriteFile(standby, must(os.ReadFile(one.Parties.Ledger)), 0o600))
	old := must(os.ReadFile(guard))

	l := must(two.OpenLedger())
	defer l.Close()
	if s, err := thirdparty.OpenGuarded(standby, guard, key); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a copy of the ledger under the same guard: %v", err)
		s.Close()
	}
	// Another machine's, which shares the guard's disk and no lock.
	in := must(thirdparty.Inspect("r", two.Request, policy(two), l))
	copied := filepath.Join(t.TempDir(), "guard")
	must(0, os.WriteFile(copied, old, 0o600))
	s := must(thirdparty.OpenGuarded(standby, copied, key))
	defer s.Close()
	if _, err := thirdparty.Sign(in, s, two.Now(), two.Parties.ThirdParty.Sign); err != nil {
		t.Fatal(err)
	}
	must(0, os.WriteFile(guard, must(os.ReadFile(copied)), 0o600))
	r, err := thirdparty.Sign(in, l, two.Now(), func([]byte) ([]byte, error) {
		t.Error("the key was used")
		return nil, errors.New("used")
	})
	if wantError(t, err, "has 1 of the 2 entries that its guard"); r != nil {
		t.Error("a signature left")
	}
}

// Through a link a ledger would have two locks, and a guard on another disk would
// be left behind for a file where its link was.
func TestALedgerAndItsGuardAreNoLinks(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	key := f.Parties.Auditor(testfleet.FirstAuditor).Key()
	guard := thirdparty.GuardPath(f.Parties.Ledger)
	dir := t.TempDir()
	if err := os.Symlink(f.Parties.Ledger, filepath.Join(dir, "ledger")); err != nil {
		t.Skip(err)
	}
	must(0, os.Symlink(guard, filepath.Join(dir, "guard")))
	must(0, os.Symlink(filepath.Join(dir, "nothing yet"), filepath.Join(dir, "new")))
	for _, p := range [][2]string{{filepath.Join(dir, "ledger"), guard}, {f.Parties.Ledger, filepath.Join(dir, "guard")}, {filepath.Join(dir, "new"), filepath.Join(dir, "new.guard")}} {
		l, err := thirdparty.OpenGuarded(p[0], p[1], key)
		if wantError(t, err, "is a symbolic link"); err == nil {
			l.Close()
		}
	}
}

func FuzzGuard(f *testing.F) {
	one := testfleet.New(f, testfleet.Options{To: testfleet.ToLogged})
	key := one.Parties.Auditor(testfleet.FirstAuditor).Key()
	f.Add(must(os.ReadFile(thirdparty.GuardPath(one.Parties.Ledger))))
	f.Add([]byte("fleetctl third-party-guard v1\n"))
	l := must(thirdparty.ReadLedger(one.Parties.Ledger, key))
	good := string(must(os.ReadFile(thirdparty.GuardPath(one.Parties.Ledger))))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(testfleet.TempDir(t), "guard")
		must(0, os.WriteFile(path, data, 0o600))
		// Of all files only the guard itself, and that of the empty ledger, let
		// this ledger pass.
		if err := l.CheckGuard(path); err == nil && string(data) != good && !strings.Contains(string(data), "\nentries 0\n") {
			t.Fatalf("%q guards a ledger of one entry", data)
		}
	})
}
