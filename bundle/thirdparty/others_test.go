package thirdparty_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// A statement of another third party is met by a process that is killed over it, then by
// one that goes on with it, and then the power fails: one that contradicts it is found.
func TestAStatementThatWasMetIsKnownAfterAPowerCut(t *testing.T) {
	one, two := statementBy("another", 1, sha256.Sum256([]byte("one"))), statementBy("another", 1, sha256.Sum256([]byte("two")))
	for seed := range uint64(16) {
		disk := simdisk.New(t, seed)
		path, key := disk.Path("tp", "ledger.jsonl"), statementBy("ours", 1, [32]byte{1}).Key
		must(0, durable.MkdirAll(disk.Path("tp"), 0o700))
		must(0, thirdparty.InitLedger(path, thirdparty.GuardPath(path), key))
		meet := func(s bundle.Signed) error {
			l, err := thirdparty.OpenLedger(path, key)
			if err != nil {
				return err
			}
			defer l.Close()
			return l.Meet([]bundle.Signed{s})
		}
		linked := false
		disk.Fault = func(c simdisk.Call) simdisk.Fault {
			if linked && c.Kind == simdisk.SyncDir {
				return simdisk.Kill
			}
			linked = linked || c.Kind == simdisk.Link || c.Kind == simdisk.Rename
			return simdisk.None
		}
		if err := disk.Run(func() error { return meet(one) }); err == nil || !linked {
			t.Fatalf("nothing kills it: %v", err)
		}
		disk.Fault = nil
		must(0, meet(one))
		disk.Cut()
		var e *thirdparty.Equivocation
		if err := meet(two); !errors.As(err, &e) {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
