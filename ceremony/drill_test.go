package ceremony_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// drilledOnce is a fleet that was drilled before it was locked down.
func drilledOnce(t *testing.T) *testfleet.Fleet {
	if drilledFleet == nil {
		drilledFleet = testfleet.New(t, testfleet.Options{Name: "drilled", Drill: []string{"sessions", "logins"}, Lockdown: []string{"Bag the HSMs"}})
	}
	return drilledFleet
}

var drilledFleet *testfleet.Fleet

// onDrill changes the record of the drill.
func onDrill(edit func(*ceremony.Drill)) func(*forger) {
	return func(x *forger) { change(x.get(ceremony.KindDrill, 0), edit) }
}

// none is a record that says why there was no drill.
func none(reason, by, confirmed string) *ceremony.Drill {
	return &ceremony.Drill{Number: 1, Outcome: ceremony.DrillNone, Reason: reason, By: by, Confirmed: confirmed}
}

// drilledAgain inserts another drill's record behind the first, which then failed.
func drilledAgain(edit func(*ceremony.Drill)) func(*forger) {
	return func(x *forger) {
		n := x.at(ceremony.KindDrill, 0)
		c := *x.entries[n].content.(*ceremony.Drill)
		change(x.entries[n], func(c *ceremony.Drill) { c.Outcome = ceremony.DrillFailed })
		c.Number, c.Report = 2, [32]byte{2}
		edit(&c)
		x.insert(n+1, &c)
	}
}

// drillForms are records of drills that may be so; drillFaults such as may not.
var drillForms = map[string]func(*forger){
	"a drill":                        func(*forger) {},
	"a drill that failed, then one":  drilledAgain(func(*ceremony.Drill) {}),
	"a drill that failed, then none": drilledAgain(func(c *ceremony.Drill) { *c = *none("no power", "witness", "auditor"); c.Number = 2 }),
	"no drill":                       onDrill(func(c *ceremony.Drill) { *c = *none("no power", "witness", "auditor") }),
	"something left":                 onDrill(func(c *ceremony.Drill) { c.Left = []string{"hsm-2", "hsm-1"} }),
}

