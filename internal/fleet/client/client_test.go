package client_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/vault"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

const limit = 5

var fleet = []byte("digest of a key set")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// log is what the nodes of a fleet have in common.
type log struct {
	mu      sync.Mutex
	machine *guess.Machine
	index   uint64
	all     bytes.Buffer           // every command, as it was written
	fail    func(first byte) error // after it was written
}

func (l *log) Submit(_ context.Context, data []byte) (guess.Answer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	l.all.Write(data)
	a := l.machine.Apply(l.index, data)
	if l.fail != nil {
		if err := l.fail(data[1]); err != nil {
			return guess.Answer{}, err
		}
	}
	return a, nil
}

// nodes are a fleet's: what one begins another can go on with.
type nodes struct {
	log *log
	v   []*vault.Vault
}

func newNodes(t testing.TB) *nodes {
	t.Helper()
	n := &nodes{log: &log{machine: guess.New()}}
	n.write(t, guess.Command{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}})
	private, err := opaque.NewServerKey(rand.Reader)
	must(t, err)
	for range 2 {
		s, err := opaque.NewServer(rand.Reader, private, bytes.Repeat([]byte{7}, opaque.SeedSize), fleet)
		must(t, err)
		v, err := vault.New(vault.Config{Log: n.log, Server: s, Random: rand.Reader, Epoch: 1, Limit: limit, Status: func() wire.Status { return wire.Status{Node: "a"} }})
		must(t, err)
		n.v = append(n.v, v)
	}
	return n
}

func (n *nodes) write(t testing.TB, c guess.Command) guess.Answer {
	t.Helper()
	data, err := c.Encode()
	must(t, err)
	a, err := n.log.Submit(t.Context(), data)
	must(t, err)
	return a
}

func (n *nodes) used(t testing.TB, account string) uint32 {
	t.Helper()
	return n.write(t, guess.Command{Kind: guess.Look, Account: account}).Used
}

// lossy is a session that breaks after some messages were read from it.
type lossy struct {
	net.Conn
	reads int
}

func (l *lossy) Read(b []byte) (int, error) {
	if l.reads--; l.reads < 0 {
		_ = l.Conn.Close()
	}
	return l.Conn.Read(b)
}

// open opens a session with a node. reads is how often something is read before it
// breaks; a message is two reads.
func (n *nodes) open(t testing.TB, node, reads int) (*lossy, []byte) {
	t.Helper()
	ours, theirs := net.Pipe()
	exporter := make([]byte, 32)
	_, _ = rand.Read(exporter)
	go func() {
		_ = n.v[node].Serve(t.Context(), theirs, exporter)
		_ = theirs.Close()
	}()
	t.Cleanup(func() { _ = ours.Close() })
	return &lossy{ours, reads}, exporter
}

const forever = 1 << 30

func newDevice() *client.Device {
	return &client.Device{Random: rand.Reader, Account: "drill.a", Fleet: fleet, Stretch: opaque.Identity}
}

func newKey(t testing.TB) []byte {
	t.Helper()
	k, err := client.NewKey(rand.Reader)
	must(t, err)
	return k
}

func code(t testing.TB) client.Secret {
	t.Helper()
	text, err := client.NewCode(rand.Reader)
	must(t, err)
	s, err := client.ParseCode(text)
	must(t, err)
	return s
}

func password(t testing.TB, text string) client.Secret {
	t.Helper()
	s, err := client.Password(text)
	must(t, err)
	return s
}

// guess1 is one guess in a session of its own.
func guess1(t testing.TB, n *nodes, d *client.Device, s client.Secret) ([]byte, *client.Registration, error) {
	t.Helper()
	l, err := d.Login(s)
	must(t, err)
	session, exporter := n.open(t, 1, forever)
	return l.Recover(session, exporter)
}

func TestADeviceGetsItsKeyBackByCodeAndByPassword(t *testing.T) {
	for what, s := range map[string]client.Secret{"code": code(t), "password": password(t, "correct horse")} {
		n, d, key := newNodes(t), newDevice(), newKey(t)
		if what == "password" {
			d.Stretch = opaque.Argon2idSmall
		}
		session, _ := n.open(t, 0, forever)
		r, err := d.Register(session, s, key, 0)
		must(t, err)
		if r.Remaining != limit || r.Limit != limit || r.Epoch != 1 {
			t.Errorf("%s: registered with %+v", what, r)
		}
		again := *d // a new phone: it has the account's name and the secret
		got, back, err := guess1(t, n, &again, s)
		if err != nil || !bytes.Equal(got, key) || *back != *r {
			t.Errorf("%s: %x, %+v, %v", what, got, back, err)
		}
		if bytes.Contains(n.log.all.Bytes(), key) {
			t.Errorf("%s: the key itself is in the log", what)
		}
	}
}

