package bundle

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
	"github.com/fleetctl/fleetctl/internal/strict"
)

func importCmd(a *cli.App) *cobra.Command {
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
