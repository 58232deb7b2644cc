package drill

import "context"

// rollback puts disks back from copies, which only nodes with an anchor notice.
func (d *drill) rollback(ctx context.Context) error {
	if !d.Unanchored {
		for _, m := range d.members {
			if m.Anchor == "none" {
				d.notRun("not shown: the HSM of " + m.HSM + " keeps no anchor, so that its node doesn't notice a disk that is put back")
				return nil
			}
		}
	}
	return d.putBack(ctx)
}

// succession takes a second epoch of the fleet.
func (d *drill) succession(context.Context) error {
	d.notRun("it takes the bundle of a second epoch, and none was given")
	return nil
}

// passkey takes a browser.
func (d *drill) passkey(context.Context) error {
	d.notRun("this drill has no browser with a passkey")
	return nil
}
