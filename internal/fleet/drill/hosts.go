package drill

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/internal/fleet/anchorhsm"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
)

// Host is the process in which an HSM's module runs: kills of nodes spare it.
type Host interface {
	Socket() string
	PID() int
	// Keeps says whether the HSM can keep an anchor, and has none: an error that is
	// anchorhsm.ErrUnfit where it can't.
	Keeps() error
	// Rewrite has the HSM write its anchor again n times, as it is, and says how long each
	// took.
	Rewrite(n int) ([]time.Duration, error)
	Remove() error // the anchor
	Stop() error
}

// open has every HSM's process started, and sees which of them keep an anchor.
func (d *drill) open() error {
	for i := range d.Nodes {
		n := &d.Nodes[i]
		h, err := d.Open(n.HSM, false)
		if err != nil {
			return fmt.Errorf("hsm %s: %w", n.HSM, err)
		}
		a := report.Anchor{HSM: n.HSM, Where: n.Anchor}
		switch err := h.Keeps(); {
		case errors.Is(err, anchorhsm.ErrUnfit):
			n.Anchor = site.Nowhere
			a.Where, a.Reason = report.NoAnchor, clip(err.Error())
		case err != nil: // its anchor is another one's: it stays
			return errors.Join(fmt.Errorf("hsm %s: %w", n.HSM, err), h.Stop())
		default:
			a.Created = d.second()
		}
		d.hosts = append(d.hosts, h)
		d.r.Anchors = append(d.r.Anchors, a)
	}
	return nil
}

func (d *drill) second() time.Time { return d.Now().UTC().Truncate(time.Second) }

// shut takes the anchors out of the HSMs, once no node runs any more, and ends their
// processes. What stays is on the report.
func (d *drill) shut() {
	for i, h := range d.hosts {
		a := &d.r.Anchors[i]
		if a.Where != report.NoAnchor {
			if err := h.Remove(); err != nil {
				a.Reason = clip("it could not be removed: " + err.Error())
			} else {
				a.Removed = d.second()
			}
		}
		if err := h.Stop(); err != nil {
			d.fault(fmt.Sprintf("hsm %s: %v", a.HSM, err))
		}
	}
	d.hosts = nil
}

// anchored says whether every HSM keeps an anchor.
func (d *drill) anchored() bool {
	return !slices.ContainsFunc(d.r.Anchors, func(a report.Anchor) bool { return a.Where == report.NoAnchor })
}
