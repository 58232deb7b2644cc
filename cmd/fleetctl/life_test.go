//go:build cgo && unix

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/cmd/fleetctl/demo"
)

// A life is made once, by the commands themselves; every test that needs one
// gets a copy of it as it stood after a stage. Only SoftHSM's configuration
// and the site file know where they are: nothing that is published may.

type lifeStep struct {
	stage string // reached once the step is done; empty where more follows
	args  []string
}

// lifeSteps are a life's commands in the README's order, for two HSMs.
func lifeSteps(dir string) []lifeStep {
	v := workVars(dir)
	module := v["MODULE"]
	var steps []lifeStep
	for _, label := range []string{"fleet-1", "fleet-2", "operator", "thirdparty"} {
		steps = append(steps, lifeStep{args: []string{"hsm", "init", "--module", module, "--label", label,
			"--pin", "file:" + dir + "/pins/" + label, "--so-pin", v["SO"]}})
	}
	keygen := func(label, alg string) []string {
		return []string{"hsm", "keygen", "--module", module, "--token", label, "--id", "01", "--algorithm", alg,
			"--pin", "file:" + dir + "/pins/" + label, "--out", label + ".pub"}
	}
	agree := func(stage string) (steps []lifeStep) {
		for _, who := range []string{"olga", "omar", "wanda", "ada"} {
			steps = append(steps, lifeStep{args: []string{"ceremony", "sign", "ceremony", "--signoff", stage, "--verdict", "agree", "--key", "people/" + who}})
		}
		return steps
	}
	thirdparty := []string{"request.json", "--policy", "thirdparty.yaml", "--ledger", "ledger.jsonl", "--key", v["PARTY"]}
	return slices.Concat(steps, []lifeStep{
		{"", keygen("operator", "ecdsa-p256")},
		{"", keygen("thirdparty", "ed25519")},
		{"tokens", []string{"log", "init", "log", "--origin", "log.example/fleet", "--key", "log.pem", "--policy-out", "log.policy"}},
		{"", []string{"plan", "new", "--mode", "rehearsal", "--fleet", "backup", "--namespace", demo.Namespace,
			"--from-tokens", "--module", module, "--label-prefix", "fleet-", "--hsms", "2", "--pin", "file:" + dir + "/pins/%s",
			"--person", "officer:olga=people/olga.pub", "--person", "officer:omar=people/omar.pub", "--person", "officer:ozan=people/ozan.pub",
			"--person", "witness:wanda=people/wanda.pub", "--person", "auditor:ada=people/ada.pub",
			"--third-party", "auditor.example=thirdparty.pub", "--countersigner", "operator-1=operator.pub",
			"--log-policy", "log.policy", "--out", "plan.yaml", "--site-out", "site.yaml"}},
		{"plan", []string{"policy", "new", "--plan", "plan.yaml", "--confirmed", "by telephone", "--out", "policy.yaml"}},
		{"", []string{"plan", "approve", "plan.yaml", "--key", "people/olga"}},
		{"approved", []string{"plan", "approve", "plan.yaml", "--key", "people/omar"}},
		{"run", demo.SignedWith("ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--policy", "policy.yaml", "--unattended")},
		{"built", []string{"bundle", "build", "ceremony"}},
	}, agree("release"), []lifeStep{
		{"released", []string{"ceremony", "status", "ceremony"}},
		{"", []string{"thirdparty", "init", "ledger.jsonl", "--public-key", "thirdparty.pub"}},
		{"requested", demo.SignedWith("bundle", "request", "ceremony", "--out", "request.json")},
		{"", append([]string{"thirdparty", "inspect"}, thirdparty...)},
		{"signed", append([]string{"thirdparty", "sign", "--agree", "DIGEST", "--out", "response.json"}, thirdparty...)},
		{"imported", []string{"bundle", "import", "ceremony", "response.json"}},
		{"countersigned", demo.SignedWith("bundle", "countersign", "ceremony", "--key", v["OPERATOR"])},
		{"assembled", []string{"bundle", "assemble", "ceremony"}},
		{"logged", []string{"log", "append", "ceremony", "--log", "log", "--key", "log.pem"}},
		{"closed", []string{"ceremony", "close", "ceremony"}},
	}, agree("close"), []lifeStep{
		{"packed", []string{"evidence", "pack", "ceremony", "--out", "evidence.tar"}},
	})
}

