package engine_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
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
	j, err := engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("lockdown"))
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
		{"a login", ceremony.Lockdown{Number: 1, Text: bag, Reading: "x", Before: "CKR_OK", By: "witness", Confirmed: "auditor"}, "no return code"},
		{"blank reading", ceremony.Lockdown{Number: 1, Text: bag, Reading: " ", By: "witness", Confirmed: "auditor"}, "its reading is blank"},
		{"a code", ceremony.Lockdown{Number: 1, Text: bag, Reading: "x", Code: "CKR_PIN_LOCKED", By: "witness", Confirmed: "auditor"}, "no return code"},
		{"one person", ceremony.Lockdown{Number: 1, Text: bag, Reading: "x", By: "witness", Confirmed: "witness"}, "another person must confirm it"},
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

// refusal drives an entry login-refused hsm-2: before and after are what the
// token answers to the login before and after the lock-down, nil for one that
// works.
type refusal struct {
	*testing.T
	f             *testfleet.Fleet
	j             *engine.Journal
	before, after error
	locked        func() error
	logins        int
}

func newRefusal(t *testing.T) *refusal {
	r := &refusal{T: t, locked: func() error { return nil }}
	r.f, r.j = lockable(t, "login-refused hsm-2")
	return r
}

func (r *refusal) try() (*ceremony.Record, error) {
	r.logins = 0
	answer := &r.before
	r.f.Tokens[1].Before = func(call string) error {
		if call != "Login" {
			return nil
		}
		r.logins++
		return *answer
	}
	locked := func() error {
		answer = &r.after
		return r.locked()
	}
	return r.j.LoginRefused(context.Background(), r.f.Bench, r.f.Site.HSM("hsm-2"), locked, ceremony.Witness, ceremony.Auditor)
}

// stays fails unless the entry is still to be done.
func (r *refusal) stays(why string) {
	r.Helper()
	if _, _, hsm, ok := r.j.Account().NextLockdown(); !ok || hsm != "hsm-2" || len(r.j.Account().Lockdowns) > 0 {
		r.Errorf("%s: the entry counts as done", why)
	}
}

func TestARefusalIsThatOfAPINThatOpenedIt(t *testing.T) {
	for _, code := range []string{"CKR_PIN_INCORRECT", "CKR_PIN_LOCKED", "CKR_PIN_EXPIRED", "CKR_USER_PIN_NOT_INITIALIZED"} {
		r := newRefusal(t)
		r.after = testfleet.Coded(code)
		rec, err := r.try()
		if err != nil {
			t.Fatal(err)
		}
		if l := rec.Content.(*ceremony.Lockdown); l.Before != "CKR_OK" || l.Code != code || l.Reading != "" || l.Number != 1 || r.logins != 2 {
			t.Errorf("%d logins, and the record says %+v", r.logins, l)
		}
	}
}

func TestAWrongPINTypedFirstIsNoRefusal(t *testing.T) {
	r := newRefusal(t)
	r.before, r.after = testfleet.Coded("CKR_PIN_INCORRECT"), testfleet.Coded("CKR_PIN_INCORRECT")
	r.locked = func() error { t.Error("the HSM is locked down after a PIN that doesn't open it"); return nil }
	if _, err := r.try(); err == nil || !strings.Contains(err.Error(), "must open it before the lock-down") || r.logins != 1 {
		t.Errorf("%d logins: %v", r.logins, err)
	}
	r.stays("a wrong PIN")
}

// TestAnInterruptionIsNoRefusal: whoever stops between the two logins, and comes
// back once the PIN is refused, has shown nothing, and can record only that.
func TestAnInterruptionIsNoRefusal(t *testing.T) {
	r := newRefusal(t)
	r.after = testfleet.Coded("CKR_PIN_INCORRECT")
	r.locked = func() error { return context.Canceled }
	if _, err := r.try(); !errors.Is(err, context.Canceled) || r.logins != 1 {
		t.Errorf("%d logins: %v", r.logins, err)
	}
	r.stays("interrupted")
	r.before = r.after
	if _, err := r.try(); err == nil {
		t.Error("the refusal after it counts")
	}
	r.stays("interrupted, then refused")
	if _, err := r.j.LoginNotShown("power failed", ceremony.Witness, ceremony.Auditor); err != nil {
		t.Fatal(err)
	}
	if a := r.j.Account(); !slices.Equal(a.NotRefused, []string{"hsm-2"}) {
		t.Errorf("not shown of %q", a.NotRefused)
	}
	if s, _ := r.j.Account().Next(); s.Act != ceremony.ActClose {
		t.Errorf("after it comes %q", s.Act)
	}
}

