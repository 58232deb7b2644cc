package bundle

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
)

func countersignCmd(a *cli.App) *cobra.Command {
	var key string
	var with []string
	c := cli.Command("countersign DIR", "Countersign the third parties' statements with the operator's HSM key",
		`Countersign shows the text, waits for m officers' approvals of exactly that, has
the operator's key sign it, and verifies the signature again in software before
it is recorded. Nobody is asked for a PIN before the officers have approved.`,
		"  fleetctl bundle countersign ceremony --key 'pkcs11:token=operator;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so'",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "key"); err != nil {
				return err
			}
			if len(key) < 7 || !strings.EqualFold(key[:7], "pkcs11:") {
				return cli.Usagef("give it as pkcs11:token=…;id=…?module-path=…", "the operator's key has to be in an HSM")
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				text, err := j.Account().CountersignText()
				if err != nil {
					return cli.Usage(err)
				}
				a.ShowOperatorText(j.Account().Plan.Countersigner.Name, text)
				if err := j.CountersignApproved(cmd.Context(), signer.Approver(a, with)); err != nil {
					return session.Pausing(args[0], err)
				}
				s, err := signer.Open(a, key)
				if err != nil {
					return err
				}
				defer s.Close()
				if err := j.Countersign(cmd.Context(), nil, s.Public, s.For(keys.ForCountersignature)); err != nil {
					return session.Pausing(args[0], err)
				}
				return session.TellStep(a, j, ceremony.TranscriptFile, text, [2]string{"countersigned", j.Account().Plan.Countersigner.Name})
			}, ceremony.ActCountersign)
		})
	c.Flags().StringVar(&key, "key", "", signer.Help)
	session.SignWithFlag(c, &with)
	return c
}
