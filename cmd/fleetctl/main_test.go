//go:build cgo && unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/demo"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/testrekor"
	"github.com/fleetctl/fleetctl/internal/testwitness"
)

// TestMain makes this binary fleetctl itself where it is called by that name:
// scripts run the real program, its own new processes included.
func TestMain(m *testing.M) { testscript.Main(cleanUp{m}, map[string]func(){"fleetctl": main}) }

type cleanUp struct{ m *testing.M }

func (c cleanUp) Run() int {
	defer func() {
		for _, dir := range append(rigRoots, lifeRoot) {
			os.RemoveAll(dir)
		}
		testwitness.CleanUp()
	}()
	code := c.m.Run()
	if err := testrekor.Down(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// TestScripts are the stories in testdata/script: a newcomer's life and every
// error, each with its exit code, its words, and what must not have happened.
//
// A script may say "life STAGE": it then stands where a fleet of two HSMs has
// come to that stage (see stages), with tokens, keys and files of its own.
func TestScripts(t *testing.T) {
	needSoftHSM(t)
	stand := &standIns{t: t, of: map[string]map[string]*tpmtest.Device{}}
	everySchemaIsSeen(t)
	testscript.Run(t, testscript.Params{
		Files:               scripts(t),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits, "life": cmdLife, "json": cmdJSON, "hold": cmdHold, "cut": cmdCut, "flip": cmdFlip, "drilled": cmdDrilled,
			"addfile": cmdAddFile, "sub": cmdSub, "absent": cmdAbsent, "pinfile": cmdPINFile, "sshkey": cmdSSHKey, "rekor": cmdRekor, "spki": cmdSPKI, "partypolicy": cmdPartyPolicy,
			"devices": stand.devices, "attests": stand.attests, "pins": stand.pins,
			"listening": cmdListening, "vector": cmdVector, "down": cmdDown, "logpolicy": cmdLogPolicy, "auditor": cmdAuditor, "sarif": cmdSARIF, "schema": cmdSchema,
			"fleetsite": fleetSites{t}.write,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "rekor" {
				return testrekor.LeftOut() == "", nil
			}
			if cond == "plexi" {
				return plexiClient() != "", nil
			}
			if cond == "nss" {
				if nssModule() == "" && os.Getenv("CI") == "true" {
					return false, errors.New("NSS is not installed (apt-get install libnss3), and CI must have it")
				}
				return nssModule() != "", nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
	})
}

// concurrent are scripts with processes in which goroutines share memory: services,
// rooms, what fetches or watches, whatever a script has run beside something else.
var concurrent = regexp.MustCompile(`(?m)^listening |^auditor |&( |$)|fleetctl (ceremony room|demo|bundle (submit|history)|log (monitor|follow|audit))`)

// scripts are all of them; under the race detector, which has a process take several
// times as long, those in which there is something for it to see.
func scripts(t *testing.T) (files []string) {
	all, err := filepath.Glob("testdata/script/*.txtar")
	check(t, err)
	for _, file := range all {
		text, err := os.ReadFile(file)
		check(t, err)
		if !await.RaceDetector || concurrent.Match(text) {
			files = append(files, file)
		}
	}
	if len(files) < 15 {
		t.Fatalf("of %d scripts %d are left", len(all), len(files))
	}
	return files
}

func modulePath() string {
	for _, path := range demo.SoftHSM {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func nssModule() string {
	for _, pattern := range []string{"/usr/lib/*/libsoftokn3.so", "/usr/lib/*/nss/libsoftokn3.so", "/usr/lib64/libsoftokn3.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// needSoftHSM skips without SoftHSM, except in CI, where a skip would hide that
// nothing was tested.
func needSoftHSM(t testing.TB) string {
	t.Helper()
	path := modulePath()
	switch {
	case path != "":
	case os.Getenv("CI") == "true":
		t.Fatal("SoftHSM is not installed (apt-get install softhsm2), and CI must have it")
	default:
		t.Skip("SoftHSM is not installed (apt-get install softhsm2): its tokens are these tests' HSMs")
	}
	return path
}

func setupScript(env *testscript.Env) error {
	if err := writeSoftHSM(env.WorkDir); err != nil {
		return err
	}
	for name, value := range workVars(env.WorkDir) {
		env.Setenv(name, value)
	}
	env.Setenv("PLEXI", plexiClient())
	env.Setenv("NSS", nssModule())
	env.Setenv("NSSARGS", fmt.Sprintf("configdir='sql:%s/nssdb' certPrefix='' keyPrefix='' secmod='secmod.db' flags= dbTokenDescription='fleet-nss'", env.WorkDir))
	return nil
}

// workVars are the variables that scripts use; what they name is below dir.
func workVars(dir string) map[string]string {
	key := func(label string) string {
		return fmt.Sprintf("pkcs11:token=%s;id=%%01?module-path=%s&pin-source=file:%s/pins/%s", label, modulePath(), dir, label)
	}
	return map[string]string{
		"SOFTHSM2_CONF": filepath.Join(dir, "softhsm2.conf"), "MODULE": modulePath(), "NS": demo.Namespace,
		"OPERATOR": key("operator"), "PARTY": key("thirdparty"), "PIN": "file:" + dir + "/pins/pin", "SO": "file:" + dir + "/pins/so",
	}
}

func writeSoftHSM(dir string) error {
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "tokens"), 0o700), os.MkdirAll(filepath.Join(dir, "pins"), 0o700))
	return errors.Join(err, os.WriteFile(filepath.Join(dir, "softhsm2.conf"), fmt.Appendf(nil, demo.SoftHSMConf, dir), 0o600))
}

// exits CODE COMMAND… runs a command that must end with exactly this code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG…]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if args[1] == "fleetctl" && !slices.Contains(args, "probe-token") { // which speaks to fleetctl alone
		ts.Check(printedBySchema(ts.ReadFile("stdout")))
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s\nstdout: %s\nstderr: %s", code, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// life STAGE puts a fleet's life, as far as the stage, into the script's
// directory.
func cmdLife(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: life STAGE")
	}
	entries, err := os.ReadDir(ts.Getenv("WORK"))
	ts.Check(err)
	for _, e := range entries { // nothing of another stage stays, but what the script brings
		if e.Name() != ".tmp" && e.Name() != "answers" && e.Name() != "golden" {
			ts.Check(os.RemoveAll(filepath.Join(ts.Getenv("WORK"), e.Name())))
		}
	}
	ts.Check(copyLife(args[0], ts.Getenv("WORK")))
}

// json FILE [FIELD VALUE] demands one JSON value, and that of a field.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	d.UseNumber()
	if err := d.Decode(&v); err != nil || d.More() {
		ts.Fatalf("%s is not one JSON value: %v\n%s", args[0], err, ts.ReadFile(args[0]))
	}
	if len(args) < 3 {
		return
	}
	object, _ := v.(map[string]any)
	if got := fmt.Sprint(object[args[1]]); (got == args[2]) == neg {
		ts.Fatalf("%s is %q, want %q (negated: %v)", args[1], got, args[2], neg)
	}
}

// hold FILE keeps a lock until the script ends, as another process would.
func cmdHold(ts *testscript.TestScript, _ bool, args []string) {
	unlock, err := durable.Lock(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(unlock)
}

// cut FILE N takes N bytes off a file's end.
func cmdCut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	data := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(data[:len(data)-n]), 0o600))
}

