package script_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/words"
)

func TestAReceiptNamesTheHeadAndTheVerdict(t *testing.T) {
	f := small(t)
	e, err := script.ReadEnded(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Plan.People {
		d, err := e.Receipt(p)
		if err != nil {
			t.Fatal(err)
		}
		text := string(d.Text())
		verdict := "Close       agree"
		if p.Name == "ozan" {
			verdict = "Close       not signed when this was printed"
		}
		for _, want := range append(words.Encode(f.Account.Head[:])[:4], fmt.Sprintf("CLOSE SHA256\n  %X", f.Account.Head), verdict, "REHEARSAL", "-I "+p.Name) {
			if !strings.Contains(text, want) {
				t.Errorf("the receipt of %s lacks %q:\n%s", p.Name, want, text)
			}
		}
		pdf := d.PDF()
		if n := bytes.Count(pdf, []byte("/Type /Page /Parent")); n != 1 || !bytes.Equal(pdf, d.PDF()) {
			t.Errorf("the receipt of %s has %d pages, or other bytes each time", p.Name, n)
		}
	}
}

func TestNoReceiptBeforeTheEnd(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	if _, err := script.ReadEnded(f.Dir); err == nil || !strings.Contains(err.Error(), "has not ended") {
		t.Errorf("got %v", err)
	}
}

func TestAnAbortHasReceiptsToo(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToFleetRun})
	if _, err := engine.Abort(t.Context(), f.Config(f.Dir, testfleet.Random("abort")), "a seal was broken"); err != nil {
		t.Fatal(err)
	}
	e, err := script.ReadEnded(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	d, err := e.Receipt(f.Plan.People[0])
	if err != nil {
		t.Fatal(err)
	}
	text := string(d.Text())
	for _, want := range []string{"ABORT SHA256", "aborted: a seal was broken", "the ceremony did not come to it", "none was released"} {
		if !strings.Contains(text, want) {
			t.Errorf("the receipt lacks %q:\n%s", want, text)
		}
	}
}
