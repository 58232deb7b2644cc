package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

const (
	limit   = 3
	account = guess.Prefix + "a"
	secret  = "the right one"
)

var fleet, exporter = []byte("a fleet"), sha256.New().Sum(nil)[:32]

// memory is a log with one node, which can fail before or after it writes.
type memory struct {
	mu       sync.Mutex
	machine  *guess.Machine
	index    uint64
	written  []guess.Command
	before   func(guess.Kind) error // fails before anything is written
	after    func(guess.Kind) error // fails although it was written
	happened func(string)
}

func (m *memory) Submit(_ context.Context, data []byte) (guess.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := guess.ParseCommand(data)
	if err != nil {
		return guess.Answer{}, err
	}
	if m.before != nil {
		if err := m.before(c.Kind); err != nil {
			return guess.Answer{}, err
		}
	}
	m.index++
	m.written = append(m.written, *c)
	a := m.machine.Apply(m.index, data)
	if m.happened != nil {
		m.happened(fmt.Sprint(c.Kind, " ", a.Status))
	}
	if m.after != nil {
		if err := m.after(c.Kind); err != nil {
			return guess.Answer{}, err
		}
	}
	return a, nil
}

// used is what the log has counted.
func (m *memory) used(t *testing.T, account string) uint32 {
	t.Helper()
	c := guess.Command{Kind: guess.Look, Account: account}
	data, err := c.Encode()
	must(t, err)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.index++
	return m.machine.Apply(m.index, data).Used
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newVault(t testing.TB) (*Vault, *memory) {
	t.Helper()
	m := &memory{machine: guess.New()}
	begin := guess.Command{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}}
	data, err := begin.Encode()
	must(t, err)
	if _, err := m.Submit(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	private, err := opaque.NewServerKey(rand.Reader)
	must(t, err)
	s, err := opaque.NewServer(rand.Reader, private, make([]byte, opaque.SeedSize), fleet)
	must(t, err)
	v, err := New(Config{Log: m, Server: s, Random: rand.Reader, Epoch: 1, Limit: limit, Status: func() wire.Status { return wire.Status{Node: "a", Epoch: 1} }})
	must(t, err)
	return v, m
}

// device is a session's other end, which says what a test has it say.
type device struct {
	t     testing.TB
	conn  net.Conn
	ended chan error // what Serve gave
}

func open(t testing.TB, v *Vault, exporter []byte) *device {
	t.Helper()
	ours, theirs := net.Pipe()
	d := &device{t, ours, make(chan error, 1)}
	go func() {
		err := v.Serve(t.Context(), theirs, exporter)
		_ = theirs.Close()
		d.ended <- err
	}()
	t.Cleanup(func() { _ = ours.Close() })
	return d
}

// say sends a message and gives the answer.
func (d *device) say(m wire.Message) wire.Message {
	d.t.Helper()
	must(d.t, wire.Write(d.conn, m))
	answer, err := wire.Read(d.conn)
	must(d.t, err)
	return answer
}

// refused sends a message that is to be refused.
func (d *device) refused(m wire.Message, code wire.Code) {
	d.t.Helper()
	if r, ok := d.say(m).(*wire.Refusal); !ok || r.Code != code {
		d.t.Errorf("%T is answered %+v, want code %d", m, r, code)
	}
}

// end is what Serve gives once the device has closed, or it has ended by itself.
func (d *device) end() error {
	_ = d.conn.Close()
	return <-d.ended
}

func newClient(account string) *opaque.Client {
	return &opaque.Client{Random: rand.Reader, Stretch: opaque.Identity, Identity: []byte(account), Server: fleet}
}

// register registers the account under the secret, with an envelope.
func register(t testing.TB, v *Vault, envelope string) *wire.Registered {
	t.Helper()
	d := open(t, v, exporter)
	request, r, err := newClient(account).Register([]byte(secret))
	must(t, err)
	response, ok := d.say(&wire.RegisterStart{Account: account, Request: [32]byte(request)}).(*wire.RegisterAnswer)
	if !ok {
		t.Fatal("no answer to a registration")
	}
	record, _, err := r.Finish(response.Response[:])
	must(t, err)
	done, ok := d.say(&wire.RegisterFinish{Record: [192]byte(record), Envelope: []byte(envelope)}).(*wire.Registered)
	if !ok {
		t.Fatal("a registration is refused")
	}
	must(t, d.end())
	return done
}

// try is a login up to KE2, in a session; finish is the rest.
type try struct {
	d       *device
	start   *wire.LoginStart
	login   *opaque.Login
	context []byte
}

func newTry(t testing.TB, d *device, account, given string) *try {
	t.Helper()
	ke1, l, err := newClient(account).Login([]byte(given))
	must(t, err)
	context, err := wire.Context(exporter)
	must(t, err)
	return &try{d, &wire.LoginStart{Account: account, KE1: [96]byte(ke1)}, l, context}
}

func (y *try) ke2() wire.Message { return y.d.say(y.start) }

// finish opens KE2 and sends KE3; a wrong secret ends before.
func (y *try) finish(m wire.Message) (wire.Message, error) {
	answer, ok := m.(*wire.LoginAnswer)
	if !ok {
		return nil, fmt.Errorf("%+v instead of KE2", m)
	}
	s, err := y.login.Finish(y.context, answer.KE2[:])
	if err != nil {
		return nil, err
	}
	return y.d.say(&wire.LoginFinish{KE3: [64]byte(s.KE3)}), nil
}

// recovers is a whole login that has to succeed.
func recovers(t testing.TB, v *Vault, envelope string) {
	t.Helper()
	d := open(t, v, exporter)
	y := newTry(t, d, account, secret)
	m, err := y.finish(y.ke2())
	must(t, err)
	if r, ok := m.(*wire.Recovered); !ok || string(r.Envelope) != envelope || r.Remaining != limit {
		t.Errorf("a login with the right secret ends with %+v", m)
	}
	must(t, d.end())
}

var errDisk = errors.New("the disk is full")
