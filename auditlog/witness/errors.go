package witness

import (
	"errors"
	"fmt"
)

// The kinds of failure when a witness is asked. An [Error] wraps one of them.
var (
	ErrUnreachable = errors.New("can't be reached")
	ErrNoURL       = errors.New("has no URL in the policy")
	ErrUnknownLog  = errors.New("doesn't know this log")
	ErrKey         = errors.New("trusts no key that signed the checkpoint")
	ErrAhead       = errors.New("has cosigned a larger tree than this one")
	ErrFork        = errors.New("says that this checkpoint doesn't continue what it has cosigned")
	ErrMalformed   = errors.New("gave an answer that doesn't follow C2SP tlog-witness")
	ErrRefused     = errors.New("refused")
)

// Error says why one witness's cosignature wasn't had.
type Error struct {
	Witness string // its name within the policy
	Err     error
	Detail  string // the witness's own words, or the network's error; may be empty
	Size    uint64 // of the tree it has cosigned, with ErrAhead
}

func (e *Error) Error() string {
	s := fmt.Sprintf("witness %s %v", e.Witness, e.Err)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Next says what to do about it; it is empty if only waiting helps.
func (e *Error) Next() string {
	switch {
	case errors.Is(e.Err, ErrNoURL):
		return "ask it by file: fleetctl log prove --consistency, then its fleetctl log cosign"
	case errors.Is(e.Err, ErrUnknownLog), errors.Is(e.Err, ErrKey):
		return "its operator has to add this log's key"
	case errors.Is(e.Err, ErrAhead), errors.Is(e.Err, ErrFork):
		return "the log's directory is older than what was cosigned, or was forked: stop, add nothing, compare with every monitor"
	case errors.Is(e.Err, ErrUnreachable):
		return "run it again when the witness is back"
	}
	return ""
}
