package ceremony

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Machine is who typed what nobody typed: in a rehearsal the machine may stand in
// for people, and is said to.
const Machine = "machine"

// maxClockOff is how far the computer's clock may be from the wall's.
const maxClockOff = 2 * time.Minute

// mayType says whether somebody who may have typed it typed it. In a rehearsal
// the machine may stand in for people, and is said to.
func (a *Account) mayType(by string) error {
	if by == Witness || by == Auditor || by == Machine && a.Plan.Mode == Rehearsal {
		return nil
	}
	return fmt.Errorf("it was typed by %q; in a %s ceremony that is the witness or the auditor", by, a.Plan.Mode)
}

func (a *Account) takeReading(c *Reading, r *Record) error {
	if err := a.mayType(c.By); err != nil {
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
		if c.By == c.Confirmed && c.By != Machine {
			return fmt.Errorf("a seal is read by two different people")
		}
		if err := a.mayType(c.Confirmed); err != nil {
			return err
		}
		return a.mine(c.HSM)
	}
	return fmt.Errorf("a reading of %q has no place in the step %s", c.What, s.String())
}

// ChallengePositions is how many words of a digest are typed back.
const ChallengePositions = 3

func (a *Account) takeChallenge(c *Challenge) error {
	if err := a.mayType(c.By); err != nil {
		return err
	}
	if len(c.Positions) != ChallengePositions || !slices.IsSorted(c.Positions) ||
		len(slices.Compact(slices.Clone(c.Positions))) != ChallengePositions || c.Positions[0] < 1 || c.Positions[ChallengePositions-1] > sha256.Size {
		return fmt.Errorf("its positions are not %d different ones from 1 to %d, in order", ChallengePositions, sha256.Size)
	}
	if c.Tries < 1 {
		return fmt.Errorf("it was not tried")
	}
	what, intent, subject, err := a.WantedChallenge()
	if err != nil {
		return err
	}
	if c.What != what || c.Intent != intent || c.Subject != subject {
		return fmt.Errorf("it is about something else than the step's %s", what)
	}
	a.fleetConfirmed = a.fleetConfirmed || what == ChallengeFleet
	return nil
}

