package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// onlookers are a second witness and a second auditor.
var onlookers = []ceremony.Person{{Name: "wim", Role: ceremony.Witness}, {Name: "abe", Role: ceremony.Auditor}}

// TestNothingIsAskedForUntilEveryOnlookerIsHeard: the request waits for each
// witness and auditor of the plan, or for an exception that officers accepted.
func TestNothingIsAskedForUntilEveryOnlookerIsHeard(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "heard", Onlookers: onlookers, To: testfleet.ToFleetRun})
	c := f.Config(f.Dir, testfleet.Random("heard"))
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, c.Now, c.Random))
	defer j.Close()
	must(j.Build(t.Context(), c.Participants))
	a := j.Account()
	if err := f.SignOff(f.Dir, a, ceremony.StageRelease, ceremony.Agree, testfleet.Signers...); err != nil {
		t.Fatal(err)
	}
	waits := func(want string) {
		t.Helper()
		n := a.N
		_, err := j.Request(t.Context(), nil, nil, f.Approve)
		var p *folder.Pending
		if want == "" && err != nil || want != "" && (!errors.As(err, &p) || !strings.Contains(err.Error(), want) || a.N != n) {
			t.Fatalf("want %q: %v, %d records after %d", want, err, a.N, n)
		}
		list := must(folder.ReadMissing(f.Dir, a))
		for _, w := range list {
			if want != "" && w.What == ceremony.StageRelease && !strings.Contains(w.Why, want) {
				t.Errorf("status says %q, want %q", w.Why, want)
			}
		}
	}
	waits("no verdict by wim, abe, and no exception")
	if err := f.SignOff(f.Dir, a, ceremony.StageRelease, ceremony.Agree, "abe"); err != nil {
		t.Fatal(err)
	}
	waits("no verdict by wim, and no exception")
	// Named in an exception that nobody accepted yet.
	must(j.Append(&ceremony.Exception{Number: 1, Expected: "wim", Happened: "he is ill", Decided: "to go on", Absent: []string{"wim"}}))
	waits("no verdict by wim, and no exception that officers accepted names them as absent")
	people := must(ceremony.PeopleOf(f.Plan))
	if err := f.Approve(t.Context(), f.Dir, people, must(a.ExceptionApproval(1)), nil); err != nil {
		t.Fatal(err)
	}
	waits("")
}

// TestAnExceptionOfTheReleaseExcusesNobodyFromTheClose: nor one of the close
// from the release.
func TestAnExceptionOfTheReleaseExcusesNobodyFromTheClose(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "both", Onlookers: onlookers, Away: []string{"wim"}})
	if n := len(f.Account.Exceptions); n != 2 {
		t.Fatalf("%d exceptions", n)
	}
	for i, stage := range []string{ceremony.StageRelease, ceremony.StageClose} {
		people := must(ceremony.PeopleOf(f.Plan))
		list := must(folder.ReadSignings(f.Dir, ceremony.SignoffDir(stage)))
		said := must(people.Signoffs(must(f.Account.WantedSignoff(stage)), list))
		approvals := must(folder.ReadSignings(f.Dir, ceremony.ApprovalsDir))
		if err := f.Account.SignedOff(stage, said, list, must(people.ReadApprovals(approvals)), 2); err != nil {
			t.Errorf("%s: %v", stage, err)
		}
		// Without the officers' signatures on the stage's own exception.
		mine := must(f.Account.ExceptionApproval(i + 1))
		var left []ceremony.Signing
		for _, s := range approvals {
			if !strings.Contains(string(s.Text), string(mine.Text()[:strings.Index(string(mine.Text()), "subject")])) {
				left = append(left, s)
			}
		}
		if len(left) != len(approvals)-2 {
			t.Fatalf("%d of %d approvals are left", len(left), len(approvals))
		}
		if err := f.Account.SignedOff(stage, said, list, must(people.ReadApprovals(left)), 2); err == nil || !strings.Contains(err.Error(), "no verdict by wim") {
			t.Errorf("%s, not excused: %v", stage, err)
		}
	}
}
