package ceremony

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Machine stands in a record's By where no person typed: in a rehearsal the program
// may stand in for people.
const Machine = "machine"

// maxClockOff is how far the computer's clock may be off the clock that people read.
const maxClockOff = 2 * time.Minute

// mayType checks that the witness or the auditor typed something, or in a rehearsal
// the machine.
func (a *Account) mayType(by string) error {
	if by == Witness || by == Auditor || by == Machine && a.Plan.Mode == Rehearsal {
		return nil
	}
	return fmt.Errorf("it was typed by %q; in a %s ceremony the witness or the auditor types", by, a.Plan.Mode)
}

func (a *Account) takeReading(c *Reading, r *Record) error {
	if err := a.mayType(c.By); err != nil {
		return err
	}
	s := a.Steps[a.step]
	switch {
	case s.Act == ActOpen && c.What == ReadClock && c.HSM == "":
		if c.Confirmed != "" {
			return fmt.Errorf("one person reads the clock, and it says that %q confirmed it", c.Confirmed)
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
			return fmt.Errorf("two different people must read a seal")
		}
		if err := a.mayType(c.Confirmed); err != nil {
			return err
		}
		if err := a.mine(c.HSM); err != nil {
			return err
		}
		if err := a.CheckSeal(c.HSM, c.Value); err != nil {
			return err
		}
		a.seals = append(a.seals, Seal{What: c.HSM, Number: c.Value})
		return nil
	}
	return fmt.Errorf("a reading of %q has no place in the step %s", c.What, s.String())
}

// CheckSeal refuses, for an HSM that is taken in, the number that was read off another
// HSM's seal: no two are under one seal, so somebody didn't read this one.
func (a *Account) CheckSeal(hsm, number string) error {
	return OnOneHSM(a.Plan, append(slices.Clone(a.seals), Seal{What: hsm, Number: number}))
}

// OnOneHSM refuses a list of seals in which two of the plan's HSMs have one number.
func OnOneHSM(p *Plan, list []Seal) error {
	on := map[string]string{}
	for _, s := range list {
		if p.HSM(s.What) == nil {
			continue // such as a box: what lies in it may be listed under its number too
		}
		number := sealNumber(s.Number)
		if other, ok := on[number]; ok {
			return fmt.Errorf("the number %s is that of the seal of %s; the seal of %s has another, since no two HSMs are under one seal", s.Number, other, s.What)
		}
		on[number] = s.What
	}
	return nil
}

// sealNumber is how a number is compared: people leave spaces out, and type letters
// large or small.
func sealNumber(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return -1
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// ChallengePositions is how many of a digest's words people type back.
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
		return fmt.Errorf("its number of tries is %d; the words were typed at least once", c.Tries)
	}
	what, intent, subject, err := a.WantedChallenge()
	if err != nil {
		return err
	}
	if c.What != what || c.Intent != intent || c.Subject != subject {
		return fmt.Errorf("it is not about the step's %s", what)
	}
	a.fleetConfirmed = a.fleetConfirmed || what == ChallengeFleet
	return nil
}

// WantedChallenge is the digest whose words are read aloud in the current step: what
// it is of, for a key its intent, and the digest.
func (a *Account) WantedChallenge() (what string, intent int, subject [32]byte, err error) {
	switch a.Steps[a.step].Act {
	case ActOpen:
		return ChallengePlan, 0, a.Plan.Digest(), nil
	case ActRetirement:
		return ChallengeKeySet, 0, a.Plan.Destroys.Artifact, nil
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

// loginRefused reads an entry `login-refused HSM` of lockdown. People don't do it by
// hand: the program logs in before the HSM is locked down, and tries the same PIN
// again afterwards.
func loginRefused(text string) (hsm string, ok bool) {
	if hsm, ok = strings.CutPrefix(text, "login-refused "); ok {
		return hsm, true
	}
	return "", false
}

// refusesLogin are the return codes by which a token may refuse a PIN. Any other,
// such as CKR_DEVICE_ERROR, doesn't show that the PIN opens nothing.
var refusesLogin = []string{"CKR_PIN_INCORRECT", "CKR_PIN_LOCKED", "CKR_PIN_EXPIRED", "CKR_USER_PIN_NOT_INITIALIZED"}

// RefusesLogin says whether a token refuses a PIN by this return code.
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
		return fmt.Errorf("%s did it and confirmed it; another person must confirm it", c.By)
	case s.HSM == "" && (c.Before != "" || c.Code != "" || strings.TrimSpace(c.Reading) == ""):
		return fmt.Errorf("an entry that is done by hand has a reading and no return code")
	case s.HSM == "":
	case c.Reading != "" && (c.Before != "" || c.Code != ""):
		return fmt.Errorf("a login has either return codes, or a reading that says why no refusal could be shown")
	case c.Reading != "":
	case c.Before != LoginOK:
		return fmt.Errorf("the PIN did not open the token before the lock-down (%q), so its refusal shows nothing", c.Before)
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

// stillOpen says that the login worked after the lock-down, so that the entry is
// not done yet.
func (c *Lockdown) stillOpen() bool { return c.Code == LoginOK }

// NotShown says that a login should have been refused, and that people recorded why
// this could not be shown.
func (c *Lockdown) NotShown() bool {
	_, login := loginRefused(c.Text)
	return login && c.Reading != ""
}

// NextLockdown is the entry of lockdown that comes next: its number, its text and,
// for a login to be refused, the HSM. ok is false if something else comes next.
func (a *Account) NextLockdown() (item int, text, hsm string, ok bool) {
	s, ok := a.Next()
	if !ok || a.Ended() || s.Act != ActLockdown {
		return 0, "", "", false
	}
	return s.Item, a.Plan.Lockdown[s.Item-1], s.HSM, true
}

// Clock stands in an exception that records that this computer's clock was set.
// Only such a record may be dated earlier than the record before it.
type Clock struct {
	Since time.Time `strict:"since"` // the time of the record before
	Wall  time.Time `strict:"wall"`  // what people read off another clock
}

// ClockOf is a record's Clock; nil if it has none.
func ClockOf(content any) *Clock {
	if e, ok := content.(*Exception); ok {
		return e.Clock
	}
	return nil
}

// CheckTime checks that a record is not dated before the one before it, unless it
// records that the clock was set.
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

// passed notes a record's time. If it is earlier than the record's before, the clock
// had been ahead. The records made meanwhile then happened before this one, and
// after the last record whose time is not later than this one's.
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
		// The key set tells when the fleet was checked. Once its digest was read aloud,
		// it must not change.
		s, _ := a.Next()
		if a.FleetCheckTime.After(r.Time) && (s.Act == ActFleetCheck || s.Act == ActRelease && a.pos == 0) {
			a.FleetCheckTime, a.artifact = r.Time, nil
		}
	}
	a.times = append(a.times, r.Time)
}
