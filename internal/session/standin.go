package session

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// StandIn is who answers where nobody sits at the terminal. Both are for
// rehearsals alone: unattended lets the machine say yes to everything, to try
// tokens and programs; answers has a file say what people would, slips and all,
// to try the people's part.
type StandIn struct {
	Unattended bool
	Plan       string // the file of the plan, where a command is given one
	answers    string
	// attestations is a folder with what vendors' tools gave.
	attestations string
	file         *ui.Answers
}

// Flags are those of commands at which people sit.
func (s *StandIn) Flags(c *cobra.Command) {
	c.Flags().BoolVar(&s.Unattended, "unattended", false, "in a rehearsal: the machine answers for the people, and the records say so")
	s.AnswersFlag(c)
}

// AnswersFlag is for commands that only ask.
func (s *StandIn) AnswersFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.answers, "answers", "", "in a rehearsal: a `file` that answers for the people (docs/SPEC.md, 5.1), and the records say so")
}

// Use has the file answer, if there is one: from its beginning, and from then on
// whoever asks.
func (s *StandIn) Use(a *cli.App, mode string) error {
	switch {
	case s.answers == "":
		return nil
	case mode != ceremony.Rehearsal:
		return cli.Usagef("", "--answers is for rehearsals: in production people answer")
	case s.Unattended:
		return cli.Usagef("", "--answers and --unattended exclude each other: a file answers, or the machine does")
	}
	if s.file != nil {
		return nil // a step of the room asks after others have
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

// Over is how a command ends: answers that nobody asked for make a test's
// passing worthless.
func (s *StandIn) Over(err error) error {
	if s.file == nil || err != nil && cli.ExitCode(err) != cli.ExitPending {
		return err
	}
	return cmp.Or(s.file.Done(), err)
}

// People chooses who answers. Only a rehearsal may do without people, and
// only if that is asked for: the end of input is a refusal.
func People(a *cli.App, mode string, s *StandIn) (engine.Participants, error) {
	if err := s.Use(a, mode); err != nil {
		return nil, err
	}
	var people engine.Participants = atTerminal{a: a, plan: s.Plan}
	switch {
	case s.Unattended && mode != ceremony.Rehearsal:
		return nil, cli.Usagef("", "--unattended is for rehearsals: in production people answer")
	case s.Unattended:
		people = unattendedPeople{a}
	case !a.UI.Interactive() && mode != ceremony.Rehearsal:
		return nil, cli.Usagef("run it at a terminal", "a production ceremony has people who are asked, and there is no terminal to ask at")
	}
	if s.attestations != "" {
		people = fromFolder{people, s.attestations}
	}
	return people, nil
}

// Listeners are those who hear the digest of what leaves the room. A rehearsal
// that is no session at a terminal has nobody to hear it, and its record says
// that the machine did.
func Listeners(a *cli.App, mode string, s *StandIn) engine.Participants {
	r, err := People(a, mode, s)
	switch {
	case err != nil:
		return nobody{err: err}
	case mode == ceremony.Rehearsal && !a.UI.Asks():
		return unattendedPeople{a}
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
