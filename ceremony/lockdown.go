package ceremony

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// loginRefused reads an entry of lockdown that is no manual step but a proof:
// `login-refused HSM` has the tool try one login, which must fail.
func loginRefused(text string) (hsm string, ok bool) {
	if hsm, ok = strings.CutPrefix(text, "login-refused "); ok {
		return hsm, true
	}
	return "", false
}

// refusesLogin are the codes by which a token may refuse a PIN. Any other, such
// as CKR_DEVICE_ERROR, says nothing about what the PIN would have opened.
var refusesLogin = []string{"CKR_PIN_INCORRECT", "CKR_PIN_LOCKED", "CKR_PIN_EXPIRED", "CKR_USER_PIN_NOT_INITIALIZED"}

func (a *Account) takeLockdown(c *Lockdown) error {
	s := a.Steps[a.step]
	if c.Number != s.Item || c.Text != a.Plan.Lockdown[s.Item-1] {
		return fmt.Errorf("it is not entry %d of the plan's lockdown, as planned", s.Item)
	}
	if err := a.inRoom(c.By); err != nil {
		return err
	}
	if err := a.inRoom(c.Confirmed); err != nil {
		return err
	}
	switch {
	case c.By == c.Confirmed && c.By != byMachine:
		return fmt.Errorf("it is confirmed by somebody else than who did it")
	case s.HSM == "" && (c.Code != "" || strings.TrimSpace(c.Reading) == ""):
		return fmt.Errorf("what is done by hand has a reading and no return code")
	case s.HSM != "" && c.Reading != "":
		return fmt.Errorf("a login that was refused has a return code and no reading")
	case s.HSM != "" && !slices.Contains(refusesLogin, c.Code):
		return fmt.Errorf("a login that ended with %q was not refused", c.Code)
	}
	a.Lockdowns = append(a.Lockdowns, c)
	return nil
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

// Lockdown records what was read off in the entry whose turn it is.
func (j *Journal) Lockdown(reading, by, confirmed string) (*Record, error) {
	item, text, _, ok := j.account.NextLockdown()
	if !ok {
		return nil, j.account.expects(KindLockdown)
	}
	return j.Append(&Lockdown{Number: item, Text: text, Reading: reading, By: by, Confirmed: confirmed})
}

// LoginRefused tries one login with the PIN that the bench has, and records the
// code by which the token refuses it. A login that works is recorded as that:
// the lock-down has to be done again, and nothing here tries a second time.
func (j *Journal) LoginRefused(ctx context.Context, b Bench, site *SiteHSM, by, confirmed string) (*Record, error) {
	item, text, hsm, ok := j.account.NextLockdown()
	if !ok || hsm == "" {
		return nil, j.account.expects(KindLockdown)
	}
	t, _, err := b.Open(ctx, site, j.account.Plan.HSM(hsm).Serial)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", hsm, err)
	}
	defer t.Close()
	about, err := t.Info()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", hsm, err)
	}
	pin, err := b.PIN(ctx, site, about, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", hsm, err)
	}
	err = t.Login(pin.Secret)
	clear(pin.Secret)
	if err == nil {
		if _, err := j.Append(&Unlock{HSM: hsm, Method: pin.Method, Result: UnlockOK}); err != nil {
			return nil, err
		}
		return nil, strict.Errorf(j.dir, "%s still lets this PIN in, and it must not any more; record %d says so", hsm, j.account.N).
			WithHint("lock it down as the vendor's procedure says, then run this again")
	}
	if code := b.Code(err); !slices.Contains(refusesLogin, code) {
		return nil, fmt.Errorf("%s: that is no refusal of the PIN: %w", hsm, err)
	}
	return j.Append(&Lockdown{Number: item, Text: text, Code: b.Code(err), By: by, Confirmed: confirmed})
}
