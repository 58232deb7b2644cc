package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// runApp runs the program within this process.
func runApp(args ...string) (code int, stdout, stderr string) {
	var out, talk bytes.Buffer
	code = run(context.Background(), strings.NewReader(""), &out, &talk, args)
	return code, out.String(), talk.String()
}

func everyCommand() []*cobra.Command {
	var list []*cobra.Command
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		list = append(list, c)
		for _, child := range c.Commands() {
			if child.Name() != "completion" { // cobra's own
				walk(child)
			}
		}
	}
	root := root(cli.New(nil, nil, nil))
	walk(root)
	return list
}

// TestHelpOfEveryCommand: each command explains itself in full, within 80
// columns but for flags, and its examples are commands that exist, with flags
// that exist.
func TestHelpOfEveryCommand(t *testing.T) {
	commands := everyCommand()
	if len(commands) < 30 {
		t.Errorf("only %d commands", len(commands))
	}
	for _, c := range commands {
		name := c.CommandPath()
		args := append(strings.Fields(name)[1:], "--help")
		code, out, talk := runApp(args...)
		if code != cli.ExitDone || talk != "" {
			t.Errorf("%s --help: exit code %d, stderr %q", name, code, talk)
		}
		if !strings.Contains(out, c.UseLine()) || c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s --help lacks its use line, or its short text is %q", name, c.Short)
		}
		text, _, _ := strings.Cut(out, "\nExamples:")
		text, _, _ = strings.Cut(text, "\nFlags")
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 && !strings.Contains(line, "  ") {
				t.Errorf("%s --help: a line of %d columns: %s", name, n, line)
			}
		}
		if strings.Contains(out, "`") {
			t.Errorf("%s --help has a stray backquote", name)
		}
		if c.Example == "" && c.Runnable() && !c.HasSubCommands() && !c.Hidden && c.Name() != "version" && c.Short != "Left out of this build" {
			t.Errorf("%s has no example", name)
		}
		for _, fault := range checkExample(c) {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

var flagIn = regexp.MustCompile(`(?:^|\s)--([a-z-]+)`)

// checkExample follows each example to its command and looks its flags up.
func checkExample(c *cobra.Command) (faults []string) {
	for line := range strings.SplitSeq(strings.ReplaceAll(c.Example, "\\\n", " "), "\n") {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		line, _, _ = strings.Cut(line, " < ")
		if line == "" {
			continue
		}
		words := strings.Fields(line)
		if words[0] != "fleetctl" {
			faults = append(faults, fmt.Sprintf("example %q isn't of fleetctl", line))
			continue
		}
		found, _, err := c.Root().Find(words[1:])
		if err != nil || found.HasSubCommands() && !found.HasExample() { // a group has none; history has both
			faults = append(faults, fmt.Sprintf("example %q names no command", line))
			continue
		}
		for _, m := range flagIn.FindAllStringSubmatch(line, -1) {
			if found.Flags().Lookup(m[1]) == nil && found.InheritedFlags().Lookup(m[1]) == nil {
				faults = append(faults, fmt.Sprintf("example %q: there is no flag --%s", line, m[1]))
			}
		}
	}
	return faults
}

// TestWhatIsMissingIsSaid: every command refuses to do without what its use
// line names, with exit code 2 and a way to its help.
func TestWhatIsMissingIsSaid(t *testing.T) {
	for _, c := range everyCommand() {
		if c.HasSubCommands() || strings.TrimPrefix(c.Use, c.Name()) == "" || c.Hidden {
			continue
		}
		code, out, talk := runApp(strings.Fields(c.CommandPath())[1:]...)
		// Where a flag can stand for the argument, it is the flag that is named.
		said := strings.Contains(talk, "was given 0 arguments") && strings.Contains(talk, "--help") ||
			strings.Contains(c.Use, "[") && strings.Contains(talk, "--")
		if code != cli.ExitUsage || out != "" || !said {
			t.Errorf("%s: exit code %d\n%s%s", c.CommandPath(), code, out, talk)
		}
		for line := range strings.Lines(talk) {
			if strings.Contains(line, "`") || strings.Contains(line, "arg(s)") {
				t.Errorf("%s: %s", c.CommandPath(), line)
			}
		}
	}
}

// TestCompletionOfValues: a shell completes what a flag's help lists.
func TestCompletionOfValues(t *testing.T) {
	for line, want := range map[string]string{
		"--color":                   "always auto never",
		"verify --format":           "github json junit sarif text",
		"plan new --mode":           "production rehearsal",
		"plan print --role":         "administrator auditor officer witness",
		"ceremony sign --approve":   "abort countersign exception open reconvene request resume",
		"ceremony sign --signoff":   "close release",
		"ceremony sign --verdict":   "agree agree-with-exceptions do-not-agree",
		"ceremony sign --role":      "auditor officer witness",
		"hsm keygen --algorithm":    "ecdsa-p256 ecdsa-p384 ed25519 ml-dsa-44 ml-dsa-65 ml-dsa-87 rsa-3072",
		"attestation check --least": "anchored fresh module-claimed vendor-signed",
		"plan new --form":           "bound signature",
		"ceremony sign --key":       "", // a file
		"ceremony sign --text-out":  "",
	} {
		code, out, _ := runApp(append(append([]string{"__complete"}, strings.Fields(line)...), "")...)
		list := strings.Fields(out)
		if code != cli.ExitDone || len(list) == 0 {
			t.Errorf("%s: exit code %d, %q", line, code, out)
			continue
		}
		list = list[:len(list)-1] // what a shell does with them
		slices.Sort(list)
		if got := strings.Join(list, " "); got != want {
			t.Errorf("%s is completed by %q, want %q", line, got, want)
		}
	}
}

// TestWhoeverAsksForTheVersionOrForHelpGetsIt, however they ask.
func TestWhoeverAsksForTheVersionOrForHelpGetsIt(t *testing.T) {
	_, want, _ := runApp("version")
	if code, out, talk := runApp("--version"); code != cli.ExitDone || out != want || out == "" || talk != "" {
		t.Errorf("--version: exit code %d, %q, %q", code, out, talk)
	}
	for _, args := range [][]string{{"diff", "--help"}, {"diff"}, {"help", "diff"}} {
		code, out, talk := runApp(args...)
		if code != cli.ExitUsage || out != "" || !strings.Contains(talk, `has no command "diff"`) || !strings.Contains(talk, "\n          fleetctl bundle diff\n") {
			t.Errorf("%q: exit code %d, %q, %q", args, code, out, talk)
		}
	}
	if _, out, _ := runApp("bundle", "diff", "--help"); !strings.Contains(out, `"+" is a`) || !strings.Contains(out, "exits with 5") {
		t.Errorf("bundle diff --help doesn't say what its signs mean:\n%s", out)
	}
}

// TestTheCommandThatIsAskedForIsMadeAlone: the others would only take time.
func TestTheCommandThatIsAskedForIsMadeAlone(t *testing.T) {
	for name := range nouns() {
		made := rootFor(cli.New(nil, nil, nil), []string{name, "--help"}).Commands()
		if len(made) != 1 || made[0].Name() != name {
			t.Errorf("%s: %d commands, the first is %s", name, len(made), made[0].Name())
		}
	}
	all := len(root(cli.New(nil, nil, nil)).Commands())
	for _, args := range [][]string{nil, {"help", "verify"}, {"--format", "json", "verify"}, {"__complete", "verify"}, {"no-such-noun"}} {
		if n := len(rootFor(cli.New(nil, nil, nil), args).Commands()); n != all || n <= len(nouns()) {
			t.Errorf("%q: %d commands of %d", args, n, all)
		}
	}
}
