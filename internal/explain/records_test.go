package explain

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
)

func TestEveryKindOfRecordHasWords(t *testing.T) {
	kinds := ceremony.Kinds()
	if len(kinds) < 20 {
		t.Fatalf("there are only %d kinds", len(kinds))
	}
	for _, k := range kinds {
		r := &ceremony.Record{Kind: k, Body: "{}", Content: k.Content()}
		if got := NewRecords().Tell(r); got == noWords || got == "" || got == "withheld" {
			t.Errorf("a record of kind %q is told as %q", k, got)
		}
		withheld := &ceremony.Record{Kind: k}
		if all, none := NewRecords().Public(r), NewRecords().Public(withheld); k.Restricted() != (all == none) {
			t.Errorf("kind %q, restricted %t: a page says %q, and %q where it is withheld", k, k.Restricted(), all, none)
		}
	}
	if got := NewRecords().Tell(&ceremony.Record{Kind: "another", Body: "{}", Content: new(int)}); got != noWords {
		t.Errorf("what is no record is told as %q", got)
	}
}

// TestRecordsNameTheKeyTheyAreAbout by the intent that they count back to.
func TestRecordsNameTheKeyTheyAreAbout(t *testing.T) {
	w := NewRecords()
	w.Tell(&ceremony.Record{N: 7, Kind: ceremony.KindIntent, Body: "{}", Content: &ceremony.Intent{HSM: "hsm-1", Role: "session"}})
	found := &ceremony.Record{Kind: ceremony.KindFound, Body: "{}", Content: &ceremony.Found{Intent: 7}}
	if got := w.Tell(found); !strings.HasPrefix(got, "hsm-1 session: found again") {
		t.Error(got)
	}
	if got := NewRecords().Tell(found); !strings.HasPrefix(got, "the key of record 7: found again") {
		t.Error(got)
	}
}
