package explain

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/story"
)

func TestEveryTroubleHasWords(t *testing.T) {
	for _, w := range story.Troubles() {
		if x := troubleOf(w); x.one == "" || x.many == "" || x.weight == Planned {
			t.Errorf("%s: %+v", w, x)
		}
	}
	if len(troubles) != len(story.Troubles()) {
		t.Errorf("%d have words, there are %d", len(troubles), len(story.Troubles()))
	}
}

func unlock(result string) *ceremony.Record {
	return &ceremony.Record{N: 2, Kind: ceremony.KindUnlock, Body: "{}", Content: &ceremony.Unlock{HSM: "hsm-1", Method: "file", Result: result}}
}

func told(t *testing.T, public bool, records ...*ceremony.Record) *Told {
	t.Helper()
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for i, r := range records {
		r.N, r.Time = i+1, at.Add(time.Duration(i)*time.Hour)
	}
	s, err := story.Tell(&ceremony.Account{Plan: &ceremony.Plan{}}, records, nil)
	if err != nil {
		t.Fatal(err)
	}
	return TellStory(s, public)
}

// TestAPublicStoryIsTheSameWithheld: a wrong PIN is in the room's story and in no
// public one, whether the record is withheld or not.
func TestAPublicStoryIsTheSameWithheld(t *testing.T) {
	wrong, right, withheld := unlock("CKR_PIN_INCORRECT"), unlock(ceremony.UnlockOK), &ceremony.Record{Kind: ceremony.KindUnlock}
	for _, r := range []*ceremony.Record{right, withheld} {
		if got, want := told(t, true, r), told(t, true, wrong); !reflect.DeepEqual(got, want) {
			t.Errorf("public: %+v and %+v", got, want)
		}
	}
	if got := told(t, false, wrong); !slices.Equal(got.Otherwise, []string{"1 wrong PIN"}) || got.Timeline[0].Weight != Grave || got.Timeline[0].Name != "wrong PIN" {
		t.Errorf("%+v", got)
	}
	if got := told(t, false, right); len(got.Otherwise)+len(got.Timeline) > 0 {
		t.Errorf("%+v", got)
	}
	if got := told(t, false, withheld); !slices.Equal(got.Otherwise, []string{"1 login whose answer is withheld"}) {
		t.Errorf("%+v", got)
	}
}

// TestWithheldLoginsInARowAreOneLine: a package of a hundred HSMs with its restricted
// records left out isn't told in a hundred lines that say the same.
func TestWithheldLoginsInARowAreOneLine(t *testing.T) {
	withheld := func() *ceremony.Record { return &ceremony.Record{Kind: ceremony.KindUnlock} }
	var texts []string
	for _, e := range told(t, false, withheld(), withheld(), withheld(), unlock("CKR_PIN_INCORRECT"), withheld()).Timeline {
		texts = append(texts, e.At+" "+e.Name+": "+e.Text)
	}
	want := []string{
		"2026-11-21 10:00 login withheld: 3 of them, the last at 2026-11-21 12:00: what the HSM answered is left out of this copy",
		"2026-11-21 13:00 wrong PIN: ",
		"2026-11-21 14:00 login withheld: what the HSM answered is left out of this copy",
	}
	if len(texts) != len(want) || texts[0] != want[0] || !strings.HasPrefix(texts[1], want[1]) || texts[2] != want[2] {
		t.Errorf("%q", texts)
	}
}

// TestAPlannedAdjournmentIsNotCalledUnplanned where the program is started again
// after it; a crash is.
func TestAPlannedAdjournmentIsNotCalledUnplanned(t *testing.T) {
	seals := []ceremony.Seal{{What: "hsm-1", Number: "4471"}}
	adjourn := &ceremony.Record{Kind: ceremony.KindAdjourn, Body: "{}", Content: &ceremony.Adjourn{Reason: "for the night", Seals: seals}}
	reconvene := &ceremony.Record{Kind: ceremony.KindReconvene, Body: "{}", Content: &ceremony.Reconvene{Seals: seals}}
	resume := func() *ceremony.Record {
		return &ceremony.Record{Kind: ceremony.KindResume, Body: "{}", Content: &ceremony.Resume{}}
	}
	planned := told(t, false, unlock(ceremony.UnlockOK), adjourn, reconvene, resume())
	if want := []string{"1 planned adjournment"}; !slices.Equal(planned.Otherwise, want) {
		t.Errorf("%q", planned.Otherwise)
	}
	var texts []string
	for _, e := range planned.Timeline {
		texts = append(texts, e.Name+": "+e.Text)
	}
	want := []string{
		"adjournment: adjourned, as people planned, under seal hsm-1 4471: for the night",
		"reconvened: reconvened, with seal hsm-1 4471 as found",
		"resumed: resumed after the adjournment, as planned",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%q", texts)
	}
	crashed := told(t, false, unlock(ceremony.UnlockOK), resume())
	if want := []string{"1 interruption"}; !slices.Equal(crashed.Otherwise, want) || !strings.Contains(crashed.Timeline[0].Text, "without an adjournment") {
		t.Errorf("%+v", crashed)
	}
	if want := "2026-11-21 10:00 to 11:00 UTC, 1 h 0 min, 1 h 0 min of it at a standstill"; crashed.Ran != want {
		t.Errorf("%q", crashed.Ran)
	}
}

// TestASealIsCreditedToBothWhoReadIt, and what one person did to that one.
func TestASealIsCreditedToBothWhoReadIt(t *testing.T) {
	for want, c := range map[string]*ceremony.Reading{
		"seal of hsm-1: 4471, read by the witness and the auditor": {What: ceremony.ReadSeal, HSM: "hsm-1", Value: "4471", By: ceremony.Witness, Confirmed: ceremony.Auditor},
		"seal of hsm-1: 4471, read by the machine in both parts":   {What: ceremony.ReadSeal, HSM: "hsm-1", Value: "4471", By: ceremony.Machine, Confirmed: ceremony.Machine},
		"clock: 2026-11-21T10:00:00Z, read by the witness":         {What: ceremony.ReadClock, Value: "2026-11-21T10:00:00Z", By: ceremony.Witness},
	} {
		if got := NewRecords().Tell(&ceremony.Record{Kind: ceremony.KindReading, Body: "{}", Content: c}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestALockDownThatSucceededLaterIsToldSo(t *testing.T) {
	entry := func(number int, code string) *ceremony.Record {
		return &ceremony.Record{Kind: ceremony.KindLockdown, Body: "{}", Content: &ceremony.Lockdown{Number: number, Text: "login-refused hsm-1", Before: ceremony.LoginOK, Code: code}}
	}
	list := Otherwise(told(t, true, entry(1, "CKR_PIN_INCORRECT"), entry(2, ceremony.LoginOK), entry(2, "CKR_PIN_INCORRECT"), entry(3, ceremony.LoginOK)).Timeline)
	if len(list) != 2 || !strings.HasSuffix(list[0].Text, "; locked down at try 2, record 3") {
		t.Fatalf("%+v", list)
	}
	if strings.Contains(list[1].Text, "locked down at") {
		t.Errorf("one that is still open is told as done: %+v", list[1])
	}
}
