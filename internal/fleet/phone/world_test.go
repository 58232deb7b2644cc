package phone_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/imposter"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/phone"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/fleet/vault"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const account = "drill.alice"

// world is a fleet whose nodes have one log, in memory.
type world struct {
	*testing.T
	f      *testfleet.Fleet
	set    *bundle.KeySet
	policy *device.Policy
	answer session.Answer
	opaque *opaque.Server

	mu      sync.Mutex
	machine *guess.Machine
	index   uint64
	// after, if set, has a node say otherwise of what was written.
	after func(node string, kind guess.Kind) error
}

// usual is the fleet of most tests, each of which has a log of its own for it.
var usual struct {
	once sync.Once
	f    *testfleet.Fleet
}

func newWorld(t *testing.T) *world {
	t.Helper()
	usual.once.Do(func() { usual.f = fleetOf(t, testfleet.Options{Name: "phones"}) })
	return worldOf(t, usual.f)
}

func fleetOf(t *testing.T, o testfleet.Options) *testfleet.Fleet {
	t.Helper()
	o.Roles = []draft.Role{{Name: "session", Algorithm: keys.Ed25519}}
	if o.After == nil {
		o.Witnesses = 1
	}
	return testfleet.New(t, o)
}

func worldOf(t *testing.T, f *testfleet.Fleet) *world {
	t.Helper()
	w := &world{T: t, f: f, machine: guess.New(), answer: session.Answer{Bundle: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile]}}
	w.set = must(bundle.ParseBundle("bundle", w.answer.Bundle)).KeySet
	w.policy = must(planned.DevicePolicy(must(evidence.ParsePolicy("policy.yaml", f.Policy)), "", 24*time.Hour, device.Pins{}, true))
	digest := w.set.Digest()
	w.opaque = must(opaque.NewServer(rand.Reader, must(opaque.NewServerKey(rand.Reader)), make([]byte, opaque.SeedSize), digest[:]))
	w.submit(&guess.Command{Kind: guess.Begin, Epoch: w.set.Epoch, Secrets: [32]byte{1}})
	return w
}

func (w *world) submit(c *guess.Command) guess.Answer {
	w.Helper()
	data, err := c.Encode()
	if err != nil {
		w.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index++
	return w.machine.Apply(w.index, data)
}

// used is how many guesses of the account are.
func (w *world) used() uint32 {
	w.Helper()
	return w.submit(&guess.Command{Kind: guess.Look, Account: account}).Used
}

// log is what one node has of it.
type log struct {
	w    *world
	node string
}

func (l log) Submit(_ context.Context, data []byte) (guess.Answer, error) {
	c, err := guess.ParseCommand(data)
	if err != nil {
		return guess.Answer{}, err
	}
	a := l.w.submit(c)
	if l.w.after != nil {
		err = l.w.after(l.node, c.Kind)
	}
	return a, err
}

// node runs one of the fleet's nodes.
func (w *world) node(hsm string) phone.Node {
	w.Helper()
	var key *session.Key
	for _, k := range w.set.Keys {
		for _, tok := range w.f.Tokens {
			objects, _ := tok.Objects()
			for _, o := range objects {
				if s := tok.Key(o.ID); s != nil && k.HSM == hsm && bytes.Equal(s.Public.SPKI(), k.SPKI) {
					key = must(session.NewKey(k.SPKI, s.Sign))
				}
			}
		}
	}
	s := must(session.NewServer(hsm, "session", key, nil, w.answer))
	v := must(vault.New(vault.Config{
		Log: log{w, hsm}, Server: w.opaque, Random: rand.Reader, Epoch: w.set.Epoch, Limit: 3,
		Status: func() wire.Status { return wire.Status{Node: hsm} },
	}))
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Serve(ctx, l, func(ctx context.Context, c *session.Conn) { _ = v.Serve(ctx, c, c.Exporter()) }, nil)
	}()
	w.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	return phone.Node{HSM: hsm, Address: l.Addr().String()}
}

// imposter says at an address of its own, as hsm, what a node has said, or something of
// it; no device says it anything.
func (w *world) imposter(hsm string, of phone.Node, change func(*imposter.Said) *imposter.Said) phone.Node {
	w.Helper()
	i := must(imposter.Serve(change(must(imposter.Overhear(w.Context(), of.Address)))))
	w.Cleanup(func() {
		if heard := i.Close(); heard > 0 {
			w.Errorf("the imposter of %s was sent %d bytes", hsm, heard)
		}
	})
	return phone.Node{HSM: hsm, Address: i.Address()}
}

func same(s *imposter.Said) *imposter.Said { return s }

// dead is a node at whose address nobody is.
func (w *world) dead(hsm string) phone.Node {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	l.Close()
	return phone.Node{HSM: hsm, Address: l.Addr().String()}
}

// device is one that has seen nothing yet.
func (w *world) device(nodes ...phone.Node) *phone.Phone {
	return &phone.Phone{
		Session: session.Client{Policy: w.policy, State: phone.Memory("state"), Guard: phone.Memory("guard"), Begin: true, Role: "session", Now: w.f.Last},
		Nodes:   nodes, Account: account, Random: rand.Reader, Stretch: opaque.Identity, Patience: await.Longest,
	}
}

func code() client.Secret { return must(client.ParseCode(must(client.NewCode(rand.Reader)))) }

// registered has a device register, and gives its code.
func (w *world) registered(nodes ...phone.Node) client.Secret {
	w.Helper()
	c := code()
	must(w.device(nodes...).Register(w.Context(), c, must(client.NewKey(rand.Reader)), 0))
	return c
}

// cut has the sessions with a node be lost once the log has counted a guess, and then
// something happen.
func (w *world) cut(node string, then func()) func(*session.Session) io.ReadWriter {
	return func(s *session.Session) io.ReadWriter {
		if s.Node() != node {
			return s
		}
		return &lost{s, w, then}
	}
}

type lost struct {
	*session.Session
	w    *world
	then func()
}

func (l *lost) Read([]byte) (int, error) {
	await.Until(l.w, "the guess is counted", func() bool { return l.w.used() > 0 })
	l.then()
	return 0, io.ErrUnexpectedEOF
}
