package ceremony_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// hostileForms write into a field what nobody else would judge. Each is signed,
// linked and followed as it should be.
var hostileForms = []struct {
	name, want string
	edit       func(x *forger)
}{
	// The ceremony's id.
	{"an id of one's own", "its id", openAs(func(c *ceremony.Open) { c.Ceremony = "autumn-2026" })},
	{"an id of another fleet", "its id", openAs(func(c *ceremony.Open) { c.Ceremony = "another" + strings.TrimPrefix(c.Ceremony, c.Fleet) })},
	{"an id of another epoch", "its id", openAs(func(c *ceremony.Open) { c.Ceremony = strings.Replace(c.Ceremony, ".1.", ".2.", 1) })},
	{"an id of a day long past", "its id is of 20251121, the record of 2026-11-21", openAs(func(c *ceremony.Open) { c.Ceremony = strings.Replace(c.Ceremony, ".2026", ".2025", 1) })},
	{"an id of a day to come", "its id is of 20261123, the record of 2026-11-21", openAs(func(c *ceremony.Open) { c.Ceremony = strings.Replace(c.Ceremony, ".20261121.", ".20261123.", 1) })},
	{"an id of no day", `has "20261199" for a date`, openAs(func(c *ceremony.Open) { c.Ceremony = strings.Replace(c.Ceremony, ".20261121.", ".20261199.", 1) })},
	{"an id with a digit less", "and 8 hex digits", openAs(func(c *ceremony.Open) { c.Ceremony = c.Ceremony[:len(c.Ceremony)-1] })},
	{"an id with a word behind it", "and 8 hex digits", openAs(func(c *ceremony.Open) { c.Ceremony += ".final" })},
	{"an id in capitals", "and 8 hex digits", openAs(func(c *ceremony.Open) { c.Ceremony = c.Ceremony[:len(c.Ceremony)-8] + "ABCDEF01" })},
	{"a version in two lines", "its version has the character U+000A", openAs(func(c *ceremony.Open) { c.Version = "1\nVERIFIED" })},
	// Intake and seals.
	{"a firmware with a model in it", `its firmware "9 1.2" is not major.minor`, intake(func(c *ceremony.Intake) { c.Model, c.Firmware = "M", "9 1.2" })},
	{"a firmware of three numbers", "is not major.minor", intake(func(c *ceremony.Intake) { c.Firmware = "1.2.3" })},
	{"a firmware in words", "is not major.minor", intake(func(c *ceremony.Intake) { c.Firmware = "newest" })},
	{"a firmware no byte holds", "is not major.minor", intake(func(c *ceremony.Intake) { c.Firmware = "1.256" })},
	{"a firmware with a zero in front", "is not major.minor", intake(func(c *ceremony.Intake) { c.Firmware = "1.02" })},
	{"a hardware in words", "its hardware", intake(func(c *ceremony.Intake) { c.Hardware = "rev B" })},
	{"a model that turns the line around", "its model has the character U+202E", intake(func(c *ceremony.Intake) { c.Model = "M\u202e" })},
	{"a library of a thousand bytes", "its library has 1000 bytes", intake(func(c *ceremony.Intake) { c.Library = strings.Repeat("l", 1000) })},
	{"a manufacturer in two lines", "its manufacturer has the character U+000A", intake(func(c *ceremony.Intake) { c.Manufacturer = "a\nb" })},
	{"a blank seal", "its value is blank", reading(1, func(c *ceremony.Reading) { c.Value = "  " })},
	{"a clock that is confirmed by anybody", `it says that "the pope" confirmed it`, reading(0, func(c *ceremony.Reading) { c.Confirmed = "the pope" })},
	{"an adjournment under blank seals", "its seal of bag is blank", paused([]ceremony.Seal{{What: "bag", Number: " "}}, nil)},
	{"an adjournment under a seal of nothing", "its seal's object is blank", paused([]ceremony.Seal{{What: " ", Number: "1"}}, nil)},
	{"an adjournment under two seals of one thing", "it has two seals of bag", paused([]ceremony.Seal{{What: "bag", Number: "1"}, {What: "bag", Number: "2"}}, nil)},
	{"reconvened with a seal twice", "it has two seals of bag", paused([]ceremony.Seal{{What: "bag", Number: "1"}}, []ceremony.Seal{{What: "bag", Number: "1"}, {What: "bag", Number: "1"}})},
	{"an object of no class", `class "hidden"`, found(func(c *ceremony.Found) {
		c.Objects = append(c.Objects, ceremony.Object{Class: "hidden", ID: []byte{9}})
	})},
	// Outcomes.
	{"a reason for what was generated", "a key that is generated has no reason", outcome(func(c *ceremony.Outcome) { c.Reason = "it is a good key" })},
	{"a mechanism in words", "its mechanism", outcome(func(c *ceremony.Outcome) { c.Mechanism = "dice" })},
	{"an attribute dropped twice", "lists COPYABLE twice as dropped", outcome(func(c *ceremony.Outcome) { c.Dropped = []string{token.Copyable, token.Copyable} })},
	{"a mechanism of what was destroyed", "neither a mechanism nor dropped", outcome(func(c *ceremony.Outcome) {
		*c = ceremony.Outcome{Intent: c.Intent, Result: ceremony.Destroyed, Reason: "x", Mechanism: c.Mechanism}
	})},
	{"a blank reason", "its reason is blank", outcome(func(c *ceremony.Outcome) {
		*c = ceremony.Outcome{Intent: c.Intent, Result: ceremony.Failed, Reason: " "}
	})},
	// Attributes.
	{"an attribute of one's own", "ATTESTED is not an attribute that is read back from the private half", readings(func(c *ceremony.Attributes) {
		c.Private = append(c.Private, ceremony.Attribute{Name: "ATTESTED", Value: "true"})
	})},
	{"a private attribute of the public half", "SENSITIVE is not an attribute that is read back from the public half", readings(func(c *ceremony.Attributes) {
		c.Public = append(c.Public, ceremony.Attribute{Name: token.Sensitive, Value: "true"})
	})},
	{"the public half's read twice", "CLASS was read twice", readings(func(c *ceremony.Attributes) { c.Public = append(c.Public, c.Public[0]) })},
	{"no ID of the private half", "the private half was read back without the CKA_ID", readings(func(c *ceremony.Attributes) { c.Private[1].Value = "00" })},
	{"no ID of the public half", "the public half was read back without the CKA_ID", readings(func(c *ceremony.Attributes) { c.Public = c.Public[:1] })},
	{"another ID of the public half", "the public half was read back without the CKA_ID", readings(func(c *ceremony.Attributes) { c.Public[1].Value = strings.Repeat("00", 16) })},
	{"a private half that is a secret key", "the private half has CLASS", readings(func(c *ceremony.Attributes) { c.Private[0].Value = "0000000000000004" })},
	{"a public half that is a certificate", "the public half has CLASS", readings(func(c *ceremony.Attributes) { c.Public[0].Value = "0000000000000001" })},
	{"a key of another type", "the private half has KEY_TYPE", readings(func(c *ceremony.Attributes) {
		c.Private = append(c.Private, ceremony.Attribute{Name: "KEY_TYPE", Value: "0000000000000003"})
	})},
	{"a value in words", "which is neither true, false nor bytes", readings(func(c *ceremony.Attributes) { c.Private[0].Value = "private" })},
	{"a value with half a byte", "which is neither true, false nor bytes", readings(func(c *ceremony.Attributes) { c.Private[0].Value = "012" })},
	{"a code that is none", "is no return code", readings(func(c *ceremony.Attributes) { c.Private[12].Value, c.Private[12].Code = "", "CKR_ALL_GOOD" })},
	{"read, by its code", "has the return code CKR_OK and no value", readings(func(c *ceremony.Attributes) { c.Private[12].Value, c.Private[12].Code = "", "CKR_OK" })},
	{"a value and a code", "has a value and a return code", readings(func(c *ceremony.Attributes) { c.Private[12].Code = "CKR_ATTRIBUTE_TYPE_INVALID" })},
	// Attempts.
	{"an attempt decided by another call", "attempt export names the call C_GetTokenInfo", called(0, "C_GetTokenInfo")},
	{"a copy decided by a wrapping", "attempt copy-extractable names the call C_WrapKey", called(4, "C_WrapKey")},
	{"an export decided by a generation", "attempt export names the call C_GenerateKey", called(0, "C_GenerateKey")},
	{"a wrapping refused by a generation", "attempt wrap-aes-kw names the call C_GenerateKey", called(1, "C_GenerateKey")},
	{"a refusal by a code of one's own", "is no return code of a call", attempt(0, "CKR_REFUSED", false)},
	{"a vendor's code in another spelling", "is no return code of a call", attempt(0, "CKR_VENDOR_DEFINED_0x8000000a", false)},
	{"success by its number", "is no return code of a call", attempt(0, "CKR_UNKNOWN_0x00000000", false)},
	{"a vendor's code", "ended with CKR_VENDOR_DEFINED_0x80000042, which does not mean a refusal", attempt(0, "CKR_VENDOR_DEFINED_0x80000042", false)},
	{"no answer", "ended with no answer, which does not mean a refusal", attempt(0, "no answer", false)},
	{"a copy that wasn't tried", "attempt copy-extractable could not be made (CKR_FUNCTION_NOT_SUPPORTED); it can be made on every token, and must be refused", attempt(4, "CKR_FUNCTION_NOT_SUPPORTED", true)},
	{"a change that wasn't tried", "it can be made on every token", attempt(7, "CKR_FUNCTION_NOT_SUPPORTED", true)},
	{"an export that wasn't tried", "it can be made on every token", attempt(0, "CKR_FUNCTION_NOT_SUPPORTED", true)},
	{"a wrapping unstaged as only a generation can be", "could not be made: C_WrapKey: CKR_KEY_SIZE_RANGE", attempt(1, "CKR_KEY_SIZE_RANGE", true)},
	{"a generation unstaged as only a wrapping can be", "could not be made: C_GenerateKey: CKR_WRAPPING_KEY_SIZE_RANGE", attempt(3, "CKR_WRAPPING_KEY_SIZE_RANGE", true)},
	// What people say.
	{"a blank exception", "its decided is blank", said(&ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: " "})},
	{"an exception in two lines", "its happened has the character U+000A", said(&ceremony.Exception{Number: 1, Expected: "a", Happened: "b\nc", Decided: "d"})},
	{"an adjournment for no reason", "its reason is blank", said(&ceremony.Adjourn{Reason: " ", Seals: []ceremony.Seal{}})},
	{"bytes kept of nothing torn", "is there if and only if torn is not 0", func(x *forger) {
		n := x.at(ceremony.KindRelease, 0)
		x.insert(n, &ceremony.Resume{Since: x.entries[n-1].time, Kept: [32]byte{1}})
	}},
	{"bytes torn and not kept", "is there if and only if torn is not 0", func(x *forger) {
		n := x.at(ceremony.KindRelease, 0)
		x.insert(n, &ceremony.Resume{Since: x.entries[n-1].time, Torn: 4})
	}},
	{"resumed by a program without its version", "it must give both version and binary", func(x *forger) {
		n := x.at(ceremony.KindRelease, 0)
		x.insert(n, &ceremony.Resume{Since: x.entries[n-1].time, Binary: [32]byte{1}})
	}},
	{"resumed by a program without its digest", "it must give both version and binary", func(x *forger) {
		n := x.at(ceremony.KindRelease, 0)
		x.insert(n, &ceremony.Resume{Since: x.entries[n-1].time, Version: "2"})
	}},
	{"resumed by the same program under another name", "then version and binary are left out", func(x *forger) {
		n := x.at(ceremony.KindRelease, 0)
		x.insert(n, &ceremony.Resume{Since: x.entries[n-1].time, Version: "2", Binary: x.get(ceremony.KindOpen, 0).content.(*ceremony.Open).Binary})
	}},
	{"an abort in two lines", "its reason has the character U+000A", func(x *forger) {
		c := abortOf(x, ceremony.Destroyed)
		c.Reason = "fire\nand water"
		x.insert(x.at(ceremony.KindFleetCheck, 0), c)
	}},
	{"a key whose state is in two lines", "its state of the key of hsm-1 session has the character U+000A", func(x *forger) {
		x.insert(x.at(ceremony.KindFleetCheck, 0), abortOf(x, "not destroyed: it\nis gone"))
	}},
}

