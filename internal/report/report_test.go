package report_test

import (
	"errors"
	"testing"

	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func TestARunWithoutAFailureIsGoodOnlyIfItsVerdictIs(t *testing.T) {
	good := report.Check{Rule: "mode", Outcome: report.Passed}
	for name, c := range map[string]struct {
		run            report.Run
		good, judged   bool
		checks, failed int
	}{
		"verified":                              {report.Run{Good: true, Checks: []report.Check{good}}, true, true, 1, 0},
		"a verdict of no without a failure":     {report.Run{Checks: []report.Check{good}}, false, true, 2, 1},
		"a verdict of yes with a failure":       {report.Run{Good: true, Checks: []report.Check{good, {Rule: "page"}}}, false, true, 2, 1},
		"a verdict of yes, and nothing checked": {report.Run{Good: true}, false, false, 1, 1},
		"nothing was asked":                     {report.Run{Good: true, Checks: []report.Check{{Rule: "page", Outcome: report.NotAsked}}}, false, false, 2, 1},
		"a part was asked":                      {report.Run{Good: true, Checks: []report.Check{good, {Rule: "page", Outcome: report.NotAsked}}}, true, true, 2, 0},
	} {
		r := c.run
		r.Complete()
		r.Complete() // a second form of the same run adds nothing
		if r.Good != c.good || r.Judged() != c.judged || len(r.Checks) != c.checks || len(r.Failures()) != c.failed {
			t.Errorf("%s: good %v, judged %v, %d checks, %d failed", name, r.Good, r.Judged(), len(r.Checks), len(r.Failures()))
		}
	}
}

func TestEachFaultOfAnErrorIsACheckAtItsPlace(t *testing.T) {
	var list strict.Errors
	list.Add(strict.At("policy.yaml", 3, "mode is missing").WithHint("add it"))
	list.Add(strict.Errorf("", "is blank"))
	checks := report.OfError(list, report.NoVerdict, "evidence.tar")
	if len(checks) != 2 || checks[0].At.String() != "policy.yaml:3" || checks[0].Next != "add it" || checks[0].Message != "mode is missing" || checks[1].At.File != "evidence.tar" {
		t.Errorf("%+v", checks)
	}
	other := report.OfError(errors.New("the disk is full"), report.NoVerdict, "evidence.tar")
	if len(other) != 1 || other[0].Rule != report.RuleNoVerdict || other[0].Message != "the disk is full" || other[0].At.File != "evidence.tar" {
		t.Errorf("%+v", other)
	}
}

func TestAPlaceIsReadAsErrorsWriteIt(t *testing.T) {
	for where, want := range map[string]report.Place{
		"MANIFEST:37":   {File: "MANIFEST", Line: 37},
		"c:/a:b":        {File: "c:/a:b"},
		"bundle.json":   {File: "bundle.json"},
		"bundle.json:0": {File: "bundle.json:0"},
	} {
		if got := report.ParsePlace(where); got != want {
			t.Errorf("%s: %+v", where, got)
		}
	}
}

func FuzzAPlaceIsWrittenAsItWasRead(f *testing.F) {
	for _, s := range []string{"", ":", "a:1", "a:01", "a:+1", "a:b:3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, where string) {
		if got := report.ParsePlace(where).String(); got != where {
			t.Errorf("%q is read as %q", where, got)
		}
	})
}
