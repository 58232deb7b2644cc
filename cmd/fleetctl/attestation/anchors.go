package attestation

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/cli"
)

type anchorsJSON struct {
	File    string `strict:"file"`
	Anchors int    `strict:"anchors"`
}

// Format is what the JSON says that it is.
func (*anchorsJSON) Format() string { return "fleetctl attestation anchors result v1" }

func anchorsCmd(a *cli.App) *cobra.Command {
	var out string
	c := cli.Command("anchors", "Write the vendors' roots that come with fleetctl, to choose from",
		`Anchors writes the list of vendors' roots that comes with fleetctl, each with
where its vendor publishes it and how to check it. Nobody has compared them for
you: keep those of your vendors, compare each with its origin, and write under
confirmed: who did and when. Until then nothing is accepted under it but with
--trust-on-first-use.`,
		"  fleetctl attestation anchors --out anchors.yaml", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "out"); err != nil {
				return err
			}
			list, err := attest.ParseAnchors(out, attest.Shipped())
			if err != nil {
				return err
			}
			if err := cli.WriteNew(out, attest.Shipped()); err != nil {
				return err
			}
			var rows [][]string
			for _, x := range list.All() {
				rows = append(rows, []string{x.Vendor, x.Name, strings.Join(x.Formats, ", ")})
			}
			return a.Emit(&anchorsJSON{out, len(rows)}, a.UI.Fields([][2]string{{"anchors", out}}), "\n", a.UI.Table([]string{"vendor", "name", "for"}, rows))
		})
	c.Flags().StringVar(&out, "out", "", "the new `file`")
	return c
}
