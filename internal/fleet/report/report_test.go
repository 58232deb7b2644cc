package report_test

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

// logged is a ceremony whose next step is its drill. Its folder is gone once the first
// test that asked for it is over; what was read of it stays.
func logged(t testing.TB) *testfleet.Fleet {
	once.Do(func() {
		made = testfleet.New(t, testfleet.Options{To: testfleet.ToLogged, Drill: []string{"sessions", "logins", "rollback"}})
	})
	return made
}

var (
	once sync.Once
	made *testfleet.Fleet
)

// drilled is the report of a drill that went well, changed.
func drilled(t testing.TB, change ...func(*report.Report)) *report.Report {
	f := logged(t)
	r := testfleet.DrillReport(f.Account, f.Now())
	for _, c := range change {
		c(r)
	}
	return r
}

func wantError(t *testing.T, name string, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: got %v, want an error that says %q", name, err, says)
	}
}

func TestAReportIsReadAsItWasWritten(t *testing.T) {
	r := drilled(t)
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := report.Parse("drill.json", data)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := again.Encode(); err != nil || !bytes.Equal(out, data) {
		t.Errorf("written again it is another: %v", err)
	}
	if !strings.Contains(string(data), "a reference, not a vault") {
		t.Error("it doesn't say that it is no vault")
	}
}

