package evidence

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/epochs"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// expectEpochs is what --expect says to take a chain of epochs, and nothing else.
const expectEpochs = "epochs"

// maxListed is how many files a folder of a chain may have, packages' folders among them.
const maxListed = 1 << 16

// folderOf lists a folder as a chain of epochs. It is none, but a package's own folder, or
// no package at all, where nothing in it is an object of a chain.
func folderOf(dir string) (groups []epochs.Group, ours, others []string, err error) {
	var paths []string
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return cli.Wrong(strict.Errorf(p, "is no regular file"))
		case len(paths) >= maxListed:
			return cli.Wrong(strict.Errorf(dir, "holds more than %d files", maxListed))
		}
		rel, err := filepath.Rel(dir, p)
		paths = append(paths, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		return nil, nil, nil, err
	}
	groups, ours, others = epochs.Sort(paths)
	return groups, ours, others, nil
}

// isChain says whether a chain of epochs is asked about: it is expected, there are several
// objects, or one folder that is not a package's and has objects of a chain.
func isChain(args []string, o verifyOptions) (bool, error) {
	if o.expect == expectEpochs || len(args) > 1 {
		return true, nil
	}
	info, err := os.Stat(args[0])
	if err != nil || !info.IsDir() || o.expect != "" && o.expect != expectCurrent {
		return false, nil // the reader of one object says what is wrong
	}
	if _, err := os.Stat(filepath.Join(args[0], evidence.ManifestFile)); err == nil {
		return false, nil
	}
	groups, _, _, err := folderOf(args[0])
	return len(groups) > 0 && !(groups[0].Folder && groups[0].Path == "."), err
}

// forOne are the flags that go with one object alone.
var forOne = []string{"only", "plan", "proof", "evidence-proof", "rekor", "statement", "explain", "script", "media", "beside"}

func verifyEpochs(a *cli.App, cmd *cobra.Command, args []string, policy *evidence.Policy, o verifyOptions) error {
	for _, name := range forOne {
		if cmd.Flags().Changed(name) {
			return cli.Usagef("name all files of a chain as arguments, or their folder; verify one object by itself for more about it", "--%s goes with one object, and this is a chain of epochs", name)
		}
	}
	now, err := o.now(a)
	if err != nil {
		return err
	}
	c, err := epochs.New(policy, epochs.Question{Now: now, From: o.from, Current: o.expect == expectCurrent, TrustOnFirstUse: o.firstUse})
	if err != nil {
		return cli.Usage(err)
	}
	for _, arg := range args {
		if err := takeEpochs(a, c, arg); err != nil {
			return err
		}
	}
	r := c.Conclude()
	err = a.Tell(cli.Judged{JSON: r.JSON, Run: func() *report.Run { return chainChecks(r, args, chainCode(r)) },
		Text: func() string { return chainText(a, r, o.at != "") }, Quiet: o.quiet})
	if code := chainCode(r); err == nil && code != cli.ExitDone {
		err = cli.Exit(code, cli.ErrQuiet)
	}
	return err
}

// takeEpochs reads one argument after another, and no object before the last one was judged.
func takeEpochs(a *cli.App, c *epochs.Chain, arg string) error {
	if arg == "-" {
		return cli.Usagef("", "a chain of epochs is read from files, not from standard input")
	}
	groups := []epochs.Group{{}}
	if info, err := os.Stat(arg); err != nil {
		return cli.Usage(cli.Missing(err))
	} else if info.IsDir() {
		var ours, others []string
		if groups, ours, others, err = folderOf(arg); err != nil {
			return err
		}
		for _, p := range ours {
			c.Stray(filepath.Join(arg, p), true)
		}
		for _, p := range others {
			c.Stray(filepath.Join(arg, p), false)
		}
	}
	for _, g := range groups {
		var o verifyOptions
		if g.Folder && len(g.Proofs) > 0 {
			o.logged = filepath.Join(arg, g.Proofs[0])
			for _, p := range g.Proofs[1:] {
				o.proofs = append(o.proofs, filepath.Join(arg, p))
			}
		}
		in, err := input(a, filepath.Join(arg, filepath.FromSlash(g.Path)), o)
		if err != nil {
			return err
		}
		if err := c.Take(in); err != nil {
			return cli.Wrong(err)
		}
	}
	return nil
}

