package engine_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/challenge"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// ada challenges every key that agrees, from a machine of her own.
type ada struct {
	testfleet.Challenger
	before func() // she gives the scalar
}

func newAda() *ada { return &ada{Challenger: testfleet.Challenger{Name: "ada"}} }

func (p *ada) Opened(ctx context.Context, q engine.AgreementQuestion, answer [32]byte) ([]byte, error) {
	if p.before != nil {
		p.before()
	}
	return p.Challenger.Opened(ctx, q, answer)
}

func agreeing(t *testing.T, alg keys.Algorithm) *testfleet.Fleet {
	return testfleet.Prepared(t, testfleet.Options{Name: "agreeing " + string(alg), HSMs: 2, Roles: []draft.Role{
		{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: alg},
	}})
}

func TestAKeyThatAgreesAnswersTheAuditorsOwnScreen(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.ECDHP256, keys.X25519, keys.MLKEM768} {
		f, who := agreeing(t, alg), newAda()
		c := f.Config(filepath.Join(testfleet.TempDir(t), "c"), testfleet.Random("run"))
		c.Participants = who
		a, err := engine.Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		list := a.KeysOf(keys.Agree)
		if len(list) != 2 || a.FleetCheck == nil || len(a.KeysOf(keys.Sign)) != 2 {
			t.Fatalf("%s: %d keys agree, fleet check %v", alg, len(list), a.FleetCheck)
		}
		for i, k := range list {
			if k.Peer.By != ceremony.Auditor || k.Peer.Challenger != "ada" || k.Possession.Signature != nil || k.Possession.Answer != who.Kept.Challenges[i].Answer || len(k.Attempts) != 10 || k.Refused() != 9 {
				t.Errorf("%s %s: %+v, %+v, %d attempts, %d refused", k.HSM, k.Role, k.Peer, k.Possession, len(k.Attempts), k.Refused())
			}
		}
		for _, one := range who.Kept.Compare(a) {
			if one.Fault != "" {
				t.Errorf("%s %s: %s", one.HSM, one.Role, one.Fault)
			}
		}
		// Whoever kept something else sees that the ceremony is not what they saw.
		forgot := challenge.Kept{Challenges: slices.Clone(who.Kept.Challenges)[1:]}
		forgot.Challenges[0].Answer[0] ^= 1
		got := forgot.Compare(a)
		if !strings.Contains(got[0].Fault, "none that was drawn here") || !strings.Contains(got[1].Fault, "another answer than was typed") {
			t.Errorf("%+v", got)
		}
	}
}

func TestWhereNobodyChallengesTheMachineDraws(t *testing.T) {
	f := agreeing(t, keys.ECDHP256)
	a, err := engine.Run(t.Context(), f.Config(f.Dir, testfleet.Random("run")))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range a.KeysOf(keys.Agree) {
		if k.Peer.By != ceremony.Machine || k.Peer.Challenger != "" || k.Opened == nil {
			t.Errorf("%+v", k.Peer)
		}
	}
}

// An HSM, or a program in its place, that hasn't the key can only guess.
func TestAWrongAnswerDestroysTheKey(t *testing.T) {
	f := agreeing(t, keys.ECDHP256)
	f.Tokens[1].OnAgree = func(z []byte) []byte { z[0] ^= 1; return z }
	c := f.Config(f.Dir, testfleet.Random("run"))
	c.Participants = newAda()
	a, err := engine.Run(t.Context(), c)
	if err == nil || a.Abort == nil || !strings.Contains(a.Fault, "hsm-2 sealing: its proof of possession: the answer is not the key's") || f.Tokens[1].Keys()+f.Tokens[0].Keys() != 0 {
		t.Fatalf("%v; fault %q, %d keys are left", err, a.Fault, f.Tokens[0].Keys()+f.Tokens[1].Keys())
	}
	// A secret that is all zero makes no answer at all: nothing is recorded of it.
	f = agreeing(t, keys.X25519)
	f.Tokens[0].OnAgree = func([]byte) []byte { return make([]byte, 32) }
	a, err = engine.Run(t.Context(), f.Config(f.Dir, testfleet.Random("run")))
	if err == nil || !strings.Contains(err.Error(), "all zero") || a.NextKind() != ceremony.KindPossession {
		t.Fatalf("%v; next is %q", err, a.NextKind())
	}
}

// The scalar is asked for once the answer is on the record, and not before.
func TestTheScalarIsToldAfterTheAnswerIsOnTheRecord(t *testing.T) {
	f, who := agreeing(t, keys.ECDHP256), newAda()
	asked := 0
	who.before = func() {
		asked++
		j, err := engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("look"))
		if err == nil { // the run holds it
			j.Close()
			t.Error("the run doesn't hold the journal")
		}
	}
	c := f.Config(f.Dir, testfleet.Random("run"))
	c.Participants = who
	a, err := engine.Run(t.Context(), c)
	if err != nil || asked != 2 {
		t.Fatalf("%v, asked %d times", err, asked)
	}
	kinds := a.Steps[slices.IndexFunc(a.Steps, func(s ceremony.Step) bool { return s.Role == "sealing" })].Leaves
	if i := slices.Index(kinds, ceremony.KindPossession); kinds[i-1] != ceremony.KindAgreementPeer || kinds[i+1] != ceremony.KindAgreementOpened {
		t.Errorf("%v", kinds)
	}
	// An auditor who stops leaves a ceremony that is resumed with a new key and a new peer.
	f = agreeing(t, keys.ECDHP256)
	stop := &stops{ada: *newAda()}
	c = f.Config(f.Dir, testfleet.Random("run"))
	c.Participants = stop
	if a, err = engine.Run(t.Context(), c); !errors.Is(err, errStop) || a.NextKind() != ceremony.KindAgreementOpened {
		t.Fatalf("%v, next %q", err, a.NextKind())
	}
}

type stops struct{ ada }

func (p *stops) Opened(context.Context, engine.AgreementQuestion, [32]byte) ([]byte, error) {
	return nil, errStop
}