func TestAReportThatContradictsItselfIsRefused(t *testing.T) {
	stage := func(r *report.Report, name string) *report.Stage { return r.Stage(name) }
	for name, c := range map[string]struct {
		change func(*report.Report)
		says   string
	}{
		"another format":           {func(r *report.Report) { r.Format = "fleetctl drill v2" }, "format is"},
		"a vault":                  {func(r *report.Report) { r.Notice = "a vault" }, "does not say that it is a reference"},
		"no such mode":             {func(r *report.Report) { r.Mode = "test" }, "mode is"},
		"ends before it began":     {func(r *report.Report) { r.Ended = r.Started.Add(-time.Second) }, "it began at"},
		"too long":                 {func(r *report.Report) { r.Started = r.Ended.Add(-49 * time.Hour) }, "it began at"},
		"a key after the lock":     {func(r *report.Report) { r.Counts.ReleasedAfterLock = 1 }, "1 keys were released after a lock"},
		"without majority":         {func(r *report.Report) { r.Counts.WithoutMajority = 2 }, "2 guesses were answered or spent without a majority"},
		"guesses given back":       {func(r *report.Report) { r.Counts.Consumed = r.Counts.Acknowledged - 1 }, "guesses were counted"},
		"guesses out of nowhere":   {func(r *report.Report) { r.Counts.Consumed = r.Counts.Acknowledged + r.Counts.Ambiguous + 1 }, "guesses were counted"},
		"more than were sent":      {func(r *report.Report) { r.Counts.Attempts = 1 }, "counts: "},
		"more than the nodes had":  {func(r *report.Report) { r.Counts.Attempts = 1 << 40 }, "and the nodes had"},
		"more logins than guesses": {func(r *report.Report) { r.Counts.Logins = r.Counts.Acknowledged + 1 }, "logins by"},
		"not linearizable":         {func(r *report.Report) { r.Histories[0].Result = report.NotLinearizable }, "history logins is not-linearizable"},
		"undecided":                {func(r *report.Report) { r.Histories[0].Result = report.Undecided }, "history logins is undecided"},
		"another result":           {func(r *report.Report) { r.Histories[0].Result = "fine" }, "is none of"},
		"an empty history":         {func(r *report.Report) { r.Histories[0].Operations = 0 }, "has no operation"},
		"one history twice":        {func(r *report.Report) { r.Histories = append(r.Histories, r.Histories[0]) }, "is there twice"},
		"no history":               {func(r *report.Report) { r.Histories = []report.History{} }, "without a login or without a history"},
		"a stage too few":          {func(r *report.Report) { r.Stages = r.Stages[1:] }, "6 stages"},
		"stages swapped":           {func(r *report.Report) { r.Stages[0], r.Stages[1] = r.Stages[1], r.Stages[0] }, "stage 1 is logins"},
		"a stage that may be":      {func(r *report.Report) { r.Stages[0].Outcome = "maybe" }, "is none of"},
		"a reason for passing":     {func(r *report.Report) { r.Stages[0].Reason = "x" }, "and gives a reason"},
		"left out without why":     {func(r *report.Report) { stage(r, "passkey").Reason = "" }, "without a reason"},
		"a test left out":          {func(r *report.Report) { r.Tests = r.Tests[1:] }, "passed without the test tampered-bundle"},
		"a test that failed":       {func(r *report.Report) { r.Tests[0].Failed = 1 }, "its test tampered-bundle failed"},
		"a test never run":         {func(r *report.Report) { r.Tests[0].Runs = 0 }, "runs failed"},
		"one test twice":           {func(r *report.Report) { r.Tests = append(r.Tests, r.Tests[0]) }, "is there twice"},
		"a test on nobody":         {func(r *report.Report) { r.Tests[0].Node = "hsm-9" }, "which there is not"},
		"a test of what wasn't":    {func(r *report.Report) { r.Tests[0].Stage = "passkey" }, "which was not run"},
		"a test of no stage":       {func(r *report.Report) { r.Tests[0].Stage = "tea" }, "which there is not"},
		"a node that is mute":      {func(r *report.Report) { r.Nodes[1].Proof = nil }, "a node answered no device"},
		"another bundle":           {func(r *report.Report) { r.Nodes[1].Proof.Bundle[0]++ }, "another bundle or proof"},
		"another key in TLS":       {func(r *report.Report) { r.Nodes[1].Proof.Peer[0]++ }, "another key than its own"},
		"another protocol":         {func(r *report.Report) { r.Nodes[1].Proof.Protocol = "h2" }, "it must be"},
		"refused by the device":    {func(r *report.Report) { r.Nodes[1].Proof.Verdict = "refused" }, "it must be"},
		"one HSM twice":            {func(r *report.Report) { r.Nodes[1].HSM = r.Nodes[0].HSM }, "two nodes"},
		"more answered than sent":  {func(r *report.Report) { r.Nodes[0].Acknowledged = 99 }, "node hsm-1 answered 99"},
		"a greater majority":       {func(r *report.Report) { r.Majority = 3 }, "committed with 3"},
		"no node":                  {func(r *report.Report) { r.Nodes = []report.Node{} }, "has 0 nodes"},
		"anchors too few":          {func(r *report.Report) { r.Anchors = r.Anchors[1:] }, "anchors of 2 HSMs"},
		"anchors swapped":          {func(r *report.Report) { r.Anchors[0], r.Anchors[1] = r.Anchors[1], r.Anchors[0] }, "stands at the place"},
		"rollback without anchor": {func(r *report.Report) {
			r.Anchors[0] = report.Anchor{HSM: "hsm-1", Where: report.NoAnchor, Reason: "SoftHSM keeps none"}
		}, "an HSM has no anchor"},
		"an anchor left in silence": {func(r *report.Report) { r.Anchors[0].Removed = time.Time{} }, "a reason is given"},
		"an anchor of yesterday":    {func(r *report.Report) { r.Anchors[0].Created = r.Started.Add(-time.Hour) }, "was not made during the drill"},
		"removed before it was":     {func(r *report.Report) { r.Anchors[0].Removed = r.Started }, "was not removed between"},
		"failed, and why not":       {func(r *report.Report) { r.Outcome = report.Failed }, "nothing in it did"},
		"neither":                   {func(r *report.Report) { r.Outcome = "none" }, "outcome is"},
		"passed with a fault":       {func(r *report.Report) { r.Faults = []string{"node hsm-1 hung"} }, "it did not: node hsm-1 hung"},
		"a text that can't be seen": {func(r *report.Report) { r.Stages[6].Reason = "a\u202eb" }, "has the text"},
		"no version":                {func(r *report.Report) { r.Versions = []report.Version{} }, "0 versions"},
	} {
		_, err := report.Parse("drill.json", strict.EncodeJSON(drilled(t, c.change)))
		wantError(t, name, err, c.says)
		if _, err := drilled(t, c.change).Encode(); err == nil {
			t.Errorf("%s: it was written", name)
		}
	}
}

