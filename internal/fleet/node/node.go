// Package node is one node of a reference fleet: its HSM's keys, its sealed secrets, its
// share of the replicated log, and the answers that it gives to devices.
//
// It is a reference, not a vault: the secrets that it opens by its HSM are then in this
// process.
package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
	"github.com/fleetctl/fleetctl/internal/fleet/sealed"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
	"github.com/fleetctl/fleetctl/internal/fleet/vault"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// Config is what a node runs with.
type Config struct {
	Site   *site.Site
	HSM    string
	Bundle []byte // that its operator has verified
	Proof  []byte
	Role   string // of the keys that open sessions
	// PostQuantum is the role of the ML-DSA keys that sign sessions too: see
	// session.PostQuantumRole. Empty where the bundle has none.
	PostQuantum string
	Sealing     string // of the keys to which the secrets are sealed
	Secrets     []byte // the file of sealed secrets

	// The HSM's keys of these roles, at work.
	Sign            func(message []byte) ([]byte, error)
	SignPostQuantum func(message []byte) ([]byte, error)
	Agree           func(peer []byte) ([]byte, error)

	Keeper    anchor.Keeper
	Anchoring replica.Anchoring
	Beside    bool // it is of a fleet beside the one that a drill is about
	Founder   bool // the fleet begins with this node
	Limit     uint32
	Timeout   time.Duration // without a word from the leader, until another is elected
	Version   string
	Log       *slog.Logger
	RaftLog   io.Writer
}

// Node is a node that runs.
type Node struct {
	c       Config
	keys    *bundle.KeySet
	secrets [32]byte // their digest
	server  *session.Server
	vault   *vault.Vault
	replica *replica.Replica
	peers   *peers
	devices net.Listener
	nodes   net.Listener

	started chan struct{} // closed once there is a replica
	failed  chan error
}

// fail has the node stop.
func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default:
	}
}

// Accept gives the keys of a bundle, and refuses one that a device would refuse or that
// brings no keys: no node hands it out.
func Accept(b, proof []byte, p *device.Policy, now time.Time) (*bundle.KeySet, error) {
	v, err := device.Judge(b, proof, p, nil, now)
	if err != nil {
		return nil, err
	}
	if v.Bundle.KeySet == nil {
		return nil, errors.New("the bundle brings no keys: it retires a fleet or makes an epoch void")
	}
	return v.Bundle.KeySet, nil
}

// Fleet begins the digest that names a fleet, over all its epochs. beside is one that a
// drill runs on the same keys beside it, which has to go wrong.
func Fleet(k *bundle.KeySet, beside bool) (id [16]byte) {
	what := "fleetctl fleet 1"
	if beside {
		what = "beside fleetctl fleet 1"
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{what, k.Mode, k.Namespace, k.Fleet}, "\n")))
	copy(id[:], sum[:])
	return id
}

// Roles are those of a fleet's keys that its nodes work with.
type Roles struct {
	Session     string // opens sessions
	PostQuantum string // signs them inside TLS: of ML-DSA keys; empty in a fleet that has none
	Sealing     string // secrets are sealed to it
}

// Find names the roles that aren't named: the only one that signs as TLS does, the only one
// of ML-DSA keys, the only one that agrees.
func (r *Roles) Find(k *bundle.KeySet) (err error) {
	find := func(given *string, use bundle.Use, what, flag string) error {
		if *given != "" {
			return nil
		}
		found := map[string]bool{}
		for _, x := range k.Keys {
			if x.Use == use && !x.Algorithm.IsMLDSA() {
				found[x.Role], *given = true, x.Role
			}
		}
		if len(found) != 1 {
			return fmt.Errorf("the fleet has %d roles whose keys %s: name the one that is meant (%s)", len(found), what, flag)
		}
		return nil
	}
	if r.PostQuantum, err = session.PostQuantumRole(k, r.PostQuantum); err != nil {
		return fmt.Errorf("%w (--role-pq)", err)
	}
	if err := find(&r.Session, bundle.UseSign, "sign in TLS", "--role"); err != nil {
		return err
	}
	return find(&r.Sealing, bundle.UseAgree, "agree", "--sealing")
}

// Key is an HSM's key of a role in the bundle.
func Key(k *bundle.KeySet, hsm, role string) (*bundle.FleetKey, error) {
	for i, x := range k.Keys {
		if x.HSM == hsm && x.Role == role {
			return &k.Keys[i], nil
		}
	}
	return nil, fmt.Errorf("the bundle of %s, epoch %d, has no key of hsm %q for role %q", k.Fleet, k.Epoch, hsm, role)
}

