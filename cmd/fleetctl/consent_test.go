//go:build cgo && linux

package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// A third party has seen the whole ceremony when they agree: it isn't shown once more,
// below what they typed.
func TestAfterConsentAThirdPartyIsToldOnlyWhatCameOfIt(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	if out, err := r.start(dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	steps := lifeSteps(dir)
	from := slices.IndexFunc(steps, func(s lifeStep) bool { return s.stage == "run" })
	to := slices.IndexFunc(steps, func(s lifeStep) bool { return s.stage == "requested" })
	for _, step := range steps[from+1 : to+1] {
		r.run(dir, step.args...)
	}
	k := atTerminal(t, r.command(dir, "thirdparty", "sign", filepath.Join(dir, "request.json"), "--policy", "thirdparty.yaml", "--ledger", "ledger.jsonl",
		"--key", workVars(dir)["PARTY"], "--out", "response.json"), 120)
	k.types("sign epoch 1", "sign epoch 1\n")
	code := k.ends()
	after := k.shown()[k.read:]
	if code != cli.ExitDone || strings.Count(after, "\n") > 9 || strings.Contains(after, "olga") {
		t.Errorf("exit code %d, and after the consent\n%s", code, after)
	}
	for _, want := range []string{"epoch 1 of ", "time", "ledger.jsonl, entry 1", "response.json", "\nfleetctl bundle import DIR response.json\n"} {
		if !strings.Contains(after, want) {
			t.Errorf("%q is missing after the consent\n%s", want, after)
		}
	}
}
