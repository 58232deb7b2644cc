// Package screen is the second screen: the auditor's or a witness's own machine during
// a ceremony. It takes where the ceremony stands from pictures of QR codes, from text
// that is typed or scanned, or from the page that the ceremony's machine serves. It
// shows the words to compare, what its role does and says in the step, and answers what
// the ceremony asks of it. It has no HSM, believes nothing, and what it has seen it
// keeps: see package state.
package screen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/challenge"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// The files of a second screen's folder.
const (
	SeenFile       = "seen.json"
	ChallengesFile = "challenges.json" // who reads it can answer without an HSM
	lockFile       = "lock"
)

// Screen is a second screen.
type Screen struct {
	App  *cli.App
	Plan *ceremony.Plan
	Role string   // ceremony.Auditor or ceremony.Witness
	Dir  string   // what it keeps
	From string   // the page's address; empty where there is none
	Look []string // pictures and folders of them, looked at again and again

	seen     *state.Seen
	kept     *challenge.Kept
	drawn    int // the record at which the last challenge was drawn; -1: at none
	frames   map[[32]byte]*qr.Collector
	read     map[string]fileSeen // pictures that were read, as they were then
	account  *ceremony.Account   // of the transcript that was replayed last
	shown    state.State
	shownAs  string // how it was known then
	faults   int    // what couldn't be read, or was refused, in this process
	refusals int    // of those, what was refused
	told     map[string]bool
	goesOn   bool // with what an earlier process kept
}

// Run shows until somebody stops it or the input ends.
func (s *Screen) Run(ctx context.Context) error {
	if s.Role != ceremony.Auditor && s.Role != ceremony.Witness {
		return cli.Usagef("--role auditor or --role witness", "a second screen has no role %q", s.Role)
	}
	if err := durable.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	unlock, err := durable.Lock(filepath.Join(s.Dir, lockFile))
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.load(); err != nil {
		return err
	}
	s.begin()
	watch, err := newWatch(ctx, s)
	if err != nil {
		return err
	}
	defer watch.close()
	for {
		if err := s.look(ctx); err != nil {
			return err
		}
		s.show()
		answer, err := s.App.UI.AskUnless(s.question(), watch)
		switch {
		case errors.Is(err, ui.ErrNews):
			continue
		case errors.Is(err, ui.ErrStop), errors.Is(err, ui.ErrNoAnswer):
			if err := s.look(ctx); err != nil {
				return err
			}
			return s.end()
		case errors.Is(err, ui.ErrException), errors.Is(err, ui.ErrAdjourn):
			s.say("That is for the ceremony's machine: say it aloud, and have it typed there.")
			continue
		case err != nil:
			return err
		}
		if answer == "" {
			if err := s.lookAgain(ctx); err != nil {
				return err
			}
			continue
		}
		if err := s.answer(answer); err != nil {
			return err
		}
	}
}

// load reads what was kept, so that a screen that is started anew goes on.
func (s *Screen) load() error {
	s.frames, s.read, s.told, s.drawn = map[[32]byte]*qr.Collector{}, map[string]fileSeen{}, map[string]bool{}, -1
	path := filepath.Join(s.Dir, SeenFile)
	data, err := durable.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.seen = state.NewSeen(s.Plan)
	case err != nil:
		return err
	default:
		if s.seen, err = state.ParseSeen(path, data, s.Plan); err != nil {
			return cli.Wrong(err)
		}
		s.goesOn = len(s.seen.Points) > 0
	}
	path = filepath.Join(s.Dir, ChallengesFile)
	data, err = durable.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.kept = &challenge.Kept{}
	case err != nil:
		return err
	default:
		if s.kept, err = challenge.Parse(path, data); err != nil {
			return cli.Wrong(err)
		}
	}
	return nil
}

// keep writes down what was seen before anything is shown of it.
func (s *Screen) keep() error {
	return durable.Replace(filepath.Join(s.Dir, SeenFile), s.seen.Encode(), 0o600)
}

func (s *Screen) keepChallenges() error {
	return durable.Replace(filepath.Join(s.Dir, ChallengesFile), s.kept.Encode(), 0o600)
}

func (s *Screen) say(text string) { s.App.UI.Say(s.App.UI.Talk.Line(text)) }

// summaryJSON is what a screen ends with.
type summaryJSON struct {
	Role   string        `strict:"role"`
	Plan   [32]byte      `strict:"plan,hex"`
	Record int           `strict:"record"`
	Head   [32]byte      `strict:"head,hex"`
	Known  string        `strict:"known"`
	Seen   int           `strict:"seen"`
	Alarms []state.Alarm `strict:"alarms"`
	Keys   []keyJSON     `strict:"keys,optional"` // that agree, where this screen challenged
}

