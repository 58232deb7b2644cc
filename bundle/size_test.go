package bundle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// biggest makes a bundle of the plan's shape in which all that can vary is as
// long as it gets.
func biggest(set *KeySet, thirdParties int, countersigner keys.Algorithm) []byte {
	var statements []Signed
	for i := range thirdParties {
		// Of three keys one has a last byte of three digits, near enough.
		name := ""
		for j := 0; name == "" || edRaw(name)[31] < 100; j++ {
			name = fmt.Sprintf("tp-%d-%d", i, j)
		}
		s := must(NewStatement(Bincode, set.Namespace, strict.MaxInt, set.Epoch, set.Digest()))
		statements = append(statements, Signed{Key: edRaw(name), Statement: must(s.Seal(edRaw(name), sign(keys.Ed25519, name, s.Message())))})
	}
	form := FormBound
	if thirdParties == 1 {
		form = FormSignature
	}
	return must(Assemble(set.Raw(), statements, []Countersignature{countersigned(countersigner, "operator", form, set, statements...)}, &Head{aRecord.Hash, strict.MaxInt})).Raw()
}

func TestMaxSizeIsNeverExceededAndClose(t *testing.T) {
	long := strings.Repeat("n", 123)
	for _, c := range []struct {
		hsms, thirdParties int
		roles              []keys.Algorithm
		longNames          bool
		epoch              uint64
	}{
		{1, 1, []keys.Algorithm{keys.Ed25519}, false, 1},
		{5, 1, []keys.Algorithm{keys.Ed25519}, false, 7},
		{7, 2, []keys.Algorithm{keys.Ed25519, keys.P384}, true, strict.MaxInt},
		{9, 3, keys.Algorithms[:6], true, 2},
		{3, 2, []keys.Algorithm{keys.MLDSA44, keys.MLDSA65, keys.MLDSA87}, true, 2},
	} {
		for _, countersigner := range keys.Algorithms {
			if !countersigner.CanSign() {
				continue
			}
			set := fleet(c.epoch, nil, c.hsms, c.roles...)
			if c.epoch > 1 {
				set.Previous = seed("previous")
			}
			if c.longNames {
				set.Fleet, set.Namespace, set.Ceremony.ID = long, long, long
				for i := range set.Keys {
					set.Keys[i].HSM += long
				}
			}
			planned := *set
			planned.Keys = slices.Clone(set.Keys)
			for i := range planned.Keys {
				planned.Keys[i].SPKI = nil
			}
			planned.Previous = nil
			most := MaxSize(&planned, make([]keys.Algorithm, c.thirdParties), countersigner)
			got := len(biggest(parsed(set), c.thirdParties, countersigner))
			// Free are the DER integers of an ECDSA signature: at most 3 bytes
			// in 999 of 1000, in base64 one group of 4 or two.
			if got > most || most-got > 8 {
				t.Errorf("%+v, countersigner %s: %d bytes, at most %d were announced", c, countersigner, got, most)
			}
		}
	}
}

// What a plan can hold: printed for the manual.
func TestHowManyHSMsFit(t *testing.T) {
	for alg, want := range map[keys.Algorithm]int{keys.Ed25519: 50, keys.P384: 50, keys.RSA3072: 50, keys.MLDSA44: 24, keys.MLDSA65: 17, keys.MLDSA87: 13} {
		n := 0
		for {
			s := fleet(2, nil, 0)
			for i := range n + 1 {
				s.Keys = append(s.Keys, FleetKey{HSM: fmt.Sprintf("hsm-%03d", i), Role: "session", Algorithm: alg})
			}
			s.Majority = n/2 + 1
			if MaxSize(s, make([]keys.Algorithm, 1), keys.P256) > MaxBundle {
				break
			}
			n++
		}
		t.Logf("%d HSMs with one %s key each fit into %d bytes", n, alg, MaxBundle)
		if n < want || alg.IsMLDSA() && n != want {
			t.Errorf("only %d HSMs with one %s key fit", n, alg)
		}
	}
}
