package ceremony

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/words"
)

type statusJSON struct {
	Dir      string   `strict:"dir"`
	Ceremony string   `strict:"ceremony"`
	Mode     string   `strict:"mode"`
	Fleet    string   `strict:"fleet"`
	Epoch    uint64   `strict:"epoch"`
	Records  int      `strict:"records"`
	Head     [32]byte `strict:"head,hex"`
	Step     int      `strict:"step"`
	Steps    int      `strict:"steps"`
	Next     string   `strict:"next,optional"`
	State    string   `strict:"state"`              // running, aborted, closed
	SignedBy []string `strict:"signed_by,optional"` // of an abort

	Adjourned bool          `strict:"adjourned,optional"`
	Waits     []pendingJSON `strict:"waits,optional"` // whose signatures are missing
	// Attestations are those that are to come, or hold up the release.
	Attestations []attestationJSON `strict:"attestations,optional"`
}

// Format is what the JSON says that it is.
func (*statusJSON) Format() string { return "fleetctl ceremony status result v1" }

func tellStatus(a *cli.App, dir string, c *ceremony.Account) error {
	out := &statusJSON{Dir: dir, Records: c.N, Head: c.Head, Step: c.StepNumber(), Steps: len(c.Steps), State: "running", Mode: c.Plan.Mode, Fleet: c.Plan.Fleet, Epoch: c.Plan.Epoch}
	if c.Open != nil {
		out.Ceremony = c.Open.Ceremony
	}
	state := ""
	if s, ok := c.Next(); ok && !c.Ended() {
		out.Next = string(s.Act)
		state = fmt.Sprintf("step %d of %d is next: %s", out.Step, out.Steps, out.Next)
	}
	if out.Adjourned = c.Adjourned && !c.Ended(); out.Adjourned {
		state = "adjourned; " + state + " once it is reconvened"
	}
	switch {
	case c.Abort != nil:
		out.State, state = "aborted", "aborted: "+c.Abort.Reason
	case c.Close != nil:
		out.State, state = "closed", "closed"
	}
	rows := [][2]string{
		{"ceremony", out.Ceremony + " · " + strings.ToUpper(out.Mode)},
		{"folder", dir},
		{"records", fmt.Sprint(out.Records)},
		{"head", fmt.Sprintf("%x", out.Head)},
		{"", words.Head(out.Head[:]) + " …"},
		{"state", state},
	}
	signed, more, err := abortedBy(dir, c)
	if err != nil {
		return err
	}
	out.SignedBy, rows = signed, append(rows, more...)
	if out.Waits, more, err = pendingSignatures(dir, c); err != nil {
		return err
	}
	rows = append(rows, more...)
	out.Attestations, more = attestations(c)
	rows = append(rows, more...)
	label := "next"
	if c.Abort == nil && (c.Close == nil || len(out.Waits) > 0) {
		rows, label = append(rows, [2]string{label, script.Room(words.ShellWord(dir))}), "or alone"
	}
	if cmd := script.Continue(c, words.ShellWord(dir)); cmd != "" {
		if c.Close != nil && label != "next" {
			label = "then"
		}
		rows = append(rows, [2]string{label, cmd})
	}
	return a.Emit(out, a.UI.Fields(rows))
}

func statusCmd(a *cli.App) *cobra.Command {
	var code bool
	var frames string
	var since int
	c := cli.Command("status DIR", "Where a ceremony stands and what comes next",
		`Status says where a ceremony stands, whose signatures are missing and what
comes next: the room, which goes on from there, or that step's own command. For
a second screen (fleetctl screen), --qr draws the code of where it stands, and
--frames writes that and the chain of its records as pictures: those after
record --since, where the screen has seen the others.`,
		"  fleetctl ceremony status ceremony\n  fleetctl ceremony status ceremony --qr\n  fleetctl ceremony status ceremony --frames frames --since 40", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("since") && frames == "" {
				return cli.Usagef("", "--since is about the records in --frames")
			}
			if !code && frames == "" {
				account, err := folder.Read(args[0])
				if err != nil {
					return cli.Wrong(err)
				}
				return tellStatus(a, args[0], account)
			}
			// A record that is half written is no trouble of whoever looks.
			account, t, err := folder.ReadTorn(args[0])
			if err != nil {
				return cli.Wrong(err)
			}
			s, err := state.Of(account)
			if err != nil {
				return cli.Wrong(err)
			}
			if code {
				if err := a.ShowCode(s.String()); err != nil {
					return err
				}
			}
			out := &stateJSON{State: s.String(), Record: s.Record}
			rows := [][2]string{{"state", out.State}}
			if frames != "" {
				if out.Frames, err = drawChain(frames, account, t, since); err != nil {
					return err
				}
				rows = append(rows, [2]string{"frames", fmt.Sprintf("%s in %s", words.Count(int64(out.Frames), "frame", "frames"), frames)})
			}
			return a.Emit(out, a.UI.Fields(rows))
		})
	c.Flags().BoolVar(&code, "qr", false, "draw the code of where it stands, for a second screen")
	c.Flags().StringVar(&frames, "frames", "", "write the chain of records as QR frames into this new `folder`, for a second screen")
	c.Flags().IntVar(&since, "since", 0, "the `record` that a second screen has seen already: only those after it are in the frames")
	return c
}

type stateJSON struct {
	State  string `strict:"state"`
	Record int    `strict:"record"`
	Frames int    `strict:"frames"`
}

// Format is what the JSON says that it is.
func (*stateJSON) Format() string { return "fleetctl ceremony state result v1" }

// drawChain writes the chain of a transcript's records as frames.
func drawChain(dir string, c *ceremony.Account, t *ceremony.Transcript, since int) (int, error) {
	chain, err := state.ChainOf(c, t.Records, since)
	if err != nil {
		return 0, cli.Usagef("", "--since %d: %v", since, err)
	}
	data := chain.Encode()
	if len(data) > qr.MaxFile {
		return 0, cli.Usagef("give --since the record that the screen has seen, or have it read the page of --listen",
			"the chain of %d records doesn't fit into %d QR frames", len(chain.Links), qr.MaxFrames)
	}
	n, err := cli.DrawFrames(dir, fmt.Sprintf("chain-%d-to-%d", since, c.N), c.Plan.Mode, "", data, false)
	if err != nil {
		return n, err
	}
	picture, err := qr.PNG(chain.State.String())
	if err != nil {
		return n, err
	}
	return n, cli.WriteNew(filepath.Join(dir, fmt.Sprintf("state-%d.png", c.N)), picture)
}
