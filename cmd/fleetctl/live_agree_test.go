//go:build cgo && linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testwitness"
	"github.com/fleetctl/fleetctl/internal/token"
)

// onOwnScreen is what an auditor's own machine shows: a code of what.
func (l *liveFleet) onOwnScreen(what string, args ...string) string {
	l.t.Helper()
	var shown struct{ What, Code string }
	out := l.rig.run(l.dir, append([]string{"ceremony", "agreement"}, append(args, "--format", "json")...)...)
	check(l.t, json.Unmarshal(out, &shown))
	if shown.What != what {
		l.t.Fatalf("no %s: %s", what, out)
	}
	return shown.Code
}

// challenges is how an auditor challenges a key that agrees.
func (l *liveFleet) challenges(k *keyboard) {
	l.t.Helper()
	k.types("the peer that it shows", l.onOwnScreen("peer", "challenge", "kept.json", "--algorithm", "ecdh-p256")+"\n", "fleetctl ceremony agreement open KEPT", "", "the private half that it shows now", "")
	answer := answerShown.FindStringSubmatch(string(flat([]byte(k.shown()))))
	if answer == nil {
		l.t.Fatalf("no answer on the screen\n%s", k.shown())
	}
	k.types("", l.onOwnScreen("scalar", append([]string{"open", "kept.json"}, strings.Fields(answer[1])...)...)+"\n")
}

var answerShown = regexp.MustCompile(`agreement open KEPT ((?:[0-9a-f]{4} )+)`)

// TestALiveKeyThatAgreesByItsTPMIsVerified: tpm2-pkcs11 makes it, and has no ECDH.
// An auditor challenges it, its TPM answers, refuses to misuse it and attests it.
func TestALiveKeyThatAgreesByItsTPMIsVerified(t *testing.T) {
	testwitness.Need(t)
	l := newLiveFleet(t, 1, 1, "session=ecdsa-p256", "sealing=ecdh-p256")
	l.policies()
	if out := string(flat(l.rig.run(l.dir, "plan", "check", "plan.yaml", "--site", "site.yaml", "--policy", "policy.yaml"))); !strings.Contains(out, "hsm-1: by its TPM (TPM2_ECDH_ZGen); tpm2-pkcs11 has no ECDH") {
		t.Errorf("the check doesn't say how keys agree:\n%s", out)
	}
	l.rig.run(l.dir, "hsm", "check", "plan.yaml", "--site", "site.yaml")
	plan, err := os.ReadFile(filepath.Join(l.dir, "plan.yaml"))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(l.dir, "by-module.yaml"), []byte(strings.Replace(string(plan), "    agreement: tpm2-ecdh-zgen\n", "", 1)), 0o600))
	l.refused("lacks sealing: CKM_ECDH1_DERIVE (tpm2-pkcs11 has no ECDH; agreement: tpm2-ecdh-zgen", "hsm", "check", "by-module.yaml", "--site", "site.yaml")
	l.keysMade(func(k *keyboard) {
		k.confirms()
		l.challenges(k)
		k.confirms()
		k.confirms()
	})
	l.closed()
	out := l.rig.run(l.dir, "verify", "evidence.tar", "--policy", "policy.yaml")
	for _, want := range []string{"VERIFIED", "attested key.agreement 1 of 1 keys answered the challenge of ada, who signed the release off", "attested key.attested 2 keys: fresh;"} {
		if !strings.Contains(string(flat(out)), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	l.rig.run(l.dir, "ceremony", "agreement", "compare", "kept.json", "ceremony")
	a, err := folder.Read(filepath.Join(l.dir, "ceremony"))
	check(t, err)
	for _, key := range a.KeysOf(keys.Agree) {
		for _, list := range [][]ceremony.Attempt{key.Attempts[6:8], key.Relaxed.Attempts[6:]} {
			if list[0] != (ceremony.Attempt{Name: token.TrySign, Call: token.CallTPMSign, Code: token.TPMKey}) || list[1] != (ceremony.Attempt{Name: token.TryAgreeInvalid, Call: token.CallTPMAgree, Code: token.TPMPoint}) {
				t.Errorf("%+v", list)
			}
		}
	}
}
