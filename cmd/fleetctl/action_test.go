//go:build cgo && unix

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// action is action.yml as far as these tests look at it.
type action struct {
	Inputs  map[string]struct{ Default string }
	Outputs map[string]struct{ Value string }
	Runs    struct {
		Steps []struct {
			Run, Shell string
			Env        map[string]string
		}
	}
}

func readAction(t *testing.T) (a action) {
	t.Helper()
	data, err := os.ReadFile("../../action.yml")
	if err == nil {
		err = yaml.Unmarshal(data, &a)
	}
	if err != nil || len(a.Runs.Steps) != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	return a
}

// runner is a job on a runner: its workspace and its files.
type runner struct {
	t                   *testing.T
	dir, work           string
	code                int
	log, summary        string
	output              map[string]string
	program, programSum string
	bin                 string // before all else on the PATH
}

// newRunner has the examples in its workspace, and fleetctl beside it.
func newRunner(t *testing.T) *runner {
	r := &runner{t: t, dir: t.TempDir(), work: t.TempDir(), bin: t.TempDir()}
	for example, vector := range map[string]string{"passing": "attested", "failing": "attested-as-exportable"} {
		check(t, os.CopyFS(filepath.Join(r.dir, example), os.DirFS("../../testdata/vectors/package/"+vector)))
	}
	self, err := os.Executable()
	check(t, err)
	r.program = filepath.Join(r.work, "released")
	data, err := os.ReadFile(self)
	check(t, err)
	check(t, os.WriteFile(r.program, data, 0o600))
	r.programSum = fmt.Sprintf("%x", sha256.Sum256(data))
	return r
}

// run runs the action's step as a runner does: inputs become the step's variables, the
// script is bash's, with the options that GitHub gives it.
func (r *runner) run(inputs map[string]string) {
	r.t.Helper()
	a := readAction(r.t)
	root, err := filepath.Abs("../..")
	check(r.t, err)
	given := map[string]string{"sha256": r.programSum, "binary": r.program}
	maps.Copy(given, inputs)
	env := []string{"PATH=" + r.bin + ":" + os.Getenv("PATH"), "HOME=" + r.work, "CI=true", "GITHUB_ACTIONS=true", "GITHUB_ACTION_PATH=" + root, "GITHUB_WORKSPACE=" + r.dir, "RUNNER_TEMP=" + r.work,
		"RUNNER_OS=Linux", "RUNNER_ARCH=X64", "GITHUB_OUTPUT=" + filepath.Join(r.work, "output"), "GITHUB_STEP_SUMMARY=" + filepath.Join(r.work, "summary")}
	for name, value := range a.Runs.Steps[0].Env {
		input := strings.TrimSuffix(strings.TrimPrefix(value, "${{ inputs."), " }}")
		text, ok := given[input]
		if !ok {
			text = a.Inputs[input].Default
		}
		env = append(env, name+"="+text)
	}
	for _, name := range []string{"output", "summary"} {
		check(r.t, os.WriteFile(filepath.Join(r.work, name), nil, 0o600))
	}
	script := filepath.Join(r.work, "step.sh")
	check(r.t, os.WriteFile(script, []byte(a.Runs.Steps[0].Run), 0o600))
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", script)
	cmd.Dir, cmd.Env = r.dir, env
	out, err := cmd.CombinedOutput()
	if r.code = cmd.ProcessState.ExitCode(); err != nil && r.code < 0 {
		r.t.Fatal(err)
	}
	r.log, r.output = string(out), map[string]string{}
	r.summary = readText(r.t, filepath.Join(r.work, "summary"))
	for line := range strings.Lines(readText(r.t, filepath.Join(r.work, "output"))) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		r.output[name] = value
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	check(t, err)
	return string(data)
}

// commands are the workflow commands that GitHub takes from a log.
func (r *runner) commands() (list []string) {
	stopped := ""
	for line := range strings.Lines(r.log) {
		line = strings.TrimSuffix(line, "\n")
		switch token, stops := strings.CutPrefix(line, "::stop-commands::"); {
		case stopped != "":
			if line == "::"+stopped+"::" {
				stopped = ""
			}
		case stops:
			stopped = token
		case strings.HasPrefix(strings.TrimSpace(line), "::"):
			list = append(list, line)
		}
	}
	return list
}

