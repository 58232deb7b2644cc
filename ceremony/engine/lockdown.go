package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Lockdown records what people read off for the entry of lockdown that comes next.
func (j *Journal) Lockdown(reading, by, confirmed string) (*ceremony.Record, error) {
	item, text, _, err := j.lockdownEntry(false)
	if err != nil {
		return nil, err
	}
	return j.Append(&ceremony.Lockdown{Number: item, Text: text, Reading: reading, By: by, Confirmed: confirmed})
}

// lockdownEntry is the entry of lockdown that comes next, which must be a login if
// login is set, else one done by hand.
func (j *Journal) lockdownEntry(login bool) (item int, text, hsm string, err error) {
	item, text, hsm, ok := j.account.NextLockdown()
	switch {
	case !ok:
		return 0, "", "", j.account.Expects(ceremony.KindLockdown)
	case login && hsm == "":
		return 0, "", "", strict.Errorf(j.dir, "entry %d comes next, which is done by hand: %s", item, text)
	case !login && hsm != "":
		return 0, "", "", strict.Errorf(j.dir, "entry %d comes next, a login that %s has to refuse", item, hsm)
	}
	return item, text, hsm, nil
}

// LoginRefused shows that the PIN which opens an HSM is refused after the lock-down. It
// logs in, keeps the PIN, calls locked, which waits until people have locked the HSM
// down, and tries the same PIN again. Both tries happen in one call, and only then is
// the entry recorded: a PIN that never opened the HSM shows nothing by being refused.
//
// Each try opens the PKCS#11 module again, since a module may remember a PIN.
func (j *Journal) LoginRefused(ctx context.Context, b Tokens, site *SiteHSM, locked func() error, by, confirmed string) (*ceremony.Record, error) {
	item, text, hsm, err := j.lockdownEntry(true)
	if err != nil {
		return nil, err
	}
	pin, err := j.openedBy(ctx, b, site, hsm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", hsm, err)
	}
	defer pin.wipe()
	if err := locked(); err != nil {
		return nil, err
	}
	code, err := j.secondTry(ctx, b, site, hsm, pin.secret)
	if err != nil {
		return nil, fmt.Errorf("%s: it could not be shown that it refuses its PIN: %w", hsm, err)
	}
	r, err := j.Append(&ceremony.Lockdown{Number: item, Text: text, Before: ceremony.LoginOK, Code: code, By: by, Confirmed: confirmed})
	if err == nil && code == ceremony.LoginOK {
		err = strict.Errorf(j.dir, "%s still accepts this PIN after the lock-down; record %d says so", hsm, r.N).
			WithHint("lock it down as the vendor's procedure says, then run this again")
	}
	return r, err
}

// LoginNotShown records that it could not be shown that an HSM refuses its PIN, and why:
// for example, a run was interrupted after the lock-down, or nobody has the PIN.
func (j *Journal) LoginNotShown(reason, by, confirmed string) (*ceremony.Record, error) {
	item, text, _, err := j.lockdownEntry(true)
	if err != nil {
		return nil, err
	}
	return j.Append(&ceremony.Lockdown{Number: item, Text: text, Reading: reason, By: by, Confirmed: confirmed})
}

// openedBy gets a PIN that opens the HSM now. After a wrong one it asks again, if
// somebody can be asked.
func (j *Journal) openedBy(ctx context.Context, b Tokens, site *SiteHSM, hsm string) (*heldPIN, error) {
	t, _, err := b.Open(ctx, site, j.account.Plan.HSM(hsm).Serial)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	var failed error
	for {
		about, err := t.Info()
		if err != nil {
			return nil, err
		}
		pin, err := b.PIN(ctx, site, about, failed)
		switch {
		case err != nil && failed != nil:
			return nil, fmt.Errorf("the PIN must open it before the lock-down, else its refusal afterwards shows nothing; the entry is not done: %w", err)
		case err != nil:
			return nil, err
		case pin.Secret == nil:
			return nil, errors.New("its PIN is typed at the device, so it can't be shown that the same PIN is typed twice: record it as not shown")
		}
		held, err := hold(pin.Secret)
		if err != nil {
			return nil, err
		}
		try := t.Login
		if pin.Final {
			try = t.LoginFinal
		}
		if failed = try(held.secret); errors.Is(failed, token.ErrNotTried) {
			held.wipe()
			continue
		}
		result := ceremony.UnlockOK
		if failed != nil {
			result = resultOf(b, failed)
		}
		if _, err = j.Append(&ceremony.Unlock{HSM: hsm, Method: pin.Method, Result: result}); err == nil && failed == nil {
			return held, nil
		}
		held.wipe()
		if err != nil {
			return nil, err
		}
	}
}

// secondTry tries the PIN that opened the token again, and returns the token's code.
func (j *Journal) secondTry(ctx context.Context, b Tokens, site *SiteHSM, hsm string, pin []byte) (string, error) {
	t, _, err := b.Open(ctx, site, j.account.Plan.HSM(hsm).Serial)
	if err != nil {
		return "", err
	}
	defer t.Close()
	err = t.Login(pin)
	if err == nil {
		return ceremony.LoginOK, nil
	}
	if code := b.Code(err); ceremony.RefusesLogin(code) {
		return code, nil
	}
	return "", fmt.Errorf("the token did not refuse the PIN, but failed: %w", err)
}
