package bundle

import (
	"errors"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// A device takes no bundle of which one hand could have made two parts.
func TestADeviceGivesEachKeyOnePart(t *testing.T) {
	w := newWorld()
	leaf := w.bundle.Raw()
	check := func(trust *Trust, policy string) error {
		log, err := auditlog.ParsePolicy("policy", []byte(policy))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Check(leaf, logged(leaf, now, now), trust, log, nil, now, time.Hour)
		if (got == nil) != (err != nil) {
			t.Errorf("%v with %v", got, err)
		}
		return err
	}
	policy := func(logKey, one noteKey) string {
		return "log " + logKey.vkey() + "\nwitness one " + one.vkey() + "\nwitness two " + witness2.vkey() + "\nquorum two\n"
	}
	if err := check(w.trust, policy(logKey, witness1)); err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*Trust)) *Trust {
		trust := *newWorld().trust
		change(&trust)
		return &trust
	}
	fleetKey, ok := w.set.Keys[0].Public.Ed25519()
	if !ok {
		t.Fatal("the fleet's first key is no Ed25519 key")
	}
	extra := func(key [32]byte) func(*Trust) {
		return func(trust *Trust) {
			trust.ThirdParties = append(trust.ThirdParties, ThirdParty{Name: "tp-9", Key: key})
		}
	}
	witness := keys.Shared{Holder: keys.Holder{Part: keys.PartThirdParty, Name: "tp-9"}, Other: keys.Holder{Part: keys.PartWitness, Name: "one"}}
	fleet := keys.Shared{Holder: keys.Holder{Part: keys.PartThirdParty, Name: "tp-9"}, Other: keys.Holder{Part: keys.PartFleet, Name: w.set.Keys[0].HSM + "/" + w.set.Keys[0].Role}}
	for name, c := range map[string]struct {
		trust  *Trust
		share  keys.Shared
		wanted string
	}{
		"a witness who is a third party": {changed(extra(edRaw("w1.example"))), witness, "tp-9 and one have the same key"},
		"a fleet key of a third party's": {changed(extra([32]byte(fleetKey))), fleet, `has the key of third party "tp-9": whoever holds such a key can answer in the place of an HSM`},
		"a fleet key of the operator's own": {changed(func(t *Trust) {
			t.Operators = append(t.Operators, Operator{Name: "op-9", Key: w.set.Keys[0].Public, Form: FormBound})
		}), keys.Shared{}, `has the key of operator "op-9"`},
	} {
		err := check(c.trust, policy(logKey, witness1))
		wantError(t, err, c.wanted)
		if c.share != (keys.Shared{}) {
			c.trust.Shares = []keys.Shared{c.share}
			if err := check(c.trust, policy(logKey, witness1)); err != nil {
				t.Errorf("%s, allowed: %v", name, err)
			}
		}
	}
	never := changed(func(t *Trust) {
		t.Shares = []keys.Shared{{Holder: keys.Holder{Part: keys.PartThirdParty, Name: "tp-1"}, Other: keys.Holder{Part: keys.PartOperator, Name: "operator"}}}
	})
	if err := check(never, policy(logKey, witness1)); !errors.Is(err, ErrTrust) {
		t.Errorf("a third party who is the operator can be allowed: %v", err)
	}
}
