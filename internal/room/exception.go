package room

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// exception records what went otherwise than planned, and has officers accept it.
func (r *Room) exception() error {
	a, err := r.account()
	if err != nil {
		return err
	}
	if a == nil {
		r.say("Nothing is on the record yet, so that nothing can have gone otherwise: begin again, or stop.")
		return nil
	}
	e, err := r.raiseOn(a)
	if err != nil || e == nil {
		return err
	}
	err = session.WithFolder(r.App, r.Config.Dir, func(j *engine.Journal) error {
		e.Number = len(j.Account().Exceptions) + 1
		if _, err := j.Append(e); err != nil {
			return err
		}
		r.done(j, fmt.Sprintf("exception %d is on the record", e.Number))
		return nil
	})
	if err != nil {
		var refused *strict.Error
		if errors.As(err, &refused) && refused.File == r.Config.Dir { // torn, or another process
			return err
		}
		r.App.UI.Error(err)
		return nil
	}
	return r.accepted()
}

// raise asks what went otherwise than planned; nil where they think better of it.
func (r *Room) raise() (*ceremony.Exception, error) { return r.raiseOn(nil) }

// raiseOn is raise between two steps, where more can be said: who will be absent, and
// which attestations it is about. The account is nil within a step.
func (r *Room) raiseOn(a *ceremony.Account) (*ceremony.Exception, error) {
	r.say("An exception gets a number and is published; officers accept it or not. Nothing that is checked is relaxed by it. \"back\" takes it back.")
	e := &ceremony.Exception{}
	ask := func() (err error) {
		for _, q := range []struct {
			name, question string
			to             *string
		}{
			{"exception expected", "What was expected:", &e.Expected},
			{"exception happened", "What happened:", &e.Happened},
			{"exception decided", "What was decided:", &e.Decided},
		} {
			if *q.to, err = r.text(q.name, q.question, something); err != nil {
				return err
			}
		}
		rows := [][2]string{{"expected", e.Expected}, {"happened", e.Happened}, {"decided", e.Decided}}
		if a != nil {
			if e.Absent, err = r.absent(a); err != nil {
				return err
			}
			if e.Attestations, err = r.attestations(a); err != nil {
				return err
			}
		}
		if len(e.Absent) > 0 {
			rows = append(rows, [2]string{"absent", strings.Join(e.Absent, ", ") + ": they give no verdict on the stage that comes next"})
		}
		if len(e.Attestations) > 0 {
			rows = append(rows, [2]string{"about", "the attestations of records " + strings.Trim(strings.ReplaceAll(fmt.Sprint(e.Attestations), " ", ", "), "[]")})
		}
		return r.written("exception write", rows)
	}
	if err := ask(); err != nil {
		return nil, r.takenBack("exception", err)
	}
	return e, nil
}

// absent asks who will give no verdict on the stage that is to be signed off.
func (r *Room) absent(a *ceremony.Account) ([]string, error) {
	if s, _ := a.Next(); s.Act != ceremony.ActRequest && s.Act != ceremony.ActClose {
		return nil, nil
	}
	answer, err := r.text("exception absent", "Which witnesses and auditors give no verdict on the stage that comes next? Names, or Enter for none:", func(s string) error {
		for _, name := range words.Typed(s) {
			if !slices.ContainsFunc(a.Plan.People, func(p ceremony.Person) bool { return p.Name == name && p.Role != ceremony.Officer }) {
				return fmt.Errorf("%q is no witness and no auditor of the plan", name)
			}
		}
		return nil
	})
	return words.Typed(answer), err
}

// undecided says what the operator's policy didn't find shown of devices, and waits
// until somebody calls for the exception without which nothing is released.
func (r *Room) undecided(list []*ceremony.Attested) error {
	for _, o := range list {
		for _, problem := range o.Problems {
			r.say(fmt.Sprintf("Problem: the attestation of record %d, device %s: %s", o.N, o.Identity, problem))
		}
	}
	for {
		r.App.UI.About("attestation problems", "")
		if _, err := r.App.UI.Ask("Nothing is released unless officers accept that. Type \"exception\" to say what is decided, or \"stop\":"); err != nil {
			return err
		}
		r.say("That is neither.")
	}
}

// attestations asks which attestations an exception is about, where some have
// problems that none is about yet.
func (r *Room) attestations(a *ceremony.Account) ([]int, error) {
	var open []string
	for _, o := range a.Unexcused() {
		open = append(open, strconv.Itoa(o.N))
	}
	if len(open) == 0 {
		return nil, nil
	}
	var list []int
	_, err := r.textFrom(strings.Join(open, " "), "exception attestations", "Is it about attestations with problems, "+strings.Join(open, ", ")+"? Their records' numbers, or Enter for none:", func(s string) error {
		list = nil
		for _, word := range words.Typed(s) {
			n, err := strconv.Atoi(word)
			if err != nil || !slices.Contains(open, word) {
				return fmt.Errorf("%q names other records than those", s)
			}
			list = append(list, n)
		}
		return nil
	})
	return list, err
}
