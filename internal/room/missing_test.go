package room

import (
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
)

// TestWhoDoesNotAgreeIsNamedAndNotCounted: all of them, and no officer among those who
// have signed.
func TestWhoDoesNotAgreeIsNamedAndNotCounted(t *testing.T) {
	plan := &ceremony.Plan{}
	for _, p := range [][2]string{{"olga", ceremony.Officer}, {"omar", ceremony.Officer}, {"ozan", ceremony.Officer}, {"wim", ceremony.Witness}, {"ada", ceremony.Auditor}} {
		plan.People = append(plan.People, ceremony.Person{Name: p[0], Role: p[1]})
	}
	w := waiting{wish: folder.Wish{Stage: ceremony.StageRelease}, account: &ceremony.Account{Plan: plan}, now: &folder.Missing{Pending: folder.Pending{
		What: ceremony.StageRelease, Want: 2, Have: []string{"ada", "olga", "omar", "wim"}, Against: []string{"ada", "omar", "wim"}, Why: "ada does not agree",
	}}}
	const want = "Release: 1 of 2 officers. Signed: olga. Not yet: ozan, officer. Do not agree: ada, omar, wim. " +
		"Nothing goes out while that stands: they may type another verdict, or it is ended by fleetctl ceremony abort."
	if got := w.whoIsMissing(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