// TestWhatPassedIsCounted: a report isn't read whose counts deny what it says has passed.
func TestWhatPassedIsCounted(t *testing.T) {
	for name, c := range testfleet.DeniedDrills() {
		_, err := report.Parse("drill.json", strict.EncodeJSON(drilled(t, c.Change)))
		wantError(t, name, err, c.Says)
		if _, err := drilled(t, c.Change).Encode(); err == nil {
			t.Errorf("%s: it was written", name)
		}
	}
}

// TestRunsAreAddedUpWithoutAnEnd: a sum beyond what a number holds is more than any count.
func TestRunsAreAddedUpWithoutAnEnd(t *testing.T) {
	r := drilled(t)
	for range 1030 {
		r.Tests = append(r.Tests, report.Test{Stage: "logins", Name: "right-code", Runs: 1<<53 - 1})
	}
	if why := strings.Join(r.Failures(), "; "); !strings.Contains(why, "60 logins, and tests that passed gave 9007199254740995 keys back") {
		t.Error(why)
	}
}

// TestWhatPassedAloneIsNoContradiction: of a stage that wasn't run no count is demanded.
func TestWhatPassedAloneIsNoContradiction(t *testing.T) {
	for _, name := range []string{"sessions", "lock", "passkey"} {
		r := drilled(t, func(r *report.Report) {
			testfleet.DrilledAlone(r, name)
			r.Counts.Leaders, r.Nodes[0].Led, r.Nodes[1].Led, r.Nodes[2].Led = 1, 1, 0, 0
			if name == "sessions" {
				r.Counts, r.Histories = report.Counts{Leaders: 1}, []report.History{}
			}
		})
		if _, err := r.Encode(); err != nil {
			t.Errorf("%s alone: %v", name, err)
		}
	}
}

