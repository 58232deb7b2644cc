package ceremony

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxClockOff is how far the computer's clock may be from the wall's.
const maxClockOff = 2 * time.Minute

// inRoom says whether somebody who may have typed it typed it. In a rehearsal
// the machine may stand in for people, and is said to.
func (a *Account) inRoom(by string) error {
	if by == Witness || by == Auditor || by == byMachine && a.Plan.Mode == Rehearsal {
		return nil
	}
	return fmt.Errorf("it was typed by %q; in a %s ceremony that is the witness or the auditor", by, a.Plan.Mode)
}

func (a *Account) takeReading(c *Reading, r *Record) error {
	if err := a.inRoom(c.By); err != nil {
		return err
	}
	s := a.Steps[a.step]
	switch {
	case s.Act == ActOpen && c.What == ReadClock && c.HSM == "":
		if c.Confirmed != "" {
			return fmt.Errorf("a clock is read by one person, and it is confirmed by %q", c.Confirmed)
		}
		wall, err := strict.ParseTime(c.Value)
		if err != nil {
			return err
		}
		if off := r.Time.Sub(wall).Abs(); off > maxClockOff {
			a.fail("the wall clock says %s, this computer's %s", c.Value, strict.FormatTime(r.Time))
		}
		return nil
	case s.Act == ActIntake && c.What == ReadSeal:
		if c.By == c.Confirmed && c.By != byMachine {
			return fmt.Errorf("a seal is read by two different people")
		}
		if err := a.inRoom(c.Confirmed); err != nil {
			return err
		}
		return a.mine(c.HSM)
	}
	return fmt.Errorf("a reading of %q has no place in the step %s", c.What, s.describe())
}

// challengePositions is how many words of a digest are typed back.
const challengePositions = 3

func (a *Account) takeChallenge(c *Challenge) error {
	if err := a.inRoom(c.By); err != nil {
		return err
	}
	if len(c.Positions) != challengePositions || !slices.IsSorted(c.Positions) ||
		len(slices.Compact(slices.Clone(c.Positions))) != challengePositions || c.Positions[0] < 1 || c.Positions[challengePositions-1] > sha256.Size {
		return fmt.Errorf("its positions are not %d different ones from 1 to %d, in order", challengePositions, sha256.Size)
	}
	if c.Tries < 1 {
		return fmt.Errorf("it was not tried")
	}
	what, intent, subject, err := a.wantedChallenge()
	if err != nil {
		return err
	}
	if c.What != what || c.Intent != intent || c.Subject != subject {
		return fmt.Errorf("it is about something else than the step's %s", what)
	}
	a.fleetConfirmed = a.fleetConfirmed || what == ChallengeFleet
	return nil
}

// wantedChallenge is what the step's words are of.
func (a *Account) wantedChallenge() (what string, intent int, subject [32]byte, err error) {
	switch a.Steps[a.step].Act {
	case ActOpen:
		return ChallengePlan, 0, a.Plan.Digest(), nil
	case ActFleetCheck:
		return ChallengeFleet, 0, a.FleetCheckHash, nil
	case ActRelease:
		set, err := a.Artifact()
		if err != nil {
			return "", 0, subject, err
		}
		return ChallengeKeySet, 0, set.Digest(), nil
	case ActLog:
		b, err := a.Bundle()
		if err != nil {
			return "", 0, subject, err
		}
		return ChallengeBundle, 0, sha256.Sum256(b.Raw()), nil
	}
	return ChallengeKey, a.key.N, sha256.Sum256(a.key.Outcome.PublicKey), nil
}