// Start starts a node. It listens once it returns.
func Start(c Config) (_ *Node, err error) {
	b, err := bundle.ParseBundle("bundle", c.Bundle)
	if err != nil {
		return nil, err
	}
	self := c.Site.Node(c.HSM)
	if self == nil {
		return nil, fmt.Errorf("the site file has no node %q", c.HSM)
	}
	if err := errors.Join(self.Runs(), c.Site.Matches(b.KeySet)); err != nil {
		return nil, err
	}
	if len(c.Site.Nodes) < b.KeySet.Majority || b.KeySet.Majority != len(c.Site.Nodes)/2+1 {
		return nil, fmt.Errorf("the bundle's majority is %d of %d, and a replicated log commits with just more than half: this fleet can't be run", b.KeySet.Majority, len(c.Site.Nodes))
	}
	n := &Node{c: c, keys: b.KeySet, started: make(chan struct{}), failed: make(chan error, 1)}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	server, err := n.open(b)
	if err != nil {
		return nil, err
	}
	if err := n.listen(self); err != nil {
		return nil, err
	}
	if err := n.replicate(self); err != nil {
		return nil, err
	}
	n.vault, err = vault.New(vault.Config{Log: committed{n.replica}, Server: server, Random: rand.Reader, Epoch: b.KeySet.Epoch, Limit: c.Limit, Status: n.Status})
	return n, err
}

// open has the HSM open the secrets, and gives OPAQUE's server.
func (n *Node) open(b *bundle.Bundle) (*opaque.Server, error) {
	f, err := sealed.ParseFile("sealed secrets", n.c.Secrets)
	if err != nil {
		return nil, err
	}
	s, err := f.Open(b, n.c.Sealing, n.c.HSM, n.c.Agree)
	if err != nil {
		return nil, err
	}
	defer s.Clear()
	n.secrets = s.Digest()
	fleet := b.KeySet.Digest()
	return opaque.NewServer(rand.Reader, append([]byte{}, s.ServerKey[:]...), append([]byte{}, s.Seed[:]...), fleet[:])
}

// listen opens what devices and the other nodes connect to.
func (n *Node) listen(self *site.Node) error {
	k, err := Key(n.keys, n.c.HSM, n.c.Role)
	if err != nil {
		return err
	}
	key, err := session.NewKey(k.SPKI, n.c.Sign)
	if err != nil {
		return err
	}
	second, err := n.postQuantum()
	if err != nil {
		return err
	}
	if n.server, err = session.NewServer(n.c.HSM, n.c.Role, key, second, session.Answer{Bundle: n.c.Bundle, Proof: n.c.Proof}); err != nil {
		return err
	}
	devices, nodes := self.ListenAt()
	if n.devices, err = net.Listen("tcp", devices); err != nil {
		return err
	}
	if n.nodes, err = net.Listen("tcp", nodes); err != nil {
		return err
	}
	stream, err := session.NewStream(n.nodes, session.Peer{
		Node: n.c.HSM, Role: n.c.Role, Key: key, Second: second, Bundle: n.c.Bundle, Advertise: n.c.HSM,
		Refused: func(err error) { n.c.Log.Warn("a connection is refused", "error", err) }, Broken: n.fail,
	})
	if err != nil {
		return err
	}
	at := map[string]string{}
	for _, o := range n.c.Site.Nodes {
		at[o.HSM] = o.Peers
	}
	n.peers = newPeers(stream, at, n.asked)
	return nil
}

// postQuantum is the HSM's key that signs sessions inside TLS, once it has shown that it
// does; nil in a fleet that has none.
func (n *Node) postQuantum() (*session.PostQuantum, error) {
	if n.c.PostQuantum == "" {
		return nil, nil // where the bundle demands one, no session is served without
	}
	k, err := Key(n.keys, n.c.HSM, n.c.PostQuantum)
	if err != nil {
		return nil, err
	}
	return session.NewPostQuantum(n.c.PostQuantum, k.SPKI, n.c.SignPostQuantum)
}

