package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Told is how a ceremony went, in words: for inspect, sign, verify, show, compare
// and the page, so that all of them say the same.
type Told struct {
	Ran       string   // from when to when
	Otherwise []string // what went otherwise than planned, counted; none where empty
	Timeline  []Event
	People    []Signatory
}

// Event is a line of the timeline.
type Event struct {
	At     string // the date and the time, in UTC
	Name   string // what it is
	Text   string
	Record int // 0 of a verdict
	Weight Weight
}

// Weight says how much an event should catch the eye.
type Weight int

// The weights.
const (
	Planned Weight = iota // it belongs to every ceremony
	Notable               // people chose it, or it is made good
	Grave                 // something failed, or somebody did not agree
)

// Signatory is one of the plan's people, with what they signed, in words.
type Signatory struct {
	Name, Role, Approved, Release, Close string
	Weight                               Weight // of the verdicts
}

// NotPinned marks those whom whoever reads this has no key of.
func (t *Told) NotPinned(names []string) {
	for i := range t.People {
		if p := &t.People[i]; slices.Contains(names, p.Name) {
			p.Role += ", not pinned"
		}
	}
}

// PeopleTable is a table of the people: without the verdicts on a stage that it
// didn't come to.
func (t *Told) PeopleTable() (columns []string, rows [][]string) {
	all := []string{"name", "part", "release", "close", "approved"}
	used := map[int]bool{0: true, 1: true, 4: true}
	for _, p := range t.People {
		used[2] = used[2] || p.Release != ""
		used[3] = used[3] || p.Close != ""
	}
	pick := func(cells []string) (list []string) {
		for i, c := range cells {
			if used[i] {
				list = append(list, c)
			}
		}
		return list
	}
	for _, p := range t.People {
		rows = append(rows, pick([]string{p.Name, p.Role, p.Release, p.Close, p.Approved}))
	}
	return pick(all), rows
}

type trouble struct {
	what      story.What
	one, many string
	weight    Weight
	label     string // in the timeline, where one would be too long
}

// troubles are the words for what can go otherwise than planned.
var troubles = []trouble{
	{story.Aborted, "abort", "aborts", Grave, ""},
	{story.Disagreements, "verdict against it", "verdicts against it", Grave, "does not agree"},
	{story.Reservations, "verdict with exceptions", "verdicts with exceptions", Notable, "with exceptions"},
	{story.Exceptions, "exception", "exceptions", Notable, ""},
	{story.Absent, "absence excused", "absences excused", Notable, ""},
	{story.ClockSet, "clock set", "times that the clock was set", Notable, ""},
	{story.Interruptions, "interruption", "interruptions", Grave, ""},
	{story.OtherProgram, "change of the program", "changes of the program", Grave, "other program"},
	{story.OtherSeals, "reconvening with other seals", "reconvenings with other seals", Grave, "other seals"},
	{story.Adjournments, "planned adjournment", "planned adjournments", Notable, "adjournment"},
	{story.DestroyedKeys, "key destroyed", "keys destroyed", Grave, ""},
	{story.FailedKeys, "key that failed", "keys that failed", Grave, ""},
	{story.Unattested, "attestation with problems", "attestations with problems", Grave, "attestation"},
	{story.Tolerated, "key made weaker and set back", "keys made weaker and set back", Notable, "tolerated"},
	{story.WrongPINs, "wrong PIN", "wrong PINs", Grave, ""},
	{story.WithheldPINs, "login whose answer is withheld", "logins whose answers are withheld", Notable, "login withheld"},
	{story.WrongWords, "word challenge repeated", "word challenges repeated", Notable, "words again"},
	{story.Refusals, "answer refused", "answers refused", Grave, ""},
	{story.LateAnswers, "late answer", "late answers", Notable, ""},
	{story.StillOpen, "PIN that got in after a lock-down", "PINs that got in after a lock-down", Grave, "still open"},
	{story.DrillFailed, "drill that failed", "drills that failed", Grave, "drill failed"},
	{story.NotDrilled, "drill given up", "drills given up", Grave, "no drill"},
	{story.DrillLeft, "drill that left something in an HSM", "drills that left something in an HSM", Grave, "left in an HSM"},
	{story.NotShown, "lock-down not shown", "lock-downs not shown", Grave, "not shown"},
}

func troubleOf(w story.What) (t trouble) {
	if i := slices.IndexFunc(troubles, func(t trouble) bool { return t.what == w }); i >= 0 {
		t = troubles[i]
	}
	return t
}

// milestones are the kinds of record by which a ceremony is followed.
func milestones() map[ceremony.Kind]string {
	return map[ceremony.Kind]string{
		ceremony.KindOpen: "opened", ceremony.KindFleetCheck: "fleet check", ceremony.KindRelease: "release", ceremony.KindRequest: "request",
		ceremony.KindResponse: "answer", ceremony.KindCountersignature: "countersigned", ceremony.KindLogProof: "logged", ceremony.KindDrill: "drill", ceremony.KindLockdown: "lock-down",
		ceremony.KindRetirement: "retirement", ceremony.KindDestruction: "destroyed",
		ceremony.KindReconvene: "reconvened", ceremony.KindResume: "resumed", ceremony.KindAbort: "aborted", ceremony.KindClose: "closed",
	}
}

