package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
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
	"github.com/fleetctl/fleetctl/internal/fleet/node"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/phone"
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

// guesses is how many an account has.
const guesses = 2

// world is a fleet of three nodes in this process, by tokens in memory.
type world struct {
	*testing.T
	f       *testfleet.Fleet
	keys    *bundle.KeySet
	policy  *device.Policy
	secrets []byte
	site    *site.Site
	keepers map[string]*anchor.Memory
	nodes   map[string]*node.Node
	ends    map[string]func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: t.Name(), Witnesses: 1, Roles: []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: keys.ECDHP256}}})
	b := must(bundle.ParseBundle("bundle", f.Files[ceremony.BundleFile]))
	p := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	w := &world{T: t, f: f, keys: b.KeySet, keepers: map[string]*anchor.Memory{}, nodes: map[string]*node.Node{}, ends: map[string]func(){}}
	w.policy = must(planned.DevicePolicy(p, "", 24*time.Hour, device.Pins{}, true))
	w.secrets = must(sealed.Seal(b, "sealing", must(sealed.New(rand.Reader))))
	port := await.Ports(t, 2*len(b.KeySet.HSMs()))
	w.site = &site.Site{}
	for i, hsm := range b.KeySet.HSMs() {
		w.site.Nodes = append(w.site.Nodes, site.Node{
			HSM: hsm, Module: "/memory", Token: hsm, PIN: "terminal", Anchor: site.InToken, Dir: filepath.Join(t.TempDir(), hsm),
			Address: fmt.Sprintf("127.0.0.1:%d", port+2*i), Peers: fmt.Sprintf("127.0.0.1:%d", port+2*i+1),
		})
		w.keepers[hsm] = &anchor.Memory{}
		must(anchor.Begin(w.keepers[hsm], node.Fleet(b.KeySet, false), rand.Reader))
	}
	t.Cleanup(func() {
		for hsm := range w.ends {
			w.stop(hsm)
		}
	})
	return w
}

// key is a token's key of a role: it signs, or it agrees.
func (w *world) key(hsm, role string) (sign, agree func([]byte) ([]byte, error)) {
	w.Helper()
	k := must(node.Key(w.keys, hsm, role))
	for _, tok := range w.f.Tokens {
		objects, _ := tok.Objects()
		for _, o := range objects {
			if s := tok.Key(o.ID); s != nil && bytes.Equal(s.Public.SPKI(), k.SPKI) {
				return s.Sign, func(peer []byte) ([]byte, error) { return tok.Agree(string(k.Algorithm), o.ID, peer) }
			}
		}
	}
	w.Fatalf("no token has the key of %s, role %s", hsm, role)
	return nil, nil
}

// start runs a node; the fleet begins with the first one.
func (w *world) start(hsm string) *node.Node {
	w.Helper()
	sign, _ := w.key(hsm, "session")
	_, agree := w.key(hsm, "sealing")
	n, err := node.Start(node.Config{
		Site: w.site, HSM: hsm, Bundle: w.f.Files[ceremony.BundleFile], Proof: w.f.Files[ceremony.ProofFile], Role: "session", Sealing: "sealing", Secrets: w.secrets,
		Sign: sign, Agree: agree, Keeper: w.keepers[hsm], Founder: hsm == w.site.Nodes[0].HSM, Limit: guesses, Timeout: 500 * time.Millisecond,
		Version: "test", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	w.nodes[hsm] = n
	w.ends[hsm] = func() {
		end()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	}
	return n
}

func (w *world) stop(hsm string) {
	w.ends[hsm]()
	delete(w.ends, hsm)
	delete(w.nodes, hsm)
}

// phone is a device that has seen nothing yet.
func (w *world) phone(account string) *phone.Phone {
	p := &phone.Phone{
		Session: session.Client{Policy: w.policy, State: phone.Memory("state"), Guard: phone.Memory("guard"), Begin: true, Role: "session", Now: w.f.Last},
		Account: account, Random: rand.Reader, Stretch: opaque.Identity, Patience: await.Longest,
	}
	for _, n := range w.site.Nodes {
		p.Nodes = append(p.Nodes, phone.Node{HSM: n.HSM, Address: n.Address})
	}
	return p
}
