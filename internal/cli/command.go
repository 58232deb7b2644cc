package cli

import (
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

// Required returns an error if one of the flags was not given.
func Required(cmd *cobra.Command, names ...string) error {
	for _, n := range names {
		if f := cmd.Flags().Lookup(n); f != nil && f.Value.String() == "" {
			return Usagef("see "+cmd.CommandPath()+" --help", "--%s is missing: %s", n, strings.ReplaceAll(f.Usage, "`", ""))
		}
	}
	return nil
}
