// Package demo has fleetctl demo: a rehearsal's whole life.
package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// runner runs the whole program, as its users do.
type runner func(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args []string) int

// Command is fleetctl demo; run runs the whole program.
func Command(a *cli.App, run runner) *cobra.Command {
	var dir, module string
	var hsms int
	var fleet, hybrid bool
	c := cli.Command("demo", "The whole life of a rehearsal fleet, in one directory",
		`Demo plays every part on one machine, on SoftHSM tokens: it makes the HSMs,
writes plan, site and policy, runs the ceremony, has the key set signed and
countersigned, logs the bundle, packs the evidence, and verifies it. Each step
is the command that is shown: run them yourself in the directory it leaves.`,
		"  fleetctl demo --dir demo", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "dir"); err != nil {
				return err
			}
			if most := MostHSMs(); hsms < 1 || hsms > most {
				return cli.Usagef("", "--hsms is %d; the demo takes 1 to %d: a bundle of more keys has more than the %s bytes that a log's entry takes", hsms, most, words.Number(bundle.MaxBundle))
			}
			if fleet && !cmd.Flags().Changed("hsms") {
				hsms = 3
			}
			if hybrid && !fleet {
				return cli.Usagef("add --fleet", "--hybrid is about the sessions of a reference fleet, and --fleet is missing")
			}
			d := &demo{a: a, program: run, dir: dir, module: module, hsms: hsms, fleet: fleet, hybrid: hybrid}
			return d.run()
		})
	f := c.Flags()
	f.StringVar(&dir, "dir", "", "a new `directory` for everything the demo makes")
	f.StringVar(&module, "module", "", "SoftHSM's library, an absolute `path` (default: where Debian puts it)")
	f.IntVar(&hsms, "hsms", 5, "how many HSMs the fleet has, up to what a bundle holds")
	f.BoolVar(&fleet, "fleet", false, "run the reference fleet on the keys too, and drill it: three HSMs unless --hsms says otherwise")
	f.BoolVar(&hybrid, "hybrid", false, "with --fleet, have ML-DSA keys sign its sessions too, on a module that has them, such as kryoptic")
	return c
}

// MostHSMs is the largest fleet whose bundle can be logged.
func MostHSMs() int {
	p := &ceremony.Plan{
		Mode: ceremony.Rehearsal, Fleet: Fleet, Namespace: Namespace, Epoch: 1,
		Roles:         []ceremony.Role{{Name: "session", Algorithm: keys.Ed25519}},
		ThirdParties:  []ceremony.ThirdParty{{Name: "auditor.example"}},
		Countersigner: ceremony.Countersigner{Name: "operator-1", Algorithm: keys.P256},
	}
	for {
		n := len(p.HSMs) + 1
		p.HSMs = append(p.HSMs, ceremony.PlanHSM{Name: fmt.Sprintf("hsm-%d", n), Site: "lab", Serial: strings.Repeat("0", 16)})
		if p.Majority = n/2 + 1; p.MaxBundle() > bundle.MaxBundle {
			return n - 1
		}
	}
}

type demo struct {
	a           *cli.App
	program     runner
	dir, module string
	hsms        int
	fleet       bool // the reference fleet is run, and drilled, too
	hybrid      bool // its sessions are signed by ML-DSA keys too
	n           int  // of the chapter
}

// Fleet is the demo's fleet.
const Fleet = "backup-demo"

// sealing is the role of the keys to which a reference fleet's secrets are sealed.
const sealing = "sealing"

// sessionPQ is the role of the ML-DSA keys that sign its sessions too.
const sessionPQ = "session-pq"

// roles are those of the plan; none leaves it to plan new.
func (d *demo) roles() []string {
	if !d.fleet {
		return nil
	}
	roles := []string{"session=ed25519", sealing + "=ecdh-p256"}
	if d.hybrid {
		roles = append(roles, sessionPQ+"=ml-dsa-44")
	}
	return roles
}

// Namespace is its namespace.
const Namespace = "rehearsal.example.backup.fleet_keys.v1"

