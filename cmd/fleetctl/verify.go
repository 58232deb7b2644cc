package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

type verifyOptions struct {
	policy, expect, plan, logged, rekor, at, explain string
	only, statements, proofs, beside                 []string
	quiet, firstUse                                  bool
}

func verifyCmd(a *cli.App) *cobra.Command {
	var o verifyOptions
	c := cli.Command("verify FILE|DIR|-", "Verify any of our files, offline, under a policy",
		`Verify finds out what a file is (evidence package, validation bundle, third
party's statement, transcript) and verifies it, offline, under the keys that
the policy pins. Each claim is graded: proven, attested, device, not shown. It
exits 0 only if every claim that the policy demands is shown strongly enough,
nothing in the file is wrong, and each key of the policy says under confirmed:
how it was compared with its owner. A policy made from the very file that it
judges would pass anything: --trust-on-first-use takes it all the same.

What else you have of the same namespace, --beside has considered: packages,
bundles, notices, each verified for itself, under the same policy. A second
ending of a ceremony or a second artifact of an epoch is wrong; a bundle whose
epoch is retired or void is not verified; of a package, which is history, the
first line says it. --expect current wants neither, nor a later epoch.`,
		`  fleetctl verify evidence.tar --policy acme.yaml
  fleetctl verify bundle.json --policy acme.yaml --expect bundle
  fleetctl verify bundle.json --policy acme.yaml --expect current --beside end.json
  fleetctl verify - --policy acme.yaml --format json < evidence.tar`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if o.policy == "" {
				return cli.Usagef("a verdict is worth what its keys are: pin them in a policy of your own, see\nfleetctl policy new --help", "no policy: verify needs --policy FILE")
			}
			if !slices.Contains(objectTypes, evidence.Type(o.expect)) && o.expect != expectSplit && o.expect != expectCurrent {
				return cli.Usagef("it is evidence, bundle, notice, statement, transcript, abort, current or split-view", "--expect is %q", o.expect)
			}
			if o.expect == expectCurrent && len(o.beside) == 0 {
				return cli.Usagef("give the newest bundle or notice there is with --beside", "--expect current: nothing is given that could show whether it is")
			}
			if cmd.Flags().Changed("only") && len(o.only) == 0 {
				return cli.Usagef("the claims are "+strings.Join(evidence.ClaimNames(), ", "), "--only names no claim")
			}
			return verify(a, args[0], o)
		})
	f := c.Flags()
	f.StringVar(&o.policy, "policy", "", "`file` of pinned keys and demanded claims")
	f.StringVar(&o.expect, "expect", "", "ask only what this `type` can show, and take no other: evidence, bundle, notice (a retirement or a void), statement, transcript, abort, split-view; or current: a bundle or a package of which nothing beside it shows that its keys are retired, void or superseded")
	f.StringArrayVar(&o.beside, "beside", nil, "a `file` or folder to be considered too: a package, bundle or notice of the same namespace, with its proofs beside it; may be repeated")
	f.StringSliceVar(&o.only, "only", nil, "ask only these of the policy's `claims`")
	f.StringVar(&o.plan, "plan", "", "plan `file` of a transcript (default: plan.yaml beside it)")
	f.StringArrayVar(&o.proofs, "proof", nil, "log proof `file` of a bundle (default: FILE.tlog-proof beside it, and FILE.tlog-proof-2 and so on); a further proof, of a package's bundle or end too, or a witness's request that continues a proof's checkpoint")
	f.StringVar(&o.logged, "evidence-proof", "", "log proof `file` of how a package's ceremony ended (default: evidence.tlog-proof beside evidence.tar)")
	f.StringVar(&o.rekor, "rekor", "", "Rekor entry `file` of a bundle (default: FILE.rekor.json beside it)")
	f.StringArrayVar(&o.statements, "statement", nil, "a late third party's statement `file`, or its response, beside a bundle or a package")
	f.StringVar(&o.at, "time", "", "judge as of this `time`, such as 2026-11-21T10:00:00Z (default: the clock)")
	f.StringVar(&o.explain, "explain", "", "say all there is to say about one `claim`")
	f.BoolVar(&o.firstUse, "trust-on-first-use", false, "take keys that nobody compared with their owners, those without confirmed: in the policy")
	f.BoolVar(&o.quiet, "quiet", false, "print nothing, only set the exit code")
	return c
}

// expectCurrent is what --expect says to take a bundle or a package only if its
// keys are current.
const expectCurrent = "current"

var objectTypes = []evidence.Type{"", evidence.TypeEvidence, evidence.TypeBundle, evidence.TypeNotice, evidence.TypeStatement, evidence.TypeTranscript, evidence.TypeAbort}

