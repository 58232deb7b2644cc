package engine

import (
	"context"
	"crypto/sha256"
	"io"
	"slices"

	"github.com/fleetctl/fleetctl/ceremony"
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
	q := Question{What: what, Step: s, Subject: subject, Positions: positions}
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