func TestOnlyTheOneFormOfAReportIsRead(t *testing.T) {
	good := string(strict.EncodeJSON(drilled(t)))
	for name, data := range map[string]string{
		"on one line":     string(strict.EncodeLine(drilled(t))) + "\n",
		"without its end": strings.TrimSuffix(good, "\n"),
		"with one more":   strings.Replace(good, "{\n", "{\n  \"more\": 1,\n", 1),
		"without counts":  strings.Replace(good, "\"counts\"", "\"sums\"", 1),
		"of a megabyte":   good + strings.Repeat("\n", ceremony.MaxDrillReport),
		"with a fraction": strings.Replace(good, "\"majority\": 2", "\"majority\": 2.0", 1),
		"with a minus":    strings.Replace(good, "\"majority\": 2", "\"majority\": -2", 1),
		"with no fault":   strings.Replace(good, "\"faults\": []", "\"faults\": null", 1),
		"with a huge sum": strings.Replace(good, "\"attempts\": 32", "\"attempts\": 9007199254740992", 1),
	} {
		if _, err := report.Parse("drill.json", []byte(data)); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
}

func TestAReportIsHeldAgainstItsCeremony(t *testing.T) {
	a := logged(t).Account
	since, now := a.DrillSince(), logged(t).Now()
	of := func(r *report.Report) (*ceremony.Drill, error) {
		_, c, err := report.Of("drill.json", strict.EncodeJSON(r), a, 1, since, now)
		return c, err
	}
	c, err := of(drilled(t))
	if err != nil || c.Outcome != ceremony.DrillPassed || c.Left != nil {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, c := range map[string]struct {
		change func(*report.Report)
		says   string
	}{
		"production":       {func(r *report.Report) { r.Mode = ceremony.Production }, "is of the mode production"},
		"another fleet":    {func(r *report.Report) { r.Fleet = "other" }, "is of the fleet other"},
		"another name":     {func(r *report.Report) { r.Namespace = "other" }, "is of the namespace other"},
		"another ceremony": {func(r *report.Report) { r.Ceremony = "other" }, "is of the ceremony other"},
		"another epoch":    {func(r *report.Report) { r.Epoch = 2 }, "is of epoch 2"},
		"another bundle": {func(r *report.Report) {
			r.Bundle[0]++
			for i := range r.Nodes {
				r.Nodes[i].Proof.Bundle = r.Bundle
			}
		}, "answered with the bundle"},
		"another proof": {func(r *report.Report) {
			r.Proof[0]++
			for i := range r.Nodes {
				r.Nodes[i].Proof.Proof = r.Proof
			}
		}, "answered with the proof"},
		"before the bundle": {func(r *report.Report) {
			r.Started = since.Add(-keys.ClockTolerance - time.Second)
		}, "had nothing to answer with"},
		"in the future": {func(r *report.Report) { r.Ended = now.Add(keys.ClockTolerance + time.Second) }, "in the future"},
		"a node too few": {func(r *report.Report) {
			r.Nodes, r.Anchors = r.Nodes[:2], r.Anchors[:2]
			r.Counts = report.Counts{Logins: 40, Attempts: 64, Acknowledged: 60, Consumed: 60, Leaders: 6}
		}, "has 2 nodes, the plan has 3 HSMs"},
		"an HSM of another name": {func(r *report.Report) {
			r.Nodes[2].HSM, r.Anchors[2].HSM = "hsm-9", "hsm-9"
		}, "node 3 is of hsm-9"},
		"another key": {func(r *report.Report) {
			r.Nodes[2].Session.SPKI[0]++
			r.Nodes[2].Proof.Peer = r.Nodes[2].Session.SPKI
		}, "node hsm-3 used a session key"},
		"another CKA_ID":    {func(r *report.Report) { r.Nodes[0].Session.ID[0]++ }, "node hsm-1 used a session key"},
		"another agreement": {func(r *report.Report) { r.Nodes[0].Agreement.SPKI[0]++ }, "node hsm-1 used a sealing key"},
	} {
		_, err := of(drilled(t, c.change))
		wantError(t, name, err, c.says)
	}
}

func TestADrillThatLacksWhatThePlanDemandsHasFailed(t *testing.T) {
	a := logged(t).Account
	leftOut := drilled(t, func(r *report.Report) {
		*r.Stage("rollback") = report.Stage{Name: "rollback", Outcome: report.NotRun, Reason: "SoftHSM keeps no anchor"}
		r.Tests = r.Tests[:len(r.Tests)-4]
		withoutFigure(r, "stage-rollback")
		r.Anchors[1].Removed, r.Anchors[1].Reason = time.Time{}, "the token was pulled out"
	})
	r, c, err := report.Of("drill.json", strict.EncodeJSON(leftOut), a, 1, a.DrillSince(), logged(t).Now())
	if err != nil {
		t.Fatal(err)
	}
	if c.Outcome != ceremony.DrillFailed || len(r.Lacks(a.Plan)) != 1 || !strings.Contains(r.Lacks(a.Plan)[0], "SoftHSM keeps no anchor") {
		t.Errorf("%+v lacks %q", c, r.Lacks(a.Plan))
	}
	if len(c.Left) != 1 || c.Left[0] != "hsm-2" {
		t.Errorf("left in %q", c.Left)
	}
}

func TestThereIsNoDrillWithoutAPlanOrABundle(t *testing.T) {
	data := strict.EncodeJSON(drilled(t))
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	_, _, err := report.Of("drill.json", data, f.Account, 1, f.Account.DrillSince(), f.Now())
	wantError(t, "no drill in the plan", err, "the plan has none")
	f = testfleet.New(t, testfleet.Options{To: testfleet.ToRequest, Drill: []string{"sessions"}})
	_, _, err = report.Of("drill.json", data, f.Account, 1, f.Account.DrillSince(), f.Now())
	wantError(t, "no bundle", err, "no proof of the bundle")
}

// TestAProductionDrillRunsNoSecondEpoch: in production the stage is listed as not run.
func TestAProductionDrillRunsNoSecondEpoch(t *testing.T) {
	a := *logged(t).Account
	plan := *a.Plan
	plan.Mode, a.Plan = ceremony.Production, &plan
	r := drilled(t, func(r *report.Report) {
		r.Mode = ceremony.Production
		testfleet.Succeed(r, a.Release.Artifact)
	})
	_, _, err := report.Of("drill.json", strict.EncodeJSON(r), &a, 1, a.DrillSince(), logged(t).Now())
	wantError(t, "a second epoch in production", err, "lists the stage as not run")
	r.Mode, plan.Mode = ceremony.Rehearsal, ceremony.Rehearsal
	if _, _, err := report.Of("drill.json", strict.EncodeJSON(r), &a, 1, a.DrillSince(), logged(t).Now()); err != nil {
		t.Errorf("a rehearsal: %v", err)
	}
}

// TestANextEpochFollowsTheOneThatWasDrilled holds what a report says of its second epoch
// against itself and the ceremony.
func TestANextEpochFollowsTheOneThatWasDrilled(t *testing.T) {
	a := logged(t).Account
	of := func(change func(*report.Report)) error {
		r := drilled(t, func(r *report.Report) { testfleet.Succeed(r, a.Release.Artifact) }, change)
		_, _, err := report.Of("drill.json", strict.EncodeJSON(r), a, 1, a.DrillSince(), logged(t).Now())
		return err
	}
	if err := of(func(*report.Report) {}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*report.Report)
		says   string
	}{
		"of another artifact":     {func(r *report.Report) { r.Next.Previous[0]++ }, "which is not this ceremony's"},
		"none":                    {func(r *report.Report) { r.Next = nil }, "tells of a next epoch: false"},
		"the same epoch":          {func(r *report.Report) { r.Next.Epoch = r.Epoch }, "the next epoch is 1, after 1"},
		"its own predecessor":     {func(r *report.Report) { r.Next.Artifact = r.Next.Previous }, "artifact, bundle or proof of another"},
		"the same ceremony":       {func(r *report.Report) { r.Next.Ceremony = r.Ceremony }, "of another"},
		"the same bundle":         {func(r *report.Report) { r.Next.Bundle = r.Bundle }, "of another"},
		"retired by its own keys": {func(r *report.Report) { r.Next.Retirement = r.Next.Bundle }, "of another"},
		"a node too few":          {func(r *report.Report) { r.Next.Nodes = r.Next.Nodes[:2] }, "has 2 nodes, and this one 3"},
		"nodes swapped":           {func(r *report.Report) { r.Next.Nodes[0], r.Next.Nodes[1] = r.Next.Nodes[1], r.Next.Nodes[0] }, "at the place of"},
		"a key of before":         {func(r *report.Report) { r.Next.Nodes[1].Session = r.Nodes[0].Session.SPKI }, "a key that another node has"},
		"one key twice":           {func(r *report.Report) { r.Next.Nodes[1].Session = r.Next.Nodes[0].Session }, "a key that another node has"},
		"a node that is mute":     {func(r *report.Report) { r.Next.Nodes[2].Proof = nil }, "answered no device"},
		"another key in TLS":      {func(r *report.Report) { r.Next.Nodes[2].Proof.Peer[0]++ }, "or proved another key"},
		"the older bundle":        {func(r *report.Report) { r.Next.Nodes[2].Proof.Bundle = r.Bundle }, "another bundle or proof"},
		"another protocol":        {func(r *report.Report) { r.Next.Nodes[2].Proof.Protocol = "h2" }, "it must be"},
		"a text on two lines":     {func(r *report.Report) { r.Next.Nodes[2].Proof.Group = "a\nb" }, "has the text"},
		"no history":              {func(r *report.Report) { r.Histories = r.Histories[:1] }, "there is no history of it"},
		"where none went live": {func(r *report.Report) {
			*r.Stage("succession") = report.Stage{Name: "succession", Outcome: report.NotRun, Reason: "no time"}
			r.Tests = r.Tests[:len(r.Tests)-5]
			withoutFigure(r, "stage-succession")
		}, "tells of a next epoch: true"},
	} {
		wantError(t, name, of(c.change), c.says)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(strict.EncodeJSON(drilled(f)))
	f.Add(strict.EncodeJSON(drilled(f, func(r *report.Report) { r.Outcome, r.Faults = report.Failed, []string{"it hung"} })))
	f.Add(strict.EncodeJSON(drilled(f, func(r *report.Report) { testfleet.Succeed(r, [32]byte{1}) })))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := report.Parse("drill.json", data)
		if (r == nil) == (err == nil) {
			t.Fatalf("%v and %v", r, err)
		}
		if err != nil {
			return
		}
		if out := strict.EncodeJSON(r); !bytes.Equal(out, data) {
			t.Fatalf("read and written it is another:\n%s", out)
		}
		if (r.Outcome == report.Passed) != (len(r.Failures()) == 0) {
			t.Fatalf("outcome %s with the failures %q", r.Outcome, r.Failures())
		}
	})
}
