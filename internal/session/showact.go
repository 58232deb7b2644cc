package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// inset are fields, set in as far as the other lines of a ceremony's screen.
func inset(p ui.Page, rows [][2]string) string {
	return p.Inset(func(p ui.Page) string { return p.Fields(rows) })
}

// ShowHistory says, before a text that is signed, how the ceremony went so far. What is
// new is said after the text by [ShowSigning], directly above the question: a screen of
// 24 lines has lost the history by then.
func ShowHistory(a *cli.App, dir string) error {
	c, records, err := folder.ReadTorn(dir)
	if err != nil {
		return err
	}
	p := a.UI.Talk
	told, err := story.Tell(c, records.Records, func(of string) ([]ceremony.Signing, error) { return folder.ReadSignings(dir, of) })
	if err != nil {
		// Somebody's signature that can't be read keeps nobody from saying no.
		a.UI.Error(err)
		if told, err = story.Tell(c, records.Records, nil); err != nil {
			return err
		}
	}
	a.UI.Say(p.Header(fmt.Sprintf("%s · epoch %d", c.Plan.Fleet, c.Plan.Epoch), strings.ToUpper(c.Plan.Mode)),
		p.Line("How it went so far:"), p.Inset(func(p ui.Page) string { return cli.StoryText(p, explain.TellStory(told, false), false) }), "\n")
	return nil
}

// ShowSigning says what signing a text means: what it is about, which files have the
// digests in it, what comes of it, and what the operator's HSM signs then. above is a
// text beside it that has been shown so: what that names too isn't shown again.
func ShowSigning(a *cli.App, c *ceremony.Account, w folder.Wish, t, above *folder.ToSign) error {
	means := explain.ActMeans(w.Act, c)
	if w.Stage != "" {
		means = explain.SignoffMeans(w.Stage, w.Verdict, w.Exceptions)
	}
	if above == nil {
		showAct(a, c, w)
	}
	var rows [][2]string
	for _, n := range t.Names {
		if above != nil && slices.ContainsFunc(above.Names, func(x folder.Named) bool { return x.File == n.File && x.Digest == n.Digest }) {
			rows = append(rows, [2]string{"it names", n.What + ", " + n.File + ", as above"})
			continue
		}
		what := n.What + ". Its hash is"
		if n.File != "" {
			what = n.What + ", " + n.File + ". Its SHA-256 is"
		}
		rows = append(rows, [2]string{"it names", what}, [2]string{"", fmt.Sprintf("%x", n.Digest)}, [2]string{"", words.Head(n.Digest[:]) + " …"})
	}
	a.UI.Say(inset(a.UI.Talk, append(rows, [2]string{"by signing", means})), "\n")
	if w.Act != ceremony.ApproveCountersign {
		return nil
	}
	text, err := c.CountersignText()
	if err != nil {
		return cli.Wrong(err)
	}
	a.ShowOperatorText(c.Plan.Countersigner.Name, text)
	return nil
}

// ShowPlan says what approving a plan means, and what changed since.
func ShowPlan(a *cli.App, file string, plan *ceremony.Plan, so *folder.ApprovedSoFar, since []byte) error {
	p := a.UI.Talk
	digest := plan.Digest()
	columns, hsms := explain.HSMTable(plan)
	a.UI.Say(p.Header(fmt.Sprintf("%s · epoch %d", plan.Fleet, plan.Epoch), strings.ToUpper(plan.Mode)), inset(p, explain.Meaning(plan)), "\n",
		p.Inset(func(p ui.Page) string { return p.Table(columns, hsms) }), "\n")
	var rows [][2]string
	if len(so.This) > 0 {
		rows = append(rows, [2]string{"approved", "so far by " + strings.Join(so.This, ", ")})
	}
	if len(so.Earlier) > 0 {
		rows = append(rows, [2]string{"not by", strings.Join(so.Earlier, ", ") + ", whose signature is over another version"})
	}
	than := "since you approved it last"
	if since != nil {
		than = "since the plan that you named"
	} else {
		since = so.Before
	}
	switch {
	case since != nil:
		list, err := explain.PlanChanges(since, plan.Raw())
		if err != nil {
			return err
		}
		rows = append(rows, changeRows(than, list)...)
	default:
		rows = append(rows, [2]string{"changed", "you have approved no other version here; --since PLAN compares with one, such as the last epoch's"})
	}
	a.UI.Say(inset(p, rows), "\n", p.Line(file+" has the SHA-256"), p.Hex(digest[:]), "\n", p.Words(digest[:], 4, true), "\n")
	return nil
}