func openAs(edit func(*ceremony.Open)) func(*forger) {
	return func(x *forger) { change(x.get(ceremony.KindOpen, 0), edit) }
}

func intake(edit func(*ceremony.Intake)) func(*forger) {
	return func(x *forger) { change(x.get(ceremony.KindIntake, 1), edit) }
}

func reading(i int, edit func(*ceremony.Reading)) func(*forger) {
	return func(x *forger) { change(x.get(ceremony.KindReading, i), edit) }
}

func outcome(edit func(*ceremony.Outcome)) func(*forger) {
	return func(x *forger) { edit(x.get(ceremony.KindOutcome, 0).content.(*ceremony.Outcome)) }
}

func readings(edit func(*ceremony.Attributes)) func(*forger) {
	return func(x *forger) { edit(x.get(ceremony.KindAttributes, 0).content.(*ceremony.Attributes)) }
}

func called(i int, call string) func(*forger) {
	return func(x *forger) {
		x.get(ceremony.KindNegativeTest, 0).content.(*ceremony.NegativeTest).Attempts[i].Call = call
	}
}

func said(content any) func(*forger) {
	return func(x *forger) { x.insert(x.at(ceremony.KindChallenge, -2), content) }
}

func paused(under, found []ceremony.Seal) func(*forger) {
	return func(x *forger) {
		n := x.at(ceremony.KindChallenge, -2)
		if found != nil {
			x.insert(n, &ceremony.Reconvene{Seals: found})
		}
		x.insert(n, &ceremony.Adjourn{Reason: "lunch", Seals: under})
	}
}

