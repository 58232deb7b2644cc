package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func importCmd(a *cli.App) *cobra.Command {
	var o auditor
	c := cli.Command("import DIR [FILE]", "Take in what came back: a third party's answer, or a log's proof",
		`Import verifies the file against the plan's keys and this ceremony's request,
and only then stores and records it. A response that doesn't verify is recorded
as refused, with what it says, and nothing is taken from it. Any other file that
doesn't verify changes nothing.

An answer is a response, as thirdparty sign writes it, or a statement, as
Cloudflare's auditor and thirdparty serve serve it; that is kept byte for byte.
FILE may be -, which is standard input. With --url the statement is asked for:
GET ADDRESS/namespaces/NAMESPACE/audits/EPOCH. A statement that none of the
plan's third parties signed, or that is about another epoch, changes nothing;
one about this epoch that isn't good is recorded as refused.

Answers may come until the ceremony is closed. Those that are needed let the
operator countersign; one that comes after the countersignature is on the record
and not in the bundle. One that comes after the close is published beside the
evidence instead: fleetctl verify --statement counts it there, and the next
epoch's request names it with --previous-statement. A response may also be
images of its QR frames: a folder of them.`,
		`  fleetctl bundle import ceremony response.json
  fleetctl bundle import ceremony photos/
  fleetctl bundle import ceremony --url https://plexi.key-transparency.cloudflare.com
  fleetctl bundle import ceremony bundle.json.tlog-proof`,
		cobra.RangeArgs(1, 2), func(cmd *cobra.Command, args []string) error {
			if (len(args) == 2) == (o.url != "") {
				return cli.Usagef("see fleetctl bundle import --help", "give a FILE, or --url and no file")
			}
			if o.url != "" {
				return importServed(cmd.Context(), a, args[0], &o)
			}
			data, err := readAnswer(a, args[1])
			if err != nil {
				return err
			}
			if bytes.HasPrefix(data, []byte("c2sp.org/tlog-proof@")) {
				return session.WithFolder(a, args[0], func(j *engine.Journal) error { return session.ImportProof(a, j, args[1], data) }, ceremony.ActLog)
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				r, err := bundle.ParseAnswer(args[1], data, j.Account().Plan.PartyKeys())
				if err != nil {
					return cli.Wrong(err)
				}
				return importAnswer(a, j, args[1], r)
			}, answering...)
		})
	o.flags(c, "the `address` of the third party's live service, from which its statement is taken")
	return c
}

// answering are the steps at which an answer may come.
var answering = []ceremony.Act{ceremony.ActResponse, ceremony.ActCountersign, ceremony.ActLog, ceremony.ActLockdown, ceremony.ActClose}

func readAnswer(a *cli.App, file string) ([]byte, error) {
	if file != "-" {
		return cli.ReadFileOrFrames(file)
	}
	data, err := cli.ReadAll(a.Stdin, "standard input", 0, bundle.MaxBundle)
	return data, cli.Usage(err)
}

// importServed asks while nobody else is kept from the ceremony's folder.
func importServed(ctx context.Context, a *cli.App, dir string, o *auditor) error {
	var plan *ceremony.Plan
	if err := session.WithFolder(a, dir, func(j *engine.Journal) error { plan = j.Account().Plan; return nil }, answering...); err != nil {
		return err
	}
	r, err := o.served(ctx, a, plan)
	if err != nil {
		return err
	}
	return session.WithFolder(a, dir, func(j *engine.Journal) error { return importAnswer(a, j, o.url, r) }, answering...)
}

func importAnswer(a *cli.App, j *engine.Journal, file string, r *bundle.Response) error {
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
	return session.TellStep(a, j, file, r.Raw(), rows...)
}
