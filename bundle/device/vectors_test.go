package device

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// vectors are for other implementations: they lie in testdata/vectors, a case each,
// with what several cases have in common beside them.
type vectors struct {
	Bundles, Proofs, Policies, States, Guards map[string]string // bundles in base64
	Cases                                     []vector
}

type vector struct {
	Name, What             string
	Bundle, Proof, Policy  string // by their names
	State, Guard           string // empty: there is none
	Begin                  bool
	Time                   string
	Verdict                string // accepted, refused, alarm, error
	Reason                 string
	StateAfter, GuardAfter string
}

// memory is a place that a vector's text is in.
type memory struct {
	name string
	text []byte
}

func (m *memory) Name() string { return m.name }

func (m *memory) Read() ([]byte, error) {
	if m.text == nil {
		return nil, fs.ErrNotExist
	}
	return m.text, nil
}

func (m *memory) Write(text []byte) error { m.text = bytes.Clone(text); return nil }

func (m *memory) Lock() (func(), error) { return func() {}, nil }

func (v *vectors) place(name string, texts map[string]string, key string) *memory {
	m := &memory{name: name}
	if key != "" {
		m.text = []byte(texts[key])
	}
	return m
}

// run judges a case as a device does, and says what came of it.
func (v *vectors) run(c vector) (verdict, reason string, state, guard []byte) {
	s, g := v.place("state", v.States, c.State), v.place("guard", v.Guards, c.Guard)
	p, err := ParsePolicy("policy", []byte(v.Policies[c.Policy]))
	if err == nil {
		leaf := must(base64.StdEncoding.DecodeString(v.Bundles[c.Bundle]))
		_, err = Check(Question{Bundle: leaf, Proof: []byte(v.Proofs[c.Proof]), Policy: p, Now: must(strict.ParseTime(c.Time)), State: s, Guard: g, Begin: c.Begin})
	}
	var r *bundle.Refusal
	switch {
	case err == nil:
		verdict = "accepted"
	case errors.As(err, &r) && r.Alarm():
		verdict, reason = "alarm", string(r.Reason)
	case errors.As(err, &r):
		verdict, reason = "refused", string(r.Reason)
	default:
		verdict = "error"
	}
	return verdict, reason, s.text, g.text
}

// named finds what a text is called, and calls a new one by its use.
func named(texts map[string]string, text []byte, as string) string {
	if text == nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if texts[name] == string(text) {
			return name
		}
	}
	texts[as] = string(text)
	return as
}

// verdicts are a device's, as testdata/vectors has them.
var verdicts = map[string]string{"accepted": testvectors.Accept, "refused": testvectors.Reject, "alarm": testvectors.Alarm, "error": testvectors.Error}

// The vectors' verdicts are written down in the tests, by whoever wrote the rules;
// states and guards are what this implementation leaves.
func TestVectors(t *testing.T) {
	v := newVectors()
	for i := range v.Cases {
		c := &v.Cases[i]
		verdict, reason, state, guard := v.run(*c)
		if verdict != c.Verdict || reason != c.Reason {
			t.Errorf("%s (%s): %s %s, want %s %s", c.Name, c.What, verdict, reason, c.Verdict, c.Reason)
		}
		c.StateAfter, c.GuardAfter = named(v.States, state, c.Name), named(v.Guards, guard, c.Name)
		if verdict != "accepted" && (c.StateAfter != c.State || c.GuardAfter != c.Guard) {
			t.Errorf("%s: what is refused changed the state", c.Name)
		}
	}
	v.set(t).Check(t)
}

// set are the vectors as files.
func (v *vectors) set(t *testing.T) *testvectors.Set {
	set := testvectors.NewSet("device")
	shared := map[string]string{"": ""}
	share := func(texts map[string]string, end string, decode func(string) []byte) {
		for name, text := range texts {
			shared[name+end] = set.Share(name+end, decode(text))
		}
	}
	plain := func(s string) []byte { return []byte(s) }
	share(v.Bundles, ".json", func(s string) []byte { return must(base64.StdEncoding.DecodeString(s)) })
	share(v.Proofs, ".tlog-proof", plain)
	share(v.Policies, ".policy.json", plain)
	share(v.States, ".state", plain)
	share(v.Guards, ".guard", plain)
	at := func(name, end string) string {
		if name == "" {
			return ""
		}
		return shared[name+end]
	}
	for _, c := range v.Cases {
		with := map[string]string{"time": c.Time}
		if c.Begin {
			with["begin"] = "true"
		}
		after := map[string]string{}
		for part, at := range map[string]string{"state": at(c.StateAfter, ".state"), "guard": at(c.GuardAfter, ".guard")} {
			if at != "" {
				after[part] = set.From(at)
			}
		}
		set.Add(t, testvectors.Case{Name: c.Name, What: c.What, With: with, Verdict: verdicts[c.Verdict], Code: code(c), After: after},
			testvectors.Part{Part: "bundle", At: at(c.Bundle, ".json")}, testvectors.Part{Part: "proof", At: at(c.Proof, ".tlog-proof")},
			testvectors.Part{Part: "policy", At: at(c.Policy, ".policy.json")}, testvectors.Part{Part: "state", At: at(c.State, ".state")},
			testvectors.Part{Part: "guard", At: at(c.Guard, ".guard")})
	}
	return set
}

// code is the reason for which a case isn't accepted.
func code(c vector) string {
	if c.Verdict == "error" {
		return "policy or state"
	}
	return c.Reason
}

// Each reason of section 24.3 has a vector, and each vector a row of section 24.7.
func TestTheVectorsHaveEveryReason(t *testing.T) {
	reasons := map[string]bool{}
	spec := string(must(os.ReadFile("../../docs/SPEC.md")))
	for _, c := range cases() {
		reasons[c.Reason] = true
		if !strings.Contains(spec, "| `"+c.Name+"` |") {
			t.Errorf("SPEC.md has no row for %s", c.Name)
		}
	}
	for _, r := range []bundle.Reason{bundle.ReasonMalformed, bundle.ReasonLog, bundle.ReasonWitnesses, bundle.ReasonAge, bundle.ReasonNamespace, bundle.ReasonSignatures, bundle.ReasonFleet, bundle.ReasonClock, bundle.ReasonRetired, bundle.ReasonVoid, bundle.ReasonEpoch, bundle.ReasonEquivocation, ReasonPinned, ReasonState} {
		if !reasons[string(r)] {
			t.Errorf("no vector is refused for the reason %s", r)
		}
	}
}

func at(t time.Time) string { return strict.FormatTime(t) }

func hour(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }

// settled is the guard of a state.
func settled(state string) string {
	return string((&guard{state: must(ParseState("s", []byte(state))).digest()}).text())
}

// swap replaces the one place where old stands.
func swap(text, old, new string) string {
	if strings.Count(text, old) != 1 {
		panic(fmt.Sprintf("%q stands %d times in %s", old, strings.Count(text, old), text))
	}
	return strings.Replace(text, old, new, 1)
}