// replicate starts the node's share of the log, or refuses to.
func (n *Node) replicate(self *site.Node) (err error) {
	c := replica.Config{
		Dir: filepath.Join(self.Dir, "log"), Name: n.c.HSM, Fleet: Fleet(n.keys, n.c.Beside), Keeper: n.c.Keeper, Anchoring: n.c.Anchoring,
		Stream: n.peers, Timeout: n.c.Timeout, Log: n.c.RaftLog, Majority: n.keys.Majority,
	}
	if n.c.Founder {
		a, err := anchor.Load(n.c.Keeper)
		if err != nil {
			return err
		}
		c.Founders = []replica.Member{{Name: n.c.HSM, Incarnation: a.Incarnation, Address: n.c.HSM}}
	}
	if n.replica, err = replica.Open(c); err == nil {
		close(n.started)
	}
	return err
}

// Listening says where devices and nodes connect to.
func (n *Node) Listening() (devices, nodes string) {
	return n.devices.Addr().String(), n.nodes.Addr().String()
}

// Run answers until ctx ends, or the node has to stop: its error says why.
func (n *Node) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() { n.lead(ctx) })
	all.Go(func() { n.join(ctx) })
	done := make(chan error, 1)
	all.Go(func() {
		done <- n.server.Serve(ctx, n.devices, n.talk, func(err error) { n.c.Log.Info("a device came to no session", "error", err) })
	})
	var err error
	select {
	case <-ctx.Done():
	case err = <-done:
	case err = <-n.failed:
	case <-n.replica.Failed():
		err = n.replica.Err()
	}
	stop()
	err = errors.Join(err, n.close())
	all.Wait()
	return err
}

// silence is how long a device may say nothing.
const silence = time.Minute

// talk answers one device.
func (n *Node) talk(ctx context.Context, c *session.Conn) {
	if err := n.vault.Serve(ctx, patient{c}, c.Exporter()); err != nil && ctx.Err() == nil {
		n.c.Log.Info("a session ended", "error", err)
	}
}

// patient waits for each word of a device as long as for the first.
type patient struct{ *session.Conn }

func (p patient) Read(b []byte) (int, error) {
	if err := p.SetDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

// Update has devices told another answer from now on: a fresher proof, or a notice by
// which the fleet is retired.
func (n *Node) Update(b, proof []byte) error {
	return n.server.Update(session.Answer{Bundle: b, Proof: proof})
}

func (n *Node) close() (err error) {
	if n.replica != nil {
		err = n.replica.Close() // and with it the channel to the others
	} else if n.peers != nil {
		err = n.peers.Close()
	}
	for _, l := range []net.Listener{n.devices, n.nodes} {
		if l != nil {
			l.Close()
		}
	}
	return err
}

// Well says why the node can neither answer a device nor send it to one that can. It
// asks nobody: a leader without a majority knows it within the time of an election. Whoever
// asks for a service's health reads the text, so it names no paths.
func (n *Node) Well() error {
	s := n.replica.Status()
	switch vote := len(s.Members); {
	case s.Err != nil:
		return errors.New("this node has stopped by itself: see its log")
	case s.Stalled:
		return errors.New("this node waits for its disk or its HSM, and answers nothing as long as it does")
	case !isMember(s.Members, s.Self):
		return errors.New("this node has no vote: it has not joined yet, or another incarnation has taken its place")
	case s.Leader.Name == "":
		return errors.New("no node leads the fleet, as far as this one knows: it reaches no majority, or one is being elected")
	case vote/2+1 < n.keys.Majority:
		return fmt.Errorf("%d of the fleet's %d nodes have a vote, and its majority is %d: nothing is answered until more have joined", vote, len(n.c.Site.Nodes), n.keys.Majority)
	case s.Epoch != n.keys.Epoch:
		return fmt.Errorf("the fleet's log is at epoch %d, and this node has the bundle of epoch %d", s.Epoch, n.keys.Epoch)
	}
	return nil
}

// Status is the node's word about itself.
func (n *Node) Status() wire.Status {
	s := n.replica.Status()
	state := "follows"
	switch {
	case s.Err != nil:
		state = "stopped"
	case s.Leads:
		state = "leads"
	case s.Leader.Name == "":
		state = "no leader"
	}
	var voters []string
	for _, m := range s.Members {
		voters = append(voters, m.Name)
	}
	return wire.Status{
		Node: n.c.HSM, Leader: s.Leader.Name, State: state, Anchor: n.c.Site.Node(n.c.HSM).Anchor, Voters: strings.Join(voters, " "), Version: n.c.Version,
		Epoch: s.Epoch, Term: s.Term, Last: s.Last, Applied: s.Applied,
		Accounts: uint32(s.Accounts), Locked: uint32(s.Locked),
	}
}