// Format is what the JSON says that it is.
func (*summaryJSON) Format() string { return "fleetctl screen result v1" }

type keyJSON struct {
	HSM    string `strict:"hsm"`
	Role   string `strict:"role"`
	Record int    `strict:"record"`
	Fault  string `strict:"fault,empty"`
}

// end says what was seen, and that something was refused if anything ever was.
func (s *Screen) end() error {
	out := &summaryJSON{Role: s.Role, Plan: s.Plan.Digest(), Head: s.Plan.Digest(), Known: state.Claimed, Seen: len(s.seen.Points), Alarms: s.seen.Alarms}
	rows := [][2]string{{"seen", "nothing of a ceremony"}}
	if last, how, ok := s.seen.Last(); ok {
		out.Record, out.Head, out.Known = last.Record, last.Head, how
		rows = [][2]string{{"seen", recordWords(last)}, {"known", known()[how]}}
	}
	rows = append(rows, [2]string{"kept in", s.Dir})
	for _, x := range s.seen.Alarms {
		rows = append(rows, [2]string{"REFUSED", fmt.Sprintf("after record %d: %s: %s", x.After, x.Name, x.Text)})
	}
	list, wrong := s.compare(), 0
	rows = append(rows, comparedRows(list)...)
	for _, k := range list {
		out.Keys = append(out.Keys, keyJSON{k.HSM, k.Role, k.Record, k.Fault})
		if k.Fault != "" {
			wrong++
		}
	}
	if err := s.App.Emit(out, s.App.UI.Fields(rows)); err != nil {
		return err
	}
	switch n := len(s.seen.Alarms); {
	case n > 0:
		return cli.Exit(cli.ExitWrong, strict.Errorf(s.Dir, "%d of what the ceremony's machine showed was refused", n).
			WithHint("don't sign, and say what was refused: it stands in %s", filepath.Join(s.Dir, SeenFile)))
	case wrong > 0:
		return cli.Exit(cli.ExitWrong, strict.Errorf("", "%d of %d keys that agree didn't answer what was drawn here", wrong, len(list)).
			WithHint("don't sign the release as their challenger"))
	case s.refusals > 0:
		return cli.Exit(cli.ExitWrong, strict.Errorf("", "what was shown last is not where the ceremony stands: it was seen further"))
	case s.faults > 0 && len(s.seen.Points) == 0:
		return cli.Exit(cli.ExitWrong, strict.Errorf("", "nothing that was given shows where a ceremony stands"))
	}
	return nil
}

// known says what a way of knowing is worth.
func known() map[string]string {
	return map[string]string{
		state.Claimed:  "the room's machine says so, and showed no records",
		state.Chained:  "its chain of records was checked; what they say was not shown",
		state.Replayed: "every record up to it was read and judged here",
	}
}

// refusedLoudly shows a refusal so that nobody misses it.
func (s *Screen) refusedLoudly(where string, err error) {
	p := s.App.UI.Talk
	s.App.UI.Say("\n", p.Header("ALARM · "+strings.ToUpper(nameOf(err)), s.tag()), p.Line(s.followed()))
	s.App.UI.Error(strict.Errorf(where, "%v", err).WithHint("%s", s.hintOf(err)))
}

// followed names the ceremony that this screen follows, so that people can say which
// one the alarm is about.
func (s *Screen) followed() string {
	if s.seen.Ceremony == "" {
		return fmt.Sprintf("This screen follows a ceremony of %s, epoch %d, whose id was not shown yet: only codes were.", s.Plan.Fleet, s.Plan.Epoch)
	}
	return "This screen follows the ceremony " + s.seen.Ceremony + "."
}

func nameOf(err error) string {
	var r *state.Refusal
	if errors.As(err, &r) {
		return r.Name
	}
	return "not readable"
}

// hintOf says what to do. A screen that goes on in a folder that it was given may have
// been given that of another ceremony by the same plan.
func (s *Screen) hintOf(err error) string {
	var r *state.Refusal
	if !errors.As(err, &r) {
		return ""
	}
	hint := r.Hint()
	if s.goesOn && (r.Name == state.AnotherHead || r.Name == state.OtherState || r.Name == state.OlderState) {
		last, _, _ := s.seen.Last()
		which := "another ceremony"
		if s.seen.Ceremony != "" {
			which += ", " + s.seen.Ceremony
		}
		hint += fmt.Sprintf(";\nor %s is from %s, which was seen up to record %d:\n--dir names another folder", s.Dir, which, last.Record)
	}
	return hint
}
