package bundle

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
)

func countersignCmd(a *cli.App) *cobra.Command {
	var key, pqKey string
	var places []string
	c := cli.Command("countersign DIR", "Countersign the third parties' statements with the operator's HSM key",
		`Countersign shows the text, waits for m officers' approvals of exactly that, has
the operator's key sign it, and verifies the signature again in software before
it is recorded. Nobody is asked for a PIN before the officers have approved.
Where the plan names a post-quantum key beside the other, --pq-key signs the
same text: both signatures are recorded, or none.`,
		"  fleetctl bundle countersign ceremony --key 'pkcs11:token=operator;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so'",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "key"); err != nil {
				return err
			}
			if err := signer.InToken(key); err != nil {
				return err
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				text, err := j.Account().CountersignText()
				if err != nil {
					return cli.Usage(err)
				}
				a.ShowOperatorText(j.Account().Plan.Countersigner.Name, text)
				if err := j.CountersignApproved(cmd.Context(), signer.Approver(a, places)); err != nil {
					return session.Pausing(args[0], err)
				}
				s, err := signer.Open(a, key)
				if err != nil {
					return err
				}
				defer s.Close()
				beside, done, err := besideKey(a, pqKey, s)
				if err != nil {
					return err
				}
				defer done()
				if err := j.Countersign(cmd.Context(), nil, s.Public, s.For(keys.ForCountersignature), beside...); err != nil {
					return session.Pausing(args[0], err)
				}
				return session.TellStep(a, j, ceremony.TranscriptFile, text, [2]string{"countersigned", j.Account().Plan.Countersigner.Name})
			}, ceremony.ActCountersign)
		})
	c.Flags().StringVar(&key, "key", "", signer.Help)
	pqKeyFlag(c, &pqKey)
	session.SignWithFlag(c, &places)
	return c
}

func pqKeyFlag(c *cobra.Command, ref *string) {
	c.Flags().StringVar(ref, "pq-key", "", "the operator's ML-DSA `key`, where the plan names one beside the other: as --key, in the same token or another")
}

// besideKey opens the operator's post-quantum key beside the other; none where it isn't
// given.
func besideKey(a *cli.App, ref string, other *signer.Key) ([]engine.CountersignKey, func(), error) {
	if ref == "" {
		return nil, func() {}, nil
	}
	if err := signer.InToken(ref); err != nil {
		return nil, nil, err
	}
	k, err := signer.OpenPostQuantum(a, ref, other)
	if err != nil {
		return nil, nil, err
	}
	return []engine.CountersignKey{{Public: k.Public, Sign: k.For(keys.ForCountersignature)}}, k.Close, nil
}