func TestATokenThatStillLetsThePINInIsOnTheRecord(t *testing.T) {
	r := newRefusal(t)
	for n := 1; n <= 2; n++ {
		rec, err := r.try()
		if err == nil || !strings.Contains(err.Error(), "still accepts this PIN") {
			t.Fatalf("a login that works: %v", err)
		}
		if l := rec.Content.(*ceremony.Lockdown); l.Before != "CKR_OK" || l.Code != "CKR_OK" {
			t.Errorf("the record says %+v", l)
		}
		r.stays("it got in")
		if a := r.j.Account(); len(a.StillOpen) != n || a.StillOpen[n-1] != rec.N {
			t.Errorf("tries that got in: %v", a.StillOpen)
		}
	}
	r.after = testfleet.Coded("CKR_PIN_LOCKED")
	if _, err := r.try(); err != nil || len(r.j.Account().Lockdowns) != 1 {
		t.Errorf("locked down at last: %v", err)
	}
}

func TestLoginRefusedTakesARefusalAndNothingElse(t *testing.T) {
	r := newRefusal(t)
	for _, code := range []string{"CKR_DEVICE_ERROR", "CKR_PIN_LEN_RANGE", "CKR_FUNCTION_FAILED"} {
		r.after = testfleet.Coded(code)
		if _, err := r.try(); err == nil || r.logins != 2 {
			t.Errorf("%s counts as a refusal, after %d logins: %v", code, r.logins, err)
		}
		r.stays(code)
	}
	if _, err := r.j.Lockdown("I saw it", ceremony.Witness, ceremony.Auditor); err == nil {
		t.Error("somebody's word stands in for the token's refusal")
	}
	for name, c := range map[string]ceremony.Lockdown{
		"no login before":        {Code: "CKR_PIN_INCORRECT"},
		"a refused login before": {Before: "CKR_PIN_INCORRECT", Code: "CKR_PIN_INCORRECT"},
		"no login after":         {Before: "CKR_OK"},
		"a fault after":          {Before: "CKR_OK", Code: "CKR_DEVICE_ERROR"},
		"a word and a code":      {Before: "CKR_OK", Code: "CKR_PIN_LOCKED", Reading: "x"},
		"a word and a login":     {Before: "CKR_OK", Reading: "x"},
		"a blank word":           {Reading: " "},
		"nothing":                {},
	} {
		c.Number, c.Text, c.By, c.Confirmed = 1, "login-refused hsm-2", ceremony.Witness, ceremony.Auditor
		if _, err := r.j.Append(&c); err == nil {
			t.Errorf("%s: %+v is taken", name, c)
		}
	}
	r.stays("hostile records")
}

// TestNoLockdownMakesAKeyExtractable: whatever an entry says, no call that
// could let a key out is made for it.
func TestNoLockdownMakesAKeyExtractable(t *testing.T) {
	f, j := lockable(t, "Back hsm-1 up", "login-refused hsm-1")
	calls := len(f.Tokens[0].Calls)
	if r, err := j.LoginNotShown("power failed", ceremony.Witness, ceremony.Auditor); err == nil {
		t.Errorf("what is done by hand is taken for a login: %v", r)
	}
	if _, err := j.Lockdown("medium 12, SHA-256 8c1f", ceremony.Witness, ceremony.Auditor); err != nil {
		t.Fatal(err)
	}
	locked := func() error {
		f.Tokens[0].Before = func(call string) error {
			if call == "Login" {
				return testfleet.Coded("CKR_PIN_INCORRECT")
			}
			return nil
		}
		return nil
	}
	if _, err := j.LoginRefused(context.Background(), f.Bench, f.Site.HSM("hsm-1"), locked, ceremony.Witness, ceremony.Auditor); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.Tokens[0].Calls[calls:], " "); got != "Open Info Login Close Open Login Close" {
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
	j, err := engine.OpenJournal(f.Dir, testfleet.Program, time.Now, testfleet.Random("early"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := j.Lockdown("x", "machine", "machine"); err == nil || !strings.Contains(err.Error(), "not the turn") {
		t.Errorf("before the log: %v", err)
	}
}