// challenged leaves the words' positions out, which say nothing afterwards.
func challenged(text string) string {
	what, rest, _ := strings.Cut(text, ": words ")
	_, by, _ := strings.Cut(rest, " by the ")
	return "the words of " + what + ", typed by the " + by
}

// milestone says what a milestone comes to, with names for digests; empty where
// the record's own words do.
func milestone(p *ceremony.Plan, content any) string {
	switch c := content.(type) {
	case *ceremony.Open:
		return "with the words " + strings.Join(c.Words, " ") + ", chosen by the " + c.ChosenBy
	case *ceremony.Release:
		return "the key set may leave the room"
	case *ceremony.Request:
		var names []string
		for _, x := range p.ThirdParties {
			names = append(names, x.Name)
		}
		return "goes to " + strings.Join(names, ", ")
	case *ceremony.Response:
		for _, x := range p.ThirdParties {
			if st, err := bundle.ParseServed("", c.Statement); err == nil && x.Key == c.Key {
				return fmt.Sprintf("%s signed epoch %d", x.Name, st.Epoch)
			}
		}
	case *ceremony.Countersignature:
		return "by " + p.Countersigner.Name
	case *ceremony.LogProof:
		return "the bundle is in the log that the plan names"
	}
	return ""
}

// Counted is what a number of a sort counts.
func Counted(w story.What) string { return troubleOf(w).many }

// TellStory puts a story into words. What a restricted record says is left out of
// a public one, so that it is the same whether the record is withheld or not.
func TellStory(s *story.Story, public bool) *Told {
	told := &Told{Ran: ran(s)}
	for _, w := range story.Troubles() {
		if n := s.Count(w); n > 0 && !(public && restricted(w)) {
			told.Otherwise = append(told.Otherwise, words.Count(int64(n), troubleOf(w).one, troubleOf(w).many))
		}
	}
	told.Timeline = timeline(s, public)
	for _, p := range s.People {
		who := Signatory{Name: p.Name, Role: p.Role, Approved: approved(&p)}
		if s.Account.Release != nil {
			who.Release = verdicts(p.Release)
		}
		if s.Account.Close != nil {
			who.Close = verdicts(p.Close)
		}
		who.Weight = weigh(&p, s.Account)
		told.People = append(told.People, who)
	}
	return told
}

// restricted says that only what a restricted record says tells of it.
func restricted(w story.What) bool { return w == story.WrongPINs || w == story.WithheldPINs }

func ran(s *story.Story) string {
	if len(s.Records) == 0 {
		return "it has not begun"
	}
	end := "15:04"
	if s.Last.UTC().YearDay() != s.Began.UTC().YearDay() || s.Last.Sub(s.Began) > 24*time.Hour {
		end = clockLayout
	}
	text := fmt.Sprintf("%s to %s UTC, %s", s.Began.UTC().Format(clockLayout), s.Last.UTC().Format(end), span(s.Last.Sub(s.Began)))
	if s.Paused > 0 {
		text += ", " + span(s.Paused) + " of it at a standstill"
	}
	return text
}

const clockLayout = "2006-01-02 15:04"

// span is a duration as people say it.
func span(d time.Duration) string {
	d = max(0, d)
	switch h, m := int(d/time.Hour), int(d/time.Minute)%60; {
	case d < time.Minute:
		return words.Count(int64(d/time.Second), "second", "seconds")
	case h == 0:
		return fmt.Sprintf("%d min", m)
	case h < 48:
		return fmt.Sprintf("%d h %d min", h, m)
	default:
		return words.Count(int64(h/24), "day", "days")
	}
}

// leftOut is told of logins in a row in one line: each by itself would say no more.
const leftOut = "what the HSM answered is left out of this copy"

func timeline(s *story.Story, public bool) (list []Event) {
	records, milestones := NewRecords(), milestones()
	events := map[*ceremony.Record][]story.Event{}
	for _, e := range s.Events {
		if e.Record != nil {
			events[e.Record] = append(events[e.Record], e)
		}
	}
	var withheld int // how many of the last line's logins
	for _, r := range s.Records {
		records.follow(r)
		line := Event{Name: milestones[r.Kind], Record: r.N}
		if of := events[r]; len(of) > 0 {
			if public && restricted(of[0].What) {
				continue
			}
			t := troubleOf(of[0].What)
			line.Name, line.Weight = cmp.Or(t.label, t.one), t.weight
		}
		x, exception := r.Content.(*ceremony.Exception)
		if line.Name == "" && !exception {
			continue
		}
		text := records.say(r)
		line.At, line.Text = r.Time.UTC().Format(clockLayout), cmp.Or(milestone(s.Account.Plan, r.Content), text)
		if _, ok := r.Content.(*ceremony.Challenge); ok {
			line.Text = challenged(text)
		}
		if c, ok := r.Content.(*ceremony.Lockdown); ok && c.Code == ceremony.LoginOK {
			line.Text += lockedLater(s.Records, r, c.Number)
		}
		if exception {
			line.Name, line.Text = fmt.Sprintf("exception %d", x.Number), acceptance(s, x, text)
		}
		if !r.Withheld() {
			withheld = 0
		} else if withheld++; withheld > 1 {
			list[len(list)-1].Text = fmt.Sprintf("%d of them, the last at %s: %s", withheld, line.At, leftOut)
			continue
		} else {
			line.Text = leftOut
		}
		list = append(list, line)
	}
	for _, e := range s.Events {
		if e.Record == nil {
			t := troubleOf(e.What)
			list = append(list, Event{Name: t.label, Text: e.Who, Weight: t.weight})
		}
	}
	return list
}

