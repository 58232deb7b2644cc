//go:build cgo && unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/demo"
	"github.com/fleetctl/fleetctl/internal/await"
)

// rig runs whole ceremonies of three HSMs with the real program, each in a
// world of its own that was copied from one whose plan is approved.
type rig struct {
	t        testing.TB
	template string
	binary   string
	module   string                      // that the site names, if not SoftHSM
	env      []string                    // of every command
	operator string                      // a key that countersigns in place of the usual one
	more     map[string][]string         // flags that commands have beside the usual ones
	before   map[string]func(dir string) // what is done before a command of a life
}

const rigHSMs = 3

// theProgram is fleetctl as it is released, and not this test under its name.
var theProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fleetctl-rig-")
	if err != nil {
		return "", err
	}
	rigRoots = append(rigRoots, dir)
	binary := filepath.Join(dir, "fleetctl")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, out)
	}
	return binary, nil
})

// released gives theProgram to a test of what its processes do. They have no race
// detector, so under it such a test would show nothing that the same test without
// it doesn't: it is left out there. What fleetctl's goroutines share is shown by
// the scripts, whose processes are this test under another name.
func released(t testing.TB) string {
	t.Helper()
	if await.RaceDetector {
		t.Skip("runs fleetctl as it is released, which the race detector doesn't see: go test without -race has this test")
	}
	binary, err := theProgram()
	check(t, err)
	return binary
}

var rigRoots []string // removed when all tests are over

// rigTemplate is the world of every rig, made when first asked for.
var rigTemplate = sync.OnceValues(func() (string, error) {
	binary, err := theProgram()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(binary), "template")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	pin := func(label string) string { return "pin-of-" + label }
	if err := prepareLife(dir, pin); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "pins", "fleet-3"), []byte(pin("fleet-3")+"\n"), 0o600); err != nil {
		return "", err
	}
	r := &rig{binary: binary}
	third := []string{"hsm", "init", "--module", modulePath(), "--label", "fleet-3", "--pin", "file:" + dir + "/pins/fleet-3", "--so-pin", "file:" + dir + "/pins/so"}
	steps := append([]lifeStep{{args: third}}, lifeSteps(dir)...)
	for _, step := range steps {
		if i := slices.Index(step.args, "--hsms"); i > 0 {
			step.args[i+1] = fmt.Sprint(rigHSMs)
		}
		if out, err := r.command(dir, step.args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("fleetctl %s: %w\n%s", strings.Join(step.args, " "), err, out)
		}
		if step.stage == "approved" {
			return dir, nil
		}
	}
	return "", errors.New("a life has no approval")
})

func newRig(t testing.TB) *rig {
	t.Helper()
	needSoftHSM(t)
	binary := released(t)
	template, err := rigTemplate()
	check(t, err)
	return &rig{t: t, template: template, binary: binary}
}

// world is a copy of the template at a place of its own, in memory where that
// can be had.
func (r *rig) world() string {
	r.t.Helper()
	base := ""
	if _, err := os.Stat("/dev/shm"); err == nil {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "fleetctl-world-")
	check(r.t, err)
	r.t.Cleanup(func() { os.RemoveAll(dir) })
	r.fill(dir)
	return dir
}

func (r *rig) fill(dir string) {
	r.t.Helper()
	check(r.t, copyTree(r.template, dir))
	for _, file := range []string{"softhsm2.conf", "site.yaml"} {
		path := filepath.Join(dir, file)
		data, err := os.ReadFile(path)
		check(r.t, err)
		data = bytes.ReplaceAll(data, []byte(r.template+"/"), []byte(dir+"/"))
		if r.module != "" && file == "site.yaml" {
			data = bytes.ReplaceAll(data, []byte(modulePath()), []byte(r.module))
		}
		check(r.t, os.WriteFile(path, data, 0o600))
	}
}

func (r *rig) command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(r.binary, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(dir, "softhsm2.conf")), r.env...)
	return cmd
}