// run is the life of a fleet, a chapter a party.
func (d *demo) run() error {
	start := d.a.Now()
	if err := d.prepare(); err != nil {
		return err
	}
	for _, chapter := range []func() error{d.tokens, d.plan, d.ceremony, d.thirdParty, d.countersign, d.log, d.drill, d.lockdown, d.evidence, d.device, d.verify} {
		if err := chapter(); err != nil {
			return err
		}
	}
	p := d.a.UI.Page
	lines := p.Fields([][2]string{
		{"directory", fmt.Sprintf("%s   made in %.1f s", d.dir, d.a.Now().Sub(start).Seconds())},
		{"evidence", "evidence.tar"},
		{"page", "ceremony/index.html"},
	})
	text := []string{"\n", p.Header("what is left, and what to try", ""), lines, "\n",
		commandLine("cd " + words.ShellWord(d.dir) + " && export SOFTHSM2_CONF=$PWD/softhsm2.conf"),
		commandLine("fleetctl show ceremony"),
		commandLine("fleetctl verify evidence.tar --policy policy.yaml --explain key.possession"),
		commandLine("fleetctl device check " + bundleFile + " --policy device.json --state phone"),
		commandLine("printf X | dd of=evidence.tar bs=1 seek=20000 conv=notrunc   # then verify again"),
	}
	if d.a.Format == "json" { // the verifier's report is the result, and all of it
		d.say(text...)
		return nil
	}
	return d.a.UI.Print(text...)
}

// commandLine is a command to copy: whole, whatever the width.
func commandLine(s string) string { return "   $ " + s + "\n" }

func (d *demo) chapter(title string) {
	d.n++
	d.say("\n", d.a.UI.Header(fmt.Sprintf("%d · %s", d.n, title), "REHEARSAL"))
}

func (d *demo) say(parts ...string) { d.a.UI.Say(parts...) }

func (d *demo) done(format string, args ...any) {
	d.say(d.a.UI.Step(ui.Done, fmt.Sprintf(format, args...), ""))
}

// do runs a command as its user would, and shows it.
func (d *demo) do(args ...string) ([]byte, error) {
	d.show(args)
	return d.quietly(args...)
}

// show prints a command as a shell takes it, folded between its arguments.
func (d *demo) show(args []string) {
	const lead, more = "   $ ", "       "
	room := d.a.UI.Width() - len(more) - 2
	line := lead + "fleetctl"
	for i := 0; i < len(args); i++ {
		word := words.ShellQuoted(args[i])
		if strings.HasPrefix(word, "--") && i+1 < len(args) {
			i++
			word += " " + words.ShellQuoted(args[i]) // a flag stays with its value
		}
		if strings.TrimSpace(line) != "$ fleetctl" && len(line)+1+len(word) > room {
			d.say(d.a.UI.Style(ui.Where, line+" \\"), "\n")
			line = more + word
			continue
		}
		line += " " + word
	}
	d.say(d.a.UI.Style(ui.Where, line), "\n")
}

// pending is quietly for a command that ends with something that has to come yet.
func (d *demo) pending(args ...string) error {
	d.show(args)
	var out, talk bytes.Buffer
	if code := d.program(context.Background(), strings.NewReader(""), &out, &talk, append(args, "--format", "json", "--plain")); code != cli.ExitPending {
		return cli.Exit(code, strict.Errorf("", "the demo's command did not wait: fleetctl %s", strings.Join(args, " ")).WithHint("%s", strings.TrimSpace(talk.String())))
	}
	return nil
}

// quietly runs a command without showing it; its result is JSON.
func (d *demo) quietly(args ...string) ([]byte, error) {
	var out, talk bytes.Buffer
	if code := d.program(context.Background(), strings.NewReader(""), &out, &talk, append(args, "--format", "json", "--plain")); code != cli.ExitDone {
		return nil, cli.Exit(code, strict.Errorf("", "the demo's command failed: fleetctl %s", strings.Join(args, " ")).WithHint("%s", strings.TrimSpace(talk.String())))
	}
	return out.Bytes(), nil
}

// get reads a field of a command's JSON result.
func get(result []byte, field string) string {
	n, err := strict.ParseJSON("", result, 1<<24)
	if err != nil || n.Get(field) == nil {
		return ""
	}
	return n.Get(field).Text
}

func (d *demo) verify() error {
	d.chapter("a stranger verifies, offline")
	args := []string{"verify", "evidence.tar", "--policy", "policy.yaml"}
	d.show(args)
	d.say("\n")
	began := time.Now()
	args = append(args, "--format", d.a.Format, "--color", d.a.Color, fmt.Sprintf("--plain=%t", d.a.Plain))
	if code := d.program(context.Background(), strings.NewReader(""), d.a.Stdout, d.a.Stderr, args); code != cli.ExitDone {
		return cli.Exit(code, cli.ErrQuiet)
	}
	d.say("\n")
	d.done("verified in %d ms", time.Since(began).Milliseconds())
	return nil
}

// enter makes the directory and goes there, so that commands are as short as
// they are shown.
func (d *demo) enter() error {
	if err := durable.Mkdir(d.dir, 0o755); err != nil {
		return cli.Exists(err, d.dir)
	}
	abs, err := filepath.Abs(d.dir)
	if err != nil {
		return err
	}
	d.dir = abs
	return os.Chdir(abs)
}
