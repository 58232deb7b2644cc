package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/cmd/fleetctl/attestation"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/demo"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/device"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/evidence"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/fleet"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/history"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/hsm"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/log"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/plan"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/policy"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/screen"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/show"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/thirdparty"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/version"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/words"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
)

const rootLong = `fleetctl runs key ceremonies for fleets of HSMs, has the result signed by an
independent third party, publishes it, and verifies all of it offline.

Exit codes: 0 done or verified; 1 evidence malformed, wrong or short; 2 usage,
missing file, bad policy, bad plan; 3 interrupted or pending; 4 the operation
failed (PIN, HSM, disk, network); 5 diff --exit-code found a change; 6 an alarm:
of the monitor, of a device that is shown two artifacts of one epoch, or of a
chain of epochs that contradicts itself.`

// run is the whole program but for its process: a demo and tests run it too.
func run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args []string) int {
	a := cli.New(stdin, stdout, stderr)
	top := rootFor(a, args)
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) { // with descriptions or without
		completeFlags(top)
	}
	return a.Run(ctx, top, args)
}

// nouns are the commands below fleetctl, each made when it is asked for: to make all
// of them takes longer than to verify a bundle.
func nouns() map[string]func(*cli.App) *cobra.Command {
	return map[string]func(*cli.App) *cobra.Command{
		"verify": evidence.Verify, "history": history.Command, "show": show.Command, "screen": screen.Command, "words": words.Command,
		"demo":        func(a *cli.App) *cobra.Command { return demo.Command(a, run) },
		"hsm":         hsm.Group,
		"plan":        plan.Group,
		"ceremony":    func(a *cli.App) *cobra.Command { return ceremony.Group(a, log.AppendCeremony) },
		"bundle":      bundle.Group,
		"thirdparty":  thirdparty.Group,
		"log":         log.Group,
		"evidence":    evidence.Group,
		"attestation": attestation.Group,
		"policy":      policy.Group,
		"device":      device.Group,
		"fleet":       fleet.Group,
		"version":     version.Command,
	}
}

// root is the program with all of its commands.
func root(a *cli.App) *cobra.Command { return rootFor(a, nil) }

// rootFor is the program with the one command that the arguments begin with, or with
// all where they begin otherwise.
func rootFor(a *cli.App, args []string) *cobra.Command {
	root := bare(a)
	all := nouns()
	if len(args) > 0 && all[args[0]] != nil {
		root.AddCommand(all[args[0]](a))
		return root
	}
	for _, noun := range all {
		root.AddCommand(noun(a))
	}
	root.AddCommand(session.ProbeCommand(a))
	root.AddCommand(hsmProcess(a)...)
	return root
}

// bare is the program without a command.
func bare(a *cli.App) *cobra.Command {
	root := &cobra.Command{
		Use: "fleetctl", Short: "Key ceremonies for HSM fleets", Long: rootLong,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return cmp.Or(a.CheckFormat(c), a.SetUp()) },
	}
	a.Flags(root.PersistentFlags())
	root.SetHelpFunc(func(c *cobra.Command, _ []string) {
		if given := c.Flags().Args(); c.HasSubCommands() && len(given) > 0 {
			a.HelpErr = noCommand(c, given[0])
			return
		}
		fmt.Fprint(c.OutOrStdout(), helpText(c))
	})
	root.SetUsageFunc(func(c *cobra.Command) error {
		_, err := fmt.Fprint(c.OutOrStderr(), helpText(c))
		return err
	})
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return cli.Usagef("see "+c.CommandPath()+" --help", "%v", err)
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetHelpCommand(helpCmd(root))
	root.Args = cobra.ArbitraryArgs
	asked := root.Flags().Bool("version", false, "what fleetctl version says")
	root.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return noCommand(root, args[0])
		case *asked:
			about := version.Command(a)
			return about.RunE(about, nil)
		}
		return cmd.Help()
	}
	return root
}

// noCommand says that there is no such command below parent, and where there is one
// of that name.
func noCommand(parent *cobra.Command, name string) error {
	hint := "see " + parent.CommandPath() + " --help"
	all := root(cli.New(nil, io.Discard, io.Discard))
	for _, group := range all.Commands() {
		for _, c := range group.Commands() {
			if c.Name() == name && c.IsAvailableCommand() && group.CommandPath() != parent.CommandPath() {
				hint += "\nor did you mean\n" + c.CommandPath()
			}
		}
	}
	return cli.Usagef(hint, "%s has no command %q", parent.CommandPath(), name)
}

// helpText is what --help says of a command. It is no template: those would have
// every method of every type linked into the program.
func helpText(c *cobra.Command) string {
	var b strings.Builder
	part := func(show bool, format string, args ...any) {
		if show {
			fmt.Fprintf(&b, format, args...)
		}
	}
	about := strings.TrimRightFunc(cmp.Or(c.Long, c.Short), unicode.IsSpace)
	part(about != "", "%s\n\n", about)
	part(c.Runnable(), "Usage:\n  %s\n", c.UseLine())
	part(c.HasAvailableSubCommands(), "\nCommands:")
	for _, child := range c.Commands() {
		part(child.IsAvailableCommand(), "\n  %-*s  %s", child.NamePadding(), child.Name(), child.Short)
	}
	part(c.HasAvailableSubCommands(), "\n")
	part(c.HasExample(), "\nExamples:\n%s\n", c.Example)
	part(c.HasAvailableLocalFlags(), "\nFlags:\n%s\n", strings.TrimRightFunc(c.LocalFlags().FlagUsages(), unicode.IsSpace))
	part(c.HasAvailableInheritedFlags(), "\nFlags of every command:\n%s\n", strings.TrimRightFunc(c.InheritedFlags().FlagUsages(), unicode.IsSpace))
	return b.String()
}

// helpCmd is for those who type help before they know of --help.
func helpCmd(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND]", Short: "Help about a command", Hidden: true, RunE: func(_ *cobra.Command, args []string) error {
		c, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			return noCommand(root, strings.Join(args, " "))
		}
		return c.Help()
	}}
}
