package thirdparty_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// refusing is the fleet's policy with a list of what it refuses.
func refusing(t *testing.T, f *testfleet.Fleet, list string) *thirdparty.Policy {
	t.Helper()
	p, err := thirdparty.ParsePolicy("tp.yaml", append(f.ThirdPartyPolicy(), "refuses: ["+list+"]\n"...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// troubled is a fleet that asks, in whose ceremony a PIN was wrong, which was
// interrupted by that, and had an exception.
func troubled(t *testing.T) *testfleet.Fleet {
	t.Helper()
	f := testfleet.Prepared(t, testfleet.Options{Name: "troubled"})
	wrong := true
	f.Tokens[1].Before = func(call string) error {
		if call == "Login" && wrong {
			wrong = false
			return testfleet.Coded("CKR_PIN_INCORRECT")
		}
		return nil
	}
	config := f.Config(f.Dir, testfleet.Random("troubled"))
	if _, err := engine.Run(context.Background(), config); err == nil {
		t.Fatal("the wrong PIN passed")
	}
	must(engine.Resume(context.Background(), config))
	j := must(f.Journal())
	defer j.Close()
	must(0, f.Except(j, &ceremony.Exception{Expected: "a quiet day", Happened: "an alarm", Decided: "to go on"}))
	must(j.Build(context.Background(), testfleet.Machine{}))
	must(0, f.SignOff(f.Dir, j.Account(), ceremony.StageRelease, ceremony.Agree, testfleet.Signers...))
	f.Request = must(j.Request(context.Background(), nil, nil, f.Approve))
	return f
}

// TestAThirdPartySeesTheStoryAndCanRefuseIt by a policy that names what must not
// have happened; one that names something else signs.
func TestAThirdPartySeesTheStoryAndCanRefuseIt(t *testing.T) {
	f := troubled(t)
	l := ledger(t, f)
	in := must(thirdparty.Inspect("request.json", f.Request, policy(f), l))
	for w, want := range map[story.What]int{story.WrongPINs: 1, story.Interruptions: 1, story.Exceptions: 1, story.Adjournments: 0} {
		if got := in.Story.Count(w); got != want {
			t.Errorf("%d %s, want %d", got, w, want)
		}
	}
	olga := in.Story.People[slices.IndexFunc(in.Story.People, func(p story.Person) bool { return p.Name == "olga" })]
	if !slices.Contains(olga.Acts, ceremony.ApproveRequest) || !slices.Equal(olga.Accepted, []int{1}) || !slices.Equal(olga.Release, []string{ceremony.Agree}) {
		t.Errorf("%+v", olga)
	}
	for list, want := range map[string]string{
		"wrong-pins":    "request.json: the policy refuses wrong-pins, and its ceremony had 1: record ",
		"interruptions": "refuses interruptions, and its ceremony had 1",
		"exceptions":    "refuses exceptions, and its ceremony had 1",
	} {
		_, err := thirdparty.Inspect("request.json", f.Request, refusing(t, f, list), l)
		wantError(t, err, want)
	}
	must(thirdparty.Inspect("request.json", f.Request, refusing(t, f, "adjournments, destroyed-keys, absent-people"), l))
}

// TestAPolicyThatRefusesWrongPINsWantsToSeeThem: a login whose answer is withheld may
// be one.
func TestAPolicyThatRefusesWrongPINsWantsToSeeThem(t *testing.T) {
	f := asked(t, testfleet.Options{})
	l := ledger(t, f)
	withheld := changed(f.Request, func(x map[string][]byte) {
		x[ceremony.TranscriptFile] = must(ceremony.Withhold(f.Plan, x[ceremony.TranscriptFile]))
	})
	must(thirdparty.Inspect("request.json", f.Request, refusing(t, f, "wrong-pins"), l))
	must(thirdparty.Inspect("request.json", withheld, policy(f), l))
	_, err := thirdparty.Inspect("request.json", withheld, refusing(t, f, "wrong-pins"), l)
	wantError(t, err, "withholds what 3 logins were answered, and the policy refuses wrong-pins")
}

func TestWhatAPolicyRefusesIsAmongWhatItCanSee(t *testing.T) {
	f := asked(t, testfleet.Options{})
	must(thirdparty.ParsePolicy("tp.yaml", append(f.ThirdPartyPolicy(), "refuses: ["+thirdparty.Names(thirdparty.Refusable())+"]\n"...)))
	for list, want := range map[string]string{
		"":                       "refuses lists nothing",
		"exceptions, exceptions": `refuses has "exceptions" twice`,
		"late-answers":           `refuses has "late-answers"; there are exceptions, `,
		"noise":                  `refuses has "noise"`,
	} {
		_, err := thirdparty.ParsePolicy("tp.yaml", append(f.ThirdPartyPolicy(), "refuses: ["+list+"]\n"...))
		wantError(t, err, want)
	}
	for _, w := range thirdparty.Refusable() {
		if !slices.Contains(story.Troubles(), w) {
			t.Errorf("%s is nothing that goes otherwise", w)
		}
	}
}

// TestAWitnessWhomThePolicyDoesNotPinIsNotCalledAbsent: she signed, by the plan's key.
func TestAWitnessWhomThePolicyDoesNotPinIsNotCalledAbsent(t *testing.T) {
	f := asked(t, testfleet.Options{})
	l := ledger(t, f)
	var lines [][]byte
	for line := range bytes.Lines(f.ThirdPartyPolicy()) {
		if !bytes.Contains(line, []byte("name: wanda")) {
			lines = append(lines, line)
		}
	}
	p := must(thirdparty.ParsePolicy("tp.yaml", bytes.Join(lines, nil)))
	_, err := thirdparty.Inspect("request.json", f.Request, p, l)
	wantError(t, err, "no witness has signed whom the policy pins; by the plan's keys it is signed by witness wanda")
	wantHint(t, err, "they are not absent")
	_, err = thirdparty.Inspect("request.json", changed(f.Request, func(x map[string][]byte) { without(x, "signoffs/release/wanda") }), p, l)
	if err == nil || strings.Contains(err.Error(), "wanda") && strings.Contains(err.Error(), "by the plan's keys") {
		t.Errorf("who did not sign is said to have: %v", err)
	}
}

// TestAPolicyIsWrittenFromAPlan, reads back, pins whom the plan names and signs the
// plan's request.
func TestAPolicyIsWrittenFromAPlan(t *testing.T) {
	f := asked(t, testfleet.Options{})
	text, err := thirdparty.NewPolicy(f.Plan, f.Parties.Auditors()[0].Key(), []string{"adjournments"})
	if err != nil {
		t.Fatal(err)
	}
	p := must(thirdparty.ParsePolicy("new.yaml", text))
	if p.Mode != f.Plan.Mode || p.LeastHSMs != len(f.Plan.HSMs) || p.Threshold != f.Plan.Threshold || len(p.People) != len(f.Plan.People) || !slices.Equal(p.Refuses, []string{"adjournments"}) {
		t.Errorf("%+v", p)
	}
	for _, x := range f.Plan.People {
		if !bytes.Contains(text, []byte(x.Key)) {
			t.Errorf("%s's key isn't pinned", x.Name)
		}
	}
	must(thirdparty.Inspect("request.json", f.Request, p, ledger(t, f)))
	_, err = thirdparty.NewPolicy(f.Plan, [32]byte{1}, nil)
	wantError(t, err, "does not name this key as a third party")
	several := asked(t, testfleet.Options{Name: "several", Others: 2, Needed: 1})
	p = must(thirdparty.ParsePolicy("new.yaml", must(thirdparty.NewPolicy(several.Plan, several.Parties.Auditors()[0].Key(), nil))))
	if len(p.Others) != 2 || p.OthersNeeded != 2 || p.NameOf(several.Parties.Auditors()[1].Key()) != several.Parties.Auditors()[1].Name {
		t.Errorf("%+v", p.Others)
	}
	if _, err := bundle.ParseRequest("r", several.Request.Raw()); err != nil {
		t.Fatal(err)
	}
}
