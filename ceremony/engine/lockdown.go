package engine

import (
	"context"
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Lockdown records what was read off in the entry whose turn it is.
func (j *Journal) Lockdown(reading, by, confirmed string) (*ceremony.Record, error) {
	item, text, _, ok := j.account.NextLockdown()
	if !ok {
		return nil, j.account.Expects(ceremony.KindLockdown)
	}
	return j.Append(&ceremony.Lockdown{Number: item, Text: text, Reading: reading, By: by, Confirmed: confirmed})
}

// LoginRefused tries one login with the PIN that b gives, and records the
// code by which the token refuses it. A login that works is recorded as that:
// the lock-down has to be done again, and nothing here tries a second time.
func (j *Journal) LoginRefused(ctx context.Context, b Tokens, site *SiteHSM, by, confirmed string) (*ceremony.Record, error) {
	item, text, hsm, ok := j.account.NextLockdown()
	if !ok || hsm == "" {
		return nil, j.account.Expects(ceremony.KindLockdown)
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
		if _, err := j.Append(&ceremony.Unlock{HSM: hsm, Method: pin.Method, Result: ceremony.UnlockOK}); err != nil {
			return nil, err
		}
		return nil, strict.Errorf(j.dir, "%s still lets this PIN in, and it must not any more; record %d says so", hsm, j.account.N).
			WithHint("lock it down as the vendor's procedure says, then run this again")
	}
	if !ceremony.RefusesLogin(b.Code(err)) {
		return nil, fmt.Errorf("%s: that is no refusal of the PIN: %w", hsm, err)
	}
	return j.Append(&ceremony.Lockdown{Number: item, Text: text, Code: b.Code(err), By: by, Confirmed: confirmed})
}
