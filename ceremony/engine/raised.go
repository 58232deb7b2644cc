package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony"
)

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

func (p raising) Clock(ctx context.Context, now func() time.Time) (wall time.Time, by string, err error) {
	err = p.asked(func() (err error) { wall, by, err = p.Participants.Clock(ctx, now); return err })
	return wall, by, err
}

func (p raising) Seal(ctx context.Context, hsm string) (number, by, confirmed string, err error) {
	err = p.asked(func() (err error) { number, by, confirmed, err = p.Participants.Seal(ctx, hsm); return err })
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
