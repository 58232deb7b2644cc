//go:build cgo && unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// deviceFile reads what the vectors of a device's check share.
func deviceFile(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(testvectors.Dir(), "device", "_files", name))
}

// writeLogged writes a bundle of the device's vectors, with a proof.
func writeLogged(dir, bundle, proof string) error {
	b, err := deviceFile(bundle + ".json")
	p, err2 := deviceFile(proof + ".tlog-proof")
	return errors.Join(err, err2, os.WriteFile(filepath.Join(dir, "bundle.json"), b, 0o600), os.WriteFile(filepath.Join(dir, "bundle.json.tlog-proof"), p, 0o600))
}

// cmdVector writes a bundle of the device's vectors with its proof, or a proof of
// another name, and the policies: vector BUNDLE [PROOF]
func cmdVector(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writeLogged(ts.MkAbs("."), args[0], args[len(args)-1]))
	policies, err := filepath.Glob(filepath.Join(testvectors.Dir(), "device", "_files", "*.policy.json"))
	ts.Check(err)
	for _, name := range policies {
		data, err := os.ReadFile(name)
		ts.Check(errors.Join(err, os.WriteFile(ts.MkAbs("device-"+strings.TrimSuffix(filepath.Base(name), ".policy.json")+".json"), data, 0o600)))
	}
}

// The command gives every vector's verdict, by its exit code and as JSON, and
// leaves its state.
func TestDeviceCheckGivesEveryVectorsVerdict(t *testing.T) {
	list, err := testvectors.All("device")
	if err != nil || len(list) < 90 {
		t.Fatal(len(list), err)
	}
	codes := map[string]int{testvectors.Accept: cli.ExitDone, testvectors.Reject: cli.ExitWrong, testvectors.Alarm: cli.ExitAlarm, testvectors.Error: cli.ExitUsage}
	words := map[string]string{testvectors.Accept: "accepted", testvectors.Reject: "refused", testvectors.Alarm: "alarm"}
	for _, c := range list {
		dir := t.TempDir()
		for part, name := range map[string]string{"bundle": "bundle.json", "proof": "bundle.json.tlog-proof", "policy": "policy", "state": "state", "guard": "guard"} {
			if data, err := c.File(part); err != nil {
				t.Fatal(err)
			} else if c.Files[part] != "" || part == "proof" {
				check(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
			}
		}
		args := []string{"device", "check", filepath.Join(dir, "bundle.json"), "--policy", filepath.Join(dir, "policy"), "--state", filepath.Join(dir, "state"), "--guard", filepath.Join(dir, "guard"), "--time", c.With["time"], "--format", "json"}
		if c.With["begin"] == "true" {
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
			got.Reason = c.Code // nothing is judged: only the words say why
		}
		if code != codes[c.Verdict] || got.Verdict != words[c.Verdict] || got.Reason != c.Code {
			t.Errorf("%s: exit code %d, %+v, want %s %s\n%s", c.Name, code, got, c.Verdict, c.Code, talk.String())
		}
		for _, name := range []string{"state", "guard"} {
			want, have := []byte(nil), []byte(nil)
			if at := c.After[name]; at != "" {
				want, err = os.ReadFile(c.Path(at))
				check(t, err)
			}
			if have, _ = os.ReadFile(filepath.Join(dir, name)); !bytes.Equal(have, want) {
				t.Errorf("%s: %s is\n%s\nwant\n%s", c.Name, name, have, want)
			}
		}
	}
}
