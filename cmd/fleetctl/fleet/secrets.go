//go:build cgo && unix

package fleet

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/sealed"
)

type secretsJSON struct {
	Notice string   `strict:"notice"`
	File   string   `strict:"file"`
	Fleet  string   `strict:"fleet"`
	Epoch  uint64   `strict:"epoch"`
	HSMs   []string `strict:"hsms"`
	Digest [32]byte `strict:"digest,hex"` // of the secrets, which tells nothing of them
}

// Format is what the JSON says that it is.
func (*secretsJSON) Format() string { return "fleetctl fleet secrets result v1" }

func secretsCmd(a *cli.App) *cobra.Command {
	o := &bundleOptions{}
	var out string
	c := cli.Command("secrets BUNDLE", "Draw a reference fleet's secrets, sealed to its HSMs",
		`Secrets draws what the nodes of a reference fleet have in common and no device
may know, and seals it to the agreement key of every HSM in the bundle. Nobody
else can open the file: every node is given it, and it may be published. No HSM
is needed to make it. A new epoch has secrets of its own.`,
		"  fleetctl fleet secrets bundle.json --policy device.json --out secrets.json",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "policy", "out"); err != nil {
				return err
			}
			ans, err := o.read(a, cmd, args[0])
			if err != nil {
				return err
			}
			b, err := bundle.ParseBundle(args[0], ans.bundle)
			if err != nil {
				return err
			}
			s, err := sealed.New(a.Random)
			if err != nil {
				return err
			}
			defer s.Clear()
			file, err := sealed.Seal(b, o.roles.Sealing, s)
			if err != nil {
				return cli.Usage(err)
			}
			if err := cli.WriteNew(out, file); err != nil {
				return err
			}
			r := &secretsJSON{notice, out, ans.keys.Fleet, ans.keys.Epoch, ans.keys.HSMs(), s.Digest()}
			return a.Emit(r, a.UI.Fields([][2]string{{"secrets", out}, {"fleet", fmt.Sprintf("%s, epoch %d", r.Fleet, r.Epoch)}, {"sealed to", strings.Join(r.HSMs, ", ")}, {"notice", notice}}))
		})
	o.flags(c)
	c.Flags().StringVar(&out, "out", "", "the new `file`")
	return c
}