// lockedLater says which record shows that a lock-down succeeded after all; empty while
// none does.
func lockedLater(records []*ceremony.Record, open *ceremony.Record, number int) string {
	tries := 0
	for _, r := range records {
		c, ok := r.Content.(*ceremony.Lockdown)
		if !ok || c.Number != number {
			continue
		}
		tries++
		if r.N > open.N && c.Code != ceremony.LoginOK {
			return fmt.Sprintf("; locked down at try %d, record %d", tries, r.N)
		}
	}
	return ""
}

// Otherwise are the lines of a timeline that are no milestones.
func Otherwise(list []Event) []Event {
	return slices.DeleteFunc(slices.Clone(list), func(e Event) bool { return e.Weight == Planned })
}

// acceptance says of an exception which officers accepted it, where that is at hand.
func acceptance(s *story.Story, x *ceremony.Exception, text string) string {
	_, text, _ = strings.Cut(text, ": ") // its number is the line's name
	if x.Number > len(s.Accepted) {
		return text
	}
	by := s.Accepted[x.Number-1]
	switch m := s.Account.Plan.Threshold; {
	case len(by) == 0:
		return text + "; accepted by nobody yet"
	case len(by) < m:
		return fmt.Sprintf("%s; accepted by %s alone so far, and %d officers have to", text, strings.Join(by, ", "), m)
	}
	return text + "; accepted by " + strings.Join(by, ", ")
}

func approved(p *story.Person) string {
	var list []string
	if p.Plan {
		list = append(list, "plan")
	}
	times := map[string]int{}
	for _, act := range p.Acts {
		times[act]++
	}
	for _, act := range p.Acts {
		switch n := times[act]; n {
		case 0: // told
		case 1:
			list = append(list, act)
		default:
			list = append(list, fmt.Sprintf("%s, %d times", act, n))
		}
		times[act] = 0
	}
	if len(p.Accepted) > 0 {
		text := "exceptions"
		if len(p.Accepted) == 1 {
			text = "exception"
		}
		for i, n := range p.Accepted {
			if i > 0 {
				text += ","
			}
			text += fmt.Sprintf(" %d", n)
		}
		list = append(list, text)
	}
	if p.Abort {
		list = append(list, "abort")
	}
	return strings.Join(list, "; ")
}

// weigh says how much a person's verdicts, or their lack, should catch the eye: m
// officers are enough, and each who looks on gives one.
func weigh(p *story.Person, a *ceremony.Account) Weight {
	all := slices.Concat(p.Release, p.Close)
	silent := a.Release != nil && len(p.Release) == 0 || a.Close != nil && len(p.Close) == 0
	switch {
	case slices.Contains(all, ceremony.DoNotAgree):
		return Grave
	case silent && p.Role != ceremony.Officer, slices.ContainsFunc(all, func(v string) bool { return v != ceremony.Agree }):
		return Notable
	}
	return Planned
}

func verdicts(list []string) string {
	said := make([]string, len(list))
	for i, v := range list {
		said[i] = strings.ReplaceAll(strings.Replace(v, "agree-with-exceptions ", "agrees with exceptions ", 1), ",", ", ")
		switch v {
		case ceremony.Agree:
			said[i] = "agrees"
		case ceremony.DoNotAgree:
			said[i] = "DOES NOT AGREE"
		}
	}
	if len(said) == 0 {
		return "none"
	}
	return strings.Join(said, "; ")
}

// ShowStory tells a ceremony's story in a Shown: signed is what people signed, nil
// where that isn't at hand.
func ShowStory(a *ceremony.Account, t *ceremony.Transcript, signed story.Signed, s *Shown) error {
	whole, err := story.Tell(a, t.Records, signed)
	if err != nil && signed != nil {
		// Somebody's signature that can't be read keeps nothing else from being shown.
		s.Fact("people", "what they signed can't be told: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		whole, err = story.Tell(a, t.Records, nil)
	}
	if err != nil {
		return err
	}
	told := TellStory(whole, false)
	s.Fact("ran", told.Ran)
	s.Fact("otherwise", cmp.Or(strings.Join(told.Otherwise, ", "), "nothing went otherwise than planned"))
	if len(told.People) > 0 {
		columns, rows := told.PeopleTable()
		s.Table("people and verdicts", columns...).Rows = rows
	}
	list := s.Table("what happened", "time", "what", "more")
	list.Events = told.Timeline
	for _, e := range told.Timeline {
		list.Row(e.At, e.Name, e.Text)
	}
	return nil
}
