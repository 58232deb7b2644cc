package ceremony

import (
	"strings"
	"testing"
)

// TestEveryHSMIsAdjournedUnderASeal, in production, for whoever replays it too.
func TestEveryHSMIsAdjournedUnderASeal(t *testing.T) {
	both := []Seal{{"hsm-1", "4471"}, {"hsm-2", "4472"}}
	for _, c := range []struct {
		name, mode, want string
		seals            []Seal
	}{
		{"every HSM", Production, "", both},
		{"a safe too", Production, "", append([]Seal{{"safe", "9"}}, both...)},
		{"none", Production, "no seal of hsm-1, hsm-2; ", []Seal{}},
		{"one missing", Production, "no seal of hsm-2; ", both[:1]},
		{"one without a number", Production, "no seal of hsm-1; ", []Seal{{"hsm-1", " "}, both[1]}},
		{"another name", Production, "no seal of hsm-1; ", []Seal{{"hsm-11", "4471"}, both[1]}},
		{"a rehearsal without", Rehearsal, "", []Seal{}},
		{"two under one seal", Production, "the number 4471 is that of the seal of hsm-1", []Seal{both[0], {"hsm-2", "4471"}}},
		{"two under one seal in a rehearsal", Rehearsal, "the number 44 71 is that of the seal of hsm-1", []Seal{both[0], {"hsm-2", "44 71"}}},
		{"a box that lies in an HSM's bag", Rehearsal, "", append([]Seal{{"box", "4471"}}, both...)},
	} {
		a := &Account{Plan: &Plan{Mode: c.mode, HSMs: []PlanHSM{{Name: "hsm-1"}, {Name: "hsm-2"}}}}
		held := func(act string, err error, goesOn bool) {
			switch {
			case c.want == "" && (err != nil || !goesOn):
				t.Errorf("%s, %s: %v", c.name, act, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || goesOn):
				t.Errorf("%s, %s: taken, or refused with %v", c.name, act, err)
			}
		}
		err := a.takeAdjourn(&Adjourn{Reason: "night", Seals: c.seals})
		held("adjourn", err, a.Adjourned)
		// An exception lets a seal be another one, not be missing.
		a.Adjourned, a.adjourn = true, &Adjourn{Seals: both}
		a.Exceptions, a.exceptionsThen = []*Exception{{Number: 1}}, 0
		err = a.takeReconvene(&Reconvene{Seals: c.seals})
		held("reconvene", err, !a.Adjourned)
	}
}

// TestWhatGoesOnAfterAnAdjournmentWasNotInterrupted, until another record follows.
func TestWhatGoesOnAfterAnAdjournmentWasNotInterrupted(t *testing.T) {
	a := &Account{Plan: &Plan{Mode: Rehearsal}, N: 7, Adjourned: true, adjourn: &Adjourn{Seals: []Seal{}}}
	if err := a.takeReconvene(&Reconvene{Seals: []Seal{}}); err != nil || a.Reconvened() {
		t.Fatalf("before its record counts: %t, %v", a.Reconvened(), err)
	}
	a.N++
	if !a.Reconvened() {
		t.Error("it is called interrupted")
	}
	if a.N++; a.Reconvened() || (&Account{}).Reconvened() {
		t.Error("it goes on being called adjourned")
	}
}
