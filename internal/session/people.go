package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/challenge"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// atTerminal asks the people at this terminal, one thing at a time. After a wrong answer it
// asks again; "stop" at any prompt pauses the ceremony.
type atTerminal struct {
	a    *cli.App
	plan string // the path of the plan's file, if it is known

	within *Within // nil: adjourning or raising an exception ends the step
}

// Within has functions for what people may type within a step, which then goes on.
type Within struct {
	Adjourn func()                              // is told that it is to be adjourned once the step is finished
	Raise   func() (*ceremony.Exception, error) // asks for an exception; nil if there is none after all
}

// newAtTerminal asks the people at this terminal.
func newAtTerminal(a *cli.App) atTerminal { return atTerminal{a: a} }

// Ask asks one person a question. A file of answers finds the answer by the question's
// name; screen is the answer that another screen shows, if one does.
func (r atTerminal) Ask(name, screen, whom, what string) (string, error) {
	if r.a.Question != "" && r.a.Question != name {
		r.a.UI.Say("\n", r.a.Header)
	}
	r.a.Question = name
	for {
		r.a.UI.About(name, screen)
		answer, err := r.a.UI.Ask(whom + ", " + what + ":")
		if again, err := r.within.called(err); !again {
			return answer, err
		}
	}
}

// called does what somebody called for instead of answering. again says that they are
// asked once more.
func (w *Within) called(err error) (again bool, _ error) {
	switch {
	case w == nil:
		return false, err
	case errors.Is(err, ui.ErrAdjourn):
		w.Adjourn()
		return true, nil
	case errors.Is(err, ui.ErrException):
		x, err := w.Raise()
		if err == nil && x != nil {
			err = &engine.Raised{Exception: *x}
		}
		return err == nil, err
	}
	return false, err
}

// CallWithin makes people at a terminal able to adjourn, and to raise exceptions, within a
// step: where they are asked something, and where they are asked for a PIN.
func CallWithin(c *engine.Config, w *Within) {
	c.Participants = callWithin(c.Participants, w)
	if t, ok := c.Tokens.(tokens); ok {
		t.within = w
		c.Tokens = t
	}
}

func callWithin(people engine.Participants, w *Within) engine.Participants {
	switch r := people.(type) {
	case atTerminal:
		r.within = w
		return r
	case fromFolder:
		r.Participants = callWithin(r.Participants, w)
		return r
	}
	return people
}

// askBeside is Ask of a question that a second screen has to do with: whoever types qr
// is shown the code of where the ceremony stands.
func (r atTerminal) askBeside(at func() (state.State, error), name, screen, whom, what string) (answer string, err error) {
	show := func() error {
		s, err := at()
		if err != nil {
			return err
		}
		return r.a.ShowCode(s.String())
	}
	err = r.a.UI.WithCode(show, func() error {
		answer, err = r.Ask(name, screen, whom, what)
		return err
	})
	return answer, err
}

// carried is what was typed where a code is wanted: the code, or what stands in the
// file of that name, a picture of a QR code or text.
func (r atTerminal) carried(typed string) (string, error) {
	if info, err := os.Stat(typed); err != nil || !info.Mode().IsRegular() {
		return typed, nil
	}
	data, err := cli.ReadNamed(typed, qr.MaxImage)
	if err != nil {
		return "", err
	}
	if text := strings.TrimSpace(string(data)); len(text) <= maxCode && words.Clean(text) == text {
		return text, nil
	}
	return qr.Read(typed, data)
}

// maxCode is more than any code that is carried as text has.
const maxCode = 4096

// By says who answered: the role that was asked, or the machine if a file of answers did.
func (r atTerminal) By(role string) string {
	if r.a.UI.Answered() {
		return ByMachine
	}
	return role
}

// Say shows a line.
func (r atTerminal) Say(text string) { r.a.UI.Say(r.a.UI.Talk.Line(text)) }

// Words asks the witness for the words that open a ceremony.
func (r atTerminal) Words(context.Context) ([]string, string, error) {
	for {
		answer, err := r.Ask("open words", "", "Witness", "three words of your own choosing, just now")
		if err != nil {
			return nil, "", err
		}
		list := words.Typed(answer)
		if len(list) == 3 && !slices.ContainsFunc(list, func(w string) bool { return strict.CheckToken(w) != nil }) {
			return list, r.By(ceremony.Witness), nil
		}
		r.Say(fmt.Sprintf("That is %s; three are wanted, of letters and digits.", words.Count(int64(len(list)), "word", "words")))
	}
}

