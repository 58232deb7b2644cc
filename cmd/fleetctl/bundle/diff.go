package bundle

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/explain"
)

func diffCmd(a *cli.App) *cobra.Command {
	var code bool
	c := cli.Command("diff OLD NEW", "What changed from one key set to the next",
		`Diff compares two key sets, or the key sets in two bundles, key by key: "+" is a
key that came, "-" one that went, "~" a setting of the epoch, with what it was
and what it is. The order of the two counts: the older one comes first. It
verifies neither; verify does.

With --exit-code it exits with 5 where anything changed, and with 0 where not.`,
		"  fleetctl bundle diff epoch6/fleet-keys.json epoch7/bundle.json --exit-code",
		cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
			older, err := readKeySet(args[0])
			if err != nil {
				return err
			}
			newer, err := readKeySet(args[1])
			if err != nil {
				return err
			}
			d := bundle.Diff(older, newer)
			if err := a.Emit(cli.DiffResult(older, newer, d), cli.DeltaText(a, older, newer, d)); err != nil {
				return err
			}
			if code && !d.Empty() {
				return cli.Exit(cli.ExitChanged, cli.ErrQuiet)
			}
			return nil
		})
	c.Flags().BoolVar(&code, "exit-code", false, "exit with 5 if anything changed")
	return c
}

// readKeySet reads an artifact, or the one in a bundle.
func readKeySet(file string) (*bundle.KeySet, error) {
	data, err := cli.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if explain.FormatOf(data) == bundle.BundleFormat {
		b, err := bundle.ParseBundle(file, data)
		if err != nil {
			return nil, cli.Wrong(err)
		}
		return b.KeySet, nil
	}
	s, err := bundle.ParseKeySet(file, data)
	return s, cli.Wrong(err)
}
