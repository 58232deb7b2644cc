//go:build cgo && linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// production is a world whose plan is real, with the rehearsal that was derived
// from it on other tokens.
func production(t *testing.T, r *rig) string {
	t.Helper()
	dir := r.world()
	change := func(file string, pairs ...string) {
		path := filepath.Join(dir, file)
		data, err := os.ReadFile(path)
		check(t, err)
		text := string(data)
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("%s has no %q", file, pairs[i])
			}
			text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
		}
		check(t, os.WriteFile(path, []byte(text), 0o600))
	}
	change("plan.yaml", "mode: rehearsal", "mode: production", "namespace: rehearsal.", "namespace: ")
	change("policy.yaml", "mode: rehearsal", "mode: production", "- rehearsal.", "- ")
	check(t, os.RemoveAll(filepath.Join(dir, "plan-approvals")))
	for _, label := range []string{"drill-1", "drill-2", "drill-3", "d-operator", "d-party"} {
		check(t, os.WriteFile(filepath.Join(dir, "pins", label), []byte("pin-of-"+label+"\n"), 0o600))
		pin := "file:" + dir + "/pins/" + label
		r.run(dir, "hsm", "init", "--module", modulePath(), "--label", label, "--pin", pin, "--so-pin", "file:"+dir+"/pins/so")
		if alg, ok := map[string]string{"d-operator": "ecdsa-p256", "d-party": "ed25519"}[label]; ok {
			r.run(dir, "hsm", "keygen", "--module", modulePath(), "--token", label, "--id", "01", "--algorithm", alg, "--pin", pin, "--out", label+".pub")
		}
	}
	r.run(dir, "log", "init", "drill-log", "--origin", "drill.example/fleet", "--key", "drill-log.pem", "--policy-out", "drill-log.policy")
	return dir
}

// officers are a production ceremony: every command runs at a terminal of its own,
// and what it asks is typed.
type officers struct {
	*rig
	t   *testing.T
	dir string
}

