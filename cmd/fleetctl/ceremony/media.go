package ceremony

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/attest/evidence/media"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type mediaJSON struct {
	File   string   `strict:"file"` // the index
	Name   string   `strict:"name"`
	SHA256 [32]byte `strict:"sha256,hex"`
	Size   uint64   `strict:"size"`
	Media  int      `strict:"media"` // in the index
}

// Format is what the JSON says that it is.
func (*mediaJSON) Format() string { return "fleetctl ceremony media result v1" }

func mediaCmd(a *cli.App) *cobra.Command {
	var start string
	var within time.Duration
	var places []string
	c := cli.Command("media DIR RECORDING", "Name a recording of the ceremony in its package, by digest",
		`Media writes into the ceremony's folder which recording there is: its file's
name, digest, size and start, and at which place of it which record was made.
The recording itself is not packed. The close lists what is written, people sign
it, and verify --media compares the recordings that somebody has.

--at names a place: the time from the recording's start, and the number of the
record, which is made at the end of an act. show ceremony/transcript.jsonl lists
the records. --within is how far the recording's clock and the ceremony's may be
apart.`,
		`  fleetctl ceremony media ceremony room-1.mp4 --start 2026-11-21T10:00:00Z --at 00:00:40=1 --at 01:12:40=17`,
		cobra.ExactArgs(2), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "start", "at"); err != nil {
				return err
			}
			m := media.Medium{Name: filepath.Base(args[1]), Within: within}
			var err error
			if m.Start, err = strict.ParseTime(start); err != nil {
				return cli.Usagef("", "--start %v", err)
			}
			for _, text := range places {
				offset, record, _ := strings.Cut(text, "=")
				var p media.Place
				if p.Offset, err = media.ParseOffset(offset); err != nil {
					return cli.Usagef("", "--at %v", err)
				}
				if p.Record, err = strconv.Atoi(record); err != nil {
					return cli.Usagef("such as --at 01:12:40=17", "--at %q names no record", text)
				}
				m.Places = append(m.Places, p)
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				return addMedium(a, j, args[1], m)
			})
		})
	f := c.Flags()
	f.StringVar(&start, "start", "", "the `time` at which the recording begins, such as 2026-11-21T10:00:00Z")
	f.StringArrayVar(&places, "at", nil, "a `place`: OFFSET=RECORD, such as 01:12:40=17; may be repeated")
	f.DurationVar(&within, "within", time.Minute, "how far a place may be from its record's `time`, at most "+strict.FormatDuration(media.MaxWithin))
	return c
}

func addMedium(a *cli.App, j *engine.Journal, path string, m media.Medium) error {
	seen, err := cli.ReadMedium(path)
	if err != nil {
		return cli.Usage(cli.Missing(err))
	}
	m.SHA256, m.Size = seen.SHA256, seen.Size
	x, err := closing.AddMedium(j.Dir(), j.Account(), m)
	if err != nil {
		return cli.Wrong(err)
	}
	out := &mediaJSON{File: filepath.Join(j.Dir(), media.File), Name: m.Name, SHA256: m.SHA256, Size: m.Size, Media: len(x.Media)}
	return a.Emit(out, a.UI.Fields([][2]string{
		{"recording", fmt.Sprintf("%s   %s", m.Name, words.Size(int64(m.Size)))},
		{"sha256", fmt.Sprintf("%x", m.SHA256)},
		{"places", words.Count(int64(len(m.Places)), "place", "places") + " in the transcript"},
		{"index", fmt.Sprintf("%s, %s", out.File, words.Count(int64(out.Media), "recording", "recordings"))},
	}))
}
