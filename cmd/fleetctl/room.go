package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// room asks the people at this terminal, one thing at a time. Wrong answers
// are asked again; "stop" at any prompt pauses the ceremony.
type room struct{ a *cli.App }

// newRoom has the people at this terminal asked.
func newRoom(a *cli.App) room { return room{a} }

// ask puts a question to one of the room. A file of answers knows it by its
// name; screen is what another screen shows, where it holds the answer.
func (r room) ask(name, screen, whom, what string) (string, error) {
	if r.a.Question != "" && r.a.Question != name {
		r.a.UI.Say("\n", r.a.Header)
	}
	r.a.Question = name
	r.a.UI.About(name, screen)
	return r.a.UI.Ask(whom + ", " + what + ":")
}

// by says who answered: the role that was asked, or the machine that read a
// file in its place.
func (r room) by(role string) string {
	if r.a.UI.Answered() {
		return byMachine
	}
	return role
}

func (r room) say(text string) { r.a.UI.Say(r.a.UI.Talk.Line(text)) }

func (r room) Words(context.Context) ([]string, string, error) {
	for {
		answer, err := r.ask("open words", "", "Witness", "three words of your own choosing, just now")
		if err != nil {
			return nil, "", err
		}
		list := strings.Fields(answer)
		if len(list) == 3 && !slices.ContainsFunc(list, func(w string) bool { return strict.CheckToken(w) != nil }) {
			return list, r.by(ceremony.Witness), nil
		}
		r.say(fmt.Sprintf("That is %s; three are wanted, of letters and digits.", words.Count(int64(len(list)), "word", "words")))
	}
}

func (r room) Clock(_ context.Context, now func() time.Time) (time.Time, string, error) {
	// Hours and minutes are typed; a clock that is off by days or years shows
	// here, and nowhere later.
	r.say("This computer says that today is " + now().UTC().Format(time.DateOnly) + ". If it isn't, stop and set the clock.")
	for {
		answer, err := r.ask("open clock", now().UTC().Format("15:04"), "Witness", "the time on the wall, in UTC, as 14:05")
		if err != nil {
			return time.Time{}, "", err
		}
		at := now().UTC()
		wall, err := nearest(at, answer)
		if err != nil {
			r.say(fmt.Sprintf("%q is no time like 14:05.", answer))
			continue
		}
		// A minute that has begun is nearer than one that is over.
		if off := at.Sub(wall).Abs(); off > 2*time.Minute {
			r.say(fmt.Sprintf("This computer's clock says %s. Read the wall again, or stop and set the clock.", at.Format("15:04")))
			continue
		}
		return wall, r.by(ceremony.Witness), nil
	}
}

// nearest is the time of day, on the day on which it is nearest: around
// midnight the wall and this computer need not have the same date.
func nearest(at time.Time, clock string) (time.Time, error) {
	wall, err := time.Parse("2006-01-02 15:04", at.Format("2006-01-02 ")+clock)
	switch off := at.Sub(wall); {
	case off > 12*time.Hour:
		wall = wall.AddDate(0, 0, 1)
	case off < -12*time.Hour:
		wall = wall.AddDate(0, 0, -1)
	}
	return wall, err
}

func (r room) Seal(_ context.Context, hsm string) (string, string, string, error) {
	for {
		first, err := r.ask("intake "+hsm+" witness", "", "Witness", "the number on the seal of "+hsm)
		if err != nil {
			return "", "", "", err
		}
		second, err := r.ask("intake "+hsm+" auditor", "", "Auditor", "the same number, read again")
		if err != nil {
			return "", "", "", err
		}
		if first == second && first != "" {
			return first, r.by(ceremony.Witness), r.by(ceremony.Auditor), nil
		}
		r.say(fmt.Sprintf("%q and %q are not the same.", first, second))
	}
}

// readAloud says what a digest is of, and what the auditor types to have its
// words on a screen of their own: of the plan they have a copy.
func readAloud(q engine.Question) (what, own string) {
	own = "fleetctl words, and this digest"
	switch q.What {
	case ceremony.ChallengePlan:
		return "The plan", "fleetctl words " + ceremony.PlanFile + ", your own copy"
	case ceremony.ChallengeKey:
		return fmt.Sprintf("The new %s key of %s", q.Step.Role, q.Step.HSM), own
	case ceremony.ChallengeFleet:
		return "The fleet check, HSM by HSM", own
	case ceremony.ChallengeKeySet:
		return "The key set, " + ceremony.ArtifactFile, own
	}
	return "The bundle, " + ceremony.BundleFile, own
}

