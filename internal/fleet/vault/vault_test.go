package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// told is a connection that tells what was written to it.
type told struct {
	net.Conn
	happened func(string)
}

func (c told) Write(b []byte) (int, error) {
	if m, err := wire.Parse(b); err == nil {
		c.happened(fmt.Sprintf("%T", m))
	}
	return c.Conn.Write(b)
}

func TestAGuessIsWrittenBeforeItIsAnsweredAndASuccessBeforeTheKeyLeaves(t *testing.T) {
	v, m := newVault(t)
	register(t, v, "sealed")
	var order []string
	m.happened = func(s string) { order = append(order, s) }
	ours, theirs := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- v.Serve(t.Context(), told{theirs, m.happened}, exporter) }()
	d := &device{t, ours, ended}
	y := newTry(t, d, account, secret)
	r, err := y.finish(y.ke2())
	must(t, err)
	if got, ok := r.(*wire.Recovered); !ok || string(got.Envelope) != "sealed" {
		t.Errorf("%+v", r)
	}
	must(t, ours.Close())
	must(t, <-ended)
	if want := []string{"guess counted", "*wire.LoginAnswer", "success right", "*wire.Recovered"}; !slices.Equal(order, want) {
		t.Errorf("the order is %q, want %q", order, want)
	}
	g, s := m.written[len(m.written)-2], m.written[len(m.written)-1]
	if want := sha256.Sum256(y.start.KE1[:]); g.Attempt != want || s.Attempt != want {
		t.Error("the attempt's number isn't the SHA-256 of KE1")
	}
}

func TestWithoutAMajorityNothingIsAnsweredAndTheDeviceIsToldWhatItCost(t *testing.T) {
	for _, c := range []struct {
		what string
		err  error
		code wire.Code
	}{
		{"another leads", &NotLeader{"b"}, wire.CodeNotLeader},
		{"no majority", &NoMajority{Err: errDisk}, wire.CodeNoMajority},
		{"uncertain", &NoMajority{Uncertain: true, Err: errDisk}, wire.CodeUncertain},
	} {
		t.Run(c.what, func(t *testing.T) {
			v, m := newVault(t)
			register(t, v, "sealed")
			fail := func(guess.Kind) error { return c.err }
			d := open(t, v, exporter)
			y := newTry(t, d, account, secret)
			m.before = fail
			d.refused(y.start, c.code)
			m.before = nil
			if m.used(t, account) != 0 {
				t.Error("a guess was used")
			}
			// KE3 without KE2, and then with it, and the second commit fails.
			answer := y.ke2()
			m.before = fail
			got, err := y.finish(answer)
			if r, ok := got.(*wire.Refusal); err != nil || !ok || r.Code != c.code {
				t.Errorf("KE3 is answered %+v, %v", got, err)
			}
			m.before = nil
			// The same login again is the same guess, and ends well.
			got, err = y.finish(y.ke2())
			if r, ok := got.(*wire.Recovered); err != nil || !ok || string(r.Envelope) != "sealed" {
				t.Errorf("the same login again ends with %+v, %v", got, err)
			}
			must(t, d.end())
		})
	}
}

// TestAGuessWhoseAnswerWasLostIsUsedOnce: a majority has it, and the node doesn't know.
func TestAGuessWhoseAnswerWasLostIsUsedOnce(t *testing.T) {
	v, m := newVault(t)
	register(t, v, "sealed")
	d := open(t, v, exporter)
	y := newTry(t, d, account, "wrong")
	m.after = func(guess.Kind) error { return &NoMajority{Uncertain: true, Err: errDisk} }
	d.refused(y.start, wire.CodeUncertain)
	m.after = nil
	a, ok := y.ke2().(*wire.LoginAnswer)
	if !ok || a.Remaining != limit-1 || m.used(t, account) != 1 {
		t.Errorf("said again: %+v, %d guesses are used", a, m.used(t, account))
	}
	// Another blinded element is another guess, whatever else is the same.
	other := newTry(t, d, account, "wrong")
	copy(other.start.KE1[32:], y.start.KE1[32:])
	if a, ok := other.ke2().(*wire.LoginAnswer); !ok || a.Remaining != limit-2 {
		t.Errorf("another blinded element: %+v", a)
	}
}

