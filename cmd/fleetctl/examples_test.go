//go:build cgo && unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const examples = "../../docs/examples/ci/"

// job runs a shell's lines in a folder with an example, as a runner of any kind does.
func (r *runner) job(dir string, command ...string) (code int, out string) {
	r.t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = filepath.Join(r.dir, dir)
	cmd.Env = []string{"PATH=" + filepath.Dir(r.program) + ":" + os.Getenv("PATH"), "HOME=" + r.work, "TMPDIR=" + r.work, "CI=true",
		"FLEETCTL_URL=file://" + r.program, "FLEETCTL_SHA256=" + r.programSum, "FLEETCTL=" + filepath.Join(r.work, "fleetctl")}
	text, err := cmd.CombinedOutput()
	if code = cmd.ProcessState.ExitCode(); err != nil && code < 0 {
		r.t.Fatal(err)
	}
	return code, string(text)
}

// gitlabJob is the script of the GitLab recipe, which a runner runs line by line until one fails.
func gitlabJob(t *testing.T) string {
	var file struct {
		Evidence struct {
			Script    []string
			Artifacts struct{ Reports struct{ JUnit string } }
		}
	}
	check(t, yaml.Unmarshal([]byte(readText(t, examples+"gitlab.yml")), &file))
	if len(file.Evidence.Script) < 3 || file.Evidence.Artifacts.Reports.JUnit != "fleetctl.xml" {
		t.Fatalf("%+v", file)
	}
	return "set -e\n" + strings.Join(file.Evidence.Script, "\n")
}

func TestTheRecipesPassFailAndRunNothingElse(t *testing.T) {
	script, err := filepath.Abs(examples + "verify.sh")
	check(t, err)
	for name, command := range map[string][]string{"GitLab": {"sh", "-c", gitlabJob(t)}, "shell": {"sh", script}} {
		r := newRunner(t)
		if code, out := r.job("passing", command...); code != 0 || !strings.Contains(out, "VERIFIED   15 claims demanded, 15 shown") {
			t.Errorf("%s: exit code %d\n%s", name, code, out)
		}
		if code, out := r.job("failing", command...); code != 1 || !strings.Contains(out, "NOT VERIFIED   1 of 15") {
			t.Errorf("%s: exit code %d\n%s", name, code, out)
		}
		if got := readText(t, filepath.Join(r.dir, "failing/fleetctl.xml")); !strings.Contains(got, `failures="1"`) {
			t.Errorf("%s: %s", name, got)
		}
		ran := filepath.Join(r.work, "ran")
		check(t, os.WriteFile(r.program, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o700))
		code, out := r.job("passing", command...)
		if _, err := os.Stat(ran); err == nil || code == 0 {
			t.Errorf("%s: a program of another digest ran, exit code %d\n%s", name, code, out)
		}
	}
}

// hook is one of .pre-commit-hooks.yaml.
type hook struct {
	ID, Entry, Files string
	Args             []string
}

func TestAHookChecksEveryFileThatItIsGiven(t *testing.T) {
	var hooks []hook
	check(t, yaml.Unmarshal([]byte(readText(t, "../../.pre-commit-hooks.yaml")), &hooks))
	var ids []string
	r := newRunner(t)
	check(t, os.Rename(r.program, filepath.Join(r.work, "fleetctl")))
	check(t, os.Chmod(filepath.Join(r.work, "fleetctl"), 0o700))
	run := func(h hook, dir string, more ...string) (int, string) {
		entry, err := filepath.Abs("../../" + h.Entry)
		check(t, err)
		return r.job(dir, append(append([]string{entry}, h.Args...), more...)...)
	}
	for _, h := range hooks {
		ids = append(ids, h.ID)
		good, bad := "policy.yaml", "evidence.tar"
		switch h.ID {
		case "fleetctl-verify":
			good, bad = "evidence.tar", "policy.yaml"
		case "fleetctl-plan":
			if out, err := exec.Command("tar", "-xf", filepath.Join(r.dir, "passing/evidence.tar"), "-C", filepath.Join(r.dir, "passing"), "plan.yaml").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			good = "plan.yaml"
		}
		if code, out := run(h, "passing", good, good); code != 0 || strings.Count(out, good) < 1 {
			t.Errorf("%s: exit code %d\n%s", h.ID, code, out)
		}
		if code, out := run(h, "passing", bad, good); code == 0 {
			t.Errorf("%s: the first of two files is bad, and the exit code 0\n%s", h.ID, out)
		}
		if code, out := run(h, "passing"); code != 2 {
			t.Errorf("%s: no file, exit code %d\n%s", h.ID, code, out)
		}
		h.Args = append([]string{"--sha256=" + r.programSum}, h.Args...)
		if code, out := run(h, "passing", good); code != 0 {
			t.Errorf("%s: with its digest, exit code %d\n%s", h.ID, code, out)
		}
		h.Args[0] = "--sha256=" + strings.Repeat("0", 64)
		if code, out := run(h, "passing", good); code != 2 || !strings.Contains(out, "it is not run") {
			t.Errorf("%s: with another digest, exit code %d\n%s", h.ID, code, out)
		}
	}
	var config struct {
		Repos []struct{ Hooks []hook }
	}
	check(t, yaml.Unmarshal([]byte(readText(t, examples+"pre-commit.yml")), &config))
	for _, h := range config.Repos[0].Hooks {
		if !slices.Contains(ids, h.ID) {
			t.Errorf("the example names the hook %s, and there are %q", h.ID, ids)
		}
	}
}
