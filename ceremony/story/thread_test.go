package story

import (
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
)

func record(k ceremony.Kind, content any) *ceremony.Record {
	return &ceremony.Record{Kind: k, Body: "{}", Content: content}
}

// TestARecordIsCalledWhatItIs: each case is a transcript's beginning, and what its
// last record tells besides its step.
func TestARecordIsCalledWhatItIs(t *testing.T) {
	unlocked := record(ceremony.KindUnlock, &ceremony.Unlock{HSM: "hsm-1", Result: ceremony.UnlockOK})
	adjourn := record(ceremony.KindAdjourn, &ceremony.Adjourn{Seals: []ceremony.Seal{{What: "hsm-1", Number: "1"}}})
	reconvene := record(ceremony.KindReconvene, &ceremony.Reconvene{Seals: []ceremony.Seal{{What: "hsm-1", Number: "1"}}})
	resume := record(ceremony.KindResume, &ceremony.Resume{})
	exception := record(ceremony.KindException, &ceremony.Exception{Number: 1})
	for name, c := range map[string]struct {
		records []*ceremony.Record
		want    []What
		going   Going
	}{
		"a login that worked":          {records: []*ceremony.Record{unlocked}},
		"one that was refused":         {records: []*ceremony.Record{record(ceremony.KindUnlock, &ceremony.Unlock{Result: "CKR_PIN_INCORRECT"})}, want: []What{WrongPINs}},
		"one that is withheld":         {records: []*ceremony.Record{{Kind: ceremony.KindUnlock}}, want: []What{WithheldPINs}},
		"a crash":                      {records: []*ceremony.Record{unlocked, resume}, want: []What{Interruptions}, going: AfterEnd},
		"a crash after a withheld":     {records: []*ceremony.Record{{Kind: ceremony.KindUnlock}, resume}, want: []What{Interruptions}, going: AfterEnd},
		"a wait for officers":          {records: []*ceremony.Record{record(ceremony.KindOpen, &ceremony.Open{}), resume}, going: BeforeLogin},
		"a torn line before that":      {records: []*ceremony.Record{record(ceremony.KindResume, &ceremony.Resume{Torn: 3})}, want: []What{Interruptions}, going: AfterEnd},
		"a crash, and another program": {records: []*ceremony.Record{unlocked, record(ceremony.KindResume, &ceremony.Resume{Version: "2", Binary: [32]byte{1}})}, want: []What{Interruptions, OtherProgram}, going: AfterEnd},
		"another program that morning": {records: []*ceremony.Record{unlocked, adjourn, reconvene, record(ceremony.KindResume, &ceremony.Resume{Version: "2", Binary: [32]byte{1}})}, want: []What{OtherProgram}, going: AfterPause},
		"an adjournment":               {records: []*ceremony.Record{unlocked, adjourn}, want: []What{Adjournments}},
		"the next morning":             {records: []*ceremony.Record{unlocked, adjourn, reconvene, resume}, going: AfterPause},
		"with an exception between":    {records: []*ceremony.Record{unlocked, adjourn, reconvene, exception, resume}, going: AfterPause},
		"and a crash that morning":     {records: []*ceremony.Record{unlocked, adjourn, reconvene, resume, resume}, want: []What{Interruptions}, going: AfterEnd},
		"after a login that morning":   {records: []*ceremony.Record{unlocked, adjourn, reconvene, unlocked, resume}, want: []What{Interruptions}, going: AfterEnd},
		"torn while it reconvened":     {records: []*ceremony.Record{unlocked, adjourn, reconvene, record(ceremony.KindResume, &ceremony.Resume{Torn: 1})}, want: []What{Interruptions}, going: AfterEnd},
		"seals as they were":           {records: []*ceremony.Record{adjourn, reconvene}},
		"other seals":                  {records: []*ceremony.Record{adjourn, record(ceremony.KindReconvene, &ceremony.Reconvene{})}, want: []What{OtherSeals}},
		"an exception":                 {records: []*ceremony.Record{exception}, want: []What{Exceptions}},
		"an absent witness":            {records: []*ceremony.Record{record(ceremony.KindException, &ceremony.Exception{Absent: []string{"wim"}})}, want: []What{Exceptions, Absent}},
		"a clock that was set":         {records: []*ceremony.Record{record(ceremony.KindException, &ceremony.Exception{Clock: &ceremony.Clock{}})}, want: []What{Exceptions, ClockSet}},
		"words typed twice":            {records: []*ceremony.Record{record(ceremony.KindChallenge, &ceremony.Challenge{Tries: 2})}, want: []What{WrongWords}},
		"words typed once":             {records: []*ceremony.Record{record(ceremony.KindChallenge, &ceremony.Challenge{Tries: 1})}},
		"a key":                        {records: []*ceremony.Record{record(ceremony.KindOutcome, &ceremony.Outcome{Result: ceremony.Generated})}},
		"a key that was destroyed":     {records: []*ceremony.Record{record(ceremony.KindOutcome, &ceremony.Outcome{Result: ceremony.Destroyed})}, want: []What{DestroyedKeys}},
		"a key that failed":            {records: []*ceremony.Record{record(ceremony.KindOutcome, &ceremony.Outcome{Result: ceremony.Failed})}, want: []What{FailedKeys}},
		"an attempt that succeeded":    {records: []*ceremony.Record{record(ceremony.KindNegativeTest, &ceremony.NegativeTest{Relaxed: &ceremony.Relaxed{}})}, want: []What{Tolerated}},
		"an attestation":               {records: []*ceremony.Record{record(ceremony.KindAttestation, &ceremony.Attestation{})}},
		"an attestation with problems": {records: []*ceremony.Record{record(ceremony.KindAttestation, &ceremony.Attestation{Problems: []string{"firmware"}})}, want: []What{Unattested}},
		"an answer":                    {records: []*ceremony.Record{record(ceremony.KindResponse, &ceremony.Response{})}},
		"a late one":                   {records: []*ceremony.Record{record(ceremony.KindCountersignature, &ceremony.Countersignature{}), record(ceremony.KindResponse, &ceremony.Response{})}, want: []What{LateAnswers}},
		"one that was refused, too":    {records: []*ceremony.Record{record(ceremony.KindRefusal, &ceremony.Refusal{})}, want: []What{Refusals}},
		"a lock-down":                  {records: []*ceremony.Record{record(ceremony.KindLockdown, &ceremony.Lockdown{Text: "Bag", Reading: "1"})}},
		"a lock-down that wasn't":      {records: []*ceremony.Record{record(ceremony.KindLockdown, &ceremony.Lockdown{Text: "login-refused hsm-1", Code: ceremony.LoginOK})}, want: []What{StillOpen}},
		"a lock-down that none shows":  {records: []*ceremony.Record{record(ceremony.KindLockdown, &ceremony.Lockdown{Text: "login-refused hsm-1", Reading: "power failed"})}, want: []What{NotShown}},
		"an abort":                     {records: []*ceremony.Record{record(ceremony.KindAbort, &ceremony.Abort{})}, want: []What{Aborted}},
	} {
		var h Thread
		var got []What
		for _, r := range c.records {
			got = h.Next(r)
		}
		if !slices.Equal(got, c.want) || h.Going() != c.going {
			t.Errorf("%s: %q, going on %q; want %q, %q", name, got, h.Going(), c.want, c.going)
		}
		for _, w := range got {
			if !slices.Contains(Troubles(), w) {
				t.Errorf("%s: %q is not among the troubles", name, w)
			}
		}
	}
}
