// Package passkey keeps a device's key under a passkey, without any fleet: WebAuthn's PRF
// gives 32 bytes that only the passkey can make, HKDF makes a key of them, and that seals
// the same key that the nodes keep under a recovery code. Without the passkey the
// recovery code is the way back.
//
// A browser does the passkey's part, on a page that this package serves to this machine
// for one run: a person's browser with their own authenticator, or a headless Chromium
// with a virtual one ([Virtual]), as the drill has it.
//
// Who could get a device's key:
//
//   - Whoever can use the passkey and has the record: the authenticator's user, or
//     whoever the passkey is synchronised to.
//   - Whoever has the record alone: nobody. The sealing's key follows from the PRF.
//   - Whoever listens in this process or in the browser while the passkey is used: they
//     see the PRF's result, which is that of this record's random salt and opens this
//     record alone.
//   - A page of another program of this machine, if the person agrees to use their
//     passkey there: all pages of localhost share the relying party's name here. It needs
//     the record's salt. A messenger has its own domain and no such neighbours.
package passkey

import (
	"context"
	"io"

	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
)

// Visit has a browser open an address: it shows it to a person, or is [Virtual.Visit].
// It returns once the browser is on its way.
type Visit func(ctx context.Context, url string) error

// Create makes a passkey for an account and seals the device's key under it.
func Create(ctx context.Context, random io.Reader, account string, key []byte, visit Visit) (*Record, error) {
	if err := guess.CheckAccount(account); err != nil {
		return nil, err
	}
	r := &Record{Format: format, Account: account}
	var err error
	if r.User, err = draw(random, userSize); err != nil {
		return nil, err
	}
	if r.Salt, err = draw(random, saltSize); err != nil {
		return nil, err
	}
	prf, err := run(ctx, random, r, true, visit)
	if err != nil {
		return nil, err
	}
	if r.Sealed, err = client.Seal(random, prf, key, r.what()...); err != nil {
		return nil, err
	}
	return r, r.check()
}

// Recover opens a record with its passkey.
func Recover(ctx context.Context, random io.Reader, r *Record, visit Visit) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	kept := *r
	prf, err := run(ctx, random, &kept, false, visit)
	if err != nil {
		return nil, err
	}
	return r.open(prf)
}
