package drill

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"

	"github.com/fleetctl/fleetctl/internal/fleet/passkey"
)

// rollback puts disks back from copies, which only nodes with an anchor notice.
func (d *drill) rollback(ctx context.Context) error {
	if !d.Unanchored && !d.anchored() {
		d.notRun("not shown: not every HSM keeps an anchor, so that a node doesn't notice a disk that is put back (" + d.r.Anchors[0].Reason + ")")
		return nil
	}
	return d.putBack(ctx)
}

// passkey seals a device's key under a passkey besides, loses the passkey, and goes back
// to the recovery code.
func (d *drill) passkey(ctx context.Context) error {
	chromium, err := passkey.Chromium()
	if err != nil {
		d.notRun(err.Error())
		return nil
	}
	v, err := passkey.StartVirtual(ctx, chromium)
	if err != nil {
		d.notRun(err.Error())
		return nil
	}
	h, err := d.device("drill.passkey")
	if err == nil {
		err = h.register(ctx)
	}
	if err != nil {
		return errors.Join(err, v.Close())
	}
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	kept, err := passkey.Create(ctx, rand.Reader, h.Account, h.key, v.Visit)
	if err == nil {
		var key []byte
		if key, err = passkey.Recover(ctx, rand.Reader, kept, v.Visit); err == nil && !bytes.Equal(key, h.key) {
			err = errAmiss("another key came out of it")
		}
	}
	d.tried("passkey-unwraps", "", "a passkey in a browser gives the same key back, without the fleet", err)
	if err == nil {
		err = v.Lose(ctx)
	}
	if err == nil {
		if _, lost := passkey.Recover(ctx, rand.Reader, kept, v.Visit); lost == nil {
			err = errAmiss("a passkey that was lost gives the key back")
		} else {
			_, err = h.right(ctx)
		}
	}
	d.tried("lost-passkey-then-code", "", "once the passkey is lost nothing opens under it, and the recovery code gives the key back", err)
	return v.Close()
}
