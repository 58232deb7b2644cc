package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Lockdown records what was read off in the entry whose turn it is.
func (j *Journal) Lockdown(reading, by, confirmed string) (*ceremony.Record, error) {
	item, text, _, err := j.lockdownEntry(false)
	if err != nil {
		return nil, err
	}
	return j.Append(&ceremony.Lockdown{Number: item, Text: text, Reading: reading, By: by, Confirmed: confirmed})
}

// lockdownEntry is the entry whose turn it is. Nobody's word stands for a
// token's refusal, and no login for what is done by hand.
func (j *Journal) lockdownEntry(login bool) (item int, text, hsm string, err error) {
	item, text, hsm, ok := j.account.NextLockdown()
	switch {
	case !ok:
		return 0, "", "", j.account.Expects(ceremony.KindLockdown)
	case login && hsm == "":
		return 0, "", "", strict.Errorf(j.dir, "it is the turn of entry %d, which is done by hand: %s", item, text)
	case !login && hsm != "":
		return 0, "", "", strict.Errorf(j.dir, "it is the turn of entry %d, a login that %s has to refuse", item, hsm)
	}
	return item, text, hsm, nil
}

// LoginRefused shows that a PIN which opens an HSM no longer does once the HSM is
// locked down. It logs in, holds the PIN, has locked wait until people have locked
// the HSM down, and tries the same PIN again. Only both tries of one call make a
// record: of an interruption in between nothing is left but the login, so that no
// PIN which never opened the HSM can pass for a refusal.
//
// Each try opens the module anew: it may remember the PIN that it knew.
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
		return nil, fmt.Errorf("%s: whether it refuses its PIN is not shown: %w", hsm, err)
	}
	r, err := j.Append(&ceremony.Lockdown{Number: item, Text: text, Before: ceremony.LoginOK, Code: code, By: by, Confirmed: confirmed})
	if err == nil && code == ceremony.LoginOK {
		err = strict.Errorf(j.dir, "%s still lets this PIN in, and it must not any more; record %d says so", hsm, r.N).
			WithHint("lock it down as the vendor's procedure says, then run this again")
	}
	return r, err
}

// LoginNotShown records that it was not shown whether an HSM refuses its PIN, and
// why: a run was interrupted after the lock-down, or nobody has the PIN. The
// evidence says so too.
func (j *Journal) LoginNotShown(reason, by, confirmed string) (*ceremony.Record, error) {
	item, text, _, err := j.lockdownEntry(true)
	if err != nil {
		return nil, err
	}
	return j.Append(&ceremony.Lockdown{Number: item, Text: text, Reading: reason, By: by, Confirmed: confirmed})
}

// openedBy is a PIN that opens the HSM now. A wrong one is asked for again where
// somebody can be asked, and shows nothing.
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
			return nil, fmt.Errorf("a PIN that doesn't open it before the lock-down shows nothing by being refused after it, and nothing was recorded as done: %w", err)
		case err != nil:
			return nil, err
		case pin.Secret == nil:
			return nil, errors.New("its PIN is typed at the device, so that nobody can say whether the same is typed twice: record it as not shown")
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

// secondTry is the code by which the token answers the PIN that opened it.
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
	return "", fmt.Errorf("that is no refusal of the PIN: %w", err)
}
