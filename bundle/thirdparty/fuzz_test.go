package thirdparty_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func FuzzThirdPartyPolicy(f *testing.F) {
	f.Add(testfleet.Prepared(f, testfleet.Options{}).ThirdPartyPolicy())
	f.Add([]byte("format: fleetctl third-party-policy v1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := thirdparty.ParsePolicy("f", data)
		if (p == nil) == (err == nil) {
			t.Fatalf("policy %v with error %v", p, err)
		}
		if err == nil && (len(p.Namespaces) == 0 || len(p.Algorithms) == 0 || len(p.Roles) == 0 || p.LeastHSMs < 1 || p.Threshold < 1) {
			t.Fatalf("%+v allows anything", p)
		}
	})
}

// Whatever a ledger's file holds, it is read whole, cut after its last whole
// entry, or refused and left as it was; and read twice it is the same.
func FuzzLedger(f *testing.F) {
	one := testfleet.New(f, testfleet.Options{Name: "one"})
	f.Add(must(os.ReadFile(one.Parties.Ledger)))
	testfleet.New(f, testfleet.Options{Name: "two", After: one})
	f.Add(must(os.ReadFile(one.Parties.Ledger)))
	f.Add([]byte("{}\n"))
	raw, _ := one.Parties.ThirdParty.Public.Ed25519()
	key := [32]byte(raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(testfleet.TempDir(t), "ledger.jsonl")
		must(0, os.WriteFile(path, data, 0o600))
		if seen, err := thirdparty.ReadLedger(path, key); err == nil {
			must(0, seen.BeginGuard(thirdparty.GuardPath(path)))
		}
		l, err := thirdparty.OpenLedger(path, key)
		left := must(os.ReadFile(path))
		if err != nil {
			if l != nil || string(left) != string(data) {
				t.Fatal("refused, and changed")
			}
			return
		}
		n := len(l.Statements())
		l.Close()
		if len(left) > len(data) || string(data[:len(left)]) != string(left) {
			t.Fatal("what is left is not its beginning")
		}
		for _, s := range l.Statements() {
			if s.Verify(key) != nil {
				t.Fatal("holds a statement that doesn't verify")
			}
		}
		again := must(thirdparty.OpenLedger(path, key))
		defer again.Close()
		if len(again.Statements()) != n {
			t.Fatal("reads in two ways")
		}
	})
}