func TestTheActionPassesAndFailsAsItsExamplesDo(t *testing.T) {
	r := newRunner(t)
	r.run(map[string]string{"files": "passing/evidence.tar", "policy": "passing/policy.yaml"})
	if r.code != 0 || r.output["verdict"] != "verified" || !slices.Equal(r.commands(), []string{"::notice title=fleetctl verify::passing/evidence.tar: 15 claims demanded, 15 shown"}) {
		t.Fatalf("exit code %d, %v, %q\n%s", r.code, r.output, r.commands(), r.log)
	}
	if !strings.HasPrefix(r.summary, "### fleetctl: VERIFIED\n\n    passing/evidence.tar\n") {
		t.Errorf("%s", r.summary)
	}

	r.run(map[string]string{"files": "failing/evidence.tar", "policy": "failing/policy.yaml"})
	commands := r.commands()
	if r.code != 1 || r.output["verdict"] != "not-verified" || r.output["exit-code"] != "1" || len(commands) != 1 ||
		!strings.HasPrefix(commands[0], "::error file=failing/evidence.tar,line=1,title=fleetctl verify%3A key.attested::hsm-2 session: extractable: true") {
		t.Fatalf("exit code %d, %v, %q\n%s", r.code, r.output, commands, r.log)
	}
	if !strings.Contains(r.summary, "### fleetctl: NOT VERIFIED\n") {
		t.Errorf("%s", r.summary)
	}
	schema, err := jsonschema.NewCompiler().Compile("../../internal/report/sarif/testdata/sarif-2.1.0.json")
	check(t, err)
	file, err := os.Open(filepath.Join(r.output["reports"], "1-evidence.tar.sarif"))
	check(t, err)
	defer file.Close()
	v, err := jsonschema.UnmarshalJSON(file)
	check(t, err)
	check(t, schema.Validate(v))
	if xml := readText(t, filepath.Join(r.output["reports"], "1-evidence.tar.xml")); !strings.Contains(xml, `failures="1"`) {
		t.Errorf("%s", xml)
	}
}

func TestTheActionVerifiesEveryFileAndEndsWithTheWorst(t *testing.T) {
	r := newRunner(t)
	r.run(map[string]string{"files": "\n*/evidence.tar\npassing/policy.yaml\n", "policy": "passing/policy.yaml", "arguments": "--time=2027-01-01T00:00:00Z\n"})
	reports, err := filepath.Glob(r.output["reports"] + "/*.sarif")
	if r.code != 1 || len(reports) != 3 || err != nil || !strings.Contains(r.log, "2027-01-01T00:00:00Z (given)") {
		t.Errorf("exit code %d, %q, %v\n%s", r.code, reports, err, r.log)
	}
}

// A name with a line end in it is one file: what its two halves name is not verified in
// its place.
func TestTheActionTakesNoNameForTwo(t *testing.T) {
	r := newRunner(t)
	check(t, os.Rename(filepath.Join(r.dir, "failing"), filepath.Join(r.dir, "a\nb")))
	check(t, os.CopyFS(filepath.Join(r.dir, "b"), os.DirFS(filepath.Join(r.dir, "passing"))))
	check(t, os.WriteFile(filepath.Join(r.dir, "a"), []byte(readText(t, filepath.Join(r.dir, "passing/evidence.tar"))), 0o600))
	r.run(map[string]string{"files": "*/evidence.tar", "policy": "passing/policy.yaml"})
	if r.code != 2 || r.output["verdict"] != "no-verdict" || !strings.Contains(r.log, "which has a control character") {
		t.Errorf("exit code %d, %v\n%s", r.code, r.output, r.log)
	}
}

