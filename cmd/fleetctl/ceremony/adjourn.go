package ceremony

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func adjournCmd(a *cli.App) *cobra.Command {
	var reason string
	var seals []string
	c := cli.Command("adjourn DIR", "Interrupt a ceremony as planned, between two steps",
		"Adjourn records why and under which seals everything is kept until the ceremony\nis reconvened. In production every HSM of the plan needs one, under its name.",
		"  fleetctl ceremony adjourn ceremony --reason 'the third party needs two days' --seal 'safe 1=4471 9920'",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "reason"); err != nil {
				return err
			}
			list, err := parseSeals(seals)
			if err != nil {
				return err
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				if err := j.Adjourn(&ceremony.Adjourn{Reason: reason, Seals: list}); err != nil {
					return cli.Usage(err)
				}
				return tellStatus(a, args[0], j.Account())
			})
		})
	c.Flags().StringVar(&reason, "reason", "", "why, in `words` that will be published")
	c.Flags().StringArrayVar(&seals, "seal", nil, "`what=number` of a seal")
	return c
}

func reconveneCmd(a *cli.App) *cobra.Command {
	var seals, keys []string
	c := cli.Command("reconvene DIR", "Go on with a ceremony that was adjourned",
		"Reconvene records the seals as they were found; in production every HSM of the\nplan needs one. m officers have to approve it.",
		"  fleetctl ceremony sign ceremony --approve reconvene --key olga\n  fleetctl ceremony reconvene ceremony --seal 'safe 1=4471 9920'",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			list, err := parseSeals(seals)
			if err != nil {
				return err
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				if !j.Account().Adjourned {
					return cli.Usage(strict.Errorf(args[0], "the ceremony is not adjourned"))
				}
				var waits *folder.Pending
				err := j.Reconvene(cmd.Context(), &ceremony.Reconvene{Seals: list}, signer.Approver(a, keys))
				switch {
				case errors.As(err, &waits):
					return session.Pausing(args[0], err)
				case err != nil:
					return cli.Usage(err)
				}
				return tellStatus(a, args[0], j.Account())
			})
		})
	c.Flags().StringArrayVar(&seals, "seal", nil, "`what=number` of a seal as it was found")
	session.SignWithFlag(c, &keys)
	return c
}

func parseSeals(list []string) ([]ceremony.Seal, error) {
	seals := []ceremony.Seal{}
	for _, s := range list {
		what, number, ok := strings.Cut(s, "=")
		if !ok || what == "" || number == "" {
			return nil, cli.Usagef("", "--seal %q is not what=number", s)
		}
		seals = append(seals, ceremony.Seal{What: what, Number: number})
	}
	return seals, nil
}
