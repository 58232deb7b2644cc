package thirdparty_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestTheSameRequestGetsTheSameAnswer(t *testing.T) {
	f := asked(t, testfleet.Options{})
	first := must(f.Answer(f.Request, f.Now()))
	l := ledger(t, f)
	in := must(thirdparty.Inspect("r", f.Request, policy(f), l))
	if !in.Again {
		t.Error("it isn't noticed that the request was signed before")
	}
	again, err := thirdparty.Sign(in, l, f.Now().Add(time.Hour), func([]byte) ([]byte, error) {
		t.Error("the key was used again")
		return nil, errors.New("used")
	})
	if err != nil || !bytes.Equal(again.Raw(), first.Raw()) {
		t.Errorf("another answer, or none: %v", err)
	}
	if n := len(l.Statements()); n != 1 {
		t.Errorf("the ledger has %d entries", n)
	}
}

// One epoch, one digest; epochs in order; no digest twice; time never back.
func TestWhatALedgerRefuses(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one"})
	two := asked(t, testfleet.Options{Name: "two", After: one})

	rival := *one.Parties // one's parties, whose third party has one ledger
	other := asked(t, testfleet.Options{Name: "rival", Parties: &rival})
	_, err := f2(t, other)
	wantError(t, err, "which the ledger has signed up to epoch 1: one epoch has one digest")
	wantError(t, err, fmt.Sprintf(". Epoch 1: %x was signed at ", one.Account.Release.Artifact))
	wantError(t, err, fmt.Sprintf(", and now %x is asked for", other.Request.Core.KeySet.Digest()))
	wantHint(t, err, "Sign nothing; ask the operator why. If the first was abandoned, they make a void")

	// A ledger that was lost, or restored from before, is noticed.
	lost := *one.Parties
	lost.Ledger = two.Dir + "/lost.jsonl"
	two.Parties = &lost
	_, err = f2(t, two)
	wantError(t, err, "but the ledger has no statement of")
	two.Parties = one.Parties

	forgetful := must(bundle.NewCore(two.Request.Core.KeySet, two.Request.Core.Predecessor, nil, two.Request.Core.Release))
	l := ledger(t, two)
	for name, c := range map[string]*bundle.Core{"does not name our last statement": forgetful} {
		r := must(bundle.NewRequest(c, two.Request.Files))
		if _, err := thirdparty.Inspect("r", r, policy(two), l); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	in := must(thirdparty.Inspect("r", two.Request, policy(two), l))
	if in.Delta == nil || in.Delta.Empty() {
		t.Errorf("nothing changed between two fleets: %+v", in.Delta)
	}
	never := func([]byte) ([]byte, error) { t.Error("the key was used"); return nil, errors.New("used") }
	_, err = thirdparty.Sign(in, l, one.Now().Add(-24*time.Hour), never)
	wantError(t, err, "the clock says")
	_, err = thirdparty.Sign(in, l, in.Account.ReleaseTime.Add(-6*time.Minute), never)
	wantError(t, err, "was released at")
	if n := len(l.Statements()); n != 1 {
		t.Fatalf("the ledger has %d entries", n)
	}
	if _, err := thirdparty.Sign(in, l, two.Now(), one.Parties.ThirdParty.Sign); err != nil {
		t.Fatal(err)
	}
	// A signature by another key is not let out, nor recorded.
	three := asked(t, testfleet.Options{Name: "three"})
	l3 := ledger(t, three)
	in3 := must(thirdparty.Inspect("r", three.Request, policy(three), l3))
	if r, err := thirdparty.Sign(in3, l3, three.Now(), one.Parties.ThirdParty.Sign); err == nil || r != nil || len(l3.Statements()) != 0 {
		t.Errorf("another key's signature is let out: %v", err)
	}
}

// f2 is a fleet's request answered by its third party.
func f2(t *testing.T, f *testfleet.Fleet) (*bundle.Response, error) {
	t.Helper()
	return f.Answer(f.Request, f.Now())
}

func TestALedgerIsCutAtAnyByte(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one"})
	testfleet.New(t, testfleet.Options{Name: "two", After: one})
	path := one.Parties.Ledger
	good := must(os.ReadFile(path))
	first := bytes.IndexByte(good, '\n') + 1
	ends := []int{0, first, len(good)}
	guardAgain(t, one, nil) // one that has seen nothing: any cut is ahead of it
	for n := range good {
		must(0, os.WriteFile(path, good[:n], 0o600))
		l, err := one.OpenLedger()
		if err != nil {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		// An entry whole but for its line end is kept: it was signed.
		want := 0
		if n >= first-1 {
			want = 1
		}
		if n >= len(good)-1 {
			want = 2
		}
		if got := len(l.Statements()); got != want {
			t.Errorf("cut to %d bytes: %d entries, want %d", n, got, want)
		}
		l.Close()
		if left := must(os.ReadFile(path)); !bytes.Equal(left, good[:ends[want]]) {
			t.Fatalf("cut to %d bytes: %d are left", n, len(left))
		}
	}
}

func TestNoChangeOfALedgerIsTaken(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one"})
	testfleet.New(t, testfleet.Options{Name: "two", After: one})
	path := one.Parties.Ledger
	good := must(os.ReadFile(path))
	refused := func(how string, data []byte) {
		t.Helper()
		must(0, os.WriteFile(path, data, 0o600))
		if l, err := one.OpenLedger(); err == nil {
			l.Close()
			t.Errorf("%s: taken", how)
		}
	}
	first := bytes.IndexByte(good, '\n') + 1
	for i := range good[:len(good)-1] { // without its last LF it is cut off
		data := bytes.Clone(good)
		data[i] ^= 1 << (i % 8)
		if data[i] == '\n' || good[i] == '\n' {
			continue
		}
		refused(fmt.Sprintf("a bit of byte %d", i), data)
	}
	refused("the first entry gone", good[first:])
	refused("the first entry twice", append(bytes.Clone(good[:first]), good...))
	refused("the entries exchanged", append(bytes.Clone(good[first:]), good[:first]...))
	refused("the last entry twice", append(bytes.Clone(good), good[first:]...))
	must(0, os.WriteFile(path, good, 0o600))
	other := testfleet.SoftSigner("ed25519", "another")
	raw, _ := other.Public.Ed25519()
	if _, err := thirdparty.OpenLedger(path, [32]byte(raw)); err == nil {
		t.Error("another key's ledger is taken")
	}
	if _, err := thirdparty.OpenLedger(path, [32]byte{}); err == nil {
		t.Error("a key of small order has a ledger")
	}
}

func TestOneProcessAtALedger(t *testing.T) {
	f := asked(t, testfleet.Options{})
	ledger(t, f)
	if _, err := f.OpenLedger(); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
}

// A ledger that can't be written lets no signature out, then or later.
func TestNoSignatureLeavesWithoutItsEntry(t *testing.T) {
	f := asked(t, testfleet.Options{})
	l := ledger(t, f)
	in := must(thirdparty.Inspect("r", f.Request, policy(f), l))
	must(0, os.Remove(f.Parties.Ledger))
	must(0, os.Mkdir(f.Parties.Ledger, 0o700)) // in the way
	for range 2 {
		r, err := thirdparty.Sign(in, l, f.Now(), f.Parties.ThirdParty.Sign)
		if wantError(t, err, "written"); r != nil {
			t.Fatal("a signature left")
		}
		_ = os.Remove(f.Parties.Ledger)
	}
	if n := len(l.Statements()); n != 0 {
		t.Errorf("%d entries", n)
	}
}