func TestEveryFieldIsClosed(t *testing.T) {
	f := base(t)
	for _, c := range hostileForms {
		x := newForger(t, f)
		c.edit(x)
		if a, err := x.replay(); err == nil || a != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error that says %q", c.name, err, c.want)
		}
	}
	t.Logf("%d hostile fields", len(hostileForms))
}

// honestForms are what a good token and good people may say.
var honestForms = map[string]func(*forger){
	"a model of none": func(x *forger) {
		for i := range 2 {
			change(x.get(ceremony.KindIntake, i), func(c *ceremony.Intake) { c.Model, c.Manufacturer, c.Firmware = "", "", "255.0" })
		}
	},
	"a model in Greek": func(x *forger) {
		for i := range 2 {
			change(x.get(ceremony.KindIntake, i), func(c *ceremony.Intake) { c.Model = "Ω 9" })
		}
	},
	"an id of the day before":               openAs(func(c *ceremony.Open) { c.Ceremony = strings.Replace(c.Ceremony, ".20261121.", ".20261120.", 1) }),
	"a mechanism by its number":             outcome(func(c *ceremony.Outcome) { c.Mechanism = "0x80000001" }),
	"no mechanism":                          outcome(func(c *ceremony.Outcome) { c.Mechanism = "" }),
	"an optional one refused by a vendor":   attribute(token.Copyable, "", "CKR_VENDOR_DEFINED_0x80000042"),
	"an optional one that is unavailable":   attribute(token.Copyable, "", "CK_UNAVAILABLE_INFORMATION"),
	"a label that is empty":                 readings(func(c *ceremony.Attributes) { c.Public = append(c.Public, ceremony.Attribute{Name: "LABEL"}) }),
	"no function to copy, which refuses":    attempt(4, "CKR_FUNCTION_NOT_SUPPORTED", false),
	"a wrapping key that doesn't fit":       attempt(1, "CKR_WRAPPING_KEY_TYPE_INCONSISTENT", true),
	"a parameter that the token can't take": attempt(2, "CKR_MECHANISM_PARAM_INVALID", true),
	"an exception and its text":             said(&ceremony.Exception{Number: 1, Expected: "a seal", Happened: "none, « zut »", Decided: "to go on"}),
	"adjourned and reconvened":              paused([]ceremony.Seal{{What: "bag", Number: "1"}}, []ceremony.Seal{{What: "bag", Number: "1"}}),
}