// maxChanges is how many changes of a plan a person is shown.
const maxChanges = 60

func changeRows(since string, list []string) (rows [][2]string) {
	if len(list) == 0 {
		return [][2]string{{"changed", "nothing " + since}}
	}
	rows = append(rows, [2]string{"changed", fmt.Sprintf("%s, %s:", since, words.Count(int64(len(list)), "thing", "things"))})
	for _, text := range list[:min(len(list), maxChanges)] {
		rows = append(rows, [2]string{"", text})
	}
	if more := len(list) - maxChanges; more > 0 {
		rows = append(rows, [2]string{"", fmt.Sprintf("and %d more: compare the files with diff", more)})
	}
	return rows
}

// showAct says in words what a text is about that names it by its hash alone.
func showAct(a *cli.App, c *ceremony.Account, w folder.Wish) {
	switch w.Act {
	case "":
		showExceptions(a, c)
	case ceremony.ApproveAbort:
		ShowAbort(a, c)
	case ceremony.ApproveException:
		x := c.Exceptions[w.Exceptions[0]-1]
		record := ""
		if p, err := c.ExceptionApproval(x.Number); err == nil {
			record = RecordWords(p.Head.N, p.Head.Hash)
		}
		rows := [][2]string{{"exception", fmt.Sprint(x.Number)}, {"expected", x.Expected}, {"happened", x.Happened}, {"decided", x.Decided}}
		if len(x.Absent) > 0 {
			rows = append(rows, [2]string{"absent", strings.Join(x.Absent, ", ") + ": they give no verdict"})
		}
		a.UI.Say(inset(a.UI.Talk, append(rows, [2]string{"its record", record})), "\n")
	default:
		a.UI.Say(a.UI.Talk.Line("The head that it follows: " + RecordWords(c.N, c.Head)))
	}
}

// ShowAbort says what the record is that an abort's signatures are over.
func ShowAbort(a *cli.App, c *ceremony.Account) {
	p := a.UI.Talk
	rows := [][2]string{{"aborted", c.Abort.Reason}, {"record", fmt.Sprintf("%d, %s", c.N, words.Hex(c.Head[:]))}}
	for _, k := range c.Abort.Keys {
		rows = append(rows, [2]string{"key", fmt.Sprintf("%s %s, CKA_ID %x: %s", k.HSM, k.Role, k.ID, k.State)})
	}
	if len(c.Abort.Keys) == 0 {
		rows = append(rows, [2]string{"keys", "none had been made"})
	}
	a.UI.Say(inset(p, rows), "\n")
}

// showExceptions says, before somebody gives a verdict, what went otherwise than
// planned.
func showExceptions(a *cli.App, c *ceremony.Account) {
	if len(c.Exceptions) == 0 {
		a.UI.Say(a.UI.Talk.Line("No exception is on the record."))
		return
	}
	var rows [][2]string
	for _, x := range c.Exceptions {
		rows = append(rows, [2]string{fmt.Sprintf("exception %d", x.Number), fmt.Sprintf("expected %s; happened %s; decided %s", x.Expected, x.Happened, x.Decided)})
	}
	a.UI.Say(inset(a.UI.Talk, rows), "\n")
}

// ShowSeals shows the seals of an adjournment beside those that were found.
func ShowSeals(a *cli.App, evening, now []ceremony.Seal) {
	var rows [][]string
	add := func(s ceremony.Seal, column int) {
		i := slices.IndexFunc(rows, func(row []string) bool { return row[0] == s.What })
		if i < 0 {
			i, rows = len(rows), append(rows, []string{s.What, "none", "none"})
		}
		rows[i][column] = s.Number
	}
	for _, s := range evening {
		add(s, 1)
	}
	for _, s := range now {
		add(s, 2)
	}
	if len(rows) > 0 {
		a.UI.Say(a.UI.Talk.Inset(func(p ui.Page) string { return p.Table([]string{"HSM", "evening", "now"}, rows) }), "\n")
	}
}
