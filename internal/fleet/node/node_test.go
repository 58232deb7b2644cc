package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/sealed"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// setOf is a key set of one HSM with these roles; nothing else of it counts.
func setOf(roles ...draft.Role) *bundle.KeySet {
	k := &bundle.KeySet{}
	for _, r := range roles {
		k.Keys = append(k.Keys, bundle.FleetKey{HSM: "hsm-1", Role: r.Name, Use: r.Algorithm.Use(), Algorithm: r.Algorithm})
	}
	return k
}

var (
	classical = draft.Role{Name: "session", Algorithm: keys.P256}
	backup    = draft.Role{Name: "backup", Algorithm: keys.Ed25519}
	strong    = draft.Role{Name: "vault", Algorithm: keys.MLDSA44}
	strong2   = draft.Role{Name: "session-pq", Algorithm: keys.MLDSA65}
	agrees    = draft.Role{Name: "sealing", Algorithm: keys.ECDHP256}
)

func TestRolesThatAreNotNamedAreTheOnlyOnesOfTheirKind(t *testing.T) {
	for what, c := range map[string]struct {
		set         *bundle.KeySet
		given, want Roles
		says        string // its error; empty: none
	}{
		"a classical fleet":         {setOf(classical, agrees), Roles{}, Roles{"session", "", "sealing"}, ""},
		"a hybrid fleet":            {setOf(strong, classical, agrees), Roles{}, Roles{"session", "vault", "sealing"}, ""},
		"all are named":             {setOf(strong, strong2, classical, backup, agrees), Roles{"backup", "vault", "sealing"}, Roles{"backup", "vault", "sealing"}, ""},
		"two that sign in TLS":      {setOf(classical, backup, agrees), Roles{}, Roles{}, "2 roles whose keys sign in TLS: name the one that is meant (--role)"},
		"ML-DSA keys alone":         {setOf(strong, agrees), Roles{}, Roles{}, "0 roles whose keys sign in TLS"},
		"two of ML-DSA":             {setOf(strong, strong2, classical, agrees), Roles{}, Roles{}, "2 roles of ML-DSA keys, [vault session-pq]: name the one that signs sessions (--role-pq)"},
		"none of ML-DSA, and named": {setOf(classical, agrees), Roles{PostQuantum: "vault"}, Roles{}, `an ML-DSA key of role "vault"`},
		"a classical one, named":    {setOf(strong, classical, agrees), Roles{PostQuantum: "session"}, Roles{}, `an ML-DSA key of role "session"`},
		"none that agrees":          {setOf(classical), Roles{}, Roles{}, "0 roles whose keys agree"},
	} {
		got := c.given
		err := got.Find(c.set)
		if c.says == "" && (err != nil || got != c.want) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v; it should say %q", what, err, c.says)
		}
	}
}

// hybrid is the configuration of the node of hsm-1, in a fleet of three whose sessions are
// signed by ML-DSA keys too, with the keys of that HSM's token.
func hybrid(t *testing.T) (Config, *device.Policy, time.Time) {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: "a hybrid node", HSMs: 3, Witnesses: 1, Roles: []draft.Role{classical, strong, agrees}})
	c := Config{
		HSM: "hsm-1", Bundle: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile], Role: "session", PostQuantum: "vault", Sealing: "sealing",
		Keeper: new(anchor.Memory), Founder: true, Limit: 10, Timeout: time.Second, Log: slog.New(slog.DiscardHandler), RaftLog: io.Discard,
	}
	b := must(bundle.ParseBundle("bundle", c.Bundle))
	s := must(sealed.New(rand.Reader))
	c.Secrets = must(sealed.Seal(b, c.Sealing, s))
	at, dir := await.Ports(t, 6), t.TempDir()
	c.Site = &site.Site{}
	for i, h := range b.KeySet.HSMs() {
		c.Site.Nodes = append(c.Site.Nodes, site.Node{
			HSM: h, Module: "/module", Token: h, PIN: "terminal", Dir: filepath.Join(dir, h), Anchor: site.Nowhere,
			Address: fmt.Sprintf("127.0.0.1:%d", at+i), Peers: fmt.Sprintf("127.0.0.1:%d", at+3+i), Listen: "127.0.0.1:0", ListenPeers: "127.0.0.1:0",
		})
	}
	tok := f.Tokens[0]
	for _, k := range f.Account.Keys {
		if k.HSM != "hsm-1" || k.Outcome == nil {
			continue
		}
		id := k.Intent.ID
		sign := func(m []byte) ([]byte, error) { return tok.Sign("", id, keys.ForSession, m) }
		switch k.Role {
		case "session":
			c.Sign = sign
		case "vault":
			c.SignPostQuantum = sign
		default:
			c.Agree = func(peer []byte) ([]byte, error) { return tok.Agree(string(keys.ECDHP256), id, peer) }
		}
	}
	must(anchor.Begin(c.Keeper, Fleet(b.KeySet, false), rand.Reader))
	policy := must(planned.DevicePolicy(must(evidence.ParsePolicy("policy.yaml", f.Policy)), "", 24*time.Hour, device.Pins{}, true))
	return c, policy, f.Last()
}

func TestANodeOfAHybridFleetStartsOnlyOnceItsTokenSignsSessions(t *testing.T) {
	good, policy, now := hybrid(t)
	broken := errors.New("CKR_KEY_FUNCTION_NOT_PERMITTED")
	for what, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no role":        {func(c *Config) { c.PostQuantum = "" }, "node hsm-1 has no such key at work"},
		"another role":   {func(c *Config) { c.PostQuantum = "session" }, "a session is signed by one of ML-DSA too"},
		"it can't sign":  {func(c *Config) { c.SignPostQuantum = func([]byte) ([]byte, error) { return nil, broken } }, broken.Error()},
		"it signs badly": {func(c *Config) { c.SignPostQuantum = c.Sign }, "the HSM doesn't sign with its key of role vault"},
	} {
		bad := good
		c.change(&bad)
		if n, err := Start(bad); err == nil || !strings.Contains(err.Error(), c.says) {
			if n != nil {
				n.close()
			}
			t.Errorf("%s: %v; it should say %q", what, err, c.says)
		}
	}
	n, err := Start(good)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	at, _ := n.Listening()
	dir := t.TempDir()
	d := session.Client{
		Policy: policy, State: device.File(filepath.Join(dir, "state")), Guard: device.File(filepath.Join(dir, "guard")), Begin: true,
		Role: "session", Now: func() time.Time { return now },
	}
	s, err := d.Dial(ctx, at)
	if err != nil {
		t.Error(err)
	} else {
		s.Close()
	}
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