// flip FILE TEXT changes the byte right after TEXT; a digit stays one.
func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	data := []byte(ts.ReadFile(args[0]))
	i := bytes.Index(data, []byte(args[1]))
	if i < 0 || i+len(args[1]) >= len(data) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	at := &data[i+len(args[1])]
	switch {
	case *at == '0':
		*at = '1'
	case strings.ContainsRune("123456789abcdef", rune(*at)): // stays a digit
		*at = '0'
	default:
		*at ^= 1
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// addfile ARCHIVE PATH adds a file to a package and seals its manifest again.
func cmdAddFile(ts *testscript.TestScript, _ bool, args []string) {
	files, err := evidence.Unpack(args[0], []byte(ts.ReadFile(args[0])))
	ts.Check(err)
	files[args[1]] = []byte("not of this package\n")
	files[evidence.ManifestFile] = files.Manifest()
	data, err := evidence.Pack(files)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// sub FILE OLD NEW replaces text that must be there.
func cmdSub(ts *testscript.TestScript, _ bool, args []string) {
	data := ts.ReadFile(args[0])
	unescape := strings.NewReplacer(`\n`, "\n").Replace
	if !strings.Contains(data, unescape(args[1])) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(data, unescape(args[1]), unescape(args[2]))), info.Mode()))
}

// absent TEXT DIR demands that no file below DIR holds the text.
func cmdAbsent(ts *testscript.TestScript, _ bool, args []string) {
	found, err := filesWith(ts.MkAbs(args[1]), []byte(args[0]))
	ts.Check(err)
	if len(found) > 0 {
		ts.Fatalf("%q is in %s", args[0], strings.Join(found, ", "))
	}
}

// pinfile FILE PIN writes a PIN file that only its owner reads.
func cmdPINFile(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o700))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]+"\n"), 0o600))
}

// sshkey NAME makes a person's key.
func cmdSSHKey(ts *testscript.TestScript, _ bool, args []string) {
	for _, path := range args {
		ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(path)), 0o700))
		ts.Check(demo.SSHKey(ts.MkAbs(path)))
	}
}

// partypolicy FILE HSMS writes a third party's policy that pins people/*.pub.
func cmdPartyPolicy(ts *testscript.TestScript, _ bool, args []string) {
	hsms, err := strconv.Atoi(args[1])
	ts.Check(err)
	text, err := thirdpartyPolicy(ts.Getenv("WORK"), hsms)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}
