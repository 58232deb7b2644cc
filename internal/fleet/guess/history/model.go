package history

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
)

// output is what a client was answered.
type output struct {
	known  bool // false: the client doesn't know what became of its command
	status guess.Status
	used   uint32
	left   uint32
	secret bool // a record or an envelope came with it
}

// counter is what the model has of one account. It is written apart from the machine,
// after the rules and not after the code: both would have to be wrong in the same way.
type counter struct {
	registered, alive, locked bool
	limit, used               uint32
	registration              [16]byte
	content                   string // of the registration
	open                      string // attempts counted since the last success: 33 bytes each
	before                    string // and those before it
}

const attemptSize = 32 + 1 + 1 // its number, what was left, whether it was right

// find gives an attempt's place in a list; -1 where it isn't in it.
func find(list string, id [32]byte) int {
	for at := 0; at < len(list); at += attemptSize {
		if list[at:at+32] == string(id[:]) {
			return at
		}
	}
	return -1
}

func attemptOf(id [32]byte, left uint32, right bool) string {
	flag := byte(0)
	if right {
		flag = 1
	}
	return string(id[:]) + string([]byte{byte(left), flag})
}

// step gives the next state, and what a correct fleet answers. Of statuses that rest on
// more than the account it says nothing: other is true.
func (c counter) step(cmd *guess.Command) (next counter, want output) {
	answer := func(s guess.Status, secret bool) output {
		return output{true, s, next.used, next.limit - next.used, secret}
	}
	next = c
	if cmd.Kind == guess.Register {
		content := string(cmd.Record) + "|" + string(cmd.OPRFKey) + "|" + string(cmd.Envelope)
		switch {
		case c.locked:
			return next, answer(guess.Locked, false)
		case c.registered && c.registration == cmd.Registration && c.alive && c.content == content:
			return next, answer(guess.Registered, false)
		case c.registered && c.registration == cmd.Registration:
			return next, output{known: true, status: guess.Conflict}
		case !c.registered:
			next.limit = cmd.Limit
		}
		next.registered, next.alive, next.registration, next.content = true, true, cmd.Registration, content
		next.limit = min(next.limit, cmd.Limit)
		next.used = min(next.limit, max(c.used, cmd.Used))
		next.open, next.before = "", ""
		return next, answer(guess.Registered, false)
	}
	switch {
	case !c.registered:
		return next, output{known: true, status: guess.Unknown}
	case c.locked:
		return next, answer(guess.Locked, false)
	case !c.alive:
		return next, answer(guess.Erased, false)
	}
	switch cmd.Kind {
	case guess.Guess:
		for _, list := range []string{c.open, c.before} {
			if at := find(list, cmd.Attempt); at >= 0 {
				out := answer(guess.Again, true)
				out.left = uint32(list[at+32])
				return next, out
			}
		}
		if c.used == c.limit {
			next.locked, next.alive, next.content, next.open, next.before = true, false, "", "", ""
			return next, answer(guess.Locked, false)
		}
		next.used++
		next.open += attemptOf(cmd.Attempt, next.limit-next.used, false)
		return next, answer(guess.Counted, true)
	case guess.Success:
		return next.success(cmd)
	case guess.Erase:
		if cmd.Registration != c.registration {
			return next, answer(guess.NoRegistration, false)
		}
		next.alive, next.content, next.open, next.before = false, "", "", ""
		return next, answer(guess.Erased, false)
	}
	return next, answer(guess.Present, false)
}

func (c counter) success(cmd *guess.Command) (next counter, want output) {
	next = c
	for _, list := range []string{c.open, c.before} {
		at := find(list, cmd.Attempt)
		if at < 0 || cmd.Registration != c.registration {
			continue
		}
		if list[at+33] == 0 {
			next.used, next.open = 0, ""
			left := uint32(list[at+32])
			next.before = c.open
			if i := find(next.before, cmd.Attempt); i >= 0 {
				next.before = next.before[:i] + next.before[i+attemptSize:]
			}
			next.before += attemptOf(cmd.Attempt, left, true)
		}
		return next, output{true, guess.Right, next.used, next.limit - next.used, true}
	}
	return next, output{true, guess.NoAttempt, next.used, next.limit - next.used, false}
}

// model is the guess counter as a client sees it, an account for itself.
var model = porcupine.Model{
	Partition: func(all []porcupine.Operation) (parts [][]porcupine.Operation) {
		at := map[string]int{}
		for _, op := range all {
			name := op.Input.(*guess.Command).Account
			i, ok := at[name]
			if !ok {
				i = len(parts)
				at[name] = i
				parts = append(parts, nil)
			}
			parts[i] = append(parts[i], op)
		}
		return parts
	},
	Init: func() any { return counter{} },
	Step: func(state, input, out any) (bool, any) {
		next, want := state.(counter).step(input.(*guess.Command))
		got := out.(output)
		return !got.known || got == want, next
	},
	DescribeOperation: func(input, out any) string {
		c := input.(*guess.Command)
		return fmt.Sprintf("%v %x: %+v", c.Kind, c.Attempt[:4], out)
	},
	DescribeState: func(state any) string {
		c := state.(counter)
		return strings.TrimSpace(fmt.Sprintf("used %d of %d, locked %t", c.used, c.limit, c.locked))
	},
}
