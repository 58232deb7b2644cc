package drill

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/internal/durable"
)

// logins registers and recovers with every node as the leader.
func (d *drill) logins(ctx context.Context) error {
	for _, m := range d.members {
		err := d.lead(ctx, m)
		d.tried("each-node-led", m.HSM, "", err)
		if err != nil {
			return err
		}
		h, err := d.device("drill.login." + m.HSM)
		if err != nil {
			return err
		}
		if err := h.register(ctx); err != nil {
			return err
		}
		_, err = h.right(ctx)
		if err == nil && h.node != m.HSM {
			err = errAmiss("%s answered", h.node)
		}
		d.tried("right-code", m.HSM, m.HSM+" leads: registered, and the right code gives the key back", err)
		d.tried("wrong-code", m.HSM, m.HSM+" leads: a wrong code gives nothing", h.wrong(ctx, limit-1))
		err = h.wrong(ctx, limit-2)
		if err == nil {
			_, err = h.right(ctx)
		}
		if err == nil {
			err = h.wrong(ctx, limit-1)
		}
		d.tried("count-seen-is-committed", m.HSM, m.HSM+" leads: the count goes down by one each, and a right code starts it anew", err)
	}
	d.stretchTook()
	return d.guessesTook(ctx)
}

// lock makes the last guess, and the one after it.
func (d *drill) lock(ctx context.Context) error {
	h, err := d.device("drill.last")
	if err != nil {
		return err
	}
	if err := h.register(ctx); err != nil {
		return err
	}
	for left := limit - 1; left > 0; left-- {
		if err := h.wrong(ctx, left); err != nil {
			return err
		}
	}
	a, err := h.right(ctx)
	if err == nil && a.Registration.Remaining != limit {
		err = errAmiss("after the right code %d guesses are left", a.Registration.Remaining)
	}
	d.tried("last-guess", "", fmt.Sprintf("the right code at the last of %d guesses gives the key back", limit), err)
	for left := limit - 1; left >= 0; left-- {
		if err := h.wrong(ctx, left); err != nil {
			return err
		}
	}
	d.tried("right-code-after-lock", "", "once no guess is left even the right code is refused, and the record destroyed", h.locked(ctx))
	for _, m := range d.members {
		if err := d.lead(ctx, m); err != nil {
			return err
		}
		d.tried("right-code-after-lock", m.HSM, "", h.locked(ctx))
	}
	d.tried("nothing-left-on-disk", "", "nothing of the record is left in any running node's folder", d.gone(ctx, h))
	return nil
}

// gone waits until no node's folder has anything of what a device registered.
func (d *drill) gone(ctx context.Context, h *handset) error {
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	for {
		found, err := d.search(h.record.Record[:], h.record.Envelope)
		if err == nil && found == "" {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return errAmiss("%s still has a part of it (%v)", found, err)
		}
	}
}

// search looks through the nodes' folders.
func (d *drill) search(parts ...[]byte) (found string, err error) {
	for _, m := range d.members {
		err = filepath.WalkDir(m.Dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			data, err := durable.ReadFile(path)
			for _, part := range parts {
				if bytes.Contains(data, part) {
					found = path
				}
			}
			return err
		})
		if err != nil || found != "" {
			return found, err
		}
	}
	return "", nil
}
