package script_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/words"
)

var update = flag.Bool("update", false, "write golden files anew")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	path := "testdata/" + file
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs (%v); go test ./ceremony/script -update writes it anew", file, err)
	}
}

func small(t *testing.T) *testfleet.Fleet {
	return testfleet.New(t, testfleet.Options{Name: "print", HSMs: 1, Lockdown: []string{"Put hsm-1 into a bag, seal it, read off its number"}})
}

func printed(t *testing.T, p *ceremony.Plan, role string) string {
	t.Helper()
	d, err := script.Print(p, role)
	if err != nil {
		t.Fatal(err)
	}
	return string(d.Text())
}

var stepLine = regexp.MustCompile(`(?m)^STEP (\d+) of (\d+)   (.*?)  +\+\d+:\d\d · about \d+ min$`)

// TestThePrintedStepsAreTheTranscripts: what is printed before the day is, step
// for step, what the records of the day went through.
func TestThePrintedStepsAreTheTranscripts(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Lockdown: []string{"Bag the HSMs", "Shred the cards"}})
	var paper []string
	for _, m := range stepLine.FindAllStringSubmatch(printed(t, f.Plan, ""), -1) {
		paper = append(paper, m[1]+" "+m[3])
	}
	tr, err := ceremony.ParseTranscript("transcript", f.Transcript(), f.Plan.Digest())
	if err != nil {
		t.Fatal(err)
	}
	a := ceremony.NewAccount(f.Plan)
	var happened []string
	for _, r := range tr.Records {
		s, _ := a.Next()
		step := fmt.Sprintf("%d %s", a.StepNumber(), script.InstructionsFor(f.Plan, s).Title)
		if len(happened) == 0 || happened[len(happened)-1] != step {
			happened = append(happened, step)
		}
		if err := a.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(paper, happened) || len(paper) != len(f.Plan.Steps()) {
		t.Errorf("printed  %q\nhappened %q", paper, happened)
	}
}

func TestTheScriptOfASmallPlan(t *testing.T) {
	f := small(t)
	text := printed(t, f.Plan, "")
	golden(t, "script.txt", []byte(text))
	sum := f.Plan.Digest()
	for _, w := range words.Encode(sum[:]) {
		if !strings.Contains(text, " "+w+" ") && !strings.Contains(text, " "+w+"\n") {
			t.Errorf("the title page lacks the word %q", w)
		}
	}
	for _, want := range []string{fmt.Sprintf("SHA256 %X", sum[:4]), "I do not agree to the release", "\nExceptions\n~~~", "\nSign-off\n~~~", "do not agree", "olga, officer"} {
		if !strings.Contains(strings.ReplaceAll(text, "\n  ", " "), want) && !strings.Contains(text, want) {
			t.Errorf("the script lacks %q", want)
		}
	}
}

func TestEachRoleHasItsOwnCopy(t *testing.T) {
	f := small(t)
	for _, role := range script.Roles {
		text := printed(t, f.Plan, role)
		if !strings.Contains(text, "Your part: "+role) || !strings.Contains(text, "> "+role) {
			t.Errorf("the %s's copy doesn't say what is theirs", role)
		}
		for _, other := range script.Roles {
			if other != role && (strings.Contains(text, "> "+other) || strings.Contains(text, other+" ______")) {
				t.Errorf("the %s's copy marks what is the %s's", role, other)
			}
		}
		if n := len(stepLine.FindAllString(text, -1)); n != len(f.Plan.Steps()) {
			t.Errorf("the %s's copy has %d steps of %d", role, n, len(f.Plan.Steps()))
		}
	}
	if _, err := script.Print(f.Plan, "king"); err == nil {
		t.Error("a copy for nobody's role is printed")
	}
}

func TestAScriptIsTheSameEachTime(t *testing.T) {
	f := small(t)
	d, _ := script.Print(f.Plan, "")
	first := d.PDF()
	for range 5 {
		d, _ := script.Print(f.Plan, "")
		if !bytes.Equal(first, d.PDF()) {
			t.Fatal("the same plan gave another script")
		}
	}
	if len(first) > 250<<10 {
		t.Errorf("a small script takes %d bytes", len(first))
	}
}