func TestTheDeviceSeesTheCountThatIsWritten(t *testing.T) {
	n, d, s := newNodes(t), newDevice(), code(t)
	session, _ := n.open(t, 0, forever)
	_, err := d.Register(session, s, newKey(t), 0)
	must(t, err)
	for left := uint32(limit); left > 0; {
		left--
		_, _, err := guess1(t, n, d, code(t))
		var wrong *client.Wrong
		if !errors.As(err, &wrong) || wrong.Remaining != left || n.used(t, d.Account) != limit-left {
			t.Errorf("%v, and %d guesses are used", err, n.used(t, d.Account))
		}
		if want := map[uint32]string{0: "the next one destroys the record", 1: "1 guess is left", 2: "2 guesses are left"}[left]; !strings.Contains(err.Error(), want) {
			t.Errorf("%d left: %v", left, err)
		}
	}
	for _, given := range []client.Secret{s, code(t)} {
		_, _, err := guess1(t, n, d, given)
		var refusal *wire.Refusal
		if !errors.As(err, &refusal) || refusal.Code != wire.CodeLocked {
			t.Errorf("after the last guess: %v", err)
		}
	}
}

// TestALoginThatLosesItsNodeGoesOnWithAnotherAsTheSameGuess: after KE1, after KE2, after
// KE3 was sent.
func TestALoginThatLosesItsNodeGoesOnWithAnotherAsTheSameGuess(t *testing.T) {
	n, d, s, key := newNodes(t), newDevice(), code(t), newKey(t)
	session, _ := n.open(t, 0, forever)
	_, err := d.Register(session, s, key, 0)
	must(t, err)
	for reads := range 4 {
		l, err := d.Login(s)
		must(t, err)
		session, exporter := n.open(t, 0, reads)
		if _, _, err := l.Recover(session, exporter); err == nil || !strings.Contains(err.Error(), "the session is lost") {
			t.Fatalf("%d reads: %v", reads, err)
		}
		session, exporter = n.open(t, 1, forever)
		got, _, err := l.Recover(session, exporter)
		if err != nil || !bytes.Equal(got, key) || n.used(t, d.Account) != 0 {
			t.Errorf("%d reads: %v; %d guesses are used", reads, err, n.used(t, d.Account))
		}
	}
	wrong, err := d.Login(code(t))
	must(t, err)
	for range 3 {
		session, exporter := n.open(t, 0, 0)
		if _, _, err := wrong.Recover(session, exporter); err == nil || errors.As(err, new(*client.Wrong)) {
			t.Error(err)
		}
	}
	session, exporter := n.open(t, 1, forever)
	if _, _, err := wrong.Recover(session, exporter); !errors.As(err, new(*client.Wrong)) || n.used(t, d.Account) != 1 || !wrong.Counted || wrong.Remaining != limit-1 {
		t.Errorf("a wrong code four times over: %v, %d guesses are used", err, n.used(t, d.Account))
	}
}

func TestALoginCarriedIntoAnotherSessionFails(t *testing.T) {
	n, d, s := newNodes(t), newDevice(), code(t)
	session, _ := n.open(t, 0, forever)
	_, err := d.Register(session, s, newKey(t), 0)
	must(t, err)
	l, err := d.Login(s)
	must(t, err)
	session, _ = n.open(t, 0, forever) // someone between, with two sessions
	if key, _, err := l.Recover(session, bytes.Repeat([]byte{1}, 32)); !errors.Is(err, opaque.ErrServer) || key != nil {
		t.Errorf("%v", err)
	}
	if _, _, err := l.Recover(session, nil); err == nil {
		t.Error("a session without an exporter is taken")
	}
}

