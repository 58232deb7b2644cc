package ceremony_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// attestedFleet is a ceremony up to its request, whose devices attest, and what
// lies in its folder.
func attestedFleet(t *testing.T) *testfleet.Fleet {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{HSMs: 2, Attested: true, To: testfleet.ToRequest})
	f.Files = evidence.Files{}
	for _, s := range f.Account.AttestationSteps() {
		f.Files[s.File] = must(os.ReadFile(filepath.Join(f.Dir, s.File)))
	}
	f.Files[ceremony.TranscriptFile] = must(os.ReadFile(filepath.Join(f.Dir, ceremony.TranscriptFile)))
	return f
}

func attested(i int, edit func(*ceremony.Attestation)) func(*forger) {
	return func(x *forger) { change(x.get(ceremony.KindAttestation, i), edit) }
}

func problem(x *forger, i int) {
	attested(i, func(c *ceremony.Attestation) { c.Problems = []string{"vendor: not shown"} })(x)
}

// excuse has an exception name records before the release.
func excuse(x *forger, records ...int) {
	x.insert(x.at(ceremony.KindRelease, 0), &ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c", Attestations: records})
}

var hostileAttestations = []struct {
	name, want string
	edit       func(x *forger)
}{
	{"of another intent", "it is about intent", attested(0, func(c *ceremony.Attestation) { c.Intent++ })},
	{"of the countersigner's key at an HSM's turn", "it is about intent 0; the current step is about hsm-1 session", attested(0, func(c *ceremony.Attestation) { c.Intent = 0 })},
	{"of a key at the countersigner's turn", "the current step is about countersigner, intent 0", func(x *forger) {
		n := x.get(ceremony.KindAttestation, 0).content.(*ceremony.Attestation).Intent
		attested(2, func(c *ceremony.Attestation) { c.Intent = n })(x)
	}},
	{"of another device", `its evidence is of the device "another"`, attested(1, func(c *ceremony.Attestation) { c.Identity = "another" })},
	{"of another HSM's device", "its evidence is of the device", func(x *forger) {
		id := x.get(ceremony.KindAttestation, 0).content.(*ceremony.Attestation).Identity
		attested(1, func(c *ceremony.Attestation) { c.Identity = id })(x)
	}},
	{"of another format", `its evidence is of the format "yubihsm2"; the plan names "tpm2-certify" for hsm-1 session`, attested(0, func(c *ceremony.Attestation) { c.Format = "yubihsm2" })},
	{"by evidence of another key", "its evidence is that of record", func(x *forger) {
		digest := x.get(ceremony.KindAttestation, 0).content.(*ceremony.Attestation).Evidence
		attested(1, func(c *ceremony.Attestation) { c.Evidence = digest })(x)
	}},
	{"of a level that isn't one", "is not a level", attested(0, func(c *ceremony.Attestation) { c.Level = "proven" })},
	{"of no evidence", `its level is "none"`, attested(0, func(c *ceremony.Attestation) { c.Level, c.Anchor = "none", "" })},
	{"anchored under nothing", "on an anchor is named", attested(0, func(c *ceremony.Attestation) { c.Level, c.Anchor = "anchored", "" })},
	{"vendor-signed under an anchor", "none below it", attested(0, func(c *ceremony.Attestation) { c.Level = "vendor-signed" })},
	{"brought by nobody", `its by is "hearsay"`, attested(0, func(c *ceremony.Attestation) { c.By = "hearsay" })},
	{"with a problem of nothing", "its problem is blank", attested(0, func(c *ceremony.Attestation) { c.Problems = []string{" "} })},
	{"with a problem that hides characters", "its problem has the character U+202E", attested(0, func(c *ceremony.Attestation) { c.Problems = []string{"a\u202eb"} })},
	{"with a problem too long", "its problem has 501 bytes", attested(0, func(c *ceremony.Attestation) { c.Problems = []string{strings.Repeat("x", 501)} })},
	{"with too many problems", "it has 65 problems", attested(0, func(c *ceremony.Attestation) { c.Problems = slices.Repeat([]string{"x"}, 65) })},
	{"with an anchor on two lines", "its anchor has the character", attested(0, func(c *ceremony.Attestation) { c.Anchor = "a\nb" })},
	{"left out", `(attest countersigner) wants a record "attestation" here`, func(x *forger) { x.drop(x.at(ceremony.KindAttestation, -1)) }},
	{"left out, and the next in its place", "it is about intent", func(x *forger) { x.drop(x.at(ceremony.KindAttestation, 0)) }},
	{"all left out", `wants a record "attestation" here`, func(x *forger) {
		for range 3 {
			x.drop(x.at(ceremony.KindAttestation, 0))
		}
	}},
	{"in another order", "it is about intent", func(x *forger) {
		n := x.at(ceremony.KindAttestation, 0)
		x.entries[n], x.entries[n+1] = x.entries[n+1], x.entries[n]
	}},
	{"before the last key is made", `wants a record "unlock" here`, func(x *forger) {
		from, to := x.at(ceremony.KindAttestation, 0), x.at(ceremony.KindUnlock, 1)
		e := x.entries[from]
		x.drop(from)
		e.time = x.entries[to].time
		x.entries = slices.Insert(x.entries, to, e)
	}},
	{"after the fleet check", `wants a record "attestation" here`, func(x *forger) {
		from, to := x.at(ceremony.KindAttestation, -1), x.at(ceremony.KindFleetCheck, 0)
		e := x.entries[from]
		e.time = x.entries[to].time
		x.entries = slices.Insert(x.entries, to+1, e)
		x.drop(from)
	}},
	{"twice", `wants a record "fleet-check" here`, func(x *forger) {
		n := x.at(ceremony.KindAttestation, -1)
		again := *x.entries[n]
		x.entries = slices.Insert(x.entries, n, &again)
	}},
	{"with problems, and released", "has problems, and no exception is about it: vendor: not shown", func(x *forger) { problem(x, 1) }},
	{"with problems, and an exception about something else", "has problems, and no exception is about it", func(x *forger) {
		problem(x, 1)
		x.insert(x.at(ceremony.KindRelease, 0), &ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c"})
	}},
	{"two with problems, and an exception about one", "has problems, and no exception is about it", func(x *forger) {
		problem(x, 0)
		problem(x, 1)
		excuse(x, x.at(ceremony.KindAttestation, 1)+1)
	}},
	{"with problems, and an exception after the release", "has problems, and no exception is about it", func(x *forger) {
		problem(x, 1)
		x.insert(x.at(ceremony.KindRelease, 0)+1, &ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c", Attestations: []int{x.at(ceremony.KindAttestation, 1) + 1}})
	}},
	{"accepted, and without problems", "which is no attestation with problems", func(x *forger) { excuse(x, x.at(ceremony.KindAttestation, 1)+1) }},
	{"an exception about another record", "it accepts record 1, which is no attestation with problems", func(x *forger) { excuse(x, 1) }},
	{"an exception about a record that is yet to come", "which is no attestation with problems", func(x *forger) { excuse(x, 4000) }},
	{"an exception about the same twice", "twice", func(x *forger) {
		problem(x, 1)
		n := x.at(ceremony.KindAttestation, 1) + 1
		excuse(x, n, n)
	}},
	{"an exception about no attestation", "its list of attestations is empty; then the list is left out", func(x *forger) {
		excuse(x)
		x.get(ceremony.KindException, 0).body = `{"number":1,"expected":"a","happened":"b","decided":"c","attestations":[]}`
	}},
	{"a matrix without the attestations", "its matrix is not the one that follows from the records before it", func(x *forger) {
		change(x.get(ceremony.KindFleetCheck, 0), func(c *ceremony.FleetCheck) {
			c.Checks = c.Checks[:7]
			for i := range c.Rows {
				c.Rows[i].Results = c.Rows[i].Results[:7]
			}
		})
	}},
}

func TestHostileAttestationsAreRefused(t *testing.T) {
	f := attestedFleet(t)
	if got := newForger(t, f).write(); !bytes.Equal(got, f.Transcript()) {
		t.Fatal("an honest forger writes another transcript: the tests below would test nothing")
	}
	for _, c := range hostileAttestations {
		x := newForger(t, f)
		c.edit(x)
		if a, err := x.replay(); err == nil || a != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error that says %q", c.name, err, c.want)
		}
	}
	t.Logf("%d hostile transcripts", len(hostileAttestations))
}

// What an exception is about lets the release go, and no more than that.
func TestAnExceptionAboutEveryProblemLetsTheReleaseGo(t *testing.T) {
	x := newForger(t, attestedFleet(t))
	problem(x, 0)
	problem(x, 2)
	excuse(x, x.at(ceremony.KindAttestation, 0)+1, x.at(ceremony.KindAttestation, 2)+1)
	a, err := x.replay()
	if err != nil {
		t.Fatal(err)
	}
	if list := a.Unexcused(); len(list) > 0 || a.Release == nil || len(a.Exceptions) != 1 {
		t.Errorf("%v", list)
	}
}

func TestEvidenceAndItsRecordsStandTogether(t *testing.T) {
	f := attestedFleet(t)
	a, err := newForger(t, f).replay()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.CheckAttestations(f.Files); err != nil {
		t.Fatal(err)
	}
	first, last := a.AttestationSteps()[0].File, ceremony.CountersignerAttestation
	if first != fmt.Sprintf("attestations/%d.json", a.AttestationSteps()[0].Key.N) {
		t.Errorf("the file is %s", first)
	}
	for want, change := range map[string]func(map[string][]byte){
		first + ": is missing: record ":                                         func(m map[string][]byte) { delete(m, first) },
		last + ": is missing: record ":                                          func(m map[string][]byte) { delete(m, last) },
		first + ": is not the evidence whose digest record ":                    func(m map[string][]byte) { m[first] = m[last] },
		"attestations/9999.json: is evidence that no record names":              func(m map[string][]byte) { m["attestations/9999.json"] = m[last] },
		"attestations/countersigner.json.bak: is evidence that no record names": func(m map[string][]byte) { m[last+".bak"] = m[last] },
		"attestations/deep/1.json: is evidence that no record names":            func(m map[string][]byte) { m["attestations/deep/1.json"] = m[last] },
	} {
		files := map[string][]byte{}
		for path, data := range f.Files {
			files[path] = data
		}
		change(files)
		wantError(t, a.CheckAttestations(files), want)
	}
}

// Of a clock that was ahead, an attestation has no later time than the record that
// says so: a certificate isn't judged at a time that never was.
func TestAnAttestationsTimeIsNotAheadOfAClockThatWasSetBack(t *testing.T) {
	x := newForger(t, attestedFleet(t))
	n := x.at(ceremony.KindAttestation, -1)
	day := 24 * time.Hour
	for _, e := range x.entries[n:] {
		e.time = e.time.Add(day)
	}
	since := x.entries[n].time
	back := x.insert(n+1, &ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c", Clock: &ceremony.Clock{Since: since, Wall: since.Add(-day)}})
	back.time = since.Add(-day)
	for _, e := range x.entries[n+2:] {
		e.time = e.time.Add(-day)
	}
	a, err := x.replay()
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Attestations[0].Time; !got.Equal(back.time) {
		t.Errorf("the attestation's time is %s, the clock was set at %s", got, back.time)
	}
	if got := a.AttestationSteps()[0].Record.Time; got.After(back.time) {
		t.Errorf("one from before has the time %s", got)
	}
}

// models puts models into the plan, and has the intakes report theirs.
func TestHSMsOfSeveralModelsStandInOnePlan(t *testing.T) {
	const a, b = "testfleet memory", "testfleet other"
	for _, c := range []struct {
		name, models string
		reports      [3][2]string // model and firmware of each HSM
		want         string       // of the error, or
		firmware     string       // of the matrix
	}{
		{"two models, each of one firmware", "[" + a + ", " + b + "]", [3][2]string{{a, "1.0"}, {b, "7.1"}, {a, "1.0"}}, "", a + " 1.0, " + b + " 7.1"},
		{"one of the models listed", "[" + a + ", " + b + "]", [3][2]string{{b, "1.0"}, {b, "1.0"}, {b, "1.0"}}, "", b + " 1.0"},
		{"a model of two firmwares", "[" + a + ", " + b + "]", [3][2]string{{a, "1.0"}, {b, "1.0"}, {a, "1.1"}}, `hsm-3 fails the check "firmware"`, ""},
		{"a model that isn't listed", "[" + a + ", other]", [3][2]string{{a, "1.0"}, {b, "1.0"}, {a, "1.0"}}, `hsm-2 reports the model "testfleet other", which is none of the plan's`, ""},
		{"two models of a plan that lists none", "", [3][2]string{{a, "1.0"}, {b, "1.0"}, {a, "1.0"}}, `hsm-2 fails the check "firmware"`, ""},
	} {
		o := testfleet.Options{HSMs: 3, To: -1}
		f := testfleet.New(t, o)
		if c.models != "" {
			f.Plan = must(ceremony.ParsePlan("plan.yaml", []byte(strings.Replace(string(f.Plan.Raw()), "\nmajority:", "\nmodels: "+c.models+"\nmajority:", 1))))
		}
		for i, r := range c.reports {
			f.Tokens[i].About.Model, f.Tokens[i].About.Firmware = r[0], r[1]
		}
		err := f.Live()
		if c.want != "" {
			wantError(t, err, c.want)
			continue
		}
		if err != nil || f.Account.FleetCheck.Firmware != c.firmware {
			t.Errorf("%s: %v, firmware %q", c.name, err, f.Account.FleetCheck.Firmware)
		}
	}
}