func (r *rig) run(dir string, args ...string) []byte {
	r.t.Helper()
	cmd := r.command(dir, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("fleetctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// start is the ceremony's command as its hints say: run until an HSM was
// unlocked, resume from then on.
func (r *rig) start(dir string) *exec.Cmd {
	ceremonyDir := filepath.Join(dir, "ceremony")
	if a, err := folder.ReadToLastRecord(ceremonyDir); err == nil && a.Open != nil {
		_, torn := folder.Read(ceremonyDir)
		if a.Opened() || torn != nil {
			return r.command(dir, demo.SignedWith("ceremony", "resume", "ceremony", "--site", "site.yaml", "--unattended")...)
		}
	}
	return r.command(dir, demo.SignedWith("ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--unattended")...)
}

func lines(dir string) int {
	data, _ := os.ReadFile(filepath.Join(dir, "ceremony", "transcript.jsonl"))
	return bytes.Count(data, []byte("\n"))
}

// How a ceremony can end.
const (
	passed  = "passed"  // the fleet check
	refused = "refused" // aborted on the record, and no key left
)

// end demands that a ceremony ended in one of the two ways, and that the tokens
// hold exactly the keys that the transcript tells of: none was orphaned.
func (r *rig) end(dir string) (string, error) {
	a, err := folder.Read(filepath.Join(dir, "ceremony"))
	if err != nil {
		return "", err
	}
	objects, err := objectFiles(dir)
	if err != nil {
		return "", err
	}
	// Each of the five tokens has an object of its own; operator and third
	// party have a key pair each.
	const tokens, others = rigHSMs + 2, 2 * 2
	keys := objects - tokens - others
	if a.Abort != nil {
		for _, k := range a.Abort.Keys {
			if k.State != ceremony.Destroyed && k.State != "absent" {
				return "", fmt.Errorf("the key of %s is %s", k.HSM, k.State)
			}
		}
		if keys != 0 {
			return "", fmt.Errorf("aborted, and the tokens still hold %d objects", keys)
		}
		return refused, nil
	}
	if next, ok := a.Next(); !ok || next.Act != ceremony.ActRelease {
		return "", fmt.Errorf("it did not come to its release: %+v", next)
	}
	if keys != 2*rigHSMs {
		return "", fmt.Errorf("the tokens hold %d objects of keys, not %d", keys, 2*rigHSMs)
	}
	return passed, nil
}

// objectFiles counts the objects that SoftHSM's files hold. A kill can leave a
// file that SoftHSM had just made and not written yet: it has no attribute,
// SoftHSM shows nothing for it, and there is no key in it.
func objectFiles(dir string) (n int, err error) {
	const unwritten = 64 // bytes; an object with its attributes has hundreds
	files, err := filepath.Glob(filepath.Join(dir, "tokens", "*", "*.object"))
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return 0, err
		}
		if info.Size() >= unwritten {
			n++
		}
	}
	return n, nil
}

// live takes a ceremony that passed its fleet check through the rest of its
// life, to evidence that verifies.
func (r *rig) live(dir string) {
	r.t.Helper()
	steps := lifeSteps(dir)
	at := slices.IndexFunc(steps, func(s lifeStep) bool { return s.stage == "run" })
	for _, step := range steps[at+1:] {
		for i, arg := range step.args {
			if arg == "DIGEST" {
				step.args[i] = digestOf(filepath.Join(dir, "ceremony", "fleet-keys.json"))
			}
			if r.operator != "" && arg == workVars(dir)["OPERATOR"] {
				step.args[i] = r.operator
			}
		}
		command := strings.Join(step.args[:2], " ")
		if f := r.before[command]; f != nil {
			f(dir)
		}
		r.run(dir, append(step.args, r.more[command]...)...)
	}
	r.run(dir, "verify", "evidence.tar", "--policy", "policy.yaml")
}

// proxy builds the module that fails on demand around SoftHSM.
func (r *rig) proxy() {
	r.t.Helper()
	r.module = filepath.Join(r.t.TempDir(), "proxy.so")
	out, err := exec.Command("cc", "-shared", "-fPIC", "-o", r.module, "../../internal/hsm/testdata/proxy.c", "-ldl").CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	check(r.t, os.Chmod(r.module, 0o700))
	r.env = append(r.env, "PROXY_MODULE="+modulePath())
}
