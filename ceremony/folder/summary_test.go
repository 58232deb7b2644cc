package folder_test

import (
	"context"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestACourseTellsHowItWent(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Lockdown: []string{"Bag the HSMs"}})
	c, err := folder.ReadSummary(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "closed" || len(c.Steps) != c.Planned || len(c.Story.Events) != 0 {
		t.Errorf("a whole ceremony: %+v", c)
	}
	var sum int64
	for i, s := range f.Plan.Steps() {
		if c.Steps[i].Title != s.Title() {
			t.Errorf("step %d is %q, planned is %q", i+1, c.Steps[i].Title, s.Title())
		}
		if wants := slices.Contains(s.Leaves, ceremony.KindChallenge); wants != (c.Steps[i].Tries == 1) {
			t.Errorf("%s has %d tries of a challenge", s.Title(), c.Steps[i].Tries)
		}
		sum += int64(c.Steps[i].Took)
	}
	if sum != int64(c.Took) || sum == 0 {
		t.Errorf("the steps take %d together, the whole %d", sum, c.Took)
	}
	if want := slices.Sorted(slices.Values(testfleet.Signers)); !slices.Equal(c.People, want) {
		t.Errorf("signed by %q, not %q", c.People, want)
	}
}

func TestACourseCountsWhatWentOtherwise(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	config := f.Config(f.Dir, testfleet.Random("otherwise"))
	wrong := true
	f.Tokens[0].Before = func(call string) error {
		if call == "Login" && wrong {
			wrong = false
			return testfleet.Coded("CKR_PIN_INCORRECT")
		}
		return nil
	}
	if _, err := engine.Run(context.Background(), config); err == nil {
		t.Fatal("the wrong PIN passed")
	}
	if _, err := engine.Resume(context.Background(), config); err != nil {
		t.Fatal(err)
	}
	c, err := folder.ReadSummary(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "running" || c.Story.Count(story.Interruptions) != 1 || c.Story.Count(story.WrongPINs) != 1 || len(c.Steps) >= c.Planned {
		t.Errorf("%+v", c)
	}
}
