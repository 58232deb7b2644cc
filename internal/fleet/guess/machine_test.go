package guess_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
)

// log is a machine with its log's next index.
type log struct {
	*testing.T
	m  *guess.Machine
	at uint64
}

func begun(t *testing.T) *log {
	l := &log{T: t, m: guess.New()}
	l.is(guess.Done, guess.Command{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}})
	return l
}

func (l *log) apply(c guess.Command) guess.Answer {
	l.Helper()
	data, err := c.Encode()
	if err != nil {
		l.Fatal(err)
	}
	l.at++
	return l.m.Apply(l.at, data)
}

func (l *log) is(want guess.Status, c guess.Command) guess.Answer {
	l.Helper()
	a := l.apply(c)
	if a.Status != want {
		l.Fatalf("%v of %q is answered %v, not %v", c.Kind, c.Account, a.Status, want)
	}
	return a
}

const alice = "drill.alice"

// registration is one of alice's; n tells it from others.
func registration(n byte, limit uint32) guess.Command {
	return guess.Command{Kind: guess.Register, Account: alice, Registration: [16]byte{n}, Epoch: 1, Limit: limit, Record: []byte{'r', 'e', 'c', n}, OPRFKey: []byte{'k', 'e', 'y', n}, Envelope: []byte{'e', 'n', 'v', n}}
}

func attempt(n byte) guess.Command {
	return guess.Command{Kind: guess.Guess, Account: alice, Attempt: [32]byte{n}}
}

func right(reg, n byte) guess.Command {
	return guess.Command{Kind: guess.Success, Account: alice, Registration: [16]byte{reg}, Attempt: [32]byte{n}}
}

var look = guess.Command{Kind: guess.Look, Account: alice}

func TestTheGuessAfterTheLastOneDestroysTheRecordForGood(t *testing.T) {
	l := begun(t)
	l.is(guess.Registered, registration(1, 3))
	for n := byte(1); n <= 3; n++ {
		if a := l.is(guess.Counted, attempt(n)); a.Remaining != uint32(3-n) || string(a.Record) != "rec\x01" || string(a.OPRFKey) != "key\x01" || a.Envelope != nil {
			t.Fatalf("guess %d: %+v", n, a)
		}
	}
	if !bytes.Contains(l.m.Snapshot(), []byte("rec\x01")) {
		t.Fatal("there is no record to destroy")
	}
	if a := l.is(guess.Locked, attempt(4)); !a.Destroyed || a.Record != nil || a.OPRFKey != nil || a.Remaining != 0 {
		t.Errorf("the guess too many: %+v", a)
	}
	for _, part := range []string{"rec\x01", "key\x01", "env\x01"} {
		if bytes.Contains(l.m.Snapshot(), []byte(part)) {
			t.Errorf("%q is still there", part)
		}
	}
	// What was counted before helps nobody any more, and neither does registering.
	for _, c := range []guess.Command{attempt(1), right(1, 3), registration(2, 3), look, {Kind: guess.Erase, Account: alice, Registration: [16]byte{1}}} {
		if a := l.is(guess.Locked, c); a.Record != nil || a.Envelope != nil || a.Destroyed || a.Refused != (c.Kind == guess.Register) {
			t.Errorf("%v: %+v", c.Kind, a)
		}
	}
}

func TestARetryEatsNoSecondGuessNotEvenAtNoneLeft(t *testing.T) {
	l := begun(t)
	l.is(guess.Registered, registration(1, 2))
	l.is(guess.Counted, attempt(1))
	l.is(guess.Counted, attempt(2))
	for n := byte(1); n <= 2; n++ {
		if a := l.is(guess.Again, attempt(n)); a.Remaining != uint32(2-n) || a.Used != 2 || a.Record == nil {
			t.Errorf("attempt %d again: %+v", n, a)
		}
	}
	// The right code of a guess that was counted: it alone can start the count anew.
	if a := l.is(guess.NoAttempt, right(1, 3)); a.Envelope != nil {
		t.Errorf("a guess that wasn't counted: %+v", a)
	}
	if a := l.is(guess.Right, right(1, 2)); string(a.Envelope) != "env\x01" || a.Used != 0 || a.Remaining != 2 {
		t.Errorf("%+v", a)
	}
}

func TestSuccessSaidAgainGivesNothingBack(t *testing.T) {
	l := begun(t)
	l.is(guess.Registered, registration(1, 3))
	l.is(guess.Counted, attempt(1))
	l.is(guess.Counted, attempt(2))
	l.is(guess.Right, right(1, 2))
	l.is(guess.Counted, attempt(3))
	l.is(guess.Counted, attempt(4))
	if a := l.is(guess.Right, right(1, 2)); a.Used != 2 || a.Envelope == nil {
		t.Errorf("said again: %+v", a)
	}
	// The other login that was on its way: its guess stays counted, and can end.
	if a := l.is(guess.Again, attempt(1)); a.Used != 2 {
		t.Errorf("%+v", a)
	}
	if a := l.is(guess.Right, right(1, 1)); a.Used != 0 {
		t.Errorf("%+v", a)
	}
	// Two successes ago: it is forgotten, and asking again is a guess.
	if a := l.is(guess.Counted, attempt(2)); a.Used != 1 {
		t.Errorf("%+v", a)
	}
}

