package device

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
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
)

const vectorsFile = "testdata/vectors.json"

// vectors are for other implementations: README.md beside them says how they are
// read.
type vectors struct {
	Format   string            `json:"format"`
	Bundles  map[string]string `json:"bundles"` // base64
	Proofs   map[string]string `json:"proofs"`
	Policies map[string]string `json:"policies"`
	States   map[string]string `json:"states"`
	Guards   map[string]string `json:"guards"`
	Cases    []vector          `json:"cases"`
}

type vector struct {
	Name       string `json:"name"`
	What       string `json:"what"`
	Bundle     string `json:"bundle"`
	Proof      string `json:"proof"`
	Policy     string `json:"policy"`
	State      string `json:"state"` // empty: there is none
	Guard      string `json:"guard"` // empty: there is none
	Begin      bool   `json:"begin"`
	Time       string `json:"time"`
	Verdict    string `json:"verdict"` // accepted, refused, alarm, error
	Reason     string `json:"reason"`
	StateAfter string `json:"state_after"`
	GuardAfter string `json:"guard_after"`
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

// The vectors' verdicts are written down in the tests, by whoever wrote the rules;
// states and guards are what this implementation leaves. FLEETCTL_WRITE=1 writes
// the file anew.
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
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("FLEETCTL_WRITE") == "1" {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(vectorsFile, want.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if got := must(os.ReadFile(vectorsFile)); !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s differs: FLEETCTL_WRITE=1 writes it anew", vectorsFile)
	}
}

// What stands in the file alone has to be enough: it is read again, and judged.
func TestTheVectorsAreEnough(t *testing.T) {
	var v vectors
	d := json.NewDecoder(bytes.NewReader(must(os.ReadFile(vectorsFile))))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	text := func(texts map[string]string, name string) string {
		if name == "" {
			return ""
		}
		return texts[name]
	}
	reasons := map[string]bool{}
	for _, c := range v.Cases {
		verdict, reason, state, guard := v.run(c)
		if verdict != c.Verdict || reason != c.Reason || string(state) != text(v.States, c.StateAfter) || string(guard) != text(v.Guards, c.GuardAfter) {
			t.Errorf("%s: %s %s", c.Name, verdict, reason)
		}
		reasons[reason] = true
	}
	for _, r := range []bundle.Reason{bundle.ReasonMalformed, bundle.ReasonLog, bundle.ReasonWitnesses, bundle.ReasonAge, bundle.ReasonNamespace, bundle.ReasonSignatures, bundle.ReasonFleet, bundle.ReasonClock, bundle.ReasonRetired, bundle.ReasonVoid, bundle.ReasonEpoch, bundle.ReasonEquivocation, ReasonPinned, ReasonState} {
		if !reasons[string(r)] {
			t.Errorf("no vector is refused for the reason %s", r)
		}
	}
	spec := string(must(os.ReadFile("../../docs/SPEC.md")))
	for _, c := range v.Cases {
		if !strings.Contains(spec, "| `"+c.Name+"` |") {
			t.Errorf("SPEC.md has no row for %s", c.Name)
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
