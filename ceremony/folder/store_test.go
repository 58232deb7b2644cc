package folder_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// approve has a person of the fleet approve plan bytes in a folder.
func approvePlan(f *testfleet.Fleet, root, name string, plan *ceremony.Plan) (*folder.Stored, error) {
	people := must(ceremony.PeopleOf(plan))
	namespace := ceremony.SignNamespace(ceremony.NamespacePlan, plan.Mode)
	sig := must(f.Parties.People[name].Sign(namespace, plan.Raw()))
	return folder.StoreSignature(root, ceremony.PlanApprovalsDir, "", people, namespace, plan.Raw(), sig)
}

func TestAReapprovalOfAChangedPlanReplacesTheEarlierOne(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 1})
	root := t.TempDir()
	earlier := must(ceremony.ParsePlan("plan.yaml", append(slices.Clone(f.Plan.Raw()), "# a first draft\n"...)))
	must(approvePlan(f, root, "olga", earlier))
	must(approvePlan(f, root, "omar", earlier))
	old := must(os.ReadFile(filepath.Join(root, ceremony.PlanApprovalsDir, "olga.sig")))

	kept := must(approvePlan(f, root, "olga", f.Plan))
	if kept.Name != "olga" || kept.Again || kept.Aside == "" {
		t.Errorf("it says %+v", kept)
	}
	if have := must(os.ReadFile(kept.Aside)); !slices.Equal(have, old) || !strings.HasPrefix(kept.Aside, filepath.Join(root, ceremony.PrivateDir)) {
		t.Errorf("what was there is not kept in the private folder, but in %s", kept.Aside)
	}
	// The other officer's is over the plan of before: the run says so by name.
	c := f.Config(f.Dir, testfleet.Random("stale"))
	c.PlanApprovals = must(folder.ReadSignings(root, ceremony.PlanApprovalsDir))
	_, err := engine.Run(context.Background(), c)
	wantError(t, err, "plan-approvals/omar.sig")

	must(approvePlan(f, root, "omar", f.Plan))
	c = f.Config(f.Dir, testfleet.Random("approved"))
	c.PlanApprovals = must(folder.ReadSignings(root, ceremony.PlanApprovalsDir))
	if a, err := engine.Run(context.Background(), c); err != nil || a.FleetCheck == nil {
		t.Errorf("with the plan approved anew: %v", err)
	}
	if again := must(approvePlan(f, root, "omar", f.Plan)); !again.Again || again.Aside != "" {
		t.Errorf("the same once more: %+v", again)
	}
}

func TestOnlyOfficersApprovePlanAndActs(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	people := must(ceremony.PeopleOf(f.Plan))
	for _, name := range []string{"wanda", "ada"} {
		_, err := approvePlan(f, f.Dir, name, f.Plan)
		wantError(t, err, "officers approve the plan")
		for _, role := range []string{f.Parties.People[name].Role, ceremony.Officer} {
			want := f.Account.Wanted(ceremony.ApproveResume, [32]byte{})
			want.Role = role
			sig := must(f.Parties.People[name].Sign(want.Namespace(), want.Text()))
			_, err := folder.StoreSignature(f.Dir, ceremony.ApprovalsDir, "resume", people, want.Namespace(), want.Text(), sig)
			if err == nil {
				t.Errorf("%s approves an act as %s", name, role)
			}
		}
		for _, dir := range []string{ceremony.PlanApprovalsDir, ceremony.ApprovalsDir} {
			if list, _ := filepath.Glob(filepath.Join(f.Dir, dir, "*"+name+"*")); len(list) > 0 {
				t.Errorf("it was stored: %v", list)
			}
		}
	}
}

func TestDoNotAgreeIsTakenUntilSomethingFollows(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("second thoughts")))
	defer j.Close()
	must(j.Build(context.Background(), testfleet.Machine{}))
	a := j.Account()
	must(0, f.SignOff(f.Dir, a, ceremony.StageRelease, ceremony.Agree, testfleet.Signers...))
	must(0, f.SignOff(f.Dir, a, ceremony.StageRelease, ceremony.DoNotAgree, "ada"))
	if said := must(folder.ReadVerdicts(f.Dir, a, ceremony.StageRelease)); said["ada"] != ceremony.DoNotAgree {
		t.Errorf("ada says %q", said["ada"])
	}
	aside := must(filepath.Glob(filepath.Join(f.Dir, ceremony.PrivateDir, "set-aside", "signoffs-release-ada*")))
	if len(aside) != 2 {
		t.Errorf("what she said before is kept as %v", aside)
	}
	_, err := j.Request(context.Background(), nil, nil, f.Approve)
	var waits *folder.Pending
	if !errors.As(err, &waits) || !strings.Contains(err.Error(), "ada does not agree") {
		t.Errorf("the request: %v", err)
	}
	must(0, f.SignOff(f.Dir, a, ceremony.StageRelease, ceremony.Agree, "ada"))
	must(j.Request(context.Background(), nil, nil, f.Approve))
	err = f.SignOff(f.Dir, a, ceremony.StageRelease, ceremony.DoNotAgree, "ada")
	wantError(t, err, "the third parties were asked with it")
	if said := must(folder.ReadVerdicts(f.Dir, a, ceremony.StageRelease)); said["ada"] != ceremony.Agree {
		t.Errorf("after the request ada says %q", said["ada"])
	}
}
