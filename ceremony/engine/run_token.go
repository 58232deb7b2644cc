package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/token"
)

// openToken is an HSM's token that this process has opened.
type openToken struct {
	Token
	module   Module
	unlocked bool
	pin      []byte // kept for Tokens.Probe, cleared at the end
}

func (r *runner) closeTokens() {
	for _, t := range r.reached {
		clear(t.pin)
		t.Close()
	}
}

// token opens an HSM's token. After its intake it must report the same serial, model,
// firmware and library as then, so that a swapped token is noticed.
func (r *runner) token(ctx context.Context, hsm string) (*openToken, error) {
	if t := r.reached[hsm]; t != nil {
		return t, nil
	}
	t, module, err := r.Tokens.Open(ctx, r.site.HSM(hsm), r.plan.HSM(hsm).Serial)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", hsm, err)
	}
	r.reached[hsm] = &openToken{Token: t, module: module}
	in := r.journal.account.Intakes[hsm]
	if in == nil {
		return r.reached[hsm], nil
	}
	info, err := t.Info()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", hsm, err)
	case info.Serial != in.Serial || info.Model != in.Model || info.Firmware != in.Firmware:
		return nil, fmt.Errorf("%s: the token is not the one that was taken in: serial %q, %s, firmware %s", hsm, info.Serial, info.Model, info.Firmware)
	case module.Digest != in.Module:
		return nil, fmt.Errorf("%s: its PKCS#11 library is not the one that it was taken in with", hsm)
	}
	return r.reached[hsm], nil
}

// mayUnlock demands that the threshold of officers approved the first login of a
// ceremony, over the record before it.
func (r *runner) mayUnlock(ctx context.Context) error {
	a := r.journal.account
	if a.Opened() {
		return nil
	}
	return r.journal.Approved(ctx, a.Wanted(ceremony.ApproveOpen, [32]byte{}), r.Approve)
}

// unlocked logs in to an HSM's token.
func (r *runner) unlocked(ctx context.Context, hsm string) (*openToken, error) {
	if err := r.mayUnlock(ctx); err != nil {
		return nil, err
	}
	t, err := r.token(ctx, hsm)
	if err != nil || t.unlocked {
		return t, err
	}
	var failed error
	for !t.unlocked {
		if failed, err = r.login(ctx, hsm, t, failed); err != nil {
			return nil, fmt.Errorf("%s: %w", hsm, err)
		}
	}
	return t, nil
}

// login makes one try to log in and records it, whether it worked or not. It doesn't try
// again by itself, which could lock the token: failed goes to the person with the PIN.
func (r *runner) login(ctx context.Context, hsm string, t *openToken, before error) (failed, err error) {
	about, err := t.Info()
	if err != nil {
		return nil, err
	}
	pin, err := r.Tokens.PIN(ctx, r.site.HSM(hsm), about, before)
	if err != nil {
		return nil, err
	}
	try := t.Login
	if pin.Final {
		try = t.LoginFinal
	}
	if failed = try(pin.Secret); failed != nil {
		clear(pin.Secret)
		if errors.Is(failed, token.ErrNotTried) {
			return failed, nil // the token was not asked, so there is nothing to record
		}
		_, err = r.journal.Append(&ceremony.Unlock{HSM: hsm, Method: pin.Method, Result: resultOf(r.Tokens, failed)})
		return failed, err
	}
	t.pin, t.unlocked = pin.Secret, true
	return nil, r.record(hsm+" unlocked", &ceremony.Unlock{HSM: hsm, Method: pin.Method, Result: ceremony.UnlockOK})
}

// holds counts the halves of the key pair with an id. Any other object with that id is
// an error, which a person has to look at.
func (t *openToken) holds(id []byte) (halves int, err error) {
	objects, err := t.Objects()
	if err != nil {
		return 0, err
	}
	for _, o := range objects {
		if string(o.ID) != string(id) {
			continue
		}
		if o.Class != "private" && o.Class != "public" {
			return 0, fmt.Errorf("the token holds a %s object with the id of a key, %x: a person has to look at it", o.Class, id)
		}
		halves++
	}
	return halves, nil
}

// destroyAll destroys every key generated so far, and returns what became of each. Of a
// plan that destroys keys nothing was generated, and it destroys none.
func (r *runner) destroyAll(ctx context.Context) []ceremony.KeyState {
	if r.plan.Destroys != nil {
		return r.left(ctx)
	}
	states := []ceremony.KeyState{}
	for _, k := range r.journal.account.Keys {
		state, err := r.destroyOne(ctx, k)
		if err != nil {
			state = ceremony.NotDestroyed + r.code(err)
		}
		states = append(states, ceremony.KeyState{HSM: k.HSM, Role: k.Role, ID: k.Intent.ID, State: state})
	}
	return states
}

func (r *runner) destroyOne(ctx context.Context, k *ceremony.Key) (string, error) {
	t, err := r.unlocked(ctx, k.HSM)
	if err != nil {
		return "", err
	}
	made, err := t.clean(k.Intent.ID)
	if err != nil || !made {
		return ceremony.Absent, err
	}
	return ceremony.Destroyed, nil
}

// clean destroys everything that came of an intent: the key, half of it, or halves
// without a CKA_ID, which a generation that was interrupted leaves. The token was empty
// before the ceremony, so no other objects can lack one.
func (t *openToken) clean(id []byte) (made bool, err error) {
	unnamed, err := t.DestroyUnnamed()
	if err != nil {
		return false, err
	}
	halves, err := t.holds(id)
	if err == nil && halves > 0 {
		err = t.Destroy(id)
	}
	return halves > 0 || unnamed > 0, err
}

func (r *runner) code(err error) string {
	if code := r.Tokens.Code(err); code != "" {
		return code
	}
	return "the token could not be reached"
}
