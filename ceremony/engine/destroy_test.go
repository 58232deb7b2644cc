package engine_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// verdict is what a verifier says of a destruction's package.
func verdict(t *testing.T, g *testfleet.Fleet) *evidence.Report {
	t.Helper()
	p, err := evidence.ParsePolicy("policy.yaml", g.Policy)
	if err != nil {
		t.Fatal(err)
	}
	r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: g.Archive}, p, evidence.Question{Now: g.Now(), Expect: evidence.TypeDestruction})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAFleetsKeysAreDestroyedOnceItIsRetired(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 2, Roles: []draft.Role{{Name: "session", Algorithm: keys.P256}, {Name: "sealing", Algorithm: keys.X25519}, {Name: "vault", Algorithm: keys.MLDSA44}}})
	foreign := token.Object{Class: "data", ID: []byte("another's")}
	f.Tokens[0].Foreign = append(f.Tokens[0].Foreign, foreign)
	g := f.Destroying(t, nil)
	if err := g.Destroy("destroy"); err != nil {
		t.Fatal(err)
	}
	for _, tok := range f.Tokens {
		if tok.Keys() != 0 {
			t.Errorf("%s still has %d keys", tok.About.Label, tok.Keys())
		}
	}
	if r := verdict(t, g); !r.Verified || r.Claim(evidence.ClaimDestroyed).Grade != evidence.Attested {
		t.Errorf("%s", r.JSON())
	}
}

func TestWhatIsNotThePlansKeyIsNotDestroyed(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(f *testfleet.Fleet)
		want  string
	}{
		"another public key under the CKA_ID": {func(f *testfleet.Fleet) { f.Tokens[0].Rekey("another") }, "another public key than the plan destroys"},
		"no key under the CKA_ID":             {func(f *testfleet.Fleet) { f.Tokens[0].Empty() }, "no key was destroyed"},
		"a key that can't show itself": {func(f *testfleet.Fleet) {
			f.Tokens[0].OnSign = func([]byte) []byte { return make([]byte, 64) }
		}, "its proof of possession"},
		"another object under the CKA_ID": {func(f *testfleet.Fleet) {
			f.Tokens[0].Foreign = append(f.Tokens[0].Foreign, token.Object{Class: "certificate", ID: f.Account.Keys[0].Intent.ID})
		}, "a person has to look at it"},
	} {
		t.Run(name, func(t *testing.T) {
			f := testfleet.New(t, testfleet.Options{HSMs: 1})
			g := f.Destroying(t, nil)
			c.spoil(f)
			before := len(f.Tokens[0].Calls)
			err := g.Destroy("destroy")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			for _, call := range f.Tokens[0].Calls[before:] {
				if strings.HasPrefix(call, "Destroy") {
					t.Errorf("%s was called", call)
				}
			}
		})
	}
}

func TestATokenThatKeepsTheKeyIsCaught(t *testing.T) {
	for name, c := range map[string]struct {
		lie  func(*token.Destroyed) bool
		want string
	}{
		"a search by its CKA_ID finds it":     {func(d *token.Destroyed) bool { d.Found[0] = 2; return true }, "a search by cka-id still finds 2"},
		"a search by its public key finds it": {func(d *token.Destroyed) bool { d.Found[2] = 1; return true }, "a search by public-key still finds 1"},
		"its old handle signs": {func(d *token.Destroyed) bool {
			d.Attempts[2].Call, d.Attempts[2].Code = "C_Sign", "CKR_OK"
			return true
		}, "still uses the key"},
		"it says that it destroyed nothing": {func(d *token.Destroyed) bool { d.Attempts[0].Code = "CKR_ACTION_PROHIBITED"; return true }, "did not destroy the key"},
		"a new process finds it":            {func(*token.Destroyed) bool { return true }, "a new process finds the object"},
	} {
		t.Run(name, func(t *testing.T) {
			f := testfleet.New(t, testfleet.Options{HSMs: 2})
			g := f.Destroying(t, nil)
			f.Tokens[0].OnDestroyPair = c.lie
			err := g.Destroy("destroy")
			if err == nil || !strings.Contains(err.Error(), c.want) || g.Account.Abort == nil {
				t.Fatalf("got %v, abort %v, want %q", err, g.Account.Abort, c.want)
			}
			if f.Tokens[1].Keys() != 1 {
				t.Error("the abort destroyed another key")
			}
		})
	}
}

