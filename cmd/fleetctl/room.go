package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// room asks the people at this terminal, one thing at a time. Wrong answers
// are asked again; "stop" at any prompt pauses the ceremony.
type room struct{ a *app }

func (r room) ask(whom, what string) (string, error) { return r.a.ui.Ask(whom + ", " + what + ":") }

func (r room) say(text string) { r.a.ui.Say(r.a.ui.Talk.Line(text)) }

func (r room) Words(context.Context) ([]string, string, error) {
	for {
		answer, err := r.ask("Witness", "three words of your own choosing, just now")
		if err != nil {
			return nil, "", err
		}
		list := strings.Fields(answer)
		if len(list) == 3 && !slices.ContainsFunc(list, func(w string) bool { return strict.CheckToken(w) != nil }) {
			return list, ceremony.Witness, nil
		}
		r.say("That is not three words of letters and digits.")
	}
}

func (r room) Clock(_ context.Context, now func() time.Time) (time.Time, string, error) {
	for {
		answer, err := r.ask("Witness", "the time on the wall, in UTC, as 14:05")
		if err != nil {
			return time.Time{}, "", err
		}
		at := now().UTC()
		wall, err := time.Parse("2006-01-02 15:04", at.Format("2006-01-02 ")+answer)
		if err != nil {
			r.say(fmt.Sprintf("%q is no time like 14:05.", answer))
			continue
		}
		// A minute that has begun is nearer than one that is over.
		if off := at.Sub(wall).Abs(); off > 2*time.Minute {
			r.say(fmt.Sprintf("This computer's clock says %s. Read the wall again, or stop and set the clock.", at.Format("15:04")))
			continue
		}
		return wall, ceremony.Witness, nil
	}
}

func (r room) Seal(_ context.Context, hsm string) (string, string, string, error) {
	for {
		first, err := r.ask("Witness", "the number on the seal of "+hsm)
		if err != nil {
			return "", "", "", err
		}
		second, err := r.ask("Auditor", "the same number, read again")
		if err != nil {
			return "", "", "", err
		}
		if first == second && first != "" {
			return first, ceremony.Witness, ceremony.Auditor, nil
		}
		r.say(fmt.Sprintf("%q and %q are not the same.", first, second))
	}
}

func (r room) Challenge(_ context.Context, q ceremony.Question) (int, string, error) {
	p := r.a.ui.Talk
	r.a.ui.Say("\n", p.Line(fmt.Sprintf("Auditor, on your own screen: fleetctl words %s", hex.EncodeToString(q.Subject[:]))),
		"\n", p.Line("Operator, read aloud:"), "\n", p.Words(q.Subject[:], 4, false), "\n")
	list := words.Encode(q.Subject[:])
	for tries := 1; ; tries++ {
		answer, err := r.ask("Auditor", fmt.Sprintf("from your own screen, words %d, %d and %d", q.Positions[0], q.Positions[1], q.Positions[2]))
		if err != nil {
			return tries, "", err
		}
		wrong := wrongWord(list, q.Positions, strings.Fields(answer))
		if wrong == "" {
			return tries, ceremony.Auditor, nil
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
type machine struct{ a *app }

const byMachine = "machine"

func (m machine) Words(context.Context) ([]string, string, error) {
	b := make([]byte, 3)
	if _, err := m.a.random.Read(b); err != nil {
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

func (m machine) Challenge(context.Context, ceremony.Question) (int, string, error) {
	return 1, byMachine, nil
}

// roomFor chooses who answers. Only a rehearsal may do without people, and
// only if that is asked for: the end of input is a refusal.
func (a *app) roomFor(mode string, unattended bool) (ceremony.Room, error) {
	switch {
	case unattended && mode != ceremony.Rehearsal:
		return nil, usagef("", "--unattended is for rehearsals: in production people answer")
	case unattended:
		return machine{a}, nil
	case !a.ui.Interactive() && mode != ceremony.Rehearsal:
		return nil, usagef("run it at a terminal", "a production ceremony has people who are asked, and there is no terminal to ask at")
	}
	return room{a}, nil
}
