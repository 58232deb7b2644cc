package cli

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Command makes a command. args checks its arguments.
func Command(use, short, long, example string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Long: long, Example: example, RunE: run,
		Args: func(cmd *cobra.Command, got []string) error {
			if err := args(cmd, got); err != nil {
				wants := strings.TrimSpace(strings.TrimPrefix(cmd.Use, cmd.Name()))
				if wants == "" {
					wants = "no argument"
				}
				return Usagef("usage: "+cmd.UseLine()+"\nsee "+cmd.CommandPath()+" --help", "%s takes %s, and was given %s",
					cmd.CommandPath(), wants, words.Count(int64(len(got)), "argument", "arguments"))
			}
			return nil
		}}
}

// Group makes a command that only has commands below it.
func Group(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return Usagef("see fleetctl "+use+" --help", "fleetctl %s has no command %q", use, args[0])
		}
		return cmd.Help()
	}
	c.AddCommand(children...)
	return c
}

// Duration adds a flag that takes a duration. Its help says the default in words.
func Duration(f *pflag.FlagSet, to *time.Duration, name string, standard time.Duration, usage string) {
	f.DurationVar(to, name, standard, usage)
	if standard != 0 { // which the help leaves out
		f.Lookup(name).DefValue = strict.FormatDuration(standard)
	}
}

// LeftOut makes a command that a build without cgo has instead of one that reaches HSMs
// or writes logs: whatever is asked of it, it says that. what is "writing logs".
func LeftOut(use, what string) *cobra.Command {
	c := Command(use, "Left out of this build", "This build is a verifier (CGO_ENABLED=0, or not for a Unix):\n"+what+" is left out.", "",
		cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
			if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
				return cmd.Help()
			}
			return ErrLeftOut(what)
		})
	c.DisableFlagParsing = true
	return c
}

// ErrLeftOut says that a build without cgo can't do something.
func ErrLeftOut(what string) error {
	return strict.Errorf("", "this fleetctl is a verifier: %s is left out of it", what).
		WithHint("use a build for Linux or macOS made with CGO_ENABLED=1")
}

// Required returns an error if one of the flags was not given.
func Required(cmd *cobra.Command, names ...string) error {
	for _, n := range names {
		if f := cmd.Flags().Lookup(n); f != nil && f.Value.String() == "" {
			return Usagef("see "+cmd.CommandPath()+" --help", "--%s is missing: %s", n, strings.ReplaceAll(f.Usage, "`", ""))
		}
	}
	return nil
}
