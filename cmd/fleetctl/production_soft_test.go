//go:build cgo && linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// TestTheProductionPolicyOfAnAttestedFleetRefusesASoftHSMFleet: the policy is the one
// under which a fleet of TPMs is verified. A whole production ceremony on SoftHSM is
// gone on with only by words that stand on its record; its evidence is then refused
// for what was missing all the time, and for nothing else.
func TestTheProductionPolicyOfAnAttestedFleetRefusesASoftHSMFleet(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	l := &liveFleet{officers: officers{r, t, dir}, roles: []string{"session=ecdsa-p256"}, without: "key.attested",
		names: []string{strings.Repeat("11", 32), strings.Repeat("22", 32)}}
	l.unplanned()
	l.authority()
	l.logPolicy(l.ourWitness() + "quorum ours\n")
	l.planNamed(modulePath(), "fleet-")
	l.policies()
	l.rig.run(l.dir, "plan", "check", "plan.yaml", "--policy", "policy.yaml") // a fleet that attests can reach it
	l.unattested()
	l.refused("key.attested: the plan names no attestation under hsms:", "plan", "check", "plan.yaml", "--policy", "policy.yaml")

	l.keysMade(func(k *keyboard) {
		for range l.names {
			k.confirms()
		}
		k.confirms()
	})
	l.sign("--approve", "exception")
	l.closed()
	if out := l.rig.run(l.dir, "show", "ceremony/transcript.jsonl"); !strings.Contains(string(flat(out)), "go on without key.attested") {
		t.Errorf("what was typed doesn't stand on the record\n%s", out)
	}
	cmd := l.command(l.dir, "verify", "evidence.tar", "--policy", "policy.yaml")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != cli.ExitWrong {
		t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
	}
	for _, want := range []string{"key.attested the plan names no attestation of its HSMs: is not shown, the policy wants attested", "NOT VERIFIED 1 of 16 claims demanded falls short"} {
		if !strings.Contains(string(flat(out)), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// unattested writes the plan of the same people on SoftHSM, which nobody attests, and the
// policy of a third party that signs all the same.
func (l *liveFleet) unattested() {
	l.t.Helper()
	for _, file := range []string{"plan.yaml", "site.yaml"} {
		check(l.t, os.Remove(filepath.Join(l.dir, file)))
	}
	l.rig.run(l.dir, l.planNew(modulePath(), "fleet-", len(l.names), "plan.yaml", "site.yaml")...)
	text, _, _ := strings.Cut(string(l.thirdParty()), "tolerates:")
	check(l.t, os.WriteFile(filepath.Join(l.dir, "thirdparty.yaml"), []byte(text), 0o600))
}
