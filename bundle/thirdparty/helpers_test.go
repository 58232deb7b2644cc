package thirdparty_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func wantError(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want an error that says %q", err, says)
	}
}

func wantHint(t *testing.T, err error, says string) {
	t.Helper()
	var e *strict.Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint, says) {
		t.Errorf("got %v, want a hint that says %q", err, says)
	}
}

func policy(f *testfleet.Fleet) *thirdparty.Policy {
	return must(thirdparty.ParsePolicy("tp.yaml", f.ThirdPartyPolicy()))
}

func ledger(t *testing.T, f *testfleet.Fleet) *thirdparty.Ledger {
	t.Helper()
	l, err := f.OpenLedger()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// begun is a key's new ledger, in a folder of its own.
func begun(t *testing.T, key [32]byte) *thirdparty.Ledger {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	must(0, thirdparty.InitLedger(path, thirdparty.GuardPath(path), key))
	l := must(thirdparty.OpenLedger(path, key))
	t.Cleanup(l.Close)
	return l
}

// asked is a fleet whose request is made and not answered yet.
func asked(t testing.TB, o testfleet.Options) *testfleet.Fleet {
	t.Helper()
	o.To = testfleet.ToRequest
	return testfleet.New(t, o)
}