func TestTheActionRunsNoProgramOfAnotherDigest(t *testing.T) {
	r := newRunner(t)
	ran := filepath.Join(r.work, "ran")
	check(t, os.WriteFile(r.program, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o700))
	for _, binary := range []string{r.program, "file://" + r.program} {
		r.run(map[string]string{"files": "passing/evidence.tar", "policy": "passing/policy.yaml", "binary": binary})
		if r.code != 2 || r.output["verdict"] != "no-verdict" || !strings.Contains(r.log, "it is not run") || len(r.commands()) != 1 {
			t.Errorf("exit code %d, %v\n%s", r.code, r.output, r.log)
		}
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a program that was not pinned ran")
	}
	check(t, os.WriteFile(r.program, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o700))
	r.programSum = fmt.Sprintf("%X", sha256.Sum256([]byte(readText(t, r.program))))
	r.run(map[string]string{"files": "passing/evidence.tar", "policy": "passing/policy.yaml"})
	if _, err := os.Stat(ran); err != nil {
		t.Errorf("the pinned program did not run:\n%s", r.log)
	}
}

// A release is taken over HTTPS alone, by the name that scripts/release gives it; in place of
// curl stands a program that hands over what there is.
func TestTheActionTakesAReleaseByItsName(t *testing.T) {
	r := newRunner(t)
	asked := filepath.Join(r.work, "asked")
	curl := "#!/bin/bash\nprintf '%s\\n' \"$@\" >" + asked + "\nwhile [[ $1 != --output ]]; do shift; done\ncp " + r.program + " \"$2\"\n"
	check(t, os.WriteFile(filepath.Join(r.bin, "curl"), []byte(curl), 0o700))
	r.run(map[string]string{"files": "passing/evidence.tar", "policy": "passing/policy.yaml", "binary": "", "version": "1.2.0"})
	want := fmt.Sprintf("https://github.com/fleetctl/fleetctl/releases/download/v1.2.0/fleetctl_1.2.0_%s_%s", runtime.GOOS, runtime.GOARCH)
	args := strings.Split(strings.TrimSpace(readText(t, asked)), "\n")
	if r.code != 0 || args[len(args)-1] != want || !slices.Contains(args, "=https") {
		t.Errorf("exit code %d, curl was given %q\n%s", r.code, args, r.log)
	}
	if release := readText(t, "../../scripts/release"); !strings.Contains(release, "fleetctl_${version}_") {
		t.Error("scripts/release names programs otherwise now: scripts/ci/fetch asks for " + want)
	}
	for _, bad := range []string{"latest", "1.0", "1.0.0/../..", "v1.0.0"} {
		r.run(map[string]string{"files": "passing/evidence.tar", "policy": "passing/policy.yaml", "binary": "", "version": bad})
		if r.code != 2 || !strings.Contains(r.log, "version is none") {
			t.Errorf("%s: exit code %d\n%s", bad, r.code, r.log)
		}
	}
}

// Each of these would be an answer of yes, or a command, if an input were trusted too far.
func TestTheActionStopsAtInputsThatItCannotUse(t *testing.T) {
	r := newRunner(t)
	const agrees = "#!/bin/sh\n" // a program that verifies whatever it is given
	check(t, os.WriteFile(r.program, []byte(agrees), 0o700))
	r.programSum = fmt.Sprintf("%x", sha256.Sum256([]byte(agrees)))
	good := map[string]string{"files": "passing/evidence.tar", "policy": "passing/policy.yaml"}
	for name, c := range map[string]struct{ input, value, want string }{
		"no file":                 {"files", "\n\n", "nothing is named that could be verified"},
		"a pattern of nothing":    {"files", "epochs/*.tar", "nothing is there that epochs/*.tar names"},
		"no policy":               {"policy", "", "policy: there is no file"},
		"another policy":          {"arguments", "--policy=failing/policy.yaml", "is the action's own"},
		"silence":                 {"arguments", "--quiet", "is the action's own"},
		"a file in the arguments": {"arguments", "failing/evidence.tar", "is no flag"},
		"a digest cut short":      {"sha256", "00ff", "is no SHA-256 of 64 hex digits"},
		"no digest":               {"sha256", "", "is no SHA-256 of 64 hex digits"},
		"two programs":            {"version", "1.0.0", "one of them is enough"},
		"plain HTTP":              {"binary", "http://example.com/fleetctl", "neither a path nor an address"},
		"a shell's text":          {"files", "$(touch injected)`touch injected`;touch injected", "nothing is there"},
		"a workflow command":      {"policy", "x\n::set-output name=verdict::verified", "policy: there is no file"},
		"a flag for a policy":     {"policy", "--help", "policy: there is no file --help"},
	} {
		inputs := maps.Clone(good)
		inputs[c.input] = c.value
		r.run(inputs)
		if commands := r.commands(); r.code != 2 || r.output["verdict"] != "no-verdict" || !strings.Contains(r.log, c.want) || len(commands) != 1 || !strings.HasPrefix(commands[0], "::error ") {
			t.Errorf("%s: exit code %d, %v, %q\n%s", name, r.code, r.output, r.commands(), r.log)
		}
		if _, err := os.Stat(filepath.Join(r.dir, "injected")); err == nil {
			t.Fatalf("%s: an input was run", name)
		}
	}
	if r.run(good); r.code != 0 {
		t.Errorf("exit code %d of what it can use\n%s", r.code, r.log)
	}
}

