package bundle

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/words"
)

func buildCmd(a *cli.App) *cobra.Command {
	var s session.StandIn
	c := cli.Command("build DIR", "Build the fleet key set and record its release",
		`Build writes fleet-keys.json, the artifact whose digest is signed. It follows
from the transcript up to the fleet check, byte for byte. Its digest is read
aloud, and the auditor types words of it from their own screen.`,
		"  fleetctl bundle build ceremony", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return s.Over(session.WithFolder(a, args[0], func(j *engine.Journal) error {
				if set, err := j.Account().Artifact(); err == nil {
					a.UI.Say(cli.DeltaText(a, nil, set, bundle.Diff(nil, set)), "\n")
				}
				set, err := j.Build(cmd.Context(), session.Listeners(a, j.Account().Plan.Mode, &s))
				if err != nil {
					return err
				}
				return session.TellStep(a, j, ceremony.ArtifactFile, set.Raw(),
					[2]string{"next", "officers, witness and auditor sign the release off:"},
					[2]string{"", "fleetctl ceremony sign " + words.ShellWord(j.Dir()) + " --signoff release --verdict agree --key KEY"})
			}, ceremony.ActRelease))
		})
	s.AnswersFlag(c)
	return c
}