func TestTheLastGuessLocksForGood(t *testing.T) {
	v, _ := newVault(t)
	register(t, v, "sealed")
	d := open(t, v, exporter)
	for left := limit - 1; left >= 0; left-- {
		y := newTry(t, d, account, "wrong")
		m := y.ke2()
		if a, ok := m.(*wire.LoginAnswer); !ok || int(a.Remaining) != left {
			t.Fatalf("%+v, and %d are left", m, left)
		}
		if _, err := y.finish(m); !errors.Is(err, opaque.ErrWrong) {
			t.Errorf("a wrong secret ends with %v", err)
		}
	}
	for range 2 {
		d.refused(newTry(t, d, account, secret).start, wire.CodeLocked)
	}
	request, _, err := newClient(account).Register([]byte(secret))
	must(t, err)
	d.say(&wire.RegisterStart{Account: account, Request: [32]byte(request)})
	d.refused(&wire.RegisterFinish{Record: someRecord(t, v), Envelope: []byte("x")}, wire.CodeLocked)
}

func someRecord(t *testing.T, v *Vault) [192]byte {
	t.Helper()
	record, _, err := v.c.Server.Unknown([]byte("drill.other"))
	must(t, err)
	return [192]byte(record)
}

// TestAtZeroLeftAnAttemptThatWasCountedMayStillSucceed: it is one that was counted.
func TestAtZeroLeftAnAttemptThatWasCountedMayStillSucceed(t *testing.T) {
	v, _ := newVault(t)
	register(t, v, "sealed")
	d := open(t, v, exporter)
	y := newTry(t, d, account, secret)
	right := y.ke2()
	other := open(t, v, exporter)
	for range limit - 1 {
		newTry(t, other, account, "wrong").ke2()
	}
	got, err := y.finish(right)
	if r, ok := got.(*wire.Recovered); err != nil || !ok || r.Remaining != limit {
		t.Errorf("%+v, %v", got, err)
	}
	recovers(t, v, "sealed")
}

// TestALockWhileALoginIsUnderWayKeepsTheKey: KE2 was answered, and the record is gone.
func TestALockWhileALoginIsUnderWayKeepsTheKey(t *testing.T) {
	v, _ := newVault(t)
	register(t, v, "sealed")
	d := open(t, v, exporter)
	y := newTry(t, d, account, secret)
	right := y.ke2()
	other := open(t, v, exporter)
	for range limit - 1 {
		newTry(t, other, account, "wrong").ke2()
	}
	other.refused(newTry(t, other, account, "wrong").start, wire.CodeLocked)
	got, err := y.finish(right)
	if r, ok := got.(*wire.Refusal); err != nil || !ok || r.Code != wire.CodeLocked {
		t.Errorf("after the lock KE3 is answered %+v, %v", got, err)
	}
}

func TestARegistrationAnewGivesNoGuessesBackAndEndsLoginsOfTheOldOne(t *testing.T) {
	v, m := newVault(t)
	register(t, v, "first")
	d := open(t, v, exporter)
	y := newTry(t, d, account, secret)
	answer := y.ke2()
	if r := register(t, v, "second"); r.Remaining != limit-1 || r.Limit != limit {
		t.Errorf("%d of %d guesses are left", r.Remaining, r.Limit)
	}
	got, err := y.finish(answer)
	if r, ok := got.(*wire.Refusal); err != nil || !ok || r.Code != wire.CodeNumber {
		t.Errorf("a login of the old registration ends with %+v, %v", got, err)
	}
	if m.used(t, account) != 1 {
		t.Error("it changed the count")
	}
	recovers(t, v, "second")
}