// TestANodeWithoutTheFleetsSecretsIsNotBelieved: it has a session, and another key.
func TestANodeWithoutTheFleetsSecretsIsNotBelieved(t *testing.T) {
	n, d, s := newNodes(t), newDevice(), code(t)
	session, _ := n.open(t, 0, forever)
	_, err := d.Register(session, s, newKey(t), 0)
	must(t, err)
	other := newNodes(t)
	other.log = n.log
	other.v[1] = newNodesOver(t, n.log)
	if key, _, err := guess1(t, other, d, s); err == nil || key != nil {
		t.Error("a node with another key gives a key")
	}
}

func newNodesOver(t testing.TB, l *log) *vault.Vault {
	t.Helper()
	private, err := opaque.NewServerKey(rand.Reader)
	must(t, err)
	s, err := opaque.NewServer(rand.Reader, private, make([]byte, opaque.SeedSize), fleet)
	must(t, err)
	v, err := vault.New(vault.Config{Log: l, Server: s, Random: rand.Reader, Epoch: 1, Limit: limit, Status: func() wire.Status { return wire.Status{} }})
	must(t, err)
	return v
}

func TestTheSecretIsForOneAccountOneFleetAndOneKind(t *testing.T) {
	n, d := newNodes(t), newDevice()
	s := password(t, strings.Repeat("1234", 16))
	session, _ := n.open(t, 0, forever)
	_, err := d.Register(session, s, newKey(t), 0)
	must(t, err)
	fleet := *d
	fleet.Fleet = []byte("another")
	stretch := *d
	stretch.Stretch = opaque.Argon2idSmall
	for what, x := range map[string]*client.Device{"another fleet": &fleet, "another stretching": &stretch} {
		if _, _, err := guess1(t, n, x, s); !errors.As(err, new(*client.Wrong)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAMoveToAnotherEpochErasesFirstAndTakesTheCountAlong(t *testing.T) {
	n, d, s := newNodes(t), newDevice(), code(t)
	session, _ := n.open(t, 0, forever)
	r, err := d.Register(session, s, newKey(t), 0)
	must(t, err)
	if _, _, err := guess1(t, n, d, code(t)); !errors.As(err, new(*client.Wrong)) {
		t.Fatal(err)
	}
	used, err := d.Erase(session, r.Number)
	if err != nil || used != 1 {
		t.Fatalf("%d, %v", used, err)
	}
	if used, err := d.Erase(session, r.Number); err != nil || used != 1 { // its answer may have been lost
		t.Errorf("erased once more: %d, %v", used, err)
	}
	if _, _, err := guess1(t, n, d, s); !errors.As(err, new(*wire.Refusal)) {
		t.Errorf("after it was erased: %v", err)
	}
	// Another fleet, which has never heard of the account.
	next := newNodes(t)
	session, _ = next.open(t, 0, forever)
	if r, err := d.Register(session, s, newKey(t), used); err != nil || r.Remaining != limit-1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestARegistrationWhoseAnswerIsUncertainIsSaidAgain(t *testing.T) {
	n, d, s, key := newNodes(t), newDevice(), code(t), newKey(t)
	times := 0
	n.log.fail = func(kind byte) error {
		if times++; guess.Kind(kind) == guess.Register && times == 1 {
			return &vault.NoMajority{Uncertain: true}
		}
		return nil
	}
	session, _ := n.open(t, 0, forever)
	_, err := d.Register(session, s, key, 0)
	must(t, err)
	if got, _, err := guess1(t, n, d, s); err != nil || !bytes.Equal(got, key) || times < 4 {
		t.Errorf("%v, after %d commands", err, times)
	}
}

func TestADeviceBeginsNothingThatItShouldNot(t *testing.T) {
	n, s := newNodes(t), code(t)
	session, _ := n.open(t, 0, forever)
	for what, spoil := range map[string]func(*client.Device){
		"only accounts named drill.": func(d *client.Device) { d.Account = "alice" },
		"with which fleet":           func(d *client.Device) { d.Fleet = nil },
		"source of randomness":       func(d *client.Device) { d.Random = nil },
	} {
		d := newDevice()
		spoil(d)
		if _, err := d.Register(session, s, newKey(t), 0); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := d.Login(s); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := newDevice().Login(client.Secret{}); err == nil {
		t.Error("a login begins without a secret")
	}
	if _, err := newDevice().Register(session, s, make([]byte, 31), 0); err == nil {
		t.Error("a short key is registered")
	}
	if st, err := client.Status(session); err != nil || st.Node != "a" {
		t.Errorf("%+v, %v", st, err)
	}
}