func TestRegisteringAgainGivesNoGuessesBack(t *testing.T) {
	l := begun(t)
	l.is(guess.Registered, registration(1, 3))
	l.is(guess.Counted, attempt(1))
	l.is(guess.Counted, attempt(2))
	if a := l.is(guess.Registered, registration(2, 100)); a.Used != 2 || a.Limit != 3 || !a.Destroyed {
		t.Errorf("with more guesses: %+v", a)
	}
	if bytes.Contains(l.m.Snapshot(), []byte("rec\x01")) {
		t.Error("the record before is still there")
	}
	if a := l.is(guess.Registered, registration(2, 3)); a.Destroyed {
		t.Errorf("said again: %+v", a)
	}
	other := registration(2, 3)
	other.Record = []byte("another")
	l.is(guess.Conflict, other)
	// An attempt is bound to its registration.
	l.is(guess.NoAttempt, right(1, 1))
	l.is(guess.NoAttempt, right(2, 1))
	if a := l.is(guess.Counted, attempt(1)); a.Remaining != 0 || a.Registration != [16]byte{2} {
		t.Errorf("%+v", a)
	}
	l.is(guess.Locked, attempt(9))
}

func TestTheNextEpochErasesFirstAndGuessesCountOverBoth(t *testing.T) {
	l := begun(t)
	l.is(guess.Registered, registration(1, 3))
	l.is(guess.Counted, attempt(1))
	l.is(guess.Done, guess.Command{Kind: guess.Move, Epoch: 2, Secrets: [32]byte{2}})
	l.is(guess.Conflict, guess.Command{Kind: guess.Move, Epoch: 1, Secrets: [32]byte{1}})
	l.is(guess.WrongEpoch, registration(2, 3))
	next := registration(2, 3)
	next.Epoch = 2
	l.is(guess.EraseFirst, next)
	l.is(guess.Counted, attempt(2)) // a device that hasn't moved yet
	l.is(guess.NoRegistration, guess.Command{Kind: guess.Erase, Account: alice, Registration: [16]byte{2}})
	if a := l.is(guess.Erased, guess.Command{Kind: guess.Erase, Account: alice, Registration: [16]byte{1}}); !a.Destroyed || a.Used != 2 {
		t.Errorf("%+v", a)
	}
	if bytes.Contains(l.m.Snapshot(), []byte("rec\x01")) {
		t.Error("epoch 1's record is still there")
	}
	l.is(guess.Erased, attempt(3))
	if a := l.is(guess.Registered, next); a.Used != 2 || a.Remaining != 1 || a.Epoch != 2 {
		t.Errorf("%+v", a)
	}
	l.is(guess.Counted, attempt(3))
	l.is(guess.Locked, attempt(4))
	// Another fleet's count comes along, and never makes one's own less.
	moved := registration(3, 5)
	moved.Account, moved.Epoch, moved.Used = "drill.bob", 2, 4
	if a := l.is(guess.Registered, moved); a.Used != 4 || a.Remaining != 1 {
		t.Errorf("%+v", a)
	}
	moved.Registration, moved.Used = [16]byte{4}, 0
	if a := l.is(guess.Registered, moved); a.Used != 4 {
		t.Errorf("%+v", a)
	}
}

func TestRetirementDestroysAnEpochsRecords(t *testing.T) {
	l := begun(t)
	l.is(guess.Registered, registration(1, 3))
	l.is(guess.Counted, attempt(1))
	l.is(guess.Conflict, guess.Command{Kind: guess.Retire, Epoch: 2})
	if a := l.is(guess.Done, guess.Command{Kind: guess.Retire, Epoch: 1}); !a.Destroyed {
		t.Errorf("%+v", a)
	}
	if bytes.Contains(l.m.Snapshot(), []byte("rec\x01")) {
		t.Error("the record is still there")
	}
	l.is(guess.Retired, registration(2, 3))
	if a := l.is(guess.Erased, look); a.Used != 1 {
		t.Errorf("%+v", a)
	}
}