// WantedChallenge is what the step's words are of.
func (a *Account) WantedChallenge() (what string, intent int, subject [32]byte, err error) {
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

// loginRefused reads an entry of lockdown that is no manual step but a proof:
// `login-refused HSM` has the tool log in before the HSM is locked down, and try
// the same PIN again after it.
func loginRefused(text string) (hsm string, ok bool) {
	if hsm, ok = strings.CutPrefix(text, "login-refused "); ok {
		return hsm, true
	}
	return "", false
}

// refusesLogin are the codes by which a token may refuse a PIN. Any other, such
// as CKR_DEVICE_ERROR, says nothing about what the PIN would have opened.
var refusesLogin = []string{"CKR_PIN_INCORRECT", "CKR_PIN_LOCKED", "CKR_PIN_EXPIRED", "CKR_USER_PIN_NOT_INITIALIZED"}

// RefusesLogin says that a token refuses a PIN by this return code.
func RefusesLogin(code string) bool { return slices.Contains(refusesLogin, code) }

func (a *Account) takeLockdown(c *Lockdown, r *Record) error {
	s := a.Steps[a.step]
	if c.Number != s.Item || c.Text != a.Plan.Lockdown[s.Item-1] {
		return fmt.Errorf("it is not entry %d of the plan's lockdown, as planned", s.Item)
	}
	if err := a.mayType(c.By); err != nil {
		return err
	}
	if err := a.mayType(c.Confirmed); err != nil {
		return err
	}
	switch {
	case c.By == c.Confirmed && c.By != Machine:
		return fmt.Errorf("it is confirmed by somebody else than who did it")
	case s.HSM == "" && (c.Before != "" || c.Code != "" || strings.TrimSpace(c.Reading) == ""):
		return fmt.Errorf("what is done by hand has a reading and no return code")
	case s.HSM == "":
	case c.Reading != "" && (c.Before != "" || c.Code != ""):
		return fmt.Errorf("a login has return codes, or a reading that says why nothing is shown, and not both")
	case c.Reading != "":
	case c.Before != LoginOK:
		return fmt.Errorf("that the PIN opened the token before the lock-down isn't shown (%q), so its refusal says nothing", c.Before)
	case c.Code == LoginOK:
		a.StillOpen = append(a.StillOpen, r.N)
		return nil
	case !RefusesLogin(c.Code):
		return fmt.Errorf("a login that ended with %q was not refused", c.Code)
	}
	if c.Reading != "" && s.HSM != "" {
		a.NotRefused = append(a.NotRefused, s.HSM)
	}
	a.Lockdowns = append(a.Lockdowns, c)
	return nil
}

// LoginOK is the code of a login that worked.
const LoginOK = "CKR_OK"

// stillOpen says that a record is a try that got in: the entry stays to be done.
func (c *Lockdown) stillOpen() bool { return c.Code == LoginOK }

// NotShown says that a login should have been refused, and that people say why
// nobody could show it.
func (c *Lockdown) NotShown() bool {
	_, login := loginRefused(c.Text)
	return login && c.Reading != ""
}

// NextLockdown is the entry whose turn it is: its number, its text and, where
// it is a login to be refused, the HSM. ok is false where it is the turn of
// something else.
func (a *Account) NextLockdown() (item int, text, hsm string, ok bool) {
	s, ok := a.Next()
	if !ok || a.Ended() || s.Act != ActLockdown {
		return 0, "", "", false
	}
	return s.Item, a.Plan.Lockdown[s.Item-1], s.HSM, true
}

// Clock stands in an exception before which this computer's clock was set: what
// people read off another clock, and the time of the record before. Only such a
// record may be dated before the one before it.
type Clock struct {
	Since time.Time `strict:"since"`
	Wall  time.Time `strict:"wall"`
}

// ClockOf is what a record says of the clock; nil where it says nothing.
func ClockOf(content any) *Clock {
	if e, ok := content.(*Exception); ok {
		return e.Clock
	}
	return nil
}

// CheckTime says whether a record may have its time.
func (a *Account) CheckTime(r *Record) error {
	c := ClockOf(r.Content)
	switch {
	case c == nil && r.Time.Before(a.Time):
		return fmt.Errorf("its time %s is before that of record %d, %s", strict.FormatTime(r.Time), a.N, strict.FormatTime(a.Time))
	case c == nil:
		return nil
	case !c.Since.Equal(a.Time):
		return fmt.Errorf("it says that the clock was set since %s, which is not the time of record %d", strict.FormatTime(c.Since), a.N)
	case r.Time.Sub(c.Wall).Abs() > maxClockOff:
		return fmt.Errorf("the wall clock says %s, this computer's %s", strict.FormatTime(c.Wall), strict.FormatTime(r.Time))
	}
	return nil
}

// passed notes a record's time. Where it is earlier than the one before, the
// clock had been ahead: what was recorded meanwhile happened before now, and after
// the last record that the clock can have been right at.
func (a *Account) passed(r *Record) {
	if r.Time.Before(a.Time) {
		sure := time.Time{}
		for _, t := range a.times {
			if t.After(r.Time) {
				break
			}
			sure = t
		}
		for _, t := range []*time.Time{&a.ReleaseTime, &a.CounterTime} {
			if t.After(r.Time) {
				*t = sure
			}
		}
		for _, o := range a.Attestations {
			if o.Time.After(r.Time) {
				o.Time = r.Time
			}
		}
		// The key set tells when the fleet was checked, unless its digest was read
		// aloud already.
		s, _ := a.Next()
		if a.FleetCheckTime.After(r.Time) && (s.Act == ActFleetCheck || s.Act == ActRelease && a.pos == 0) {
			a.FleetCheckTime, a.artifact = r.Time, nil
		}
	}
	a.times = append(a.times, r.Time)
}
