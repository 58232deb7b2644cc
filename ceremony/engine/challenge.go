package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/token"
)

// challenge has the words of the step's digest read aloud, and those at
// positions that nobody could know before typed from another screen.
func (j *Journal) challenge(ctx context.Context, people Participants) (*ceremony.Record, error) {
	if j.broken != nil {
		return nil, j.broken // nobody is asked for what can't be recorded
	}
	if err := j.account.Expects(ceremony.KindChallenge); err != nil {
		return nil, err
	}
	if err := j.clockStands(&ceremony.Challenge{}); err != nil {
		return nil, err
	}
	what, intent, subject, err := j.account.WantedChallenge()
	if err != nil {
		return nil, err
	}
	positions, err := drawPositions(j.random)
	if err != nil {
		return nil, err
	}
	s, _ := j.account.Next()
	q := Question{What: what, Step: s, Subject: subject, Positions: positions, State: func() (state.State, error) { return state.Of(j.account) }}
	if what == ceremony.ChallengeFleet {
		q.Matrix = j.account.FleetCheck
	}
	tries, by, err := people.Challenge(ctx, q)
	if err != nil {
		return nil, err
	}
	return j.Append(&ceremony.Challenge{What: what, Intent: intent, Subject: subject, Positions: positions, Tries: tries, By: by})
}

// expectsChallenge says that words have to be read before anything else of the
// act is recorded.
func (j *Journal) expectsChallenge(act ceremony.Act) bool {
	s, _ := j.account.Next()
	return s.Act == act && j.account.NextKind() == ceremony.KindChallenge
}

func (r *runner) challenge(ctx context.Context, done string) error {
	rec, err := r.journal.challenge(ctx, r.Participants)
	if err != nil {
		return err
	}
	if c, ok := rec.Content.(*ceremony.Challenge); ok && c.By == ceremony.Machine {
		done = "the machine answered; nobody read it aloud"
	}
	r.Observer.Done(done, rec)
	return nil
}

// drawPositions draws different positions of words, from 1, in order.
func drawPositions(random io.Reader) ([]int, error) {
	var list []int
	for len(list) < ceremony.ChallengePositions {
		var b [1]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, err
		}
		// 256 is a multiple of 32: no position is likelier than another.
		if p := int(b[0])%sha256.Size + 1; !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list, nil
}

// Raised is the error of participants who say, instead of an answer, that something
// went otherwise than planned. It is recorded under the next number, and they are asked
// again: nothing is interrupted by it. Officers accept it like any other.
type Raised struct{ Exception ceremony.Exception }

func (r *Raised) Error() string { return "an exception was raised: " + r.Exception.Happened }

// raising records what participants raise.
type raising struct {
	Participants
	r *runner
}

// asked asks until there is an answer, or an error that is nothing raised.
func (p raising) asked(ask func() error) error {
	for {
		err := ask()
		var raised *Raised
		if !errors.As(err, &raised) {
			return err
		}
		x := raised.Exception
		x.Number = len(p.r.journal.account.Exceptions) + 1
		if err := p.r.record(fmt.Sprintf("exception %d; officers accept it before the release", x.Number), &x); err != nil {
			return err
		}
	}
}

// pins has whoever is asked for a PIN raise exceptions too.
type pins struct {
	Tokens
	r *runner
}

func (p pins) PIN(ctx context.Context, site *SiteHSM, about token.Info, failed error) (pin PIN, err error) {
	err = raising{r: p.r}.asked(func() (err error) {
		// What was raised a moment ago is newer than the approval of the first login.
		if err := p.r.mayUnlock(ctx); err != nil {
			return err
		}
		pin, err = p.Tokens.PIN(ctx, site, about, failed)
		return err
	})
	return pin, err
}

func (p raising) Clock(ctx context.Context, now func() time.Time) (wall time.Time, by string, err error) {
	err = p.asked(func() (err error) { wall, by, err = p.Participants.Clock(ctx, now); return err })
	return wall, by, err
}

func (p raising) Seal(ctx context.Context, hsm string, wrong func(string) error) (number, by, confirmed string, err error) {
	err = p.asked(func() (err error) {
		number, by, confirmed, err = p.Participants.Seal(ctx, hsm, wrong)
		return err
	})
	return number, by, confirmed, err
}

func (p raising) Challenge(ctx context.Context, q Question) (tries int, by string, err error) {
	err = p.asked(func() (err error) { tries, by, err = p.Participants.Challenge(ctx, q); return err })
	return tries, by, err
}

func (p raising) Attestation(ctx context.Context, q AttestQuestion, wrong error) (e *attest.Evidence, err error) {
	err = p.asked(func() (err error) { e, err = p.Participants.Attestation(ctx, q, wrong); return err })
	return e, err
}
