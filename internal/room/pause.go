package room

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// isCalled says whether somebody called for something instead of answering.
func isCalled(err error) bool {
	for _, e := range []error{ui.ErrStop, ui.ErrException, ui.ErrAdjourn, ui.ErrInterrupted, ui.ErrNoAnswer} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// called does what somebody called for at a prompt: records an exception, or
// adjourns. It is nil where the ceremony goes on, and the error in every other case.
func (r *Room) called(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ui.ErrException):
		err = r.exception()
	case errors.Is(err, ui.ErrAdjourn):
		err = r.adjourn()
	}
	var other *engine.OtherProgram
	if errors.As(err, &other) {
		return r.goOnUnder(ctx, err, other)
	}
	return err
}

// goOnUnder records that people go on with another program, and has officers accept
// it. Where they don't, or nobody can be asked, the ceremony waits for the program that
// ran it.
func (r *Room) goOnUnder(ctx context.Context, refused error, other *engine.OtherProgram) error {
	if err := r.Config.Participants.OtherProgram(ctx, other.Was, other.Is); err != nil {
		if isCalled(err) {
			return err
		}
		return refused
	}
	a, err := engine.GoOnUnder(r.Config.Dir, other.Is, r.App.Now, r.App.Random, ceremony.Exception{
		Expected: "the program that ran the ceremony so far", Happened: "another program is there", Decided: "to go on with it, once the auditor has compared its SHA-256",
	})
	if err != nil {
		return err
	}
	r.say(fmt.Sprintf("Exception %d is on the record: this program goes on.", len(a.Exceptions)))
	return r.accepted()
}

// text asks for a line that will be published.
func (r *Room) text(name, question string, may func(string) bool) (string, error) {
	for {
		r.App.UI.About(name, "")
		answer, err := r.App.UI.Ask(question)
		if err != nil || may(answer) {
			return answer, err
		}
		r.say("Something has to be typed here.")
	}
}

