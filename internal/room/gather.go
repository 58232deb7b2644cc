package room

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// waiting is what signatures are waited for.
type waiting struct {
	wish    folder.Wish // without the verdict
	account *ceremony.Account
	people  *ceremony.People
	missing func(*ceremony.Account) (*folder.Missing, error) // nil: there are enough; of a stage see enough
	now     *folder.Missing
	// also is an act that an officer can approve in the same answer, by naming it: what
	// both signatures mean is shown. It is empty where there is none.
	also string
	// last shows what else is new, directly above the question; nil: nothing is.
	last func()
	// reconvened is the room's.
	reconvened bool
	// closed says that somebody has closed a stage: who has not spoken is passed over.
	closed bool
	// heard says that somebody has signed since it was told who is missing.
	heard bool
}

// approve is the engine's Approver: it waits for officers.
func (r *Room) approve(_ context.Context, _ string, people *ceremony.People, want ceremony.Approval, _ []string) error {
	return r.approved(people, want, nil)
}

// approved waits for officers, who are shown last what else is new.
func (r *Room) approved(people *ceremony.People, want ceremony.Approval, last func()) error {
	w := waiting{wish: folder.Wish{Act: want.Act}, people: people, last: last, reconvened: r.reconvened}
	w.missing = func(*ceremony.Account) (*folder.Missing, error) {
		list, err := folder.ReadSignings(r.Config.Dir, ceremony.ApprovalsDir)
		if err != nil {
			return nil, err
		}
		have, err := people.Approvals(want, list)
		if err != nil || len(have) >= people.Threshold() {
			return nil, err
		}
		return &folder.Missing{Pending: folder.Pending{What: want.Act, Have: have, Want: people.Threshold()}, Record: want.Head.N}, nil
	}
	return r.gather(&w)
}

// accepted waits until officers have accepted every exception.
func (r *Room) accepted() error {
	for {
		a, err := folder.ReadToLastRecord(r.Config.Dir)
		if err != nil {
			return err
		}
		list, err := folder.MissingAcceptances(r.Config.Dir, a)
		if err != nil || len(list) == 0 {
			return err
		}
		n := list[0].Exception
		w := waiting{wish: folder.Wish{Act: ceremony.ApproveException, Exceptions: []int{n}}}
		w.missing = func(a *ceremony.Account) (*folder.Missing, error) {
			list, err := folder.MissingAcceptances(r.Config.Dir, a)
			if err != nil || len(list) == 0 || list[0].Exception != n {
				return nil, err
			}
			return &list[0], nil
		}
		if err := r.gather(&w); err != nil {
			return err
		}
	}
}

// signedOff waits until a stage is signed off. Where an act is named, officers can
// approve it in the same answer.
func (r *Room) signedOff(stage, also string) error {
	return r.gather(&waiting{wish: folder.Wish{Stage: stage}, also: also, missing: func(a *ceremony.Account) (*folder.Missing, error) {
		return folder.SignoffSoFar(r.Config.Dir, a, stage)
	}})
}

// gather takes signatures from wherever they come until there are enough: from the
// exchange, from people who type their name and what they agree to, from keys that
// are at hand.
func (r *Room) gather(w *waiting) error {
	shown := ""
	for {
		var err error
		if w.account, err = folder.ReadToLastRecord(r.Config.Dir); err != nil {
			return err
		}
		if w.people, err = w.account.People(); err != nil {
			return err
		}
		if w.now, err = w.missing(w.account); err != nil || w.now == nil {
			return err
		}
		if over := r.closes(w); over {
			return nil
		}
		if shown == "" {
			if err := r.App.UI.Keep(func() error { return r.offer(w) }); err != nil {
				return err
			}
			if lines, more := r.App.UI.Kept(); more {
				r.say(fmt.Sprintf("That is %d lines: \"read\" shows them again, a screen at a time.", lines))
			}
		}
		r.watch.drain()
		if took, err := r.takeSignatures(w, r.Exchange); err != nil || took {
			if err != nil {
				return err
			}
			continue
		}
		r.tellMisfits(r.expectedSignature(w), func(file string, data []byte) string { return r.unfitSignature(w, file, data) })
		if r.StandIn.Unattended {
			if err := r.machineSigns(w); err != nil {
				return err
			}
			continue
		}
		if text := w.whoIsMissing(); text != shown || w.heard {
			w.heard = false
			r.App.UI.Say("\n", r.App.UI.Talk.Line(text))
			shown = text
		}
		if err := r.hear(w); err != nil {
			return err
		}
	}
}

// hear asks whoever can sign, unless a signature comes first.
func (r *Room) hear(w *waiting) error {
	r.watch.came = func() bool {
		return r.bringsSignature(w, r.Exchange) || len(r.misfits(func(file string, data []byte) string { return r.unfitSignature(w, file, data) })) > 0
	}
	r.App.UI.About("sign "+w.name(), "")
	answer, err := r.App.UI.AskUnless(w.question(), r.watch)
	if errors.Is(err, ui.ErrNews) {
		return nil
	}
	if err != nil || answer == "" {
		return err
	}
	if w.wish.Stage != "" && words.Same(answer, script.Close) {
		w.closed = true
		return nil
	}
	name, rest, _ := strings.Cut(answer, " ")
	name = strings.Join(words.Typed(name), "")
	at := slices.IndexFunc(w.account.Plan.People, func(p ceremony.Person) bool { return strings.EqualFold(p.Name, name) })
	if at < 0 {
		if _, err := os.Stat(answer); err == nil {
			took, err := r.takeSignatures(w, answer)
			if err == nil && !took {
				r.say(r.whyNot(w, answer))
			}
			return err
		}
		r.say(fmt.Sprintf("%q is neither one of the plan's people nor a file or folder.", name))
		return nil
	}
	p := w.account.Plan.People[at]
	rest, both, closes := w.adds(rest)
	wish, ok := w.wanted(rest)
	if !ok || both && (p.Role != ceremony.Officer || wish.Verdict == ceremony.DoNotAgree) || closes && wish.Verdict == ceremony.DoNotAgree {
		r.say(fmt.Sprintf("%s, type your name and then %s.", session.Capital(p.Name), w.consents()))
		return nil
	}
	if err := r.sign(w, p, wish, both); err != nil {
		var unfit *ui.AnswerError
		if isCalled(err) || errors.As(err, &unfit) {
			return err
		}
		r.App.UI.Error(err)
		return nil
	}
	w.closed = closes
	return nil
}

func (r *Room) say(text string) { r.App.UI.Say(r.App.UI.Talk.Line(text)) }

// machineSigns has everybody sign whose key is at hand: in a rehearsal that nobody
// attends.
func (r *Room) machineSigns(w *waiting) error {
	for _, p := range w.account.Plan.People {
		if slices.Contains(w.now.Have, p.Name) || w.wish.Stage == "" && p.Role != ceremony.Officer {
			continue
		}
		if err := r.sign(w, p, r.agreeing(w), w.also != "" && p.Role == ceremony.Officer); err == nil {
			return nil
		} else if !errors.Is(err, errNoKey) {
			return err
		}
	}
	return w.now
}

func (r *Room) agreeing(w *waiting) folder.Wish {
	wish, _ := w.wanted(w.consent())
	return wish
}

var errNoKey = errors.New("the key is not at hand")