func TestOnlyDrillAccountsAreKept(t *testing.T) {
	v, m := newVault(t)
	before := len(m.written)
	d := open(t, v, exporter)
	y := newTry(t, d, account, secret)
	for name, code := range map[string]wire.Code{"alice": wire.CodeNotDrill, "drill": wire.CodeNotDrill, "Drill.a": wire.CodeNotDrill, "drill.": wire.CodeMalformed, "drill.A": wire.CodeMalformed, "drill.a b": wire.CodeMalformed} {
		d.refused(&wire.RegisterStart{Account: name, Request: [32]byte(y.start.KE1[:32])}, code)
		d.refused(&wire.LoginStart{Account: name, KE1: y.start.KE1}, code)
		d.refused(&wire.Erase{Account: name, Registration: [16]byte{1}}, code)
	}
	if len(m.written) != before {
		t.Errorf("%d commands were written", len(m.written)-before)
	}
	must(t, d.end())
}

func TestNoGuessIsCountedThatCanNotBeAnswered(t *testing.T) {
	v, m := newVault(t)
	register(t, v, "sealed")
	before := len(m.written)
	d := open(t, v, exporter)
	y := newTry(t, d, account, secret)
	for what, at := range map[string]int{"blinded element": 0, "key share": 64} {
		bad := *y.start
		copy(bad.KE1[at:], make([]byte, 32)) // the identity
		if r, ok := d.say(&bad).(*wire.Refusal); !ok || r.Code != wire.CodeMalformed || !strings.Contains(r.Detail, what) {
			t.Errorf("%+v", r)
		}
	}
	d.refused(&wire.RegisterStart{Account: account}, wire.CodeMalformed)
	if len(m.written) != before {
		t.Errorf("%d commands were written", len(m.written)-before)
	}
}

// TestAnUnknownAccountIsAnsweredAsARegisteredOneIs: message for message, down to the lock.
func TestAnUnknownAccountIsAnsweredAsARegisteredOneIs(t *testing.T) {
	v, m := newVault(t)
	register(t, v, "sealed")
	talk := func(account string) (said []string) {
		d := open(t, v, exporter)
		before := len(m.written)
		var y *try
		for i := range limit + 2 {
			if i != 1 { // the second is the first said again
				y = newTry(t, d, account, "wrong")
			}
			answer := y.ke2()
			if a, ok := answer.(*wire.LoginAnswer); ok {
				_, err := y.finish(a)
				said = append(said, fmt.Sprint(a.Remaining, err))
				if i%2 == 0 {
					r, ok := d.say(&wire.LoginFinish{KE3: [64]byte{1}}).(*wire.Refusal)
					said = append(said, fmt.Sprint(ok && r.Code == wire.CodeWrong))
				}
				continue
			}
			said = append(said, fmt.Sprintf("%+v", answer))
		}
		return append(said, fmt.Sprint(len(m.written)-before, " commands"))
	}
	known, unknown := talk(account), talk("drill.nobody")
	if !slices.Equal(known, unknown) {
		t.Errorf("a registered account is answered\n%q, an unknown one\n%q", known, unknown)
	}
	if len(known) < limit+2 || !strings.Contains(known[len(known)-2], "destroyed") {
		t.Errorf("it doesn't end with a lock: %q", known)
	}
	// One that nobody asked for isn't locked, and another node's lock isn't for ever: it
	// is registered as any.
	for i := range mostStrangers + 1 {
		v.unknown.guess(fmt.Sprint("drill.", i), [32]byte{1})
	}
	if n := len(v.unknown.by); n > mostStrangers {
		t.Errorf("%d unknown accounts are remembered", n)
	}
}

