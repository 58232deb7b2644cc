//go:build cgo && unix

package main

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog/publish"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// TestASecondEndingIsRefusedByOurLogAndReportedOfAny: by our keys of entries a
// ceremony has one ending; a log that was written otherwise is caught by audit
// and monitor.
func TestASecondEndingIsRefusedByOurLogAndReportedOfAny(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	pub := key.Public().(ed25519.PublicKey)
	vkey, err := tiled.VKey("log.example/ends", pub)
	check(t, err)
	s, err := tiled.NewSigner("log.example/ends", pub, func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil })
	check(t, err)
	home := t.TempDir()
	f := testfleet.Prepared(t, testfleet.Options{Name: "ends", Parties: &testfleet.Parties{
		ThirdParty: testfleet.SoftSigner(keys.Ed25519, "ends third party"), Operator: testfleet.SoftSigner(keys.P256, "ends operator"),
		Log: pinnedLog(vkey), Ledger: filepath.Join(home, "ledger.jsonl"),
	}})
	policy := filepath.Join(home, "policy.yaml")
	check(t, os.WriteFile(policy, f.Policy, 0o600))
	ending := func(id string, head byte) []byte {
		return (&evidence.Leaf{Mode: ceremony.Rehearsal, Namespace: testfleet.Namespace, Epoch: 1, Ceremony: id, Ending: evidence.EndingAborted, Head: [32]byte{head}}).Marshal()
	}
	leaves := [][]byte{ending("a.1", 1), ending("b.1", 2), ending("a.1", 3), ending("a.1", 1)}
	for name, c := range map[string]struct {
		add   func(dir string) (added int)
		added int
		audit int // exit codes
		watch int
	}{
		"ours": {func(dir string) (added int) {
			check(t, publish.Init(dir, vkey, publish.Options{}))
			log, err := publish.Open(dir, publish.Options{})
			check(t, err)
			for _, leaf := range leaves {
				if e, err := log.Append(t.Context(), s, leaf); err == nil && !e.Duplicate {
					added++
				}
			}
			return added
		}, 2, cli.ExitDone, cli.ExitDone},
		"another's": {func(dir string) (added int) {
			check(t, tiled.Init(dir, vkey, tiled.Options{}))
			log, err := tiled.Open(dir, s, tiled.Options{})
			check(t, err)
			at, err := log.Append(t.Context(), leaves...)
			check(t, err)
			for _, p := range at {
				if !p.Duplicate {
					added++
				}
			}
			return added
		}, 3, cli.ExitWrong, cli.ExitAlarm},
	} {
		dir := filepath.Join(home, strings.TrimSuffix(name, "'s"))
		if added := c.add(dir); added != c.added {
			t.Errorf("%s: %d of %d entries are added, want %d", name, added, len(leaves), c.added)
		}
		code, out, errOut := runApp("log", "audit", dir, "--policy", policy)
		if code != c.audit || strings.Contains(out, "two-endings") != (code != cli.ExitDone) {
			t.Errorf("%s: audit gives %d: %s%s", name, code, out, errOut)
		}
		code, out, errOut = runApp("log", "monitor", dir, "--policy", policy, "--state", dir+".seen", "--once", "--first")
		if code != c.watch || strings.Contains(out, `"kind":"two-endings"`) != (code != cli.ExitDone) {
			t.Errorf("%s: monitor gives %d: %s%s", name, code, out, errOut)
		}
	}
}