func verify(a *cli.App, file string, o verifyOptions) error {
	data, err := cli.ReadFile(o.policy)
	if err != nil {
		return err
	}
	policy, err := evidence.ParsePolicy(o.policy, data)
	if err != nil {
		return cli.Usage(err)
	}
	in, err := input(a, file, o)
	if err != nil {
		return err
	}
	for _, path := range o.statements {
		text, err := cli.ReadNamed(path, cli.MaxBeside)
		if err != nil {
			return err
		}
		in.Statements = append(in.Statements, evidence.Input{File: path, Data: text})
	}
	if err := besides(a, &in, o.beside); err != nil {
		return err
	}
	if isSplitView(in.Data) || o.expect == expectSplit {
		return verifySplit(a, in.File, in.Data, policy, o)
	}
	q := evidence.Question{Now: a.Now(), Expect: evidence.Type(o.expect), Only: o.only, TrustOnFirstUse: o.firstUse}
	if o.expect == expectCurrent {
		q.Expect, q.Current = "", true
	}
	if o.at != "" {
		if q.Now, err = strict.ParseTime(o.at); err != nil {
			return cli.Usagef("", "--time %v", err)
		}
	}
	r, err := evidence.Verify(in, policy, q)
	if err != nil {
		return cli.Usage(err)
	}
	if r.Object == "" && a.Format == "text" && !o.quiet {
		return cli.Wrong(strict.Errorf(in.File, "is nothing that can be verified").WithHint("%s", "verify takes evidence packages, bundles, statements and transcripts; what this is says\nfleetctl show "+words.ShellWord(file)))
	}
	switch {
	case o.quiet:
	case a.Format == "json":
		err = a.UI.Print(string(r.JSON()))
	case o.explain != "":
		err = explainClaim(a, r, o.explain)
	default:
		err = a.UI.Print(reportText(a, r, o.at != ""))
	}
	if err == nil && !r.Verified {
		err = cli.Wrong(cli.ErrQuiet)
	}
	return err
}

// besides reads what is given beside in, and no more of it than is judged.
func besides(a *cli.App, in *evidence.Input, paths []string) error {
	total := 0
	for _, path := range paths {
		if path == "-" {
			return cli.Usagef("", "--beside takes no standard input")
		}
		other, err := input(a, path, verifyOptions{})
		if err != nil {
			return err
		}
		if total += len(other.Data) + other.Folder.Size(); total > evidence.MaxPackage {
			return cli.Wrong(strict.Errorf(path, "and what was given before it with --beside have more than %d bytes together", evidence.MaxPackage))
		}
		in.Beside = append(in.Beside, other)
	}
	return nil
}

func reportText(a *cli.App, r *evidence.Report, given bool) string {
	p := a.UI.Page
	var b strings.Builder
	what := string(r.Object)
	if what == "" {
		what = "file"
	}
	about := r.Fleet
	if about == "" {
		about = r.Namespace
	}
	head := r.File
	if about != "" {
		head = fmt.Sprintf("%s · epoch %d · %s", about, r.Epoch, strings.ToUpper(r.Mode))
	}
	size := words.Size(int64(r.Size))
	if r.Files > 0 {
		size = words.Count(int64(r.Files), "file", "files") + ", " + size
	}
	clock := " (clock)"
	if given {
		clock = " (given)"
	}
	var rows [][2]string
	for _, s := range r.Standing {
		is := s.What // still to come
		if s.InForce {
			is = strings.ToUpper(is)
		}
		rows = append(rows, [2]string{is, s.Text() + " (" + s.By + ")"})
	}
	rows = append(rows, [2]string{what, head + "   " + size})
	for _, a := range r.Policy.Allows() {
		rows = append(rows, [2]string{"allowed", a})
	}
	if r.Notice != nil {
		rows = append(rows, explain.NoticeFacts(r.Notice)...)
	}
	if n := len(r.Besides); n > 0 {
		rows = append(rows, [2]string{"beside", words.Count(int64(n), "object", "objects") + ", verified for themselves"})
	}
	b.WriteString(p.Fields(append(rows, [][2]string{
		{"policy", fmt.Sprintf("%s · %s · %s", r.Policy.File, words.Short(r.Policy.Digest[:]), r.Policy.TellPinned())},
		{"time", r.Time.Format(time.RFC3339) + clock},
	}...)))
	b.WriteString("\n")
	var lines []ui.ClaimLine
	for _, c := range r.Claims {
		lines = append(lines, ui.ClaimLine{Grade: c.Grade.String(), Name: c.Name, Detail: detail(c), Wrong: c.Short()})
	}
	b.WriteString(p.Claims(lines))
	b.WriteString("\n")
	b.WriteString(verdict(a, r))
	return b.String()
}

