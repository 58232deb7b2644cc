package drill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
)

// putBack puts the disks of one, two and all nodes back to where guesses were left that
// have been used since.
func (d *drill) putBack(ctx context.Context) error {
	for _, c := range []struct {
		name string
		n    int
	}{{"all-disks", len(d.members)}, {"two-disks", 2}, {"one-disk", 1}} {
		what := fmt.Sprintf("the disks of %d of %d nodes are put back from copies: each is refused by name", c.n, len(d.members))
		d.tried(c.name, "", what, d.putBackSome(ctx, c.n))
		if d.Unanchored {
			return nil // that it fails is what this shows
		}
	}
	d.tried("hsm-blocked", "", "an HSM hangs without which there is no majority: nothing is answered", d.blocked(ctx))
	d.tried("no-anchor-fails", "", "the same without anchors: disks that are put back give guesses back, so that the test can fail", d.aside(ctx, "no-anchor", site.Nowhere, forgets))
	d.tried("anchor-on-apply-fails", "", "the same with anchors written as entries are applied: one HSM that hangs and one disk give guesses back", d.aside(ctx, "anchor-on-apply", d.Nodes[0].Anchor, forgetsOne, "--anchoring", "apply"))
	return nil
}

// putBackSome stops the fleet, copies the disks of n nodes, uses up an account's guesses,
// and starts those nodes from the copies.
func (d *drill) putBackSome(ctx context.Context, n int) error {
	h, err := d.device(fmt.Sprintf("drill.back.%d", n))
	if err != nil {
		return err
	}
	if err := h.register(ctx); err != nil {
		return err
	}
	if err := d.whole(ctx); err != nil {
		return err
	}
	d.stop()
	old := d.members[:n]
	for _, m := range old {
		if err := copyTree(m.Dir, m.Dir+".copy"); err != nil {
			return err
		}
	}
	if err := d.mend(ctx); err != nil {
		return err
	}
	for left := limit - 1; left >= 0; left-- {
		if err := h.wrong(ctx, left); err != nil {
			return err
		}
	}
	if err := h.locked(ctx); err != nil {
		return err
	}
	d.stop()
	for _, m := range old {
		if err := errors.Join(durable.Rename(m.Dir, m.Dir+".now"), durable.Rename(m.Dir+".copy", m.Dir)); err != nil {
			return err
		}
	}
	refused := d.refusedByName(ctx, old)
	if refused != nil { // what it costs
		refused = errors.Join(refused, h.locked(ctx))
	}
	for _, m := range old { // the disks as they were
		m.proc.Stop(stopPatience)
		refused = errors.Join(refused, durable.RemoveAll(m.Dir), durable.Rename(m.Dir+".now", m.Dir))
	}
	if err := d.mend(ctx); err != nil {
		return errors.Join(refused, err)
	}
	return errors.Join(refused, h.locked(ctx))
}

// refusedByName starts nodes that must not start, and demands that each says why.
func (d *drill) refusedByName(ctx context.Context, old []*member) error {
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	var all []error
	for _, m := range old {
		if err := d.start(ctx, m, d.flags()...); err == nil {
			all = append(all, errAmiss("%s starts from a disk that was put back", m.HSM))
			continue
		}
		if err := m.proc.Refused(); err == nil || !strings.Contains(err.Error(), "the node is refused") {
			all = append(all, errAmiss("%s doesn't say that its disk is older: %v", m.HSM, err))
		}
	}
	return errors.Join(all...)
}

// copyTree copies a node's folder.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		at := filepath.Join(to, rel)
		if e.IsDir() {
			return durable.MkdirAll(at, 0o700)
		}
		data, err := durable.ReadFile(path)
		if err != nil {
			return err
		}
		return durable.Create(at, data, 0o600)
	})
}
