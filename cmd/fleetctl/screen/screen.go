// Package screen has fleetctl screen.
package screen

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/screen"
)

// Command is fleetctl screen.
func Command(a *cli.App) *cobra.Command {
	s := screen.Screen{App: a}
	c := cli.Command("screen PLAN [PICTURE…]", "The second screen: on the auditor's or a witness's own machine",
		`Screen shows, on the auditor's or a witness's own machine, what their role
does and says where a ceremony stands, and the words to compare. It answers
the positions that the room's screen asks for with the words there, and draws
and opens an auditor's challenge of a key that agrees.

It takes where the ceremony stands from QR codes: pictures, folders that a
camera program writes into, or their text, typed or scanned; or from the page
that the ceremony's machine serves (ceremony room --listen), with --from. All
of it is held against PLAN, your own copy, and against what was seen before,
which is kept in --dir: another plan, another head and an older state are
refused by name, and the exit code says so. It needs no HSM. stop ends it; the
same command goes on.`,
		`  fleetctl screen plan.yaml --role auditor --dir screen --from http://192.0.2.7:8080
  fleetctl screen plan.yaml --role witness --dir screen camera/`,
		cobra.MinimumNArgs(1), func(cmd *cobra.Command, args []string) (err error) {
			if err := cli.Required(cmd, "role", "dir"); err != nil {
				return err
			}
			if s.Plan, err = cli.ReadPlan(args[0]); err != nil {
				return err
			}
			if s.From, err = address(s.From); err != nil {
				return err
			}
			s.Look = args[1:]
			return s.Run(cmd.Context())
		})
	f := c.Flags()
	f.StringVar(&s.Role, "role", "", "whose screen it is: auditor or witness")
	f.StringVar(&s.Dir, "dir", "", "the `folder` of what this screen has seen, one for each ceremony; nobody else may read it")
	f.StringVar(&s.From, "from", "", "the `address` of the page that the ceremony's machine serves: http://192.0.2.7:8080")
	return c
}

// address is a page's, without what doesn't belong there.
func address(from string) (string, error) {
	if from == "" {
		return "", nil
	}
	u, err := url.Parse(from)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", cli.Usagef("give it as the room's screen shows it: http://192.0.2.7:8080", "--from %q is no address of a page", from)
	}
	return u.Scheme + "://" + u.Host, nil
}