func verdict(a *cli.App, r *evidence.Report) string {
	p := a.UI.Page
	unpinned := r.Policy.TellUnpinned()
	if r.Verified {
		text := fmt.Sprintf("%s demanded, %d shown", words.Count(int64(r.Demanded), "claim", "claims"), r.Shown)
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
	if n := r.Demanded - r.Shown; n > 0 {
		why = append(why, fmt.Sprintf("%d of %s demanded %s short", n, words.Count(int64(r.Demanded), "claim", "claims"), verb(n, "falls", "fall")))
	}
	var b strings.Builder
	b.WriteString(p.Verdict(false, strings.Join(why, "; ")))
	var lines []ui.ClaimLine
	if unpinned != "" && !r.FirstUse {
		lines = append(lines, ui.ClaimLine{Name: r.Policy.File, Detail: "whose keys these are, nobody has confirmed", Wrong: true, More: next(evidence.ConfirmHint)})
	}
	for _, x := range r.Problems[:min(len(r.Problems), maxProblems)] {
		lines = append(lines, ui.ClaimLine{Name: x.Where, Detail: x.What, Wrong: true, More: next(x.Next)})
	}
	if more := len(r.Problems) + r.Others - maxProblems; more > 0 {
		tell := " others; --format json lists all of them"
		if r.Others > 0 {
			tell = " others; --format json lists " + words.Number(int64(len(r.Problems)))
		}
		lines = append(lines, ui.ClaimLine{Name: "and more", Detail: words.Number(int64(more)) + tell, Wrong: true})
	}
	b.WriteString("\n")
	b.WriteString(p.Claims(append(lines, shortfalls(r)...)))
	return b.String()
}

// maxProblems is how many things that are wrong a person is told of.
const maxProblems = 30

// shortfalls are the claims that fall short, but for those that nobody could
// get to: they are named in one line. Advice stands once, below the last claim
// that it is good for.
func shortfalls(r *evidence.Report) (lines []ui.ClaimLine) {
	var short, unjudged []string
	for _, c := range r.Claims {
		switch {
		case !c.Short():
			continue
		case c.Detail == "" && len(r.Problems) > 0:
			unjudged = append(unjudged, c.Name)
			continue
		}
		l := ui.ClaimLine{Name: c.Name, Detail: fmt.Sprintf("%s: is %s, the policy wants %s", detail(c), c.Grade, c.Least), Wrong: true}
		if c.Where != "" {
			l.More = append(l.More, c.Where)
		}
		if n := len(short); n > 0 && c.Next != "" && short[n-1] == c.Next {
			before := &lines[n-1]
			before.More = before.More[:len(before.More)-1]
		}
		l.More = append(l.More, next(c.Next)...)
		lines, short = append(lines, l), append(short, c.Next)
	}
	if len(unjudged) > 0 {
		lines = append(lines, ui.ClaimLine{Name: "unjudged", Detail: strings.Join(unjudged, ", ") + ": since something else is wrong", Wrong: true})
	}
	return lines
}

// detail is never empty: a claim that nobody got to says so.
func detail(c evidence.Claim) string {
	if c.Detail == "" {
		return "couldn't be judged, since something else is wrong"
	}
	return c.Detail
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func next(s string) []string {
	if s == "" {
		return nil
	}
	return []string{"next: " + s}
}

func explainClaim(a *cli.App, r *evidence.Report, name string) error {
	c := r.Claim(name)
	if c == nil {
		return cli.Usagef("the claims are "+strings.Join(evidence.ClaimNames(), ", "), "there is no claim %q", name)
	}
	rows := [][2]string{{"claim", c.Name}, {"grade", c.Grade.String()}, {"demanded", c.Least.String()}, {"because", c.Detail}}
	if c.Least == evidence.NotShown {
		rows[2][1] = "no"
	}
	if c.Where != "" {
		rows = append(rows, [2]string{"where", c.Where})
	}
	if c.Next != "" {
		rows = append(rows, [2]string{"next", c.Next})
	}
	for _, p := range r.Problems {
		rows = append(rows, [2]string{"wrong", p.Where + ": " + p.What})
	}
	if keys := r.Policy.TellUnpinned(); keys != "" {
		rows = append(rows, [2]string{"keys", keys})
	}
	return a.UI.Print(a.UI.Fields(rows))
}
