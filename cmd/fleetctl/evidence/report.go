package evidence

import (
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/byhand"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

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
	for i, link := range r.Classical {
		label := ""
		if i == 0 {
			label = "classical only"
		}
		rows = append(rows, [2]string{label, link})
	}
	if r.Notice != nil {
		rows = append(rows, explain.NoticeFacts(r.Notice)...)
	}
	if n := len(r.Besides); n > 0 {
		rows = append(rows, [2]string{"beside", words.Count(int64(n), "object", "objects") + ", verified for themselves"})
	}
	if len(r.Media) > 0 {
		rows = append(rows, [2]string{"recordings", recordingsText(r.Media)})
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
	b.WriteString(storyText(p, r))
	b.WriteString(verdict(a, r))
	return b.String()
}

// recordingsText says how many recordings the package names, and whether they were seen.
func recordingsText(list []evidence.Recording) string {
	places := 0
	for _, m := range list {
		places += m.Places
	}
	compared := "not compared: they are in no package, and --media DIR compares them"
	if list[0].Compared {
		compared = "each was read and compared"
	}
	return fmt.Sprintf("%s with %s in the transcript; %s", words.Count(int64(len(list)), "recording", "recordings"), words.Count(int64(places), "place", "places"), compared)
}

// storyText is how the ceremony went. It is no claim: of a package that isn't
// verified it may be anybody's tale.
func storyText(p ui.Page, r *evidence.Report) string {
	if r.Story == nil {
		return ""
	}
	says := "How it went, by its records and the keys that the plan names:"
	if !r.Verified {
		says = "How it went, by records that are NOT verified here:"
	}
	told := explain.TellStory(r.Story, false)
	told.NotPinned(r.NotPinned)
	return p.Style(ui.Heading, says) + "\n" + cli.StoryText(p, told, false) + "\n"
}

// summary is the verdict's reasons in one line.
func summary(r *evidence.Report) string {
	unpinned := r.Policy.TellUnpinned()
	if r.Verified {
		text := fmt.Sprintf("%s demanded, %d shown", words.Count(int64(r.Demanded), "claim", "claims"), r.Shown)
		if n := len(r.NotAsked); n > 0 {
			text += fmt.Sprintf("; %s of the policy's not asked", words.Number(int64(n)))
			if r.Object == evidence.TypeBundle {
				text = "as a bundle alone: " + text
			}
		}
		if unpinned != "" {
			text = "on first use only: " + text + "; " + unpinned
		}
		return text
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
	return strings.Join(why, "; ")
}

func verdict(a *cli.App, r *evidence.Report) string {
	p := a.UI.Page
	if r.Verified {
		return p.Verdict(true, summary(r)) + limits(p, r)
	}
	unpinned := r.Policy.TellUnpinned()
	var b strings.Builder
	b.WriteString(p.Verdict(false, summary(r)))
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
	b.WriteString(limits(p, r))
	return b.String()
}

// limits names what the verdict does not say, and what nobody could check, so that it
// isn't taken for more than it is. Of what is wrong there is enough to read.
func limits(p ui.Page, r *evidence.Report) string {
	if !r.Met() {
		return ""
	}
	rest := r.Rest()
	var rows [][2]string
	for _, row := range []struct {
		label string
		names []string
		means string
	}{
		{"not asked", r.NotAsked, "the policy demands it, and this question left it out"},
		{"not demanded", rest.Undemanded, "shown, but the verdict doesn't rest on it"},
		{"nothing said", rest.Silent, "neither demanded nor shown"},
		{"unchecked", rest.OwnWord, "the HSMs say so of themselves, and nobody else could check it"},
	} {
		if len(row.names) > 0 {
			rows = append(rows, [2]string{row.label, strings.Join(row.names, ", ") + ": " + row.means})
		}
	}
	if len(rows) == 0 {
		return ""
	}
	return "\n" + p.Style(ui.Heading, "What this verdict does not say:") + "\n" + p.Fields(rows)
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

// printScript writes the script that checks a claim without fleetctl.
func printScript(a *cli.App, file string, o verifyOptions) error {
	var at time.Time // zero: the script's own clock
	policy, err := cli.ReadFile(o.policy)
	if err == nil && o.at != "" {
		at, err = o.now(a)
	}
	if err != nil {
		return err
	}
	script, err := byhand.Script(o.explain, file, policy, at)
	if err != nil {
		return cli.Usage(err)
	}
	return a.UI.Print(string(script))
}

// explainParts shows what a claim rests on, down to bytes. What can't be read, the
// report has told.
func explainParts(a *cli.App, r *evidence.Report, in evidence.Input, o verifyOptions) error {
	policy, err := cli.ReadFile(o.policy)
	if err != nil {
		return err
	}
	parts, err := byhand.Explain(in, r.Policy, policy, o.explain)
	if err != nil || len(parts) == 0 {
		return nil
	}
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("\n" + a.UI.Style(ui.Heading, part.Title) + "\n" + a.UI.Fields(part.Rows))
		for _, c := range part.Commands {
			b.WriteString("  $ " + words.Clean(c) + "\n")
		}
	}
	return a.UI.Print(b.String())
}

func explainClaim(a *cli.App, r *evidence.Report, in evidence.Input, o verifyOptions) error {
	name := o.explain
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
	if err := a.UI.Print(a.UI.Fields(rows)); err != nil {
		return err
	}
	return explainParts(a, r, in, o)
}
