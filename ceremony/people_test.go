package ceremony_test

import (
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestAnAccountsPeopleAreItsPlans(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 1})
	a := ceremony.NewAccount(f.Plan)
	people := must(a.People())
	if again := must(a.People()); again != people || people.Threshold() != f.Plan.Threshold {
		t.Errorf("%d officers of %d, read again: %t", people.Threshold(), f.Plan.Threshold, again != people)
	}
	none := *f.Plan
	none.People = []ceremony.Person{{Name: "olga", Role: ceremony.Officer, Key: "ssh-ed25519 AAAA"}}
	if people, err := ceremony.NewAccount(&none).People(); err == nil || people != nil {
		t.Errorf("people %v with error %v, of a key that can't be read", people, err)
	}
}