func something(s string) bool { return s != "" }

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
	e, err := r.raise()
	if err != nil || e == nil {
		return err
	}
	if e.Absent, err = r.absent(a); err != nil {
		return err
	}
	if e.Attestations, err = r.attestations(a); err != nil {
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
func (r *Room) raise() (*ceremony.Exception, error) {
	r.say("An exception gets a number and is published; officers accept it or not. Nothing that is checked is relaxed by it.")
	e := &ceremony.Exception{}
	for _, q := range []struct {
		name, question string
		to             *string
	}{
		{"exception expected", "What was expected:", &e.Expected},
		{"exception happened", "What happened:", &e.Happened},
		{"exception decided", "What was decided:", &e.Decided},
	} {
		var err error
		if *q.to, err = r.text(q.name, q.question, something); errors.Is(err, ui.ErrException) || errors.Is(err, ui.ErrAdjourn) {
			r.say("One thing at a time: this exception was not recorded.")
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	return e, nil
}

// absent asks who will give no verdict on the stage that is to be signed off.
func (r *Room) absent(a *ceremony.Account) ([]string, error) {
	if s, _ := a.Next(); s.Act != ceremony.ActRequest && s.Act != ceremony.ActClose {
		return nil, nil
	}
	r.App.UI.About("exception absent", "")
	answer, err := r.App.UI.Ask("Which witnesses and auditors give no verdict on the stage that comes next? Names, or Enter for none:")
	if err != nil {
		return nil, err
	}
	return words.Typed(answer), nil
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
	for len(open) > 0 {
		r.App.UI.About("exception attestations", strings.Join(open, " "))
		answer, err := r.App.UI.Ask("Is it about attestations with problems, " + strings.Join(open, ", ") + "? Their records' numbers, or Enter for none:")
		if err != nil {
			return nil, err
		}
		var list []int
		said := words.Typed(answer)
		for _, word := range said {
			if n, err := strconv.Atoi(word); err == nil && slices.Contains(open, word) {
				list = append(list, n)
			}
		}
		if len(list) == len(said) {
			return list, nil
		}
		r.say(fmt.Sprintf("%q names other records than those.", answer))
	}
	return nil, nil
}

// seals asks for the number on each HSM's seal. Where nothing has to be sealed an
// empty line says that nothing is.
func (r *Room) seals(a *ceremony.Account, question, orNone string) ([]ceremony.Seal, error) {
	list := []ceremony.Seal{}
	if a.Plan.Mode == ceremony.Production {
		orNone = "" // every HSM is under a seal
	}
	for _, h := range a.Plan.HSMs {
		number, err := r.text("seal "+h.Name, fmt.Sprintf(question, h.Name)+orNone+":", func(s string) bool {
			return s != "" || a.Plan.Mode != ceremony.Production
		})
		if err != nil {
			return nil, err
		}
		if number != "" {
			list = append(list, ceremony.Seal{What: h.Name, Number: number})
		}
	}
	return list, nil
}

// adjourn interrupts the ceremony as planned, and ends the process: whoever comes
// back begins with the same command.
func (r *Room) adjourn() error {
	a, err := r.account()
	if err != nil {
		return err
	}
	if a == nil {
		return ui.ErrStop // there is nothing that could be interrupted
	}
	if a.Adjourned {
		return ui.ErrStop // it is
	}
	reason, err := r.text("adjourn reason", "It is adjourned. Why, in words that will be published:", something)
	if err != nil {
		return r.notNow(err)
	}
	seals, err := r.seals(a, "The number of the seal that %s is under now", ", or Enter for none")
	if err != nil {
		return r.notNow(err)
	}
	err = session.WithFolder(r.App, r.Config.Dir, func(j *engine.Journal) error {
		if err := j.Adjourn(&ceremony.Adjourn{Reason: reason, Seals: seals}); err != nil {
			return err
		}
		r.done(j, "adjourned")
		return nil
	})
	var other *engine.OtherProgram
	if errors.As(err, &other) {
		return err
	}
	if err != nil {
		r.App.UI.Error(err)
		return nil
	}
	return cli.Exit(cli.ExitPending, strict.Errorf(r.Config.Dir, "the ceremony is adjourned, as planned: %s", reason).
		WithHint("run the same command again to reconvene it"))
}

// notNow goes on where somebody who called for an adjournment thinks better of it.
func (r *Room) notNow(err error) error {
	if errors.Is(err, ui.ErrException) || errors.Is(err, ui.ErrAdjourn) {
		r.say("One thing at a time: it was not adjourned.")
		return nil
	}
	return err
}

// reconvene goes on after an adjournment, once the seals were read and officers have
// approved it.
func (r *Room) reconvene(ctx context.Context) error {
	return session.WithFolder(r.App, r.Config.Dir, func(j *engine.Journal) error {
		a := j.Account()
		if r.StandIn.Unattended {
			return j.Reconvene(ctx, &ceremony.Reconvene{Seals: []ceremony.Seal{}}, r.approve)
		}
		session.NewScreen(r.App).Paused(a)
		seals, err := r.seals(a, "The number on the seal of %s as you find it", ", or Enter where it had none")
		if err != nil {
			return err
		}
		approve := func(_ context.Context, _ string, people *ceremony.People, want ceremony.Approval, _ []string) error {
			return r.approved(people, want, func() { session.ShowSeals(r.App, a.Sealed(), seals) })
		}
		if err := j.Reconvene(ctx, &ceremony.Reconvene{Seals: seals}, approve); err != nil {
			if isCalled(err) {
				return err
			}
			r.App.UI.Error(strict.Errorf(r.Config.Dir, "%v", err).WithHint("%s", "read them again; of a seal that is another one, type exception"))
			return nil
		}
		r.done(j, "reconvened under "+words.Count(int64(len(seals)), "seal", "seals"))
		return nil
	})
}
