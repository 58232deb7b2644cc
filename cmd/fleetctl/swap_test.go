//go:build cgo && linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// stopAt runs a ceremony that is stopped by a device error at the n-th call of a
// function, and leaves it to be resumed.
func (r faultRig) stopAt(dir string, function byte, n int) {
	r.t.Helper()
	_, functions := r.trial()
	at := -1
	for range n {
		at += 1 + bytes.IndexByte(functions[at+1:], function)
	}
	cmd := r.start(dir)
	cmd.Env = append(cmd.Env, "PROXY_CALLS="+counter(dir), fmt.Sprintf("PROXY_AT=%d", at), "PROXY_FAULT=0x30")
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("CKR_DEVICE_ERROR")) {
		r.t.Fatalf("it was not stopped: %v\n%s", err, out)
	}
}

const generateKeyPair = 59

// refuses runs or resumes the ceremony, which must stop with these words and
// stay where it can go on.
func (r *rig) refuses(dir, words string) {
	r.t.Helper()
	if out, err := r.start(dir).CombinedOutput(); err == nil || !bytes.Contains(bytes.Join(bytes.Fields(out), []byte(" ")), []byte(words)) {
		r.t.Errorf("it was to stop with %q: %v\n%s", words, err, out)
	}
}

func (r *rig) passes(dir string) {
	r.t.Helper()
	if out, err := r.start(dir).CombinedOutput(); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	if end, err := r.end(dir); end != passed {
		r.t.Errorf("%s %v", end, err)
	}
}

// TestATokenIsSwapped between the steps for one with another serial, one that
// was erased, and one with the same serial as it was before the ceremony.
func TestATokenIsSwapped(t *testing.T) {
	r := faultRig{newRig(t), map[string]int{}}
	r.proxy()
	for name, swap := range map[string]struct {
		do    func(dir, token string)
		words string
	}{
		"another serial": {func(dir, token string) {
			check(t, os.RemoveAll(token))
			r.run(dir, "hsm", "init", "--module", modulePath(), "--label", "fleet-1", "--pin", "file:"+dir+"/pins/fleet-1", "--so-pin", "file:"+dir+"/pins/so")
		}, "no such token"},
		"erased": {func(dir, _ string) {
			r.run(dir, "hsm", "init", "--module", modulePath(), "--label", "fleet-1", "--erase", r.serial(dir, "hsm-1"),
				"--pin", "file:"+dir+"/pins/fleet-1", "--so-pin", "file:"+dir+"/pins/so")
		}, "the token is not as the ceremony left it"},
		"as before": {func(dir, token string) {
			check(t, os.RemoveAll(token))
			check(t, copyTree(filepath.Join(r.template, "tokens", filepath.Base(token)), token))
		}, "the token is not as the ceremony left it"},
	} {
		dir := r.world()
		found, err := filesWith(filepath.Join(dir, "tokens"), []byte("fleet-1"))
		check(t, err)
		token := filepath.Dir(found[0])
		r.stopAt(dir, generateKeyPair, 2)
		kept := filepath.Join(t.TempDir(), "kept")
		check(t, copyTree(filepath.Join(dir, "tokens"), kept))
		swap.do(dir, token)
		r.refuses(dir, swap.words)
		r.refuses(dir, swap.words) // as often as it is tried
		if name != "as before" {
			now, err := filesWith(filepath.Join(dir, "tokens"), []byte("fleet-1"))
			check(t, err)
			check(t, os.RemoveAll(filepath.Dir(now[0])))
			check(t, copyTree(filepath.Join(kept, filepath.Base(token)), token))
			r.passes(dir)
			continue
		}
		// Without the right token: the keys on the others are destroyed.
		r.run(dir, "ceremony", "abort", "ceremony", "--site", "site.yaml", "--reason", "a token was swapped")
		if end, err := r.end(dir); end != refused {
			t.Errorf("%s: %s %v", name, end, err)
		}
	}
}

func (r *rig) serial(dir, hsm string) string {
	r.t.Helper()
	plan, err := cli.ReadPlan(filepath.Join(dir, "plan.yaml"))
	check(r.t, err)
	return plan.HSM(hsm).Serial
}

// TestTheModuleIsExchanged between the intake and the resumption.
func TestTheModuleIsExchanged(t *testing.T) {
	r := faultRig{newRig(t), map[string]int{}}
	r.proxy()
	dir := r.world()
	r.stopAt(dir, generateKeyPair, 1)
	was, err := os.ReadFile(r.module)
	check(t, err)
	check(t, os.WriteFile(r.module, append(bytes.Clone(was), 0), 0o700))
	r.refuses(dir, "its PKCS#11 library is not the one that it was taken in with")
	check(t, os.WriteFile(r.module, was, 0o700))
	r.passes(dir)
}

// TestTwoTokensWithOneLabel: the plan's serial says which is meant.
func TestTwoTokensWithOneLabel(t *testing.T) {
	util, err := exec.LookPath("softhsm2-util")
	if err != nil {
		absent(t, "softhsm2-util is not installed")
	}
	r := newRig(t)
	dir := r.world()
	init := exec.Command(util, "--init-token", "--free", "--label", "fleet-1", "--pin", "another-pin", "--so-pin", "another-so")
	init.Env = append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(dir, "softhsm2.conf"))
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := r.start(dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestASiteThatNamesOneTokenTwice is found at the intake, before any login.
func TestASiteThatNamesOneTokenTwice(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	path := filepath.Join(dir, "site.yaml")
	site, err := os.ReadFile(path)
	check(t, err)
	twice := bytes.Replace(site, []byte(`token: "fleet-2"`), []byte(`token: "fleet-1"`), 1)
	if bytes.Equal(twice, site) {
		t.Fatalf("no token fleet-2 in\n%s", site)
	}
	check(t, os.WriteFile(path, twice, 0o600))
	r.refuses(dir, "no such token")
	if list := unlocks(t, dir); len(list) > 0 {
		t.Errorf("unlocked: %q", list)
	}
	check(t, os.WriteFile(path, site, 0o600))
	r.passes(dir)
}

// TestTwoProcessesAtOnce: while one is at work, even if it hangs, no other may.
func TestTwoProcessesAtOnce(t *testing.T) {
	r := faultRig{newRig(t), map[string]int{}}
	r.proxy()
	dir := r.world()
	first := r.hangsAtSign(dir)
	before := lines(dir)
	r.refuses(dir, "another fleetctl is at work on this ceremony")
	if lines(dir) != before {
		t.Error("the second wrote on the transcript")
	}
	first.Kill()
	r.passes(dir)
}