func TestErasingTakesTheRegistrationsNumber(t *testing.T) {
	v, m := newVault(t)
	number := register(t, v, "sealed").Registration
	d := open(t, v, exporter)
	newTry(t, d, account, "wrong").ke2()
	wrong := number
	wrong[15] ^= 1
	d.refused(&wire.Erase{Account: account, Registration: wrong}, wire.CodeNumber)
	d.refused(&wire.Erase{Account: account}, wire.CodeMalformed)
	d.refused(&wire.Erase{Account: "drill.nobody", Registration: number}, wire.CodeNumber)
	recoversAfter := newTry(t, d, account, secret)
	if a, ok := recoversAfter.ke2().(*wire.LoginAnswer); !ok || a.Remaining != limit-2 {
		t.Errorf("%+v", a)
	}
	if e, ok := d.say(&wire.Erase{Account: account, Registration: number}).(*wire.Erased); !ok || e.Used != 2 || e.Limit != limit {
		t.Errorf("%+v", e)
	}
	d.refused(newTry(t, d, account, secret).start, wire.CodeErased)
	if m.used(t, account) != 2 {
		t.Error("erasing gives guesses back")
	}
	if r := register(t, v, "again"); r.Remaining != limit-2 || r.Registration == number || r.Registration == [16]byte{} {
		t.Errorf("registered again: %+v", r)
	}
}

func TestARegistrationWhoseAnswerWasLostIsWrittenOnce(t *testing.T) {
	v, m := newVault(t)
	d := open(t, v, exporter)
	request, r, err := newClient(account).Register([]byte(secret))
	must(t, err)
	response := d.say(&wire.RegisterStart{Account: account, Request: [32]byte(request)}).(*wire.RegisterAnswer)
	record, _, err := r.Finish(response.Response[:])
	must(t, err)
	finish := &wire.RegisterFinish{Record: [192]byte(record), Envelope: []byte("sealed"), Used: 1}
	m.after = func(guess.Kind) error { return &NoMajority{Uncertain: true, Err: errDisk} }
	d.refused(finish, wire.CodeUncertain)
	m.after = nil
	done, ok := d.say(finish).(*wire.Registered)
	if !ok || done.Remaining != limit-1 || done.Epoch != 1 {
		t.Errorf("%+v", done)
	}
	if a, b := m.written[len(m.written)-2], m.written[len(m.written)-1]; a.Registration != b.Registration {
		t.Error("it was given two numbers")
	}
	d.refused(finish, wire.CodeOrder)
}

func TestARegistrationThatCanNotBeUsedIsRefused(t *testing.T) {
	v, m := newVault(t)
	before := len(m.written)
	request, _, err := newClient(account).Register([]byte(secret))
	must(t, err)
	start := &wire.RegisterStart{Account: account, Request: [32]byte(request)}
	good := &wire.RegisterFinish{Record: someRecord(t, v), Envelope: []byte("sealed")}
	for what, spoil := range map[string]func(*wire.RegisterFinish){"key": func(f *wire.RegisterFinish) { clear(f.Record[:32]) }, "guesses used": func(f *wire.RegisterFinish) { f.Used = 101 }} {
		d := open(t, v, exporter)
		d.say(start)
		bad := *good
		spoil(&bad)
		if r, ok := d.say(&bad).(*wire.Refusal); !ok || r.Code != wire.CodeMalformed || !strings.Contains(r.Detail, what) {
			t.Errorf("%s: %+v", what, r)
		}
	}
	// A second beginning ends the first, whatever becomes of it.
	d := open(t, v, exporter)
	d.say(start)
	d.refused(&wire.RegisterStart{Account: "alice"}, wire.CodeNotDrill)
	d.refused(good, wire.CodeOrder)
	d = open(t, v, exporter)
	newTry(t, d, account, secret).ke2()
	d.refused(&wire.LoginStart{Account: "alice"}, wire.CodeNotDrill)
	d.refused(&wire.LoginFinish{}, wire.CodeOrder)
	if n := len(m.written) - before; n != 1 {
		t.Errorf("%d commands were written, want the guess alone", n)
	}
}

