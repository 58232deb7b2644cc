//go:build unix

package tiled

import (
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// The embedded log signs with an ML-DSA-44 key, run after run, and its proofs verify
// under a policy that pins that key.
func TestTheLogSignsWithMLDSA44(t *testing.T) {
	k, err := keys.NewMLDSA(keys.MLDSA44, append(make([]byte, 31), 9))
	if err != nil {
		t.Fatal(err)
	}
	key, err := auditlog.VerifierOf(testOrigin, k.Public(), false)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "log")
	if err := Init(dir, key.String(), Options{}); err != nil {
		t.Fatal(err)
	}
	for i, leaf := range []string{"one", "two", "three"} {
		s := SignerOf(key, func(msg []byte) ([]byte, error) { return k.Sign(keys.ForLog, msg) })
		l, err := Open(dir, s, Options{Timeout: await.Longest})
		if err != nil {
			t.Fatal(err)
		}
		at, err := l.Append(t.Context(), []byte(leaf))
		if err != nil || len(at) != 1 || at[0].Index != uint64(i) {
			t.Fatalf("%s is entry %v: %v", leaf, at, err)
		}
	}
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Prove(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := auditlog.ParseProof("proof", text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := auditlog.ParsePolicy("policy", []byte("log "+key.String()+"\nquorum none\n"))
	if err != nil {
		t.Fatal(err)
	}
	if in, err := p.Verify([]byte("two"), proof); err != nil || in.Index != 1 {
		t.Errorf("%+v, %v", in, err)
	}
}
