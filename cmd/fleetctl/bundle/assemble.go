package bundle

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/words"
)

func assembleCmd(a *cli.App) *cobra.Command {
	var s session.StandIn
	c := cli.Command("assemble DIR", "Assemble the validation bundle",
		`Assemble writes bundle.json: the key set, the third parties' statements and the
operator's countersignature. Its exact bytes are the log's leaf. Its digest is
read aloud, and the auditor types words of it from their own screen.`,
		"  fleetctl bundle assemble ceremony", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return s.Over(session.WithFolder(a, args[0], func(j *engine.Journal) error {
				b, err := j.Assemble(cmd.Context(), session.Listeners(a, j.Account().Plan.Mode, &s))
				if err != nil {
					return cli.Usage(err)
				}
				return session.TellStep(a, j, ceremony.BundleFile, b.Raw(),
					[2]string{"size", fmt.Sprintf("%s bytes of %s", words.Number(int64(len(b.Raw()))), words.Number(bundle.MaxBundle))})
			}))
		})
	s.AnswersFlag(c)
	return c
}
