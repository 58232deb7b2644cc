package engine_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// lockable is a fleet whose next step is its lock-down.
func lockable(t *testing.T, entries ...string) (*testfleet.Fleet, *engine.Journal) {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged, Lockdown: entries})
	j, err := engine.OpenJournal(f.Dir, f.Now, testfleet.Random("lockdown"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return f, j
}

func TestLockdownIsTakenAsPlanned(t *testing.T) {
	const bag, shred = "Put hsm-1 into a bag; read off its number", "Shred the cards"
	cases := []struct {
		name string
		give ceremony.Lockdown
		want string
	}{
		{"another number", ceremony.Lockdown{Number: 2, Text: shred, Reading: "x", By: "witness", Confirmed: "auditor"}, "not entry 1"},
		{"another text", ceremony.Lockdown{Number: 1, Text: shred, Reading: "x", By: "witness", Confirmed: "auditor"}, "not entry 1"},
		{"no reading", ceremony.Lockdown{Number: 1, Text: bag, By: "witness", Confirmed: "auditor"}, "has a reading"},
		{"blank reading", ceremony.Lockdown{Number: 1, Text: bag, Reading: " ", By: "witness", Confirmed: "auditor"}, "its reading is blank"},
		{"a code", ceremony.Lockdown{Number: 1, Text: bag, Reading: "x", Code: "CKR_PIN_LOCKED", By: "witness", Confirmed: "auditor"}, "no return code"},
		{"one person", ceremony.Lockdown{Number: 1, Text: bag, Reading: "x", By: "witness", Confirmed: "witness"}, "somebody else"},
		{"nobody", ceremony.Lockdown{Number: 1, Text: bag, Reading: "x", By: "witness"}, "confirmed is empty"},
		{"an officer", ceremony.Lockdown{Number: 1, Text: bag, Reading: "x", By: "officer", Confirmed: "auditor"}, `typed by "officer"`},
	}
	_, j := lockable(t, bag, shred)
	for _, c := range cases {
		if _, err := j.Append(&c.give); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error that says %q", c.name, err, c.want)
		}
	}
	if _, err := j.Finish([]ceremony.File{{Path: "plan.yaml"}}, nil); err == nil {
		t.Error("it can be closed before it is locked down")
	}
	for i := range 2 {
		if item, _, hsm, ok := j.Account().NextLockdown(); item != i+1 || hsm != "" || !ok {
			t.Fatalf("entry %d is next, for %q", item, hsm)
		}
		if _, err := j.Lockdown("bag 4471", ceremony.Witness, ceremony.Auditor); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Lockdown("bag 4471", ceremony.Witness, ceremony.Auditor); err == nil {
		t.Error("an entry more than is planned is taken")
	}
	if s, _ := j.Account().Next(); s.Act != ceremony.ActClose {
		t.Errorf("after the last entry comes %q", s.Act)
	}
}

func TestLoginRefusedTakesARefusalAndNothingElse(t *testing.T) {
	f, j := lockable(t, "login-refused hsm-2")
	site := f.Site.HSM("hsm-2")
	try := func() (*ceremony.Record, error) {
		return j.LoginRefused(context.Background(), f.Bench, site, ceremony.Witness, ceremony.Auditor)
	}
	answer := ""
	logins := 0
	f.Tokens[1].Before = func(call string) error {
		if call != "Login" {
			return nil
		}
		logins++
		if answer == "" {
			return nil
		}
		return testfleet.Coded(answer)
	}
	before := j.Account().N
	if _, err := try(); err == nil || !strings.Contains(err.Error(), "still lets this PIN in") {
		t.Errorf("a login that works: %v", err)
	}
	if n := j.Account().N; n != before+1 {
		t.Errorf("a login that works left %d records, want that of the login", n-before)
	}
	for _, answer = range []string{"CKR_DEVICE_ERROR", "CKR_PIN_LEN_RANGE", "CKR_FUNCTION_FAILED"} {
		if _, err := try(); err == nil || j.Account().N != before+1 {
			t.Errorf("%s counts as a refusal: %v", answer, err)
		}
	}
	if logins != 4 {
		t.Errorf("%d logins for 4 calls: one call is one try", logins)
	}
	if _, err := j.Lockdown("I saw it", ceremony.Witness, ceremony.Auditor); err == nil {
		t.Error("somebody's word stands in for the token's refusal")
	}
	answer = "CKR_PIN_LOCKED"
	r, err := try()
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Content.(*ceremony.Lockdown); l.Code != answer || l.Reading != "" || l.Number != 1 {
		t.Errorf("the record says %+v", l)
	}
}

// TestNoLockdownMakesAKeyExtractable: whatever an entry says, no call that
// could let a key out is made for it.
func TestNoLockdownMakesAKeyExtractable(t *testing.T) {
	f, j := lockable(t, "Back hsm-1 up", "login-refused hsm-1")
	calls := len(f.Tokens[0].Calls)
	f.Tokens[0].Before = func(call string) error {
		if call == "Login" {
			return testfleet.Coded("CKR_PIN_INCORRECT")
		}
		return nil
	}
	if _, err := j.Lockdown("medium 12, SHA-256 8c1f", ceremony.Witness, ceremony.Auditor); err != nil {
		t.Fatal(err)
	}
	if _, err := j.LoginRefused(context.Background(), f.Bench, f.Site.HSM("hsm-1"), ceremony.Witness, ceremony.Auditor); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.Tokens[0].Calls[calls:], " "); got != "Open Info Login Close" {
		t.Errorf("the token was called %q", got)
	}
}

func TestPlanCheckReadsLockdown(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Lockdown: []string{"Shred the cards"}})
	for _, c := range []struct{ entry, want string }{
		{"login-refused hsm-9", `hsm "hsm-9" is not in the plan`},
		{" Shred", "space or control"},
		{"", "is empty"},
		{strings.Repeat("x", 301), "301 bytes, 300 are allowed"},
	} {
		data := bytes.Replace(f.Plan.Raw(), []byte("Shred the cards"), []byte(c.entry), 1)
		if _, err := ceremony.ParsePlan("plan.yaml", data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want an error that says %q", c.entry, err, c.want)
		}
	}
}

func TestLockdownComesAfterTheLog(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToFleetRun, Lockdown: []string{"Shred the cards"}})
	j, err := engine.OpenJournal(f.Dir, time.Now, testfleet.Random("early"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := j.Lockdown("x", "machine", "machine"); err == nil || !strings.Contains(err.Error(), "not the turn") {
		t.Errorf("before the log: %v", err)
	}
}
