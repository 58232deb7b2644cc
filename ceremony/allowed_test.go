package ceremony_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/token"
)

// What is allowed: the other side of the table above.
func TestAllowedTranscriptsAreTaken(t *testing.T) {
	f := base(t)
	for name, edit := range map[string]func(*forger){
		"all restricted records withheld": func(x *forger) {
			for _, e := range x.entries {
				if e.kind == ceremony.KindUnlock {
					e.line = func(r *ceremony.Record) { r.Salt, r.Body = nil, "" }
				}
			}
		},
		"a wrong PIN first": func(x *forger) {
			x.insert(x.at(ceremony.KindUnlock, 1), &ceremony.Unlock{HSM: "hsm-2", Method: "file", Result: "CKR_PIN_INCORRECT"})
		},
		"an optional attribute unreadable": attribute(token.Copyable, "", "CKR_ATTRIBUTE_TYPE_INVALID"),
		"a wrapping that can't be staged":  attempt(1, "CKR_MECHANISM_INVALID", true),
		"an optional attribute dropped": func(x *forger) {
			x.get(ceremony.KindOutcome, 0).content.(*ceremony.Outcome).Dropped = []string{token.Copyable}
		},
		"exceptions, adjourned and reconvened": func(x *forger) {
			n := x.at(ceremony.KindChallenge, -2) // the first record of the release
			x.insert(n, &ceremony.Reconvene{Seals: []ceremony.Seal{{What: "bag", Number: "1"}}})
			x.insert(n, &ceremony.Adjourn{Reason: "lunch", Seals: []ceremony.Seal{{What: "bag", Number: "1"}}})
			x.insert(n, &ceremony.Exception{Number: 2, Expected: "a", Happened: "b", Decided: "c"})
			x.insert(n, &ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c"})
		},
		"all records of one second": func(x *forger) {
			for _, e := range x.entries {
				e.time = x.entries[0].time
			}
		},
	} {
		x := newForger(t, f)
		edit(x)
		if a, err := x.replay(); err != nil || a.Close == nil || a.Fault != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Held by what is read or stated, not by what is signed.
func TestReadingsAndTimesAreHeld(t *testing.T) {
	f := base(t)
	for _, c := range []struct {
		name string
		edit func(x *forger)
	}{
		{"attributes read from another object", attribute("ID", "ffffffffffffffffffffffffffffffff", "")},
		{"the public half's attributes not read at all", func(x *forger) {
			x.get(ceremony.KindAttributes, 0).content.(*ceremony.Attributes).Public = nil
		}},
		{"a statement a year after its response's record", func(x *forger) {
			n := x.at(ceremony.KindResponse, 0)
			a := must((&forger{fleet: x.fleet, entries: x.entries[:n]}).replay())
			change(x.entries[n], func(c *ceremony.Response) {
				c.Statement = x.state(uint64(x.entries[n].time.AddDate(1, 0, 0).UnixMilli()), a.Release.Artifact, func(*bundle.Statement) {})
			})
		}},
	} {
		x := newForger(t, f)
		c.edit(x)
		if _, err := x.replay(); err == nil {
			t.Errorf("taken: %s", c.name)
		}
	}
}

func TestANonceFollowsTheWords(t *testing.T) {
	f := base(t)
	nonces := func(words ...string) (list []string) {
		x := newForger(t, f)
		x.get(ceremony.KindOpen, 0).content.(*ceremony.Open).Words = words
		a := must(x.replay())
		for _, k := range a.Keys {
			list = append(list, fmt.Sprintf("%x", k.Nonce()))
		}
		return list
	}
	a, b := nonces("one", "two", "three"), nonces("one", "two", "four")
	for i := range a {
		if a[i] == b[i] || slices.Index(a, a[i]) != i {
			t.Errorf("nonce %d doesn't follow the words, or is another key's", i)
		}
	}
}
