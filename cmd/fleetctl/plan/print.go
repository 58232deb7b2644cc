package plan

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/words"
)

type printJSON struct {
	Plan    string   `strict:"plan"`
	SHA256  [32]byte `strict:"sha256,hex"`
	Mode    string   `strict:"mode"`
	Role    string   `strict:"role,optional"`
	PDF     string   `strict:"pdf,optional"`
	Text    string   `strict:"text,optional"`
	Steps   int      `strict:"steps"`
	Minutes int      `strict:"minutes"`
}

// Format is what the JSON says that it is.
func (*printJSON) Format() string { return "fleetctl plan print result v1" }

func printCmd(a *cli.App) *cobra.Command {
	var out, text, role string
	c := cli.Command("print PLAN", "Print the script and worksheet of a plan, as PDF and plain text",
		`Print writes what the people in the room hold in their hands: every step with
what it needs, who does and says what, blanks to fill in and initials, an
exception sheet, an "I do not agree" box and the sign-off page. Its title page
has the plan's digest in hex, in words and as a QR code. With --role it is one
role's own copy. The same plan gives the same bytes.`,
		"  fleetctl plan print plan.yaml --out script.pdf --text script.txt\n  fleetctl plan print plan.yaml --role witness --out witness.pdf",
		cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
			if out == "" && text == "" {
				return cli.Usagef("see fleetctl plan print --help", "--out or --text is missing: where the script goes")
			}
			p, err := cli.ReadPlan(args[0])
			if err != nil {
				return err
			}
			doc, err := script.Print(p, role)
			if err != nil {
				return cli.Usage(err)
			}
			if err := cli.WriteDoc(doc, out, text); err != nil {
				return err
			}
			total, _ := script.Minutes(p)
			whose := role
			if role == "" {
				whose = "everybody"
			}
			return a.Emit(&printJSON{args[0], p.Digest(), p.Mode, role, out, text, len(p.Steps()), total}, a.UI.Fields([][2]string{
				{"script", strings.TrimSpace(out + " " + text)}, {"for", whose + ", " + strings.ToUpper(p.Mode)},
				{"plan", fmt.Sprintf("%x", p.Digest())},
				{"steps", fmt.Sprintf("%d, about %s", len(p.Steps()), words.Count(int64(total), "minute", "minutes"))},
			}))
		})
	f := c.Flags()
	f.StringVar(&out, "out", "", "the script's new PDF `file`")
	f.StringVar(&text, "text", "", "the script's new text `file`")
	f.StringVar(&role, "role", "", "whose copy: officer, witness, auditor or administrator (default: everybody's)")
	return c
}
