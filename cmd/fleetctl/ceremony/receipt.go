package ceremony

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/words"
)

type receiptJSON struct {
	Ceremony string   `strict:"ceremony"`
	Mode     string   `strict:"mode"`
	Head     [32]byte `strict:"head,hex"`
	Files    []string `strict:"files"`
}

// Format is what the JSON says that it is.
func (*receiptJSON) Format() string { return "fleetctl ceremony receipt result v1" }

func receiptCmd(a *cli.App) *cobra.Command {
	var out string
	c := cli.Command("receipt DIR", "Print a receipt for each participant: the last head, their verdict",
		`Receipt writes, for each of the plan's people, a sheet as PDF and plain text:
the transcript's last head in hex, in words and as a QR code, what they signed,
and how to hold published evidence against it years later. A ceremony that was
aborted has receipts too. The same folder gives the same bytes.`,
		"  fleetctl ceremony receipt ceremony --out receipts", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "out"); err != nil {
				return err
			}
			e, err := script.ReadEnded(args[0])
			if err != nil {
				return cli.Wrong(err)
			}
			return receipts(a, e, out)
		})
	c.Flags().StringVar(&out, "out", "", "the receipts' new `folder`")
	return c
}

func receipts(a *cli.App, e *script.Ended, out string) error {
	if err := durable.Mkdir(out, 0o755); err != nil {
		return cli.Exists(err, out)
	}
	c := e.Account
	r := &receiptJSON{Ceremony: c.Open.Ceremony, Mode: c.Plan.Mode, Head: c.Head}
	for _, p := range c.Plan.People {
		doc, err := e.Receipt(p)
		if err != nil {
			return err
		}
		base := filepath.Join(out, "receipt-"+p.Name)
		if err := cli.WriteDoc(doc, base+".pdf", base+".txt"); err != nil {
			return err
		}
		r.Files = append(r.Files, base+".pdf", base+".txt")
	}
	return a.Emit(r, a.UI.Fields([][2]string{
		{"ceremony", r.Ceremony + " · " + strings.ToUpper(r.Mode)}, {"head", fmt.Sprintf("%x", r.Head)},
		{"", words.Head(r.Head[:]) + " …"}, {"receipts", fmt.Sprintf("%d, PDF and text, in %s", len(c.Plan.People), out)},
	}))
}
