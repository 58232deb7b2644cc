//go:build cgo && unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

const installed = "/usr/local/bin/fleetctl"

func units(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../docs/systemd/*.service")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	return files
}

func TestUnitsCallCommandsThatThereAre(t *testing.T) {
	for _, file := range units(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(string(data), "\nExecStart="+installed+" ")
		line, _, _ = strings.Cut(line, "\n")
		program := root(cli.New(strings.NewReader(""), os.Stdout, os.Stderr))
		cmd, rest, err := program.Find(strings.Fields(line))
		if err != nil || !cmd.Runnable() {
			t.Errorf("%s: %q: %v", file, line, err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if err := cmd.Args(cmd, cmd.Flags().Args()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if cmd.Flags().Lookup("metrics").Value.String() == "" || cmd.Flags().Lookup("log-format").Value.String() != "json" {
			t.Errorf("%s: %q has no --metrics or no --log-format json", file, line)
		}
	}
}

func TestSystemdTakesTheUnitsAndFindsThemSafe(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("systemd-analyze is not installed (apt-get install systemd), and CI must have it")
		}
		t.Skip("systemd-analyze is not installed (apt-get install systemd): the units were not checked")
	}
	dir := t.TempDir()
	var copies []string
	for _, file := range units(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.Base(file)) // systemd wants the program to be there
		if err := os.WriteFile(to, []byte(strings.ReplaceAll(string(data), installed, "/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, to)
	}
	for _, args := range [][]string{{"verify", "--man=no"}, {"security", "--offline=true", "--threshold=15", "--no-pager"}} {
		out, err := exec.Command("systemd-analyze", append(args, copies...)...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