// TestHonestFormsPass are the twins: what a good token and good people may say.
func TestHonestFormsPass(t *testing.T) {
	f := base(t)
	for name, edit := range honestForms {
		x := newForger(t, f)
		edit(x)
		if _, err := x.replay(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestModelAndFirmwareAreTwoFields: which of both the difference is in shows in no
// concatenation.
func TestModelAndFirmwareAreTwoFields(t *testing.T) {
	f := base(t)
	for _, c := range []struct{ model, firmware string }{{"memory 1.0", "1.0"}, {"memory", "1.1"}, {"", "1.0"}} {
		x := newForger(t, f)
		intake(func(in *ceremony.Intake) { in.Model, in.Firmware = c.model, c.firmware })(x)
		_, err := x.replay()
		wantError(t, err, `hsm-2 fails the check "firmware"`)
	}
}

// TestAnUnlockReplaysAlikeWithAndWithoutItsBody: it may be published without, and
// then nobody could refuse it; the engine writes none that is wrong.
func TestAnUnlockReplaysAlikeWithAndWithoutItsBody(t *testing.T) {
	f := base(t)
	for _, edit := range []func(*ceremony.Unlock){
		func(c *ceremony.Unlock) { c.HSM = "hsm-9" },
		func(c *ceremony.Unlock) { c.HSM = "hsm-2" },
		func(c *ceremony.Unlock) { c.Method = "by heart" },
		func(c *ceremony.Unlock) { c.Result = "CKR_PIN_LOCKED" },
	} {
		x := newForger(t, f)
		change(x.get(ceremony.KindUnlock, 0), edit)
		whole := x.write()
		withheld := must(ceremony.Withhold(f.Plan, whole))
		a, _, err := ceremony.Replay(f.Plan, "t", whole)
		b, _, err2 := ceremony.Replay(f.Plan, "t", withheld)
		if err != nil || err2 != nil || a.Head != b.Head || bytes.Equal(whole, withheld) {
			t.Errorf("whole: %v; withheld: %v", err, err2)
		}
	}
	dir := testfleet.New(t, testfleet.Options{To: testfleet.ToFleetRun}).Dir
	j := must(engine.OpenJournal(dir, testfleet.Program, time.Now, testfleet.Random("x")))
	defer j.Close()
	before := j.Account().N
	for want, c := range map[string]*ceremony.Unlock{
		`hsm "hsm-9" is not in the plan`: {HSM: "hsm-9", Method: "file", Result: "ok"},
		`method "by heart" is none of`:   {HSM: "hsm-1", Method: "by heart", Result: "ok"},
		`result "yes" is neither ok`:     {HSM: "hsm-1", Method: "file", Result: "yes"},
	} {
		_, err := j.Append(c)
		wantError(t, err, want)
	}
	if j.Account().N != before {
		t.Error("a record was written")
	}
}

// TestAReleaseAgreesWithWhatWasOnTheRecordThen: an exception made after the
// request is none that a release could be signed off with.
func TestAReleaseAgreesWithWhatWasOnTheRecordThen(t *testing.T) {
	f := base(t)
	for _, c := range []struct {
		at   ceremony.Kind
		want []int
	}{{ceremony.KindRequest, []int{1}}, {ceremony.KindResponse, nil}, {ceremony.KindClose, nil}} {
		x := newForger(t, f)
		x.insert(x.at(c.at, 0), &ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c"})
		x.cut(x.at(ceremony.KindClose, 0))
		a, err := x.replay()
		if err != nil {
			t.Fatal(err)
		}
		s := must(a.WantedSignoff(ceremony.StageRelease))
		if fmt.Sprint(s.Exceptions) != fmt.Sprint(c.want) {
			t.Errorf("made before %q: a release can agree with %v, want %v", c.at, s.Exceptions, c.want)
		}
		p := f.Parties.People["olga"]
		s.Role, s.Verdict, s.Exceptions = p.Role, ceremony.AgreeWithExceptions, []int{1}
		list := []ceremony.Signing{{Name: "olga", Text: s.Text(), Signature: must(p.Sign(s.Namespace(), s.Text())).Armor()}}
		_, err = must(ceremony.NewPeople(f.Plan.People, 2)).Signoffs(must(a.WantedSignoff(ceremony.StageRelease)), list)
		if (err == nil) != (c.want != nil) {
			t.Errorf("made before %q: %v", c.at, err)
		}
	}
}