func chainText(a *cli.App, r *epochs.Report, given bool) string {
	p := a.UI.Page
	var b strings.Builder
	clock := " (clock)"
	if given {
		clock = " (given)"
	}
	head := r.Namespace
	if head == "" {
		head = "of nothing that is verified"
	}
	var rows [][2]string
	rows = append(rows, [2]string{"chain", strings.TrimSuffix(head+" · "+strings.ToUpper(r.Mode), " · ")})
	for _, x := range r.Policy.Allows() {
		rows = append(rows, [2]string{"allowed", x})
	}
	b.WriteString(p.Fields(append(rows, [][2]string{
		{"policy", fmt.Sprintf("%s · %s · %s", r.Policy.File, words.Short(r.Policy.Digest[:]), r.Policy.TellPinned())},
		{"time", r.Time.Format(time.RFC3339) + clock},
	}...)))
	b.WriteString("\n")
	var lines []ui.ClaimLine
	for _, e := range r.Epochs {
		l := ui.ClaimLine{Name: e.Name(), Detail: e.Text(), Wrong: r.Faulty(e)}
		for _, o := range e.Objects {
			l.More = append(l.More, objectText(o))
		}
		lines = append(lines, l)
	}
	for i, u := range r.Unknown {
		if i == shownUnknown && len(r.Unknown) > shownUnknown+1 {
			lines = append(lines, ui.ClaimLine{Name: "not looked at", Detail: fmt.Sprintf("%d others; --format json lists all", len(r.Unknown)-i)})
			break
		}
		lines = append(lines, ui.ClaimLine{Name: "not looked at", Detail: u + ": no file of a chain of epochs"})
	}
	b.WriteString(p.Claims(lines))
	b.WriteString("\n")
	b.WriteString(chainVerdict(a, r))
	return b.String()
}

// shownUnknown is how many files that a chain has no use for people are told by name.
const shownUnknown = 8

func objectText(o *epochs.Object) string {
	text := o.File + ": " + string(o.Type)
	if !o.Verified {
		return text + ", NOT VERIFIED"
	}
	text += ", verified"
	if o.Witnessed != nil {
		text += ", seen by witnesses by " + strict.FormatTime(*o.Witnessed)
	}
	return text
}

func chainVerdict(a *cli.App, r *epochs.Report) string {
	p := a.UI.Page
	unpinned := r.Policy.TellUnpinned()
	if r.Verified {
		text := r.Told()
		if unpinned != "" {
			text = "on first use only: " + text + "; " + unpinned
		}
		return p.Verdict(true, text)
	}
	var why []string
	if unpinned != "" {
		why = append(why, unpinned)
	}
	if n := len(r.Problems) + r.Others; n > 0 {
		why = append(why, words.Count(int64(n), "thing is wrong", "things are wrong"))
	}
	var lines []ui.ClaimLine
	if unpinned != "" && !r.FirstUse {
		lines = append(lines, ui.ClaimLine{Name: r.Policy.File, Detail: "whose keys these are, nobody has confirmed", Wrong: true, More: next(evidence.ConfirmHint)})
	}
	for _, x := range r.Problems[:min(len(r.Problems), maxProblems)] {
		name, what := x.Where, x.What
		if name == "" {
			name = x.Kind
		}
		if x.Alarm {
			what = "ALARM: " + what
		}
		lines = append(lines, ui.ClaimLine{Name: name, Detail: what, Wrong: true, More: next(x.Next)})
	}
	if more := len(r.Problems) + r.Others - maxProblems; more > 0 {
		lines = append(lines, ui.ClaimLine{Name: "and more", Detail: words.Number(int64(more)) + " others; --format json lists " + words.Number(int64(len(r.Problems))), Wrong: true})
	}
	return p.Verdict(false, strings.Join(why, "; ")) + "\n" + p.Claims(lines)
}