func TestOnlyDrillAccountsAreServed(t *testing.T) {
	for _, name := range []string{"alice", "", "drill", "drill.", "Drill.a", "drill.Ä", "drill.a b", "drill." + strings.Repeat("x", guess.MostAccount)} {
		c := registration(1, 3)
		c.Account = name
		if _, err := c.Encode(); err == nil {
			t.Errorf("%q is written", name)
		}
	}
	// Whoever writes the bytes himself is answered so by every node.
	c := attempt(1)
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	l := begun(t)
	if a := l.m.Apply(2, bytes.Replace(data, []byte("drill.a"), []byte("grill.a"), 1)); a.Status != guess.NotDrill {
		t.Errorf("%v", a.Status)
	}
}

func TestNothingComesBeforeBegin(t *testing.T) {
	l := &log{T: t, m: guess.New()}
	for _, c := range []guess.Command{registration(1, 3), attempt(1), look, {Kind: guess.Move, Epoch: 2, Secrets: [32]byte{2}}} {
		l.is(guess.NotBegun, c)
	}
	begin := guess.Command{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}}
	l.is(guess.Done, begin)
	l.is(guess.Done, begin)
	begin.Secrets = [32]byte{9} // a node with other secrets
	l.is(guess.Conflict, begin)
	l.is(guess.Unknown, attempt(1))
	if a := l.m.Apply(l.at, nil); a.Status != guess.Malformed || l.m.Index() != l.at {
		t.Errorf("an index a second time: %+v", a)
	}
	if a := l.m.Apply(l.at+1, []byte("nonsense")); a.Status != guess.Malformed {
		t.Errorf("%+v", a)
	}
}

// A machine that is restored goes on as the one that was written.
func TestARestoredMachineGoesOnAsTheOther(t *testing.T) {
	l := begun(t)
	m := guess.New()
	for n := range 400 {
		c := attempt(byte(n + 1))
		switch {
		case n%17 == 1:
			c = registration(byte(n), 5)
		case n%5 == 2:
			c = right(byte(n/17*17+1), byte(n))
		}
		c.Account = fmt.Sprintf("drill.%d", n%3)
		if byte(n) == 0 || byte(n+1) == 0 || byte(n/17*17+1) == 0 {
			continue
		}
		data, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		later := l.m.Later()
		a := l.apply(c)
		if m, err = guess.Restore(later()); err != nil {
			t.Fatal(err)
		}
		if b := m.Apply(l.at, data); fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", b) {
			t.Fatalf("%v: %+v, restored: %+v", c.Kind, a, b)
		}
		if !bytes.Equal(m.Snapshot(), l.m.Snapshot()) {
			t.Fatalf("after %d commands they differ", n)
		}
	}
}

func TestAccountsAndThoseThatAreLockedAreCounted(t *testing.T) {
	l := begun(t)
	want := func(accounts, locked int) {
		t.Helper()
		restored, err := guess.Restore(l.m.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		for what, m := range map[string]*guess.Machine{"the machine": l.m, "restored": restored} {
			if a, n := m.Count(); a != accounts || n != locked {
				t.Errorf("%s has %d accounts, %d locked; want %d and %d", what, a, n, accounts, locked)
			}
		}
	}
	want(0, 0)
	l.is(guess.Unknown, attempt(1)) // a guess makes no account
	want(0, 0)
	bob := registration(2, 1)
	bob.Account = "drill.bob"
	l.is(guess.Registered, bob)
	l.is(guess.Registered, registration(1, 1))
	l.is(guess.Counted, attempt(1))
	want(2, 0)
	l.is(guess.Locked, attempt(2))
	l.is(guess.Locked, attempt(3)) // it is locked once
	l.is(guess.Locked, registration(3, 1))
	want(2, 1)
	l.is(guess.Erased, guess.Command{Kind: guess.Erase, Account: "drill.bob", Registration: [16]byte{2}})
	want(2, 1)
	l.is(guess.Done, guess.Command{Kind: guess.Retire, Epoch: 1})
	want(2, 1)
}

func TestThereIsACountForSoManyAccountsAndNoneIsForgotten(t *testing.T) {
	l := begun(t)
	c := registration(1, 5)
	for n := range guess.MostAccounts {
		c.Account = fmt.Sprintf("drill.%d", n)
		l.is(guess.Registered, c)
	}
	if a := l.is(guess.Full, registration(1, 5)); !a.Refused || a.Destroyed {
		t.Errorf("%+v", a)
	}
	l.is(guess.Unknown, attempt(1))
	c.Account, c.Registration = "drill.7", [16]byte{2}
	l.is(guess.Registered, c)
	full := l.m.Snapshot()
	if _, err := guess.Restore(full); err != nil {
		t.Error(err)
	}
	full[len("fleetctl guess snapshot 1\n")+3*8+32+3]++ // the lowest byte of the number of accounts
	if _, err := guess.Restore(full); err == nil || !strings.Contains(err.Error(), "65537 accounts, of at most 65536") {
		t.Errorf("a snapshot of more is restored: %v", err)
	}
}