// follows holds a YAML file to a JSON Schema.
func follows(t *testing.T, file, schema string) error {
	t.Helper()
	var v any
	check(t, yaml.Unmarshal([]byte(readText(t, file)), &v))
	s, err := jsonschema.NewCompiler().Compile(schema)
	check(t, err)
	return s.Validate(v)
}

func TestTheActionAndTheHooksFollowTheirSchemas(t *testing.T) {
	check(t, follows(t, "../../action.yml", "testdata/ci/github-action.json"))
	check(t, follows(t, "../../.pre-commit-hooks.yaml", "testdata/ci/pre-commit-hooks.json"))
	check(t, follows(t, "../../docs/examples/ci/github.yml", "testdata/ci/github-workflow.json"))
	bad := filepath.Join(t.TempDir(), "action.yml")
	check(t, os.WriteFile(bad, []byte(strings.Replace(readText(t, "../../action.yml"), "using: composite", "using: bash", 1)), 0o600))
	if follows(t, bad, "testdata/ci/github-action.json") == nil {
		t.Error("the schema takes an action that runs with bash")
	}
}

// expressions are what of an action's text GitHub fills in before a shell reads it: in a
// command they would be code.
func expressions(a action) (list []string) {
	for _, step := range a.Runs.Steps {
		if strings.Contains(step.Run, "${{") {
			list = append(list, step.Run)
		}
	}
	return list
}

func TestNoInputIsWrittenIntoACommand(t *testing.T) {
	a := readAction(t)
	if got := expressions(a); got != nil {
		t.Errorf("%q", got)
	}
	used := []string{}
	for name, value := range a.Runs.Steps[0].Env {
		input, ok := strings.CutPrefix(value, "${{ inputs.")
		if !ok || !strings.HasPrefix(name, "FLEETCTL_") {
			t.Errorf("%s: %s", name, value)
		}
		used = append(used, strings.TrimSuffix(input, " }}"))
	}
	slices.Sort(used)
	if want := slices.Sorted(maps.Keys(a.Inputs)); !slices.Equal(used, want) {
		t.Errorf("the step has %q of the inputs %q", used, want)
	}
	for name, o := range a.Outputs {
		if o.Value != "${{ steps.verify.outputs."+name+" }}" {
			t.Errorf("%s: %s", name, o.Value)
		}
	}
	a.Runs.Steps[0].Run = "echo ${{ inputs.files }}"
	if expressions(a) == nil {
		t.Error("an input in a command isn't found")
	}
}

func TestTheScriptsOfTheActionAreClean(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("shellcheck is not installed (apt-get install shellcheck), and CI must have it")
		}
		t.Skip("shellcheck is not installed (apt-get install shellcheck)")
	}
	files, err := filepath.Glob("../../scripts/ci/*")
	check(t, err)
	if files = append(files, "../../docs/examples/ci/verify.sh"); len(files) < 4 {
		t.Fatal(files)
	}
	if out, err := exec.Command("shellcheck", files...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, bytes.TrimSpace(out))
	}
}
