//go:build cgo && unix

package hsm

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

func TestAPairIsDestroyedAndNothingElse(t *testing.T) {
	destroyPairs(t, fresh(t, soft(t, Options{})), softKinds)
}

func TestAPostQuantumPairIsDestroyedAndNothingElse(t *testing.T) {
	destroyPairs(t, kryoptic(t), append(mldsaKinds, keys.MLKEM768))
}

func destroyPairs(t *testing.T, tok *Token, kinds []keys.Algorithm) {
	t.Helper()
	for _, alg := range kinds {
		t.Run(string(alg), func(t *testing.T) {
			stays, goes := newID(t), newID(t)
			kept := generate(t, tok, spec(string(alg), stays))
			made := generate(t, tok, spec(string(alg), goes))
			if _, err := tok.DestroyPair(string(alg), goes, kept.SPKI); err == nil || !strings.Contains(err.Error(), "another public key") {
				t.Errorf("a key with another public key: got %v", err)
			}
			d, err := tok.DestroyPair(string(alg), goes, made.SPKI)
			check(t, err)
			if !slices.Equal(d.Held, []string{"private", "public"}) || len(d.Attempts) != 3 || !slices.Equal(d.Found, []int{0, 0, 0}) {
				t.Errorf("%+v", d)
			}
			if use := d.Attempts[2]; use.Name != token.TryUse || use.Code == "CKR_OK" || token.CheckCode(use.Code) != nil {
				t.Errorf("%+v", use)
			}
			again, err := tok.DestroyPair(string(alg), goes, made.SPKI)
			check(t, err)
			if len(again.Held) != 0 || len(again.Attempts) != 0 {
				t.Errorf("a key that is gone: %+v", again)
			}
			if is, err := tok.PublicKey(string(alg), stays); err != nil || string(is) != string(kept.SPKI) {
				t.Errorf("the other key: %v", err)
			}
		})
	}
}

func TestTheSearchesFindAKeyThatIsThere(t *testing.T) {
	searches(t, fresh(t, soft(t, Options{})), softKinds)
}

func TestTheSearchesFindAPostQuantumKeyThatIsThere(t *testing.T) {
	searches(t, kryoptic(t), append(mldsaKinds, keys.MLKEM768))
}

func searches(t *testing.T, tok *Token, kinds []keys.Algorithm) {
	t.Helper()
	for _, alg := range kinds {
		id := newID(t)
		made := generate(t, tok, spec(string(alg), id))
		check(t, tok.use())
		name, a, err := known(string(alg))
		check(t, err)
		found, err := tok.searchFor(name, a, id, made.SPKI)
		other, err2 := tok.searchFor(name, a, newID(t), made.SPKI)
		tok.mu.Unlock()
		check(t, err)
		check(t, err2)
		if found[0] != 2 || found[1] != 2 || found[2] < 1 {
			t.Errorf("%s: the searches find %v", alg, found)
		}
		// Under another CKA_ID its public half is found all the same.
		if other[0] != 0 || other[1] != 1 || other[2] < 1 {
			t.Errorf("%s: of a key under another CKA_ID the searches find %v", alg, other)
		}
	}
}

func TestWhatAnInterruptionLeavesIsDestroyed(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	drop := func(half string, id []byte) {
		t.Helper()
		check(t, tok.use())
		defer tok.mu.Unlock()
		h, err := tok.half(half, id)
		check(t, err)
		check(t, tok.destroyObject(tok.session, h))
	}
	id := newID(t)
	made := generate(t, tok, spec(string(keys.P256), id))
	drop(privateHalf, id)
	d, err := tok.DestroyPair(string(keys.P256), id, made.SPKI)
	check(t, err)
	if !slices.Equal(d.Held, []string{"public"}) || len(d.Attempts) != 1 || !slices.Equal(d.Found, []int{0, 0, 0}) {
		t.Errorf("%+v", d)
	}
	// A private half alone says of no public key that it is its.
	id = newID(t)
	made = generate(t, tok, spec(string(keys.P256), id))
	drop(publicHalf, id)
	if _, err := tok.DestroyPair(string(keys.P256), id, made.SPKI); err == nil || !strings.Contains(err.Error(), "a person has to look at it") {
		t.Errorf("got %v", err)
	}
}
