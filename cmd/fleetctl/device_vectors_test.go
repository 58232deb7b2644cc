//go:build cgo && unix

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// deviceVectors are those of bundle/device, of which its README says what they are.
type deviceVectors struct {
	Bundles, Proofs, Policies, States, Guards map[string]string
	Cases                                     []struct {
		Name, Bundle, Proof, Policy, State, Guard, Time, Verdict, Reason string
		Begin                                                            bool
		StateAfter                                                       string `json:"state_after"`
		GuardAfter                                                       string `json:"guard_after"`
	}
}

func readDeviceVectors() (*deviceVectors, error) {
	data, err := os.ReadFile("../../bundle/device/testdata/vectors.json")
	if err != nil {
		return nil, err
	}
	v := new(deviceVectors)
	return v, json.Unmarshal(data, v)
}

func (v *deviceVectors) write(dir, bundle, proof string) error {
	raw, err := base64.StdEncoding.DecodeString(v.Bundles[bundle])
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bundle.json"), raw, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "bundle.json.tlog-proof"), []byte(v.Proofs[proof]), 0o600)
}

// cmdVector writes a bundle of the device's vectors with its proof, or a proof of
// another name, and the policy: vector BUNDLE [PROOF]
func cmdVector(ts *testscript.TestScript, _ bool, args []string) {
	v, err := readDeviceVectors()
	ts.Check(err)
	proof := args[len(args)-1]
	if v.Bundles[args[0]] == "" || v.Proofs[proof] == "" {
		ts.Fatalf("no vector %v", args)
	}
	ts.Check(v.write(ts.MkAbs("."), args[0], proof))
	for name, text := range v.Policies {
		ts.Check(os.WriteFile(ts.MkAbs("device-"+name+".json"), []byte(text), 0o600))
	}
}

// The command gives every vector's verdict, by its exit code and as JSON, and
// leaves its state.
func TestDeviceCheckGivesEveryVectorsVerdict(t *testing.T) {
	v, err := readDeviceVectors()
	if err != nil || len(v.Cases) < 90 {
		t.Fatal(len(v.Cases), err)
	}
	codes := map[string]int{"accepted": cli.ExitDone, "refused": cli.ExitWrong, "alarm": cli.ExitAlarm, "error": cli.ExitUsage}
	for _, c := range v.Cases {
		dir := t.TempDir()
		check(t, v.write(dir, c.Bundle, c.Proof))
		check(t, os.WriteFile(filepath.Join(dir, "policy"), []byte(v.Policies[c.Policy]), 0o600))
		for name, text := range map[string]struct {
			texts map[string]string
			key   string
		}{"state": {v.States, c.State}, "guard": {v.Guards, c.Guard}} {
			if text.key != "" {
				check(t, os.WriteFile(filepath.Join(dir, name), []byte(text.texts[text.key]), 0o600))
			}
		}
		args := []string{"device", "check", filepath.Join(dir, "bundle.json"), "--policy", filepath.Join(dir, "policy"), "--state", filepath.Join(dir, "state"), "--guard", filepath.Join(dir, "guard"), "--time", c.Time, "--format", "json"}
		if c.Begin {
			args = append(args, "--begin")
		}
		var out, talk bytes.Buffer
		code := run(t.Context(), nil, &out, &talk, args)
		var got struct{ Verdict, Reason string }
		if code != cli.ExitUsage {
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Errorf("%s: %v\n%s%s", c.Name, err, out.String(), talk.String())
			}
		} else {
			got.Verdict = "error"
		}
		if code != codes[c.Verdict] || got.Verdict != c.Verdict || got.Reason != c.Reason {
			t.Errorf("%s: exit code %d, %+v, want %s %s\n%s", c.Name, code, got, c.Verdict, c.Reason, talk.String())
		}
		for name, want := range map[string]string{"state": v.States[c.StateAfter], "guard": v.Guards[c.GuardAfter]} {
			if got, _ := os.ReadFile(filepath.Join(dir, name)); string(got) != want {
				t.Errorf("%s: %s is\n%s\nwant\n%s", c.Name, name, got, want)
			}
		}
	}
}
