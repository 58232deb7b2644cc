package ceremony_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// What was verified isn't verified again for other people, at another time or
// for another act: bytes that are spoiled afterwards aren't looked at, and a
// folder that is read anew is refused.
func TestASigningIsVerifiedOnceWhoeverAsks(t *testing.T) {
	f := base(t)
	a := f.Account
	want := a.Needs[0]
	want.Role = ceremony.Officer
	files := map[string][]byte{}
	var officers []ceremony.Person
	for i := range 3 {
		p := testfleet.NewPerson(fmt.Sprintf("signer %d", i), ceremony.Officer)
		sig := must(p.Sign(want.Namespace(), want.Text()))
		path := fmt.Sprintf("%s/open-%d", ceremony.ApprovalsDir, i)
		files[path], files[path+".sig"] = want.Text(), sig.Armor()
		officers = append(officers, ceremony.Person{Name: fmt.Sprintf("officer-%d", i), Role: ceremony.Officer, Key: p.Key().String()})
	}
	list := must(ceremony.Signings(files, ceremony.ApprovalsDir))
	for n := range len(officers) + 1 {
		people := must(ceremony.NewPeople(officers[:n], 1))
		have, err := people.Approvals(want, list)
		if err != nil || len(have) != n {
			t.Errorf("of %d officers %v approved: %v", n, have, err)
		}
		if n == 0 {
			for i := range list {
				clear(list[i].Signature)
			}
		}
	}
	again := must(ceremony.Signings(files, ceremony.ApprovalsDir))
	if have, err := must(ceremony.NewPeople(officers, 1)).Approvals(want, again); err == nil {
		t.Errorf("a spoiled folder says that %v approved", have)
	}
}

// One folder answers for many acts, each with its own people.
func TestApprovalsAreFoundByTheirText(t *testing.T) {
	f := base(t)
	officer, auditor := testfleet.NewPerson("x", ceremony.Officer), testfleet.NewPerson("y", ceremony.Auditor)
	people := must(ceremony.NewPeople([]ceremony.Person{
		{Name: "x", Role: ceremony.Officer, Key: officer.Key().String()}, {Name: "y", Role: ceremony.Auditor, Key: auditor.Key().String()},
	}, 1))
	files := map[string][]byte{}
	say := func(name string, p *testfleet.Person, want ceremony.Approval, role string) {
		want.Role = role
		path := ceremony.ApprovalsDir + "/" + name
		files[path], files[path+".sig"] = want.Text(), must(p.Sign(want.Namespace(), want.Text())).Armor()
	}
	first, second := f.Account.Needs[0], f.Account.Needs[1]
	say("1", officer, first, ceremony.Officer)
	say("2", officer, first, ceremony.Officer) // twice is once
	say("3", auditor, first, ceremony.Auditor)
	say("4", auditor, second, ceremony.Officer) // in a role that is another's
	given := must(people.ReadApprovals(must(ceremony.Signings(files, ceremony.ApprovalsDir))))
	if got := given.Officers(first); !slices.Equal(got, []string{"x"}) {
		t.Errorf("the first act is approved by %v", got)
	}
	if got := given.Signers(first); len(got) != 2 {
		t.Errorf("the first act is signed by %v", got)
	}
	if got := given.Signers(second); len(got) != 0 {
		t.Errorf("the second act is signed by %v", got)
	}
}