// Clock asks the witness for the time on the wall.
func (r atTerminal) Clock(_ context.Context, now func() time.Time) (time.Time, string, error) {
	// Hours and minutes are typed; a clock that is off by days or years shows
	// here, and nowhere later.
	r.Say("This computer says that today is " + now().UTC().Format(time.DateOnly) + ". If it isn't, stop and set the clock.")
	for {
		answer, err := r.Ask("open clock", now().UTC().Format("15:04"), "Witness", "the time on the wall, in UTC, as 14:05")
		if err != nil {
			return time.Time{}, "", err
		}
		at := now().UTC()
		wall, err := nearest(at, answer)
		if err != nil {
			r.Say(fmt.Sprintf("%q is no time like 14:05.", answer))
			continue
		}
		// A minute that has begun is nearer than one that is over.
		if off := at.Sub(wall).Abs(); off > clockMay {
			r.Say(fmt.Sprintf("That is more than %d minutes from this computer's clock. Read the wall again, or stop and set the clock.", int(clockMay.Minutes())))
			continue
		}
		return wall, r.By(ceremony.Witness), nil
	}
}

// clockMay is how far the wall's clock may be from this computer's.
const clockMay = 2 * time.Minute

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

// Seal has witness and auditor read the number of a seal.
func (r atTerminal) Seal(_ context.Context, hsm string, wrong func(string) error) (string, string, string, error) {
	for {
		first, err := r.Ask("intake "+hsm+" witness", "", "Witness", "the number on the seal of "+hsm)
		if err != nil {
			return "", "", "", err
		}
		if err := wrong(first); err != nil {
			r.Say(Capital(err.Error()) + ". Read it off " + hsm + " again; if it does say so, stop.")
			continue
		}
		second, err := r.Ask("intake "+hsm+" auditor", "", "Auditor", "the same number, read again")
		if err != nil {
			return "", "", "", err
		}
		if first == second && first != "" {
			return first, r.By(ceremony.Witness), r.By(ceremony.Auditor), nil
		}
		r.Say(fmt.Sprintf("%q and %q are not the same.", first, second))
	}
}

// readAloud says what a digest is of, and what the auditor types to have its
// words on a screen of their own: of the plan they have a copy, whatever that is
// called on their machine.
func (r atTerminal) readAloud(q engine.Question) (what, own string) {
	own = "fleetctl words DIGEST"
	switch q.What {
	case ceremony.ChallengePlan:
		return "The plan", "fleetctl words " + words.ShellWord(r.planName())
	case ceremony.ChallengeKey:
		return fmt.Sprintf("The new %s key of %s", q.Step.Role, q.Step.HSM), own
	case ceremony.ChallengeFleet:
		return "The fleet check, HSM by HSM", own
	case ceremony.ChallengeKeySet:
		return "The key set, " + ceremony.ArtifactFile, own
	}
	return "The bundle, " + ceremony.BundleFile, own
}

func (r atTerminal) planName() string {
	if r.plan == "" {
		return "PLAN"
	}
	return filepath.Base(r.plan)
}

// Challenge has a digest read aloud, and asks the auditor for some of its words.
func (r atTerminal) Challenge(_ context.Context, q engine.Question) (int, string, error) {
	if err := r.a.UI.Keep(func() error { r.showWords(q); return nil }); err != nil {
		return 0, "", err
	}
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
		answer, err := r.askBeside(q.State, name, strings.Join(right, " "), "Auditor",
			fmt.Sprintf("from your own screen, words %d, %d and %d (or \"read\")", q.Positions[0], q.Positions[1], q.Positions[2]))
		if err != nil {
			return tries, "", err
		}
		wrong := wrongWord(list, q.Positions, words.Typed(answer))
		if wrong == "" {
			return tries, r.By(ceremony.Auditor), nil
		}
		r.Say(wrong)
	}
}

// showWords shows a digest, and the words in which it is read aloud.
func (r atTerminal) showWords(q engine.Question) {
	p := r.a.UI.Talk
	what, own := r.readAloud(q)
	if q.Matrix != nil {
		r.a.UI.Say("\n", matrix(p, q.Matrix))
	}
	r.a.UI.Say("\n", p.Line(what+", SHA-256:"), p.Hex(q.Subject[:]),
		"\n", p.Line("Auditor, on your own screen: fleetctl screen (its code: type qr), or"), p.Line(own),
		"\n", p.Line("Administrator, read aloud, all of it (\"read\" shows it again):"), "\n", p.Words(q.Subject[:], 4, false))
}

// wrongWord says which word is not the one at its position.
func wrongWord(list []string, positions []int, typed []string) string {
	if len(typed) != len(positions) {
		return fmt.Sprintf("That is %s; %d are asked for.", words.Count(int64(len(typed)), "word", "words"), len(positions))
	}
	for i, p := range positions {
		if !words.Heard(typed[i], list[p-1]) {
			return fmt.Sprintf("Word %d is not %q.", p, typed[i])
		}
	}
	return ""
}

