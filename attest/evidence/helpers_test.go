package evidence_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

// full asks for everything, however long it takes.
var full = os.Getenv("FLEETCTL_FULL") == "1"

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// world is a package and all that is needed to judge and to attack it.
type world struct {
	good     *testfleet.Fleet
	sister   *testfleet.Fleet // another ceremony of the same parties, for the same epoch
	stranger *testfleet.Fleet // nothing in common but the names
	policy   *evidence.Policy
	now      time.Time
}

// newWorld makes the three fleets. That the same third party signs an epoch
// twice takes a ledger that was lost: it is the worst case.
func newWorld(t testing.TB, make func(testing.TB, testfleet.Options) *testfleet.Fleet) *world {
	t.Helper()
	w := &world{good: make(t, testfleet.Options{Name: "good"})}
	same := *w.good.Parties
	same.Ledger = filepath.Join(testfleet.TempDir(t), "ledger.jsonl")
	w.sister = make(t, testfleet.Options{Name: "sister", Parties: &same})
	w.stranger = make(t, testfleet.Options{Name: "stranger"})
	w.policy = must(evidence.ParsePolicy("policy.yaml", w.good.Policy))
	w.now = w.sister.Now().Add(time.Hour)
	r, err := w.verify(w.good.Archive)
	if err != nil || !r.Verified {
		t.Fatalf("the good package is not verified: %v %+v", err, r)
	}
	return w
}

// verify turns a panic into an error: no input may cause one.
func (w *world) verify(data []byte) (r *evidence.Report, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return evidence.Verify(evidence.Input{File: "evidence.tar", Data: data}, w.policy, evidence.Question{Now: w.now})
}

// with is files with one of them changed; nil takes it away.
func with(files evidence.Files, path string, data []byte) evidence.Files {
	f := maps.Clone(files)
	f[path] = data
	if data == nil {
		delete(f, path)
	}
	return f
}

// sealed gives the files a manifest that fits, and packs them.
func sealed(files evidence.Files) ([]byte, error) {
	f := with(files, evidence.ManifestFile, nil)
	return evidence.Pack(with(f, evidence.ManifestFile, f.Manifest()))
}
