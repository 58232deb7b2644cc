package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

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

func bundleBuildCmd(a *cli.App) *cobra.Command {
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

func bundleRequestCmd(a *cli.App) *cobra.Command {
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
			pred, last, err := readPredecessor(predecessor, previous)
			if err != nil {
				return err
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
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
	f.StringArrayVar(&previous, "previous-statement", nil, "a third party's response `file` for the epoch before, where it isn't in what --predecessor names")
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

func bundleImportCmd(a *cli.App) *cobra.Command {
	return cli.Command("import DIR FILE", "Take in what came back: a third party's response, or a log's proof",
		`Import verifies the file against the plan's keys and this ceremony's request,
and only then stores and records it. A response that doesn't verify is recorded
as refused, with what it says, and nothing is taken from it. Any other file that
doesn't verify changes nothing.

Responses may come until the ceremony is closed. Those that are needed let the
operator countersign; one that comes after the countersignature is on the record
and not in the bundle. One that comes after the close is published beside the
evidence instead: fleetctl verify --statement counts it there, and the next
epoch's request names it with --previous-statement. A response may also be
images of its QR frames: a folder of them.`,
		`  fleetctl bundle import ceremony response.json
  fleetctl bundle import ceremony photos/
  fleetctl bundle import ceremony bundle.json.tlog-proof`,
		cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
			data, err := cli.ReadFileOrFrames(args[1])
			if err != nil {
				return err
			}
			if bytes.HasPrefix(data, []byte("c2sp.org/tlog-proof@")) {
				return session.WithFolder(a, args[0], func(j *engine.Journal) error { return session.ImportProof(a, j, args[1], data) }, ceremony.ActLog)
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error { return importResponse(a, j, args[1], data) },
				ceremony.ActResponse, ceremony.ActCountersign, ceremony.ActLog, ceremony.ActLockdown, ceremony.ActClose)
		})
}

func importResponse(a *cli.App, j *engine.Journal, file string, data []byte) error {
	r, err := bundle.ParseResponse(file, data)
	if err != nil {
		return cli.Wrong(err)
	}
	party, err := j.ImportResponse(r)
	var refused *engine.Refused
	switch {
	case errors.Is(err, ceremony.ErrAnswered):
		return cli.Usage(strict.Errorf(file, "%v", err))
	case errors.As(err, &refused):
		return cli.Wrong(strict.Errorf(file, "%v", err).WithHint("keep the file and ask the third party; nothing was taken from it"))
	case err != nil:
		return cli.Wrong(err)
	}
	account := j.Account()
	rows := [][2]string{{"signed by", fmt.Sprintf("%s, epoch %d, %s", party.Name, r.Statement.Epoch, strict.FormatTime(r.Statement.Time()))}}
	if n := len(account.Plan.ThirdParties); n > 1 {
		text := fmt.Sprintf("%d of %d, %d needed", len(account.Responses), n, account.Plan.Answers())
		if absent := account.Absent(); len(absent) > 0 {
			text += "; absent " + strings.Join(absent, ", ")
		}
		rows = append(rows, [2]string{"answers", text})
	}
	if account.Counter != nil {
		rows = append(rows, [2]string{"late", "on the record, and not in the bundle, which the countersignature fixed"})
	}
	return session.TellStep(a, j, file, data, rows...)
}

func bundleCountersignCmd(a *cli.App) *cobra.Command {
	var key string
	var keys []string
	c := cli.Command("countersign DIR", "Countersign the third parties' statements with the operator's HSM key",
		`Countersign shows the text, has the operator's key sign exactly that, and
verifies the signature again in software before it is recorded.`,
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
				a.ShowText(text)
				s, err := signer.Open(a, key)
				if err != nil {
					return err
				}
				defer s.Close()
				if err := j.Countersign(cmd.Context(), signer.Approver(a, keys), s.Public, s.Sign); err != nil {
					return session.Pausing(args[0], err)
				}
				return session.TellStep(a, j, ceremony.TranscriptFile, text, [2]string{"countersigned", j.Account().Plan.Countersigner.Name})
			}, ceremony.ActCountersign)
		})
	c.Flags().StringVar(&key, "key", "", signer.Help)
	session.SignWithFlag(c, &keys)
	return c
}

func bundleAssembleCmd(a *cli.App) *cobra.Command {
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