// Peer asks the auditor for what their own screen drew, or for the word machine where
// nobody challenges.
func (r atTerminal) Peer(_ context.Context, q engine.AgreementQuestion) (peer []byte, challenger, by string, err error) {
	name := "agreement " + q.Step.HSM + " " + q.Step.Role
	r.a.UI.Say("\n", r.a.UI.Talk.Line("The key of "+q.Step.HSM+" agrees on a secret and can't sign. Auditor, on your own screen, which no one else sees:"),
		r.a.UI.Talk.Line("fleetctl ceremony agreement challenge KEPT --algorithm "+string(q.Algorithm)),
		r.a.UI.Talk.Line("(or fleetctl screen, and there the word peer)"), "\n")
	for peer == nil {
		answer, err := r.askBeside(q.State, name+" peer", ByMachine, "Auditor", "the peer that it shows, or the file with its picture; the word machine if nobody challenges")
		if err != nil {
			return nil, "", "", err
		}
		if strings.EqualFold(strings.TrimSpace(answer), ByMachine) {
			return nil, "", ByMachine, nil
		}
		if answer, err = r.carried(answer); err == nil {
			peer, err = challenge.ParseCode(challenge.Peer, answer)
		}
		if err == nil {
			err = q.Peer(peer)
		}
		if err != nil {
			peer = nil
			r.Say(fmt.Sprintf("That %v.", err))
		}
	}
	by = r.By(ceremony.Auditor)
	auditors := auditorsOf(q.Plan)
	for !slices.Contains(auditors, challenger) {
		if len(auditors) == 1 {
			return peer, auditors[0], by, nil
		}
		if challenger, err = r.Ask(name+" challenger", "", "Auditor", "your name in the plan"); err != nil {
			return nil, "", "", err
		}
	}
	return peer, challenger, by, nil
}

func auditorsOf(p *ceremony.Plan) (names []string) {
	for _, x := range p.People {
		if x.Role == ceremony.Auditor {
			names = append(names, x.Name)
		}
	}
	return names
}

// Opened shows the auditor what the key answered, and asks for the peer's private half.
func (r atTerminal) Opened(_ context.Context, q engine.AgreementQuestion, answer [32]byte) ([]byte, error) {
	code := challenge.Code(challenge.Answer, answer[:])
	r.a.UI.Say("\n", r.a.UI.Talk.Line("The key has answered, and the answer is on the record. Auditor, on your own screen:"),
		r.a.UI.Talk.Line("fleetctl ceremony agreement open KEPT"), r.a.UI.Talk.Line(code),
		r.a.UI.Talk.Line("(or fleetctl screen, which takes the answer by QR: type qr; and there the word open)"), "\n")
	for {
		typed, err := r.askBeside(q.State, "agreement "+q.Step.HSM+" "+q.Step.Role+" scalar", "", "Auditor", "the private half that it shows now, or the file with its picture")
		if err != nil {
			return nil, err
		}
		var scalar []byte
		if typed, err = r.carried(typed); err == nil {
			scalar, err = challenge.ParseCode(challenge.Scalar, typed)
		}
		if err == nil {
			err = q.Scalar(scalar)
		}
		if err == nil {
			return scalar, nil
		}
		r.Say(fmt.Sprintf("That %v.", err))
	}
}

// unattendedPeople stands in for the people of a rehearsal, and every record says so.
type unattendedPeople struct{ a *cli.App }

// ByMachine is who answers where nobody is asked.
const ByMachine = "machine"

func (m unattendedPeople) Words(context.Context) ([]string, string, error) {
	b := make([]byte, 3)
	if _, err := m.a.Random.Read(b); err != nil {
		return nil, "", err
	}
	return words.Encode(b), ByMachine, nil
}

func (m unattendedPeople) Clock(_ context.Context, now func() time.Time) (time.Time, string, error) {
	return now().UTC().Truncate(time.Second), ByMachine, nil
}

func (m unattendedPeople) Seal(_ context.Context, hsm string, _ func(string) error) (string, string, string, error) {
	return "none, " + hsm + " is a token of a rehearsal", ByMachine, ByMachine, nil
}

func (m unattendedPeople) Challenge(context.Context, engine.Question) (int, string, error) {
	return 1, ByMachine, nil
}

func (m unattendedPeople) Peer(context.Context, engine.AgreementQuestion) ([]byte, string, string, error) {
	return nil, "", ByMachine, nil
}

func (m unattendedPeople) Opened(context.Context, engine.AgreementQuestion, [32]byte) ([]byte, error) {
	return nil, errors.New("nobody challenged this key")
}