// at runs a command at a terminal, where do types; it must end with a code.
func (o officers) at(code int, do func(*keyboard), args ...string) string {
	o.t.Helper()
	cmd := o.command(o.dir, args...)
	cmd.Env = append(cmd.Env, "NO_COLOR=1")
	k := atTerminal(o.t, cmd, 80)
	do(k)
	if got := k.ends(); got != code {
		o.t.Fatalf("fleetctl %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, k.shown())
	}
	return k.shown()
}

func (o officers) sign(what ...string) {
	o.t.Helper()
	act := what[len(what)-1]
	consent := act
	if what[0] == "--approve" {
		consent = "approve " + act
	}
	names := []string{"olga", "omar"}
	if what[0] == "--signoff" {
		names = append(names, "wanda", "ada")
	}
	for _, name := range names {
		o.at(cli.ExitDone, func(k *keyboard) {
			k.types("to agree, or", "yes\n", `That was "yes".`, "", "to agree, or", strings.ToUpper(consent)+"\n")
		}, append([]string{"ceremony", "sign", "ceremony", "--key", "people/" + name}, what...)...)
	}
}

// unsealed runs what is refused for HSMs without a seal, and records nothing.
func (o officers) unsealed(hsms string, args ...string) {
	o.t.Helper()
	transcript := filepath.Join(o.dir, "ceremony", "transcript.jsonl")
	before, err := os.ReadFile(transcript)
	check(o.t, err)
	cmd := o.command(o.dir, args...)
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitUsage || !strings.Contains(string(out), "it has no seal of "+hsms) {
		o.t.Errorf("%q: exit code %d\n%s", args, code, out)
	}
	if after, err := os.ReadFile(transcript); err != nil || !bytes.Equal(before, after) {
		o.t.Errorf("%q: something was recorded, %v", args, err)
	}
}

// TestAProductionCeremonyAtATerminal is led as its people would lead it, with
// slips, a stop, an exception and a night in between; it holds what was run
// against what was rehearsed.
func TestAProductionCeremonyAtATerminal(t *testing.T) {
	r := newRig(t)
	dir := production(t, r)
	o := officers{r, t, dir}
	drill := []string{"--module", modulePath(), "--label-prefix", "drill-", "--pin", "file:" + dir + "/pins/%s", "--log-policy", "drill-log.policy"}

	// The rehearsal is derived: what could pass for real is refused.
	for want, args := range map[string][]string{
		`third party "auditor.example": the rehearsal has the production key`: {"--third-party", "auditor.example=thirdparty.pub", "--countersigner", "operator-1=d-operator.pub"},
		`countersigner "operator-1": the rehearsal has the production key`:    {"--third-party", "auditor.example=d-party.pub", "--countersigner", "operator-1=operator.pub"},
	} {
		args = append(append([]string{"plan", "rehearse", "plan.yaml", "--out", "no.yaml", "--site-out", "no-site.yaml"}, drill...), args...)
		out, err := r.command(dir, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v\n%s", err, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "no.yaml")); err == nil {
			t.Error("it was written all the same")
		}
	}
	rehearse := append([]string{"plan", "rehearse", "plan.yaml", "--out", "drill.yaml", "--site-out", "drill-site.yaml",
		"--third-party", "auditor.example=d-party.pub", "--countersigner", "operator-1=d-operator.pub"}, drill...)
	r.run(dir, rehearse...)
	if out, err := r.command(dir, "plan", "rehearse", "drill.yaml", "--module", modulePath(), "--out", "x", "--site-out", "y",
		"--countersigner", "operator-1=d-operator.pub", "--log-policy", "drill-log.policy").CombinedOutput(); err == nil || !strings.Contains(string(out), "the plan is a rehearsal itself; production plans are rehearsed") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, who := range []string{"olga", "ozan"} {
		r.run(dir, "plan", "approve", "drill.yaml", "--dir", "drilled", "--key", "people/"+who)
	}
	r.run(dir, "ceremony", "run", "drill.yaml", "--site", "drill-site.yaml", "--dir", "drill", "--approvals", "drilled", "--unattended",
		"--sign-with", "people/olga", "--sign-with", "people/ozan")

	// The real one. Nobody signs without being asked, and it says what is signed.
	if out, err := r.command(dir, "plan", "approve", "plan.yaml", "--key", "people/olga").CombinedOutput(); err == nil || !strings.Contains(string(out), "in production nobody signs without being asked") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, who := range []string{"olga", "omar"} {
		o.at(cli.ExitDone, func(k *keyboard) { k.types("to agree, or", "y\n", "to agree, or", "approve the plan\n") }, "plan", "approve", "plan.yaml", "--key", "people/"+who)
	}
	run := []string{"ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--policy", "policy.yaml"}
	if screen := o.at(cli.ExitPending, slips, run...); !strings.Contains(screen, "PRODUCTION") || strings.Contains(screen, "REHEARSAL") {
		t.Errorf("which it is can't be told\n%s", screen)
	}
	o.at(cli.ExitPending, func(k *keyboard) {
		k.types("number on the seal of hsm-2", "4472\n", "read again", "4472\n", "number on the seal of hsm-3", "4473\n", "read again", "4473\n", "0 of 2 officers have approved open", "")
	}, run...)
	o.sign("--approve", "open")
	o.at(cli.ExitPending, func(k *keyboard) {
		k.auditor()
		k.say("one two")
		k.types("That is 2 words; 3 are asked for.", "", "from your own screen", "exception\n")
	}, run...)
	r.run(dir, "ceremony", "exception", "ceremony", "--expected", "silence", "--happened", "a fire alarm", "--decided", "to go on")
	o.sign("--approve", "exception")
	o.sign("--approve", "resume")
	resume := []string{"ceremony", "resume", "ceremony", "--site", "site.yaml"}
	interrupted := o.at(cli.ExitPending, func(k *keyboard) {
		k.types("the key of the open intent was destroyed", "")
		k.confirms()
		k.types("hsm-2 · site", "")
		k.auditor()
		k.say("\x03")
	}, resume...)
	if said := strings.Join(strings.Fields(interrupted), " "); !strings.Contains(said, "the key of hsm-2 session that was not confirmed will be destroyed and made anew; nothing else is lost.") {
		t.Errorf("what resuming costs is not said\n%s", interrupted)
	}
	o.sign("--approve", "resume")
	o.at(cli.ExitDone, func(k *keyboard) {
		for range 3 { // hsm-2 anew, hsm-3, the fleet
			k.confirms()
			k.types("record ", "")
		}
	}, resume...)

	// A night.
	seals := []string{"--seal", "hsm-1=4473", "--seal", "hsm-2=4474", "--seal", "hsm-3=4475"}
	adjourn := []string{"ceremony", "adjourn", "ceremony", "--reason", "for the night"}
	reconvene := []string{"ceremony", "reconvene", "ceremony"}
	o.unsealed("hsm-1, hsm-2, hsm-3", adjourn...)
	o.unsealed("hsm-2, hsm-3", append(adjourn, "--seal", "hsm-1=4473", "--seal", "safe=1")...)
	r.run(dir, append(adjourn, seals...)...)
	o.unsealed("hsm-1, hsm-2, hsm-3", reconvene...)
	o.unsealed("hsm-3", append(reconvene, seals[:4]...)...)
	o.sign("--approve", "reconvene")
	r.run(dir, append(reconvene, seals...)...)

	// What leaves the room is read whole; without people nothing does.
	if out, err := r.command(dir, "bundle", "build", "ceremony").CombinedOutput(); err == nil || !strings.Contains(string(out), "a production ceremony has people who are asked") {
		t.Errorf("%v\n%s", err, out)
	}
	o.at(cli.ExitDone, func(k *keyboard) { k.auditor(); k.say("stop it now"); k.types("is not", ""); k.confirms() }, "bundle", "build", "ceremony")
	o.sign("--signoff", "release", "--verdict", "agree")

	out := r.run(dir, "ceremony", "compare", "drill", "ceremony", "--format", "json")
	type trouble struct {
		What  string
		Count int
	}
	var got struct {
		Of        bool `json:"rehearsal_of_this_plan"`
		Rehearsal struct {
			Mode      string
			Otherwise []trouble
			Machine   int `json:"challenges_by_machine"`
		}
		Run struct {
			Mode      string
			Otherwise []trouble
			Tries     int `json:"challenge_tries"`
			Machine   int `json:"challenges_by_machine"`
		}
		Missing []string `json:"people_not_rehearsed"`
	}
	check(t, json.Unmarshal(out, &got))
	if !got.Of || got.Rehearsal.Mode != "rehearsal" || got.Run.Mode != "production" || len(got.Rehearsal.Otherwise) != 0 || got.Rehearsal.Machine != 5 ||
		fmt.Sprint(got.Run.Otherwise) != "[{exceptions 1} {interruptions 2} {adjournments 1} {destroyed-keys 2} {wrong-words 2}]" || got.Run.Machine != 0 || got.Run.Tries != 8 ||
		!slices.Equal(got.Missing, []string{"ada", "omar", "wanda"}) {
		t.Errorf("compared: %s", out)
	}
	text := string(r.run(dir, "ceremony", "compare", "drill", "ceremony"))
	for _, want := range []string{"the first is a rehearsal of the second's plan", "ada, omar, wanda signed, and had not rehearsed it", "not done"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestAProductionCeremonyThatCannotReachItsPolicyTakesTypedWords is stopped there
// with nothing made, and goes on to its first question once it is typed.
func TestAProductionCeremonyThatCannotReachItsPolicyTakesTypedWords(t *testing.T) {
	r := newRig(t)
	dir := production(t, r)
	o := officers{r, t, dir}
	for _, who := range []string{"olga", "omar"} {
		o.at(cli.ExitDone, func(k *keyboard) { k.types("to agree, or", "y\n", "to agree, or", "approve the plan\n") }, "plan", "approve", "plan.yaml", "--key", "people/"+who)
	}
	r.run(dir, "policy", "new", "--plan", "plan.yaml", "--confirmed", "by telephone", "--out", "complete.yaml")
	run := []string{"ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--policy", "complete.yaml"}
	screen := o.at(cli.ExitPending, func(k *keyboard) {
		k.types("go on without key.attested, log.witnessed", "yes\n", "to agree, or", "stop\n")
	}, run...)
	for _, want := range []string{"OUT OF REACH", "the plan names no attestation under hsms:", "the policy's log_policy names no quorum of witnesses"} {
		if !strings.Contains(strings.Join(strings.Fields(screen), " "), want) {
			t.Errorf("no %q in\n%s", want, screen)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "ceremony", "transcript.jsonl")); err != nil || len(data) != 0 {
		t.Errorf("something was recorded: %q %v", data, err)
	}
	o.at(cli.ExitPending, func(k *keyboard) {
		k.types("go on without key.attested, log.witnessed", "go on without key.attested, log.witnessed\n", "three words of your own choosing", "stop\n")
	}, run...)
}