// thirdpartyPolicy pins the operator's people below dir.
func thirdpartyPolicy(dir string, hsms int) (string, error) {
	text := fmt.Sprintf("format: fleetctl third-party-policy v1\nmode: rehearsal\nnamespaces: [%s]\nalgorithms: [ed25519, ecdsa-p256]\nroles: [session]\nleast_hsms: %d\nthreshold: 2\npeople:\n", demo.Namespace, hsms)
	for _, p := range demo.People {
		line, err := os.ReadFile(filepath.Join(dir, "people", p.Name+".pub"))
		if err != nil {
			return "", err
		}
		f := strings.Fields(string(line))
		text += fmt.Sprintf("  - name: %s\n    role: %s\n    key: %s %s\n", p.Name, p.Role, f[0], f[1])
	}
	return text, nil
}

// prepareLife writes what no command makes: PINs, people's keys, the third
// party's policy.
func prepareLife(dir string, pin func(label string) string) error {
	if err := writeSoftHSM(dir); err != nil {
		return err
	}
	for _, label := range []string{"so", "pin", "fleet-1", "fleet-2", "operator", "thirdparty"} {
		if err := os.WriteFile(filepath.Join(dir, "pins", label), []byte(pin(label)+"\n"), 0o600); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "people"), 0o700); err != nil {
		return err
	}
	for _, p := range demo.People {
		if err := demo.SSHKey(filepath.Join(dir, "people", p.Name)); err != nil {
			return err
		}
	}
	policy, err := thirdpartyPolicy(dir, 2)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "thirdparty.yaml"), []byte(policy), 0o600)
}

// live runs a life's commands, each in a process of its own, and says what each
// printed. more are flags for all of them.
func live(dir string, ran func(step lifeStep, output []byte) error, more ...string) error {
	for _, step := range lifeSteps(dir) {
		args := append([]string{}, step.args...)
		for i, arg := range args {
			if arg == "DIGEST" {
				args[i] = digestOf(filepath.Join(dir, "ceremony", "fleet-keys.json"))
			}
		}
		cmd := exec.Command("fleetctl", append(args, more...)...)
		cmd.Dir = dir
		cmd.Env = os.Environ()
		for name, value := range workVars(dir) {
			if name == "SOFTHSM2_CONF" {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("fleetctl %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		if err := ran(step, out); err != nil {
			return err
		}
	}
	return nil
}

func digestOf(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

var lifeRoot string // removed when all tests are over

// lifeDir is where the snapshots are, by stage, made when first asked for.
var lifeDir = sync.OnceValues(func() (string, error) {
	root, err := os.MkdirTemp("", "fleetctl-life-")
	if err != nil {
		return "", err
	}
	lifeRoot = root
	dir := filepath.Join(root, "life")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := prepareLife(dir, func(label string) string { return "pin-of-" + label }); err != nil {
		return "", err
	}
	return root, live(dir, func(step lifeStep, _ []byte) error {
		if step.stage == "" {
			return nil
		}
		return copyTree(dir, filepath.Join(root, step.stage))
	})
})

func copyLife(stage, to string) error {
	root, err := lifeDir()
	if err != nil {
		return err
	}
	if err := copyTree(filepath.Join(root, stage), to); err != nil {
		return err
	}
	for _, file := range []string{"softhsm2.conf", "site.yaml"} {
		path := filepath.Join(to, file)
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		moved := bytes.ReplaceAll(data, []byte(filepath.Join(root, "life")+"/"), []byte(to+"/"))
		if err := os.WriteFile(path, moved, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies files over what is there, with their modes.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), info.Mode().Perm())
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, info.Mode().Perm())
	})
}

// filesWith finds the files below dir that hold any of the needles.
func filesWith(dir string, needles ...[]byte) (found []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, n := range needles {
			if bytes.Contains(data, n) {
				found = append(found, path)
				break
			}
		}
		return err
	})
	return found, err
}

// aLife is a copy of a life as it stood after a stage.
func aLife(t testing.TB, stage string) string {
	t.Helper()
	needSoftHSM(t)
	dir := t.TempDir()
	if err := copyLife(stage, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}