func (r room) Challenge(_ context.Context, q engine.Question) (int, string, error) {
	p := r.a.UI.Talk
	what, own := readAloud(q)
	r.a.UI.Say("\n", p.Line(what+", SHA-256:"), p.Hex(q.Subject[:]),
		"\n", p.Line("Auditor, on your own screen: "+own),
		"\n", p.Line("Administrator, read aloud, all of it:"), "\n", p.Words(q.Subject[:], 4, false))
	if r.a.Question == "" {
		r.a.UI.Say("\n") // or else a header comes between
	}
	list := words.Encode(q.Subject[:])
	name := "challenge " + q.What
	if q.What == ceremony.ChallengeKey {
		name += " " + q.Step.HSM + " " + q.Step.Role
	}
	var right []string
	for _, at := range q.Positions {
		right = append(right, list[at-1])
	}
	for tries := 1; ; tries++ {
		answer, err := r.ask(name, strings.Join(right, " "), "Auditor",
			fmt.Sprintf("from your own screen, words %d, %d and %d", q.Positions[0], q.Positions[1], q.Positions[2]))
		if err != nil {
			return tries, "", err
		}
		wrong := wrongWord(list, q.Positions, strings.Fields(answer))
		if wrong == "" {
			return tries, r.by(ceremony.Auditor), nil
		}
		r.say(wrong)
	}
}

// wrongWord says which word is not the one at its position.
func wrongWord(list []string, positions []int, typed []string) string {
	if len(typed) != len(positions) {
		return fmt.Sprintf("That is not %d words.", len(positions))
	}
	for i, p := range positions {
		if !strings.EqualFold(typed[i], list[p-1]) {
			return fmt.Sprintf("Word %d is not %q.", p, typed[i])
		}
	}
	return ""
}

// machine stands in for the people of a rehearsal, and every record says so.
type machine struct{ a *cli.App }

const byMachine = "machine"

func (m machine) Words(context.Context) ([]string, string, error) {
	b := make([]byte, 3)
	if _, err := m.a.Random.Read(b); err != nil {
		return nil, "", err
	}
	return words.Encode(b), byMachine, nil
}

func (m machine) Clock(_ context.Context, now func() time.Time) (time.Time, string, error) {
	return now().UTC().Truncate(time.Second), byMachine, nil
}

func (m machine) Seal(_ context.Context, hsm string) (string, string, string, error) {
	return "none, " + hsm + " is a token of a rehearsal", byMachine, byMachine, nil
}

func (m machine) Challenge(context.Context, engine.Question) (int, string, error) {
	return 1, byMachine, nil
}

// standIn is who answers where nobody sits at the terminal. Both are for
// rehearsals alone: unattended lets the machine say yes to everything, to try
// tokens and programs; answers has a file say what people would, slips and all,
// to try the people's part.
type standIn struct {
	unattended bool
	answers    string
	file       *ui.Answers
}

func (s *standIn) flags(c *cobra.Command) {
	c.Flags().BoolVar(&s.unattended, "unattended", false, "in a rehearsal: the machine answers for the people, and the records say so")
	s.answersFlag(c)
}

func (s *standIn) answersFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.answers, "answers", "", "in a rehearsal: a `file` that answers for the people (docs/SPEC.md, 5.1), and the records say so")
}

// use has the file answer, if there is one.
func (s *standIn) use(a *cli.App, mode string) error {
	switch {
	case s.answers == "":
		return nil
	case mode != ceremony.Rehearsal:
		return cli.Usagef("", "--answers is for rehearsals: in production people answer")
	case s.unattended:
		return cli.Usagef("", "--answers and --unattended exclude each other: a file answers, or the machine does")
	}
	data, err := cli.ReadFile(s.answers)
	if err != nil {
		return err
	}
	if s.file, err = ui.ParseAnswers(s.answers, data); err != nil {
		return cli.Usage(err)
	}
	a.UI.Answer(s.file)
	return nil
}

// over is how a command ends: answers that nobody asked for make a test's
// passing worthless.
func (s *standIn) over(err error) error {
	if s.file == nil || err != nil && cli.ExitCode(err) != cli.ExitPending {
		return err
	}
	return cmp.Or(s.file.Done(), err)
}

// roomFor chooses who answers. Only a rehearsal may do without people, and
// only if that is asked for: the end of input is a refusal.
func roomFor(a *cli.App, mode string, s *standIn) (engine.Participants, error) {
	if err := s.use(a, mode); err != nil {
		return nil, err
	}
	switch {
	case s.unattended && mode != ceremony.Rehearsal:
		return nil, cli.Usagef("", "--unattended is for rehearsals: in production people answer")
	case s.unattended:
		return machine{a}, nil
	case !a.UI.Interactive() && mode != ceremony.Rehearsal:
		return nil, cli.Usagef("run it at a terminal", "a production ceremony has people who are asked, and there is no terminal to ask at")
	}
	return newRoom(a), nil
}

// readers are those who hear the digest of what leaves the room. A rehearsal
// that is no session at a terminal has nobody to hear it, and its record says
// that the machine did.
func readers(a *cli.App, mode string, s *standIn) engine.Participants {
	r, err := roomFor(a, mode, s)
	switch {
	case err != nil:
		return nobody{err: err}
	case mode == ceremony.Rehearsal && !a.UI.Asks():
		return machine{a}
	}
	return r
}

// nobody is a room without people: whatever it is asked, it refuses.
type nobody struct {
	engine.Participants
	err error
}

func (n nobody) Challenge(context.Context, engine.Question) (int, string, error) {
	return 0, "", n.err
}
