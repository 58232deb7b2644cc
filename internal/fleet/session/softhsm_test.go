package session

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

// tokenKey is a node's key in its real token, found by what it is.
func (w *world) tokenKey(t *testing.T, i int, alg keys.Algorithm, role string) *Key {
	t.Helper()
	site := &w.Site.HSMs[i]
	opened, _, err := w.Fleet.Bench.Open(t.Context(), site, w.Plan.HSMs[i].Serial)
	if err != nil {
		t.Fatal(err)
	}
	tok := opened.(*hsm.Token)
	t.Cleanup(func() { tok.Close() })
	info, err := tok.Info()
	if err != nil {
		t.Fatal(err)
	}
	pin, err := w.Fleet.Bench.PIN(context.Background(), site, info, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Login(pin.Secret); err != nil && !errors.Is(err, hsm.ErrAlreadyLoggedIn) {
		t.Fatal(err)
	}
	objects, err := tok.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range w.set.Keys {
		for _, o := range objects {
			if k.HSM != w.Plan.HSMs[i].Name || k.Role != role || o.Class != "private" {
				continue
			}
			if spki, err := tok.PublicKey(string(alg), o.ID); err == nil && bytes.Equal(spki, k.SPKI) {
				return must(NewKey(k.SPKI, func(m []byte) ([]byte, error) { return tok.Sign(string(alg), o.ID, keys.ForSession, m) }))
			}
		}
	}
	t.Fatalf("the token has no key of role %s", role)
	return nil
}

// TestSessionsAreOpenedByKeysInRealTokens: over PKCS#11, a key of each kind, each its
// node's session key in a role of its own.
func TestSessionsAreOpenedByKeysInRealTokens(t *testing.T) {
	// A fleet in memory lends its log, which has witnesses, and its third party.
	parties := newWorld(t, testfleet.Options{Name: "lends its log", HSMs: 2}).Parties
	parties.Log.(*testfleet.Witnesses).At = func(int) time.Time { return time.Now() }
	kinds := []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "backup", Algorithm: keys.P256}}
	w := livedIn(t, testfleet.SoftHSM(t, testfleet.Options{Name: "real", HSMs: 2, Roles: kinds, Parties: parties, Namespace: "rehearsal.example.tokens.fleet_keys.v1"}))
	for _, r := range kinds {
		k := w.tokenKey(t, 1, r.Algorithm, r.Name)
		s, err := NewServer("hsm-2", r.Name, k, nil, w.Answer)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		c := w.device(t)
		c.Role, c.Now = r.Name, time.Now
		m := meet(t, c, s.opener())
		if m.err != nil || m.nodeErr != nil || !bytes.Equal(m.session.Key(), k.SPKI()) {
			t.Errorf("%s: device %v, node %v", r.Name, m.err, m.nodeErr)
		}
	}
}
