package room

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// errBack says that somebody takes back what they called for.
var errBack = errors.New("it was taken back")

// text asks for a line that will be published, and again while it is unfit.
func (r *Room) text(name, question string, unfit func(string) error) (string, error) {
	return r.textFrom("", name, question, unfit)
}

// textFrom is text of what a screen shows.
func (r *Room) textFrom(screen, name, question string, unfit func(string) error) (string, error) {
	for {
		r.App.UI.About(name, screen)
		answer, err := r.App.UI.Ask(question)
		switch {
		case err != nil:
			return "", err
		case words.Same(answer, "back"):
			return "", errBack
		}
		wrong := unfit(answer)
		if wrong == nil {
			return answer, nil
		}
		r.say(session.Capital(wrong.Error()) + ".")
	}
}

func something(s string) error {
	if s == "" {
		return errors.New("something has to be typed here")
	}
	return nil
}

// written shows what will be on the record and asks whether it is to be written: until
// then everything can be taken back, with errBack.
func (r *Room) written(name string, rows [][2]string) error {
	r.App.UI.Say("\n", r.App.UI.Talk.Line("This will be on the record, for good, and is published:"),
		r.App.UI.Talk.Inset(func(p ui.Page) string { return p.Fields(rows) }), "\n")
	_, err := r.text(name, "Type \"write\" to put it on the record, or \"back\" to take it back:", func(s string) error {
		if words.Same(s, "write") {
			return nil
		}
		return fmt.Errorf("%q is neither", s)
	})
	return err
}

// takenBack goes on where somebody thinks better of what they called for: nothing was
// written.
func (r *Room) takenBack(what string, err error) error {
	switch {
	case errors.Is(err, errBack):
		r.say("It was taken back, and nothing was written of it.")
		return nil
	case errors.Is(err, ui.ErrException), errors.Is(err, ui.ErrAdjourn):
		r.say("One thing at a time: the " + what + " was not recorded.")
		return nil
	}
	return err
}

// seals asks for the number on each HSM's seal. Where nothing has to be sealed an
// empty line says that nothing is.
func (r *Room) seals(a *ceremony.Account, question, orNone string) ([]ceremony.Seal, error) {
	list := []ceremony.Seal{}
	if a.Plan.Mode == ceremony.Production {
		orNone = "" // every HSM is under a seal
	}
	for _, h := range a.Plan.HSMs {
		number, err := r.text("seal "+h.Name, fmt.Sprintf(question, h.Name)+orNone+":", func(s string) error {
			switch {
			case s == "" && a.Plan.Mode == ceremony.Production:
				return something(s)
			case s == "":
				return nil
			}
			return ceremony.OnOneHSM(a.Plan, append(slices.Clone(list), ceremony.Seal{What: h.Name, Number: s}))
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

// adjourn interrupts the ceremony as planned, between two steps.
func (r *Room) adjourn() error {
	a, err := r.account()
	switch {
	case err != nil:
		return err
	case a == nil, a.Adjourned:
		return ui.ErrStop // nothing could be interrupted, or it is
	}
	return session.WithFolder(r.App, r.Config.Dir, r.adjournNow)
}

// adjournNow asks for what is recorded of an adjournment, and ends the process: whoever
// comes back begins with the same command. It is nil where nothing was adjourned.
func (r *Room) adjournNow(j *engine.Journal) error {
	x, err := r.adjournment(j.Account())
	if err != nil {
		return r.takenBack("adjournment", err)
	}
	if err := j.Adjourn(x); err != nil {
		var other *engine.OtherProgram
		if errors.As(err, &other) {
			return err
		}
		r.App.UI.Error(err)
		return nil
	}
	r.done(j, "adjourned")
	return cli.Exit(cli.ExitPending, strict.Errorf(r.Config.Dir, "the ceremony is adjourned, as planned: %s", x.Reason).
		WithHint("run the same command again to reconvene it"))
}

func (r *Room) adjournment(a *ceremony.Account) (*ceremony.Adjourn, error) {
	reason, err := r.text("adjourn reason", "It is to be adjourned. Why, in words that will be published; or \"back\":", something)
	if err != nil {
		return nil, err
	}
	seals, err := r.seals(a, "The number of the seal that %s is under now", ", or Enter for none")
	if err != nil {
		return nil, err
	}
	rows := [][2]string{{"adjourned", reason}}
	for _, s := range seals {
		rows = append(rows, [2]string{s.What, "under seal " + s.Number})
	}
	return &ceremony.Adjourn{Reason: reason, Seals: seals}, r.written("adjourn write", rows)
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
		if errors.Is(err, errBack) {
			return nil // they are read again from the first
		} else if err != nil {
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
