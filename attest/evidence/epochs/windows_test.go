package epochs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/epochs"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// TestPeopleChangeFromEpochToEpochByTheirWindows: one policy pins the officers of epoch 1,
// whose keys have ended since, and others of epoch 2. Where witnesses had seen epoch 1 by
// then, the chain is verified; where its people's keys ended before, it isn't.
func TestPeopleChangeFromEpochToEpochByTheirWindows(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "windows one", HSMs: 1, Witnesses: 2})
	end := must(one.Parties.Log.Append(must(evidence.PackageLeaf("one", one.Archive)).Marshal()))
	others := *one.Parties
	others.People = nil
	one.Parties.Log.(*testfleet.Witnesses).At = func(int) time.Time { return one.Now().Add(3 * time.Minute) }
	after := *one
	after.Parties = &others
	two := testfleet.New(t, testfleet.Options{Name: "windows two", HSMs: 1, After: &after})
	people := func(policy []byte) (before, list, rest string) {
		before, rest, _ = strings.Cut(string(policy), "\npeople:\n")
		list, rest, _ = strings.Cut(rest, "\n\n")
		return before + "\npeople:\n", list, "\n\n" + rest
	}
	judged := func(window string) *epochs.Report {
		before, olds, rest := people(one.Policy)
		_, news, _ := people(two.Policy)
		olds = strings.ReplaceAll(olds, "    confirmed:", "    window: {"+window+"}\n    confirmed:")
		policy := []byte(before + olds + "\n" + news + rest)
		return must(judge(policy, epochs.Question{Now: two.Now().AddDate(1, 0, 0)}, []evidence.Input{{File: "one.tar", Data: one.Archive, Logged: end}, {File: "two.tar", Data: two.Archive}}))
	}
	if r := judged("not_after: " + one.Now().UTC().Format(time.RFC3339)); !r.Verified {
		t.Errorf("keys that ended after epoch 1: %s", tells(r))
	}
	r := judged("not_after: " + one.Last().AddDate(0, 0, -1).UTC().Format(time.RFC3339))
	if r.Verified || len(r.Epochs) != 2 || r.Epochs[0].Objects[0].Verified || !r.Epochs[1].Objects[0].Verified {
		t.Errorf("keys that ended before epoch 1: %s", tells(r))
	}
}