var drillFaults = map[string]struct {
	want string
	edit func(*forger)
}{
	"left out": {`step 20 (drill) wants a record "drill" here`, func(x *forger) { x.drop(x.at(ceremony.KindDrill, 0)) }},
	"before the log": {"wants a record \"challenge\" here", func(x *forger) {
		n := x.at(ceremony.KindDrill, 0)
		e := x.entries[n]
		x.drop(n)
		x.entries = slices.Insert(x.entries, n-2, e)
	}},
	"after the lock-down": {`wants a record "drill" here`, func(x *forger) {
		n := x.at(ceremony.KindDrill, 0)
		e := x.entries[n]
		x.drop(n)
		x.entries = slices.Insert(x.entries, n+1, e)
	}},
	"another after it passed": {`wants a record "lockdown" here`, func(x *forger) {
		drilledAgain(func(*ceremony.Drill) {})(x)
		onDrill(func(c *ceremony.Drill) { c.Outcome = ceremony.DrillPassed })(x)
	}},
	"ended by one that failed": {`wants a record "drill" here`, onDrill(func(c *ceremony.Drill) { c.Outcome = ceremony.DrillFailed })},
	"numbered 2":               {"numbered 2, the next drill is 1", onDrill(func(c *ceremony.Drill) { c.Number = 2 })},
	"the seventeenth":          {"at most 16 drills", seventeen},
	"of no such outcome":       {`outcome "fine" is none of`, onDrill(func(c *ceremony.Drill) { c.Outcome = "fine" })},
	"without a report":         {"a drill that was run has a report", onDrill(func(c *ceremony.Drill) { c.Report = [32]byte{} })},
	"without a size":           {"a drill that was run has a report", onDrill(func(c *ceremony.Drill) { c.Size = 0 })},
	"too large":                {"a drill that was run has a report", onDrill(func(c *ceremony.Drill) { c.Size = ceremony.MaxDrillReport + 1 })},
	"passed, with a reason":    {"has neither a reason", onDrill(func(c *ceremony.Drill) { c.Reason = "x" })},
	"passed, by somebody":      {"has neither a reason", onDrill(func(c *ceremony.Drill) { c.By = "witness" })},
	"one report twice": {"its report is that of drill 1", func(x *forger) {
		drilledAgain(func(c *ceremony.Drill) { c.Report = x.get(ceremony.KindDrill, 0).content.(*ceremony.Drill).Report })(x)
	}},
	"none with a report":       {"and it has a report", onDrill(func(c *ceremony.Drill) { c.Outcome, c.Reason = ceremony.DrillNone, "x" })},
	"none without a reason":    {"its reason", onDrill(func(c *ceremony.Drill) { *c = *none("", "witness", "auditor") })},
	"none in two lines":        {"its reason", onDrill(func(c *ceremony.Drill) { *c = *none("a\nb", "witness", "auditor") })},
	"none by one":              {"another person must confirm it", onDrill(func(c *ceremony.Drill) { *c = *none("x", "witness", "witness") })},
	"none by an officer":       {`typed by "officer"`, onDrill(func(c *ceremony.Drill) { *c = *none("x", "officer", "auditor") })},
	"none confirmed by nobody": {`typed by ""`, onDrill(func(c *ceremony.Drill) { *c = *none("x", "witness", "") })},
	"left in no HSM":           {"is no HSM of the plan", onDrill(func(c *ceremony.Drill) { c.Left = []string{"hsm-9"} })},
	"left in one twice":        {"it says twice", onDrill(func(c *ceremony.Drill) { c.Left = []string{"hsm-1", "hsm-1"} })},
	"left in none":             {"list of what is left is empty", onDrill(func(c *ceremony.Drill) { c.Left = []string{} })},
}

// seventeen drills, of which each but the last failed.
func seventeen(x *forger) {
	n := x.at(ceremony.KindDrill, 0)
	first := *x.entries[n].content.(*ceremony.Drill)
	change(x.entries[n], func(c *ceremony.Drill) { c.Outcome = ceremony.DrillFailed })
	for i := 2; i <= ceremony.MaxDrills+1; i++ {
		c := first
		c.Number, c.Report, c.Outcome = i, [32]byte{byte(i)}, ceremony.DrillFailed
		x.insert(n+i-1, &c)
	}
}

func TestADrillIsOnTheRecordAsItWas(t *testing.T) {
	f := drilledOnce(t)
	for _, name := range slices.Sorted(maps.Keys(drillForms)) {
		x := newForger(t, f)
		drillForms[name](x)
		if _, err := x.replay(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(drillFaults)) {
		x := newForger(t, f)
		drillFaults[name].edit(x)
		_, err := x.replay()
		if err == nil || !strings.Contains(err.Error(), drillFaults[name].want) {
			t.Errorf("%s: %v, want %q", name, err, drillFaults[name].want)
		}
	}
}

// A ceremony without a drill in its plan takes no record of one.
func TestNoDrillIsRecordedThatNobodyPlanned(t *testing.T) {
	x := newForger(t, base(t))
	x.insert(x.at(ceremony.KindLogProof, 0)+1, none("x", "witness", "auditor"))
	_, err := x.replay()
	wantError(t, err, `wants a record "close" here`)
}

// TestADrillBeginsNotBeforeTheBundleIsLogged: and where the clock had been ahead, not
// before the time to which it was set.
func TestADrillBeginsNotBeforeTheBundleIsLogged(t *testing.T) {
	a := drilledOnce(t).Account
	if d := a.Drilled(); d == nil || !d.Since.Equal(a.LogProofTime) || a.DrillSince().After(d.Since) {
		t.Errorf("%+v, the proof at %s", d, a.LogProofTime)
	}
}
