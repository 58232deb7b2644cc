package folder_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// TestAnApprovalOfOneExceptionIsNoneOfAnother: what was signed for an exception
// counts for that record, and whatever mixes it with another counts for none.
func TestAnApprovalOfOneExceptionIsNoneOfAnother(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "two-exceptions", To: testfleet.ToFleetRun})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("two-exceptions")))
	defer j.Close()
	a := j.Account()
	if waits := must(folder.ReadMissing(f.Dir, a)); len(waits) != 0 || a.DueAct() != "" {
		t.Fatalf("before any it waits for %+v, and %q is due", waits, a.DueAct())
	}
	if _, err := a.ExceptionApproval(1); err == nil || err.Error() != "no exception is on the record" {
		t.Error(err)
	}
	// The same words twice: only the record tells them apart.
	for n := range 2 {
		must(j.Append(&ceremony.Exception{Number: n + 1, Expected: "a", Happened: "b", Decided: "c"}))
	}
	last := a.N
	if err := j.Adjourn(&ceremony.Adjourn{Reason: "night", Seals: []ceremony.Seal{{What: "safe", Number: "1"}}}); err != nil {
		t.Fatal(err)
	}
	first, second := must(a.ExceptionApproval(1)), must(a.ExceptionApproval(2))
	if first.Head.N != last-1 || second.Head.N != last || first.Head.Hash == second.Head.Hash ||
		first.Subject != first.Head.Hash || second.Subject != second.Head.Hash {
		t.Fatalf("%+v\n%+v", first, second)
	}
	for _, n := range []int{0, 3} {
		if _, err := a.ExceptionApproval(n); err == nil || !strings.HasSuffix(err.Error(), "they are numbered 1 to 2") {
			t.Errorf("%d: %v", n, err)
		}
	}

	people := must(ceremony.PeopleOf(f.Plan))
	mixed, late, bare, other := second, second, second, second
	mixed.Head = first.Head                         // numbers one exception, names the other
	late.Head = ceremony.Head{Hash: a.Head, N: a.N} // the adjournment's head
	bare.Subject = [32]byte{}
	other.Act = ceremony.ApproveResume
	for i, want := range []ceremony.Approval{mixed, late, bare, other, a.Wanted(ceremony.ApproveException, a.Head), first} {
		want.Role = ceremony.Officer
		for _, name := range testfleet.Signers[:2] {
			sig := must(f.Parties.People[name].Sign(want.Namespace(), want.Text()))
			must(folder.StoreSignature(f.Dir, ceremony.ApprovalsDir, fmt.Sprintf("exception-%d-as-%d", last, i), people, want.Namespace(), want.Text(), sig))
		}
	}
	accepted := must(folder.ReadAcceptances(f.Dir, a))
	if officers := slices.Sorted(slices.Values(testfleet.Signers[:2])); len(accepted) != 2 || !slices.Equal(accepted[0], officers) || len(accepted[1]) != 0 {
		t.Errorf("accepted: %v", accepted)
	}
	waits := must(folder.ReadMissing(f.Dir, a))
	if len(waits) != 2 || waits[0].Exception != 2 || waits[0].Record != last || len(waits[0].Have) != 0 || waits[0].Want != f.Plan.Threshold ||
		waits[1].What != ceremony.ApproveReconvene || waits[1].Record != a.N {
		t.Errorf("it waits for %+v", waits)
	}
	for _, want := range []ceremony.Approval{second, a.Wanted(ceremony.ApproveReconvene, [32]byte{})} {
		if err := f.Approve(context.Background(), f.Dir, people, want, nil); err != nil {
			t.Fatal(err)
		}
	}
	if waits := must(folder.ReadMissing(f.Dir, a)); len(waits) != 0 {
		t.Errorf("all is signed, and it waits for %+v", waits)
	}
}

// TestAFinishedCeremonyWaitsForNobody: all that was needed was signed.
func TestAFinishedCeremonyWaitsForNobody(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	a := must(folder.Read(f.Dir))
	if waits := must(folder.ReadMissing(f.Dir, a)); len(waits) != 0 || a.DueAct() != "" {
		t.Errorf("%+v, %q is due", waits, a.DueAct())
	}
}

// TestAnExceptionHasToBeAcceptedBeforeTheRequest, for whoever calls the library.
func TestAnExceptionHasToBeAcceptedBeforeTheRequest(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("exception")))
	defer j.Close()
	must(j.Build(context.Background(), testfleet.Machine{}))
	must(j.Append(&ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c"}))
	must(0, f.SignOff(f.Dir, j.Account(), ceremony.StageRelease, ceremony.Agree, testfleet.Signers...))
	before := j.Account().N
	_, err := j.Request(context.Background(), nil, nil, f.Approve)
	var waits *folder.Missing
	if !errors.As(err, &waits) || waits.Exception != 1 || j.Account().N != before {
		t.Fatalf("requested with it: %v", err)
	}
	people := must(ceremony.PeopleOf(f.Plan))
	must(0, f.Approve(context.Background(), f.Dir, people, must(j.Account().ExceptionApproval(1)), nil))
	must(j.Request(context.Background(), nil, nil, f.Approve))
}
