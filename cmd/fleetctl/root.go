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
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
)

const rootLong = `fleetctl runs key ceremonies for fleets of HSMs, has the result signed by an
independent third party, publishes it, and verifies all of it offline.

Exit codes: 0 done or verified; 1 evidence malformed, wrong or short; 2 usage,
missing file, bad policy, bad plan; 3 interrupted or pending; 4 the operation
failed (PIN, HSM, disk, network); 5 diff --exit-code found a change; 6 the
monitor raised an alarm.`

// run is the whole program but for its process: a demo and tests run it too.
func run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args []string) int {
	a := cli.New(stdin, stdout, stderr)
	return a.Run(ctx, root(a), args)
}

func root(a *cli.App) *cobra.Command {
	root := &cobra.Command{
		Use: "fleetctl", Short: "Key ceremonies for HSM fleets", Long: rootLong,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.SetUp() },
	}
	a.Flags(root.PersistentFlags())
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { fmt.Fprint(c.OutOrStdout(), helpText(c)) })
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
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return cli.Usagef("see fleetctl --help", "fleetctl has no command %q", args[0])
		}
		return cmd.Help()
	}
	root.AddCommand(
		verifyCmd(a), historyCmd(a), showCmd(a), wordsCmd(a), demoCmd(a, run),
		hsmCommands(a),
		planCommands(a),
		ceremonyCommands(a),
		bundleCommands(a),
		thirdpartyCommands(a),
		logCommands(a),
		evidenceCommands(a),
		attestation.Group(a),
		policyCommands(a),
		versionCmd(a), session.ProbeCommand(a),
	)
	return root
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
			return cli.Usagef("see fleetctl --help", "fleetctl has no command %q", strings.Join(args, " "))
		}
		return c.Help()
	}}
}

func hsmCommands(a *cli.App) *cobra.Command {
	return cli.Group("hsm", "Tokens: list, initialise, check, generate a key", hsmListCmd(a), hsmInitCmd(a), hsmCheckCmd(a), hsmKeygenCmd(a))
}

func planCommands(a *cli.App) *cobra.Command {
	return cli.Group("plan", "Plans: write, check, print, approve, rehearse", planNewCmd(a), planCheckCmd(a), planPrintCmd(a), planApproveCmd(a), planRehearseCmd(a))
}

func ceremonyCommands(a *cli.App) *cobra.Command {
	return cli.Group("ceremony", "Ceremonies: run, sign, resume, adjourn, exception, abort, lock down, close",
		ceremonyRunCmd(a), ceremonySignCmd(a), ceremonyResumeCmd(a), ceremonyAdjournCmd(a), ceremonyReconveneCmd(a),
		ceremonyExceptionCmd(a), ceremonyAbortCmd(a), ceremonyStatusCmd(a), ceremonyLockdownCmd(a), ceremonyCloseCmd(a), ceremonyReceiptCmd(a), ceremonyCompareCmd(a))
}

func bundleCommands(a *cli.App) *cobra.Command {
	return cli.Group("bundle", "Validation bundle: from key set to assembled, diff, retire, void", bundleBuildCmd(a), bundleRequestCmd(a), bundleImportCmd(a), bundleCountersignCmd(a), bundleAssembleCmd(a), bundleDiffCmd(a),
		bundleRetireCmd(a), bundleVoidCmd(a), bundleNoticeCmd(a))
}

func thirdpartyCommands(a *cli.App) *cobra.Command {
	return cli.Group("thirdparty", "The third party's side, on its own machine: init, inspect, sign, ledger, serve", thirdpartyInitCmd(a), thirdpartyInspectCmd(a), thirdpartySignCmd(a), thirdpartyNoticeCmd(a), thirdpartyLedgerCmd(a), thirdpartyGuardCmd(a),
		thirdpartyServeCmd(a), thirdpartyQueueCmd(a), thirdpartyKeygenCmd(a))
}

func logCommands(a *cli.App) *cobra.Command {
	return cli.Group("log", "Transparency log: append, prove, cosign, audit, monitor, serve",
		logInitCmd(a), logAppendCmd(a), logProveCmd(a), logCosignCmd(a), logWitnessCmd(a), logAuditCmd(a), logMonitorCmd(a), logServeCmd(a))
}

func evidenceCommands(a *cli.App) *cobra.Command {
	return cli.Group("evidence", "Evidence package: pack", evidencePackCmd(a))
}

func policyCommands(a *cli.App) *cobra.Command {
	return cli.Group("policy", "A verifier's policy: write, check", policyNewCmd(a), policyCheckCmd(a))
}
