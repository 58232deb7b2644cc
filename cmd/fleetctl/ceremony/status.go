package ceremony

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
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
	if cmd := script.Continue(c, words.ShellWord(dir)); cmd != "" {
		rows = append(rows, [2]string{"next", cmd})
	}
	return a.Emit(out, a.UI.Fields(rows))
}

func statusCmd(a *cli.App) *cobra.Command {
	return cli.Command("status DIR", "Where a ceremony stands and what comes next", "",
		"  fleetctl ceremony status ceremony", cobra.ExactArgs(1),
		func(_ *cobra.Command, args []string) error {
			account, err := folder.Read(args[0])
			if err != nil {
				return cli.Wrong(err)
			}
			return tellStatus(a, args[0], account)
		})
}
