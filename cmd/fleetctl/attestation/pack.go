package attestation

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/internal/cli"
)

type packJSON struct {
	File   string   `strict:"file"`
	Device string   `strict:"device"`
	SHA256 [32]byte `strict:"sha256,hex"`
	Parts  int      `strict:"parts"`
}

// Format is what the JSON says that it is.
func (*packJSON) Format() string { return "fleetctl attestation pack result v1" }

func packCmd(a *cli.App) *cobra.Command {
	var device, out string
	c := cli.Command("pack PART=FILE...", "Put the parts of an attestation into one file",
		`Pack puts the parts of an attestation, as the vendor's tool wrote them, into one
file. Nothing is judged but that each part is one of the format's; check does
that.`,
		"  fleetctl attestation pack --device tpm2-certify --out hsm-1.json \\\n    attest=attest.bin signature=sig.bin public=key.pub ak-public=ak.pub ak-certificates=ak.pem",
		cobra.MinimumNArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "device", "out"); err != nil {
				return err
			}
			e, err := readEvidence(device, args)
			if err != nil {
				return err
			}
			if err := formats.All().CheckParts(e); err != nil {
				return cli.Usage(err)
			}
			if err := cli.WriteNew(out, e.Encode()); err != nil {
				return err
			}
			digest := e.Digest()
			return a.Emit(&packJSON{out, device, digest, len(e.Parts)}, a.UI.Fields([][2]string{
				{"attestation", out}, {"device", device}, {"sha256", fmt.Sprintf("%x", digest)},
			}))
		})
	c.Flags().StringVar(&device, "device", "", "the `format` of the device's evidence")
	c.Flags().StringVar(&out, "out", "", "the new `file`")
	return c
}
