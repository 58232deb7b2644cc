package history_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/guess/history"
)

const alice = "drill.alice"

func registration(n byte, limit uint32) guess.Command {
	return guess.Command{Kind: guess.Register, Account: alice, Registration: [16]byte{n}, Epoch: 1, Limit: limit, Record: []byte{n}, OPRFKey: []byte{n}, Envelope: []byte{n}}
}

func attempt(n byte) guess.Command {
	return guess.Command{Kind: guess.Guess, Account: alice, Attempt: [32]byte{n}}
}

func right(reg, n byte) guess.Command {
	return guess.Command{Kind: guess.Success, Account: alice, Registration: [16]byte{reg}, Attempt: [32]byte{n}}
}

// machine answers commands one after the other.
type machine struct {
	*testing.T
	m  *guess.Machine
	at uint64
}

func begun(t *testing.T) *machine {
	m := &machine{t, guess.New(), 0}
	m.do(guess.Command{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}})
	return m
}

func (m *machine) do(c guess.Command) guess.Answer {
	data, err := c.Encode()
	if err != nil {
		m.Fatal(err)
	}
	m.at++
	return m.m.Apply(m.at, data)
}

// The model and the machine were written apart; they say the same of whatever comes.
func TestTheModelTakesWhatTheMachineAnswers(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		m, r := begun(t), &history.Recorder{}
		for range 200 {
			n := byte(1 + rnd.IntN(12))
			c := attempt(n)
			switch rnd.IntN(12) {
			case 0:
				c = registration(1+n%4, 3+uint32(n)%3)
			case 1, 2, 3:
				c = right(1+byte(rnd.IntN(4)), n)
			case 4:
				c = guess.Command{Kind: guess.Look}
			case 5:
				if seed%2 == 0 {
					c = guess.Command{Kind: guess.Erase, Registration: [16]byte{1 + n%4}}
				}
			}
			c.Account = fmt.Sprintf("drill.%d", rnd.IntN(6))
			call := r.Begin(0, c)
			a := m.do(c)
			if rnd.IntN(10) == 0 {
				call.Lost()
			} else {
				call.Answered(a)
			}
		}
		if v := r.Judge(await.Longest); !v.Good() || v.Lost == 0 {
			t.Fatalf("seed %d: %+v", seed, v)
		}
	}
}

// Each of these is a fleet that gives guesses back or keys away.
func TestWhatAFleetMustNotAnswerIsFound(t *testing.T) {
	type told struct {
		c guess.Command
		a guess.Answer
	}
	counted := func(n byte, used, left uint32) told {
		return told{attempt(n), guess.Answer{Status: guess.Counted, Used: used, Remaining: left, Record: []byte{1}}}
	}
	locked := func(n byte) told { return told{attempt(n), guess.Answer{Status: guess.Locked, Used: 2}} }
	begin := told{registration(1, 2), guess.Answer{Status: guess.Registered, Remaining: 2}}
	for what, list := range map[string][]told{
		"":                              {begin, counted(1, 1, 1), counted(2, 2, 0), locked(3)},
		"a guess given back":            {begin, counted(1, 1, 1), counted(2, 1, 1)},
		"one guess too many":            {begin, counted(1, 1, 1), counted(2, 2, 0), counted(3, 2, 0)},
		"a key after the lock":          {begin, counted(1, 1, 1), counted(2, 2, 0), locked(3), {right(1, 2), guess.Answer{Status: guess.Right, Remaining: 2, Envelope: []byte{1}}}},
		"a record after the lock":       {begin, counted(1, 1, 1), counted(2, 2, 0), locked(3), {attempt(2), guess.Answer{Status: guess.Again, Used: 2, Record: []byte{1}}}},
		"a retry that is counted":       {begin, counted(1, 1, 1), counted(1, 2, 0)},
		"a key for no guess":            {begin, {right(1, 1), guess.Answer{Status: guess.Right, Remaining: 2, Envelope: []byte{1}}}},
		"registering starts anew":       {begin, counted(1, 1, 1), {registration(2, 2), guess.Answer{Status: guess.Registered, Remaining: 2}}},
		"an answer that forgot":         {begin, counted(1, 1, 1), {attempt(2), guess.Answer{Status: guess.Unknown}}},
		"a record beside a lock at all": {begin, counted(1, 1, 1), counted(2, 2, 0), {attempt(3), guess.Answer{Status: guess.Locked, Used: 2, Record: []byte{1}}}},
	} {
		r := &history.Recorder{}
		for _, one := range list {
			r.Begin(0, one.c).Answered(one.a)
		}
		if v := r.Judge(await.Longest); v.Good() != (what == "") {
			t.Errorf("%q: %+v", what, v)
		}
	}
	if (&history.Recorder{}).Judge(await.Longest).Good() {
		t.Error("nothing was recorded, and it is good")
	}
}

func TestWhatWasLostMayHaveHappenedOrNot(t *testing.T) {
	for _, used := range []uint32{1, 2, 3} {
		r := &history.Recorder{}
		r.Begin(0, registration(1, 5)).Answered(guess.Answer{Status: guess.Registered, Remaining: 5})
		r.Begin(0, attempt(1)).Lost()
		r.Begin(0, attempt(2)).Answered(guess.Answer{Status: guess.Counted, Used: used, Remaining: 5 - used, Record: []byte{1}})
		v := r.Judge(await.Longest)
		if v.Linearizable != (used < 3) || v.Lost != 1 || v.Guesses != 1 {
			t.Errorf("%d used: %+v", used, v)
		}
	}
}
