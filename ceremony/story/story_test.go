package story_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

func tell(t *testing.T, f *testfleet.Fleet) *story.Story {
	t.Helper()
	a, transcript, err := ceremony.Replay(f.Plan, "transcript", f.Transcript())
	if err != nil {
		t.Fatal(err)
	}
	s, err := story.Tell(a, transcript.Records, func(dir string) ([]ceremony.Signing, error) { return ceremony.Signings(f.Files, dir) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOfACeremonyThatWentAsPlannedNothingElseIsTold(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	s := tell(t, f)
	if len(s.Events) > 0 || s.Logins != s.PlannedLogins() || s.Paused != 0 || !s.Last.After(s.Began) {
		t.Errorf("%+v", s)
	}
	for _, p := range s.People {
		signed := slices.Contains(testfleet.Signers, p.Name)
		if (len(p.Release) == 1 && p.Release[0] == ceremony.Agree && len(p.Close) == 1) != signed || p.Plan && p.Role != ceremony.Officer {
			t.Errorf("%+v, who signed: %t", p, signed)
		}
	}
	olga := s.People[slices.IndexFunc(s.People, func(p story.Person) bool { return p.Name == testfleet.Signers[0] })]
	if want := []string{"open", "request", "countersign"}; !olga.Plan || !slices.Equal(olga.Acts, want) {
		t.Errorf("%s approved %q, the plan %t", olga.Name, olga.Acts, olga.Plan)
	}
}

// TestTheStoryTellsWhatWentOtherwise of a ceremony in which a PIN was wrong, that
// was adjourned and had an exception, and of which somebody did not agree.
func TestTheStoryTellsWhatWentOtherwise(t *testing.T) {
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
	config.Approve = func(context.Context, string, *ceremony.People, ceremony.Approval, []string) error {
		return errors.New("not yet")
	}
	if _, err := engine.Run(context.Background(), config); err == nil {
		t.Fatal("it ran without officers")
	}
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, config.Now, config.Random))
	must(j.Append(&ceremony.Adjourn{Reason: "for the night", Seals: []ceremony.Seal{{What: "hsm-1", Number: "4471"}}}))
	if err := f.Except(j, &ceremony.Exception{Expected: "seal 4471", Happened: "seal 4477", Decided: "a slip of the pen"}); err != nil {
		t.Fatal(err)
	}
	people := must(j.Account().People())
	if err := f.Approve(context.Background(), f.Dir, people, j.Account().Wanted(ceremony.ApproveReconvene, [32]byte{}), nil); err != nil {
		t.Fatal(err)
	}
	must(j.Append(&ceremony.Reconvene{Seals: []ceremony.Seal{{What: "hsm-1", Number: "4477"}}}))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	config.Approve = f.Approve
	if _, err := engine.Resume(context.Background(), config); err == nil {
		t.Fatal("the wrong PIN passed")
	}
	if _, err := engine.Resume(context.Background(), config); err != nil {
		t.Fatal(err)
	}
	j = must(engine.OpenJournal(f.Dir, testfleet.Program, config.Now, config.Random))
	defer j.Close()
	must(j.Build(context.Background(), testfleet.Machine{}))
	if err := f.SignOff(f.Dir, j.Account(), ceremony.StageRelease, ceremony.DoNotAgree, testfleet.Signers[0]); err != nil {
		t.Fatal(err)
	}
	f.Files = map[string][]byte{}
	for _, dir := range []string{".", ceremony.PlanApprovalsDir, ceremony.ApprovalsDir, ceremony.ReleaseSignoffDir} {
		for _, e := range must(os.ReadDir(f.Dir + "/" + dir)) {
			if !e.IsDir() {
				name := e.Name()
				if dir != "." {
					name = dir + "/" + name
				}
				f.Files[name] = must(os.ReadFile(f.Dir + "/" + name))
			}
		}
	}
	s := tell(t, f)
	for w, want := range map[story.What]int{story.WrongPINs: 1, story.Adjournments: 1, story.Interruptions: 1, story.Exceptions: 1, story.OtherSeals: 1, story.Disagreements: 1} {
		if got := s.Count(w); got != want {
			t.Errorf("%d %s, want %d", got, w, want)
		}
	}
	if len(s.Accepted) != 1 || len(s.Accepted[0]) != 2 || s.Paused <= 0 {
		t.Errorf("accepted by %q, paused %s", s.Accepted, s.Paused)
	}
	if e := s.Of(story.Disagreements)[0]; e.Who != testfleet.Signers[0] || e.Record != nil {
		t.Errorf("%+v", e)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