func TestAMessageAtTheWrongTimeEndsTheSession(t *testing.T) {
	v, m := newVault(t)
	register(t, v, "sealed")
	before := len(m.written)
	for _, wrong := range []wire.Message{&wire.LoginFinish{}, &wire.RegisterFinish{Envelope: []byte("x")}, &wire.Recovered{Envelope: []byte("x")}, &wire.Refusal{Code: wire.CodeNode}} {
		d := open(t, v, exporter)
		d.refused(wrong, wire.CodeOrder)
		var refusal *wire.Refusal
		if err := d.end(); !errors.As(err, &refusal) {
			t.Errorf("%T: the session ends with %v", wrong, err)
		}
	}
	d := open(t, v, exporter)
	y := newTry(t, d, account, secret)
	y.ke2()
	d.refused(&wire.LoginFinish{}, wire.CodeWrong)
	d.refused(&wire.LoginFinish{}, wire.CodeOrder) // one KE3 a guess
	if n := len(m.written) - before; n != 1 {
		t.Errorf("%d commands were written, want the guess alone", n)
	}
	d = open(t, v, exporter)
	if _, err := d.conn.Write([]byte("\x63\x00\x00")); err != nil {
		t.Fatal(err)
	}
	if r, err := wire.Read(d.conn); err != nil || r.(*wire.Refusal).Code != wire.CodeMalformed {
		t.Errorf("%+v, %v", r, err)
	}
	if d.end() == nil {
		t.Error("a message of no kind ends a session well")
	}
}

func TestTheNodesOwnFaultsAreNotTheDevicesToKnow(t *testing.T) {
	v, m := newVault(t)
	register(t, v, "sealed")
	m.before = func(guess.Kind) error { return errDisk }
	d := open(t, v, exporter)
	if r, ok := d.say(newTry(t, d, account, secret).start).(*wire.Refusal); !ok || r.Code != wire.CodeNode || r.Detail != "" {
		t.Errorf("%+v", r)
	}
	if err := d.end(); !errors.Is(err, errDisk) {
		t.Errorf("Serve gives %v", err)
	}
	if err := v.Serve(t.Context(), nil, make([]byte, 32)); err == nil {
		t.Error("a session without an exporter is served")
	}
}

func TestAVaultWantsAllOfItsParts(t *testing.T) {
	v, _ := newVault(t)
	for what, spoil := range map[string]func(*Config){
		"log": func(c *Config) { c.Log = nil }, "server": func(c *Config) { c.Server = nil }, "random": func(c *Config) { c.Random = nil }, "status": func(c *Config) { c.Status = nil },
		"epoch": func(c *Config) { c.Epoch = 0 }, "no limit": func(c *Config) { c.Limit = 0 }, "limit": func(c *Config) { c.Limit = 101 },
	} {
		c := v.c
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: a vault is made", what)
		}
	}
	if wire.MaxAccount != guess.MostAccount || wire.MaxEnvelope != guess.MostEnvelope {
		t.Error("what a device may send is not what the log takes")
	}
	d := open(t, v, exporter)
	if s, ok := d.say(&wire.StatusRequest{}).(*wire.Status); !ok || s.Node != "a" || s.Epoch != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAFullFleetRegistersNoNewAccount(t *testing.T) {
	v, m := newVault(t)
	c := guess.Command{Kind: guess.Register, Registration: [16]byte{1}, Epoch: 1, Limit: limit, Record: []byte("r"), OPRFKey: []byte("k"), Envelope: []byte("e")}
	for n := range guess.MostAccounts {
		c.Account = fmt.Sprintf("drill.%d", n)
		data, err := c.Encode()
		must(t, err)
		_, err = m.Submit(t.Context(), data)
		must(t, err)
	}
	d := open(t, v, exporter)
	y := newTry(t, d, account, secret)
	if r, ok := d.say(&wire.RegisterStart{Account: account, Request: [32]byte(y.start.KE1[:32])}).(*wire.RegisterAnswer); !ok {
		t.Fatalf("%+v", r)
	}
	d.refused(&wire.RegisterFinish{Record: someRecord(t, v), Envelope: []byte("x")}, wire.CodeFull)
}