func TestNoKeyIsDestroyedUnlessItsFleetIsRetired(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, f, g *testfleet.Fleet)
		want  string
	}{
		"nothing is given":               {func(_ *testing.T, _, g *testfleet.Fleet) { g.Ended = nil }, "nothing was given that shows that their fleet is retired"},
		"the retirement isn't logged":    {func(_ *testing.T, _, g *testfleet.Fleet) { g.Ended.RetirementProof = nil }, "log.included"},
		"the keys' bundle isn't logged":  {func(_ *testing.T, _, g *testfleet.Fleet) { g.Ended.KeysProof = nil }, "log.included"},
		"the proof is of another bundle": {func(_ *testing.T, _, g *testfleet.Fleet) { g.Ended.RetirementProof = g.Ended.KeysProof }, "retirement.json"},
		"the bundle of the keys stands for it": {func(_ *testing.T, _, g *testfleet.Fleet) {
			g.Ended.Retirement, g.Ended.RetirementProof = g.Ended.Keys, g.Ended.KeysProof
		}, "a notice was expected"},
		"another party signed it": {func(t *testing.T, f, g *testfleet.Fleet) {
			n := f.NoticeOf(bundle.RetirementFormat, 2, g.Plan.Previous)
			g.Ended.Retirement = f.Noticed(n, testfleet.SoftSigner(keys.Ed25519, "a stranger"), f.Parties.Operator, f.Plan.Countersigner.Form)
			g.Ended.RetirementProof = appended(t, f, g.Ended.Retirement)
		}, "is not verified under the plan's own policy"},
		"it voids, and retires nothing": {func(t *testing.T, f, g *testfleet.Fleet) {
			n := f.NoticeOf(bundle.VoidFormat, 2, g.Plan.Previous)
			g.Ended.Retirement = f.Noticed(n, f.Parties.ThirdParty, f.Parties.Operator, f.Plan.Countersigner.Form)
			g.Ended.RetirementProof = appended(t, f, g.Ended.Retirement)
			g.Wait(2 * time.Hour)
		}, "retires no fleet"},
		"it takes effect at another time": {func(t *testing.T, f, g *testfleet.Fleet) {
			n := f.NoticeOf(bundle.RetirementFormat, 2, g.Plan.Previous)
			g.Ended.Retirement = f.Noticed(n, f.Parties.ThirdParty, f.Parties.Operator, f.Plan.Countersigner.Form)
			g.Ended.RetirementProof = appended(t, f, g.Ended.Retirement)
			g.Wait(2 * time.Hour)
		}, "takes effect at"},
	} {
		t.Run(name, func(t *testing.T) {
			f := testfleet.New(t, testfleet.Options{HSMs: 1})
			g := f.Destroying(t, nil)
			c.spoil(t, f, g)
			if err := g.Destroy("destroy"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if f.Tokens[0].Keys() != 1 || g.Account.Opened() {
				t.Error("an HSM was unlocked, or its key is gone")
			}
		})
	}
}

func TestNoKeyIsDestroyedBeforeItsRetirementTakesEffect(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1})
	g := f.Destroying(t, nil)
	c := g.Config(g.Dir, testfleet.Random("early"))
	early := g.Plan.Destroys.Effective.Add(-1)
	c.Now = func() time.Time { return early }
	if _, err := engine.Run(context.Background(), c); err == nil || !strings.Contains(err.Error(), "in force until") {
		t.Errorf("got %v", err)
	}
	if f.Tokens[0].Keys() != 1 {
		t.Error("its key is gone")
	}
}

func appended(t *testing.T, f *testfleet.Fleet, leaf []byte) []byte {
	t.Helper()
	proof, err := f.Parties.Log.Append(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// TestADestructionGoesOnAfterAnyInterruption ends the run at each call of the first
// token, before it is done and after it, and goes on: the keys are destroyed, and the
// record tells what was found.
func TestADestructionGoesOnAfterAnyInterruption(t *testing.T) {
	o := testfleet.Options{HSMs: 1, Roles: []draft.Role{{Name: "session", Algorithm: keys.P256}, {Name: "sealing", Algorithm: keys.X25519}}}
	pulled := errors.New("the HSM was pulled")
	whole := testfleet.New(t, o)
	before := len(whole.Tokens[0].Calls)
	if err := whole.Destroying(t, nil).Destroy("destroy"); err != nil {
		t.Fatal(err)
	}
	calls := len(whole.Tokens[0].Calls) - before
	for _, after := range []bool{false, true} {
		for at := range calls {
			f := testfleet.New(t, o)
			g := f.Destroying(t, nil)
			n := 0
			strike := func(string) error {
				if n++; n == at+1 {
					return pulled
				}
				return nil
			}
			if after {
				f.Tokens[0].After = strike
			} else {
				f.Tokens[0].Before = strike
			}
			err := g.Destroy("destroy")
			if !errors.Is(err, pulled) && err != nil {
				t.Fatalf("call %d, after %t: %v", at, after, err)
			}
			for range 3 {
				if err != nil {
					err = g.Destroy("again")
				}
			}
			if err != nil {
				t.Fatalf("call %d (%s), after %t: %v", at, f.Tokens[0].Calls[before+at], after, err)
			}
			if r := verdict(t, g); !r.Verified || f.Tokens[0].Keys() != 0 {
				t.Errorf("call %d, after %t: %d keys left, %s", at, after, f.Tokens[0].Keys(), r.JSON())
			}
		}
	}
}

func TestAnAbortedDestructionSaysWhatBecameOfTheKey(t *testing.T) {
	for name, c := range map[string]struct {
		strike func(tok *testfleet.Token)
		want   string
	}{
		"it was destroyed": {func(tok *testfleet.Token) {
			tok.After = func(call string) error { return failAt(call, "DestroyPair") }
		}, ceremony.Absent},
		"it was not": {func(tok *testfleet.Token) {
			tok.Before = func(call string) error { return failAt(call, "DestroyPair") }
		}, ceremony.NotDestroyed + "the token still holds it"},
	} {
		t.Run(name, func(t *testing.T) {
			f := testfleet.New(t, testfleet.Options{HSMs: 2})
			g := f.Destroying(t, nil)
			c.strike(f.Tokens[0])
			if err := g.Destroy("destroy"); err == nil {
				t.Fatal("nothing stopped it")
			}
			keys := f.Tokens[0].Keys()
			a, err := engine.Abort(context.Background(), g.Config(g.Dir, testfleet.Random("abort")), "people decided so")
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Abort.Keys) != 1 || a.Abort.Keys[0].State != c.want || !bytes.Equal(a.Abort.Keys[0].ID, f.Account.Keys[0].Intent.ID) {
				t.Errorf("the abort says %+v, want %q", a.Abort.Keys, c.want)
			}
			if f.Tokens[0].Keys() != keys || f.Tokens[1].Keys() != 1 {
				t.Error("the abort destroyed a key")
			}
		})
	}
}

func failAt(call, name string) error {
	if call == name {
		return errors.New("pulled")
	}
	return nil
}
