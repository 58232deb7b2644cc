package folder_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// TestWhatAnOfficerApprovedBeforeIsKnownByTheSignature, and whose approval is over
// another version.
func TestWhatAnOfficerApprovedBeforeIsKnownByTheSignature(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "approved"})
	root := t.TempDir()
	approve := func(p *ceremony.Plan, name string) {
		t.Helper()
		namespace := ceremony.SignNamespace(ceremony.NamespacePlan, p.Mode)
		sig := must(f.Parties.People[name].Sign(namespace, p.Raw()))
		must(folder.StoreSignature(root, ceremony.PlanApprovalsDir, "", must(ceremony.PeopleOf(p)), namespace, p.Raw(), sig))
	}
	version := func(comment string) *ceremony.Plan {
		return must(ceremony.ParsePlan("plan.yaml", append(bytes.Clone(f.Plan.Raw()), "# "+comment+"\n"...)))
	}
	one, two, three := version("one"), version("two"), version("three")
	if so := must(folder.ReadApproved(root, one, "olga")); len(so.This)+len(so.Earlier) > 0 || so.Before != nil {
		t.Errorf("nobody approved: %+v", so)
	}
	approve(one, "olga")
	approve(two, "omar")
	so := must(folder.ReadApproved(root, two, "olga"))
	if !slices.Equal(so.This, []string{"omar"}) || !slices.Equal(so.Earlier, []string{"olga"}) || !bytes.Equal(so.Before, one.Raw()) {
		t.Errorf("%+v", so)
	}
	if so = must(folder.ReadApproved(root, two, "omar")); so.Before != nil {
		t.Errorf("omar approved this one: before was %q", so.Before)
	}
	approve(two, "olga")
	if so = must(folder.ReadApproved(root, three, "olga")); !bytes.Equal(so.Before, two.Raw()) || len(so.This) > 0 {
		t.Errorf("olga approved the second last: %+v", so)
	}
	// What somebody put there in the place of what was approved is not believed.
	kept := filepath.Join(root, ceremony.PrivateDir, "approved-plans")
	for _, e := range must(os.ReadDir(kept)) {
		must(0, os.WriteFile(filepath.Join(kept, e.Name()), three.Raw(), 0o600))
	}
	if so = must(folder.ReadApproved(root, three, "olga")); so.Before != nil || !slices.Equal(so.Earlier, []string{"olga", "omar"}) {
		t.Errorf("another's text is taken for what olga approved: %+v", so)
	}
}
