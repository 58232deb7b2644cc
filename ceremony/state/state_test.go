package state_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/state"
)

func TestAStateSaysWhatTheCeremonyWaitsFor(t *testing.T) {
	x := ceremonyOf(t, prepared(t, "states"), "run")
	waits := map[state.Wants]int{}
	for i, s := range x.states {
		if again, err := state.Parse(s.String()); err != nil || again != s {
			t.Errorf("record %d: %v, %v", i, again, err)
		}
		if len(s.String()) > 150 || strings.Trim(s.String(), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:") != "" {
			t.Errorf("record %d: %s doesn't fit the code of a small screen", i, s)
		}
		waits[s.Wants]++
		next := ceremony.Kind("")
		if i < len(x.records) {
			next = x.records[i].Kind
		}
		want := state.Records
		switch next {
		case ceremony.KindChallenge:
			want = state.Words
			if c := x.records[i].Content.(*ceremony.Challenge); c.Subject != s.Subject {
				t.Errorf("record %d: other words are asked for than the state has", i)
			}
		case ceremony.KindAgreementPeer:
			want = state.Peer
		case ceremony.KindAgreementOpened:
			want = state.Scalar
		case "":
			continue // the release's words
		}
		if s.Wants != want {
			t.Errorf("before record %d, %s: it waits for %d, want %d", i+1, next, s.Wants, want)
		}
	}
	if waits[state.Words] != 7 || waits[state.Peer] != 2 || waits[state.Scalar] != 2 {
		t.Errorf("%v", waits)
	}
}

func TestWhatIsNoStateIsRefused(t *testing.T) {
	x := ceremonyOf(t, prepared(t, "states"), "run")
	good := x.states[2].String()
	for _, bad := range []string{"", "hello", state.Prefix, good[:len(good)-1], good[:len(good)-8], good + "A", good + "AAAAAAAA", strings.ToLower(good), " " + good, strings.Replace(good, "S1", "S2", 1),
		state.Prefix + strings.Repeat("A", 138), state.Prefix + strings.Repeat("7", 138), state.Prefix + strings.Repeat("A", 87), state.Prefix + strings.Repeat("A", 1<<20)} {
		if s, err := state.Parse(bad); err == nil {
			t.Errorf("%.40q is read as %+v", bad, s)
		}
	}
}

// FuzzState: what is read is written as it was.
func FuzzState(f *testing.F) {
	s := state.State{Record: 7, Head: [32]byte{1}, Step: 3, Wants: state.Words, Subject: [32]byte{2}}
	f.Add(s.String())
	s.Wants, s.Subject = state.Adjourned, [32]byte{}
	f.Add(s.String())
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := state.Parse(text); err == nil && s.String() != text {
			t.Fatalf("%q is read, and written as %q", text, s)
		}
	})
}

// FuzzChain: what is read is written as it was, and leads to its state.
func FuzzChain(f *testing.F) {
	x := ceremonyOf(f, prepared(f, "states"), "run")
	f.Add(x.chain(f, 0, 5).Encode())
	f.Add(x.chain(f, 3, 4).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := state.ParseChain("chain", data)
		if err != nil {
			return
		}
		if string(c.Encode()) != string(data) {
			t.Fatalf("isn't written as it was read: %s", c.Encode())
		}
	})
}

// FuzzSeen: what is read is written and read the same, and never has less after it was
// shown something.
func FuzzSeen(f *testing.F) {
	x := ceremonyOf(f, prepared(f, "states"), "run")
	s := state.NewSeen(x.plan)
	for _, at := range x.states[:4] {
		if err := s.Claim(x.plan, at); err != nil {
			f.Fatal(err)
		}
	}
	_ = s.Claim(x.plan, x.states[1])
	f.Add(s.Encode(), x.states[5].String())
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		s, err := state.ParseSeen("seen", data, x.plan)
		if err != nil {
			return
		}
		again, err := state.ParseSeen("seen", s.Encode(), x.plan)
		if err != nil || string(again.Encode()) != string(s.Encode()) {
			t.Fatalf("isn't read as it was written: %v", err)
		}
		before := len(s.Points)
		if at, err := state.Parse(text); err == nil {
			_ = s.Claim(x.plan, at)
		}
		if len(s.Points) < before {
			t.Fatal("it forgets")
		}
		if _, err := state.ParseSeen("seen", s.Encode(), x.plan); err != nil {
			t.Fatalf("what it keeps can't be read: %v", err)
		}
	})
}
