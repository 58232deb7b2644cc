package device

import (
	"bytes"
	"testing"

	"github.com/fleetctl/fleetctl/internal/strict"
)

func FuzzState(f *testing.F) {
	for _, text := range newVectors().States {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseState("f", data)
		if (s == nil) == (err == nil) {
			t.Fatalf("%v, %v", s, err)
		}
		if err != nil {
			return
		}
		again, err := newState(&Policy{Trust: trust()}, s.DeviceState)
		if s.Mode == "production" && s.Namespace == namespace && (err != nil || !bytes.Equal(again.Raw(), data)) {
			t.Fatalf("%s is written as %v, %v", data, again, err)
		}
	})
}

func FuzzGuard(f *testing.F) {
	for _, text := range newVectors().Guards {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := parseGuard("f", data)
		if (g == nil) == (err == nil) {
			t.Fatalf("%v, %v", g, err)
		}
		if err == nil && !bytes.Equal(g.text(), data) {
			t.Fatalf("%q is written as %q", data, g.text())
		}
	})
}

func FuzzPolicy(f *testing.F) {
	for _, text := range newVectors().Policies {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePolicy("f", data)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		if err != nil {
			return
		}
		again, err := NewPolicy(p.Trust, p.Log, p.MaxAge, Pins{Artifacts: p.Artifacts, Keys: p.Keys, SessionPostQuantum: p.SessionPostQuantum}, p.Unconfirmed)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		var x, y policyFile
		if err := decode("f", data, MaxPolicy, PolicyFormat, &x); err != nil {
			t.Fatal(err)
		}
		if err := decode("f", again.Raw(), MaxPolicy, PolicyFormat, &y); err != nil {
			t.Fatal(err)
		}
		// Windows of the log's keys are written in the log's order.
		x.LogWindows, y.LogWindows = nil, nil
		if !bytes.Equal(strict.EncodeJSON(&x), strict.EncodeJSON(&y)) {
			t.Fatalf("%s reads back as %s", data, again.Raw())
		}
	})
}

func FuzzPins(f *testing.F) {
	one := made{}.bundle()
	f.Add(must(Pin(one.Raw(), fresh(one), policy(Pins{}), "", now)).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePins("f", data)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		if err != nil {
			return
		}
		if again, err := ParsePins("f", p.Encode()); err != nil || !bytes.Equal(again.Encode(), p.Encode()) {
			t.Fatalf("%s: %v", p.Encode(), err)
		}
	})
}
