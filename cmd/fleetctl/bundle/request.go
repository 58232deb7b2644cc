package bundle

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

func requestCmd(a *cli.App) *cobra.Command {
	var out, predecessor, frames string
	var previous, keys []string
	c := cli.Command("request DIR", "Write the request to the third parties",
		`Request writes one file that holds the artifact and the evidence that a third
party checks before it signs: plan and transcript up to the release. From epoch
2 on it also names the predecessor and each third party's own last statement:
those in the predecessor's bundle or on its ceremony's record, and with
--previous-statement that of one who signed after that ceremony was closed.
Once it is on the record the same command gives the same files again.
--qr also draws its core, what officers approve, as QR frames, images for a
screen and a PDF for paper: the third party compares them with the file that
came another way.`,
		`  fleetctl bundle request ceremony --out request.json
  fleetctl bundle request ceremony --out request.json --predecessor epoch1/bundle.json
  fleetctl bundle request ceremony --out request.json --predecessor epoch1 --previous-statement late.json`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "out"); err != nil {
				return err
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				pred, last, err := session.ReadPredecessor(predecessor, previous, j.Account().Plan)
				if err != nil {
					return err
				}
				again := j.Account().Request != nil
				if !again {
					if err := session.InTurn(j, []ceremony.Act{ceremony.ActRequest}); err != nil {
						return cli.Usage(err)
					}
					if err := cli.Free(out, frames); err != nil {
						return err // before the transcript says that it was made
					}
				}
				r, err := j.Request(cmd.Context(), pred, last, signer.Approver(a, keys))
				var unfit *engine.Unfit
				switch {
				case errors.As(err, &unfit) && pred == nil:
					return cli.Usage(strict.Errorf(args[0], "%v", err).WithHint("name the epoch before with --predecessor"))
				case errors.As(err, &unfit):
					return cli.Wrong(strict.Errorf(args[0], "%v", err).WithHint("nothing was written; see --predecessor and --previous-statement"))
				case err != nil:
					return session.Pausing(args[0], err)
				}
				return requested(a, j, r, out, frames, again)
			})
		})
	f := c.Flags()
	f.StringVar(&out, "out", "", "the request's new `file`")
	f.StringVar(&frames, "qr", "", "also draw its core as QR frames into this new `folder`")
	f.StringVar(&predecessor, "predecessor", "", "the `file` of the epoch before: its bundle, its fleet-keys.json, or its ceremony's folder")
	session.SignWithFlag(c, &keys)
	f.StringArrayVar(&previous, "previous-statement", nil, "a third party's answer `file` for the epoch before, where it isn't in what --predecessor names")
	return c
}

// requested writes the request that is on the record. Asked for once more, it is
// the same: what a run that was cut off has written of it stays.
func requested(a *cli.App, j *engine.Journal, r *bundle.Request, out, frames string, again bool) error {
	write := cli.WriteNew
	var rows [][2]string
	if again {
		write = cli.WriteSame
		rows = append(rows, [2]string{"again", "it is on the record already: this is the same request"})
	}
	if err := write(out, r.Raw()); err != nil {
		return err
	}
	if frames != "" {
		n, err := cli.DrawFrames(frames, "request-core", r.Core.KeySet.Mode, out, r.Core.Raw(), again)
		if err != nil {
			return err
		}
		rows = append(rows, [2]string{"frames", fmt.Sprintf("%d QR frames of its core in %s", n, frames)})
	}
	rows = append(rows, [2]string{"next", "give it to the third party, who inspects and signs it:"},
		[2]string{"", "fleetctl thirdparty sign " + words.ShellWord(out) + " --policy POLICY --ledger LEDGER --key KEY --out response.json"})
	return session.TellStep(a, j, out, r.Raw(), rows...)
}
