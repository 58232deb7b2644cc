package drill

import "context"

// rollback puts disks back from copies, which only nodes with an anchor notice.
func (d *drill) rollback(ctx context.Context) error {
	if !d.Unanchored && !d.anchored() {
		d.notRun("not shown: not every HSM keeps an anchor, so that a node doesn't notice a disk that is put back (" + d.r.Anchors[0].Reason + ")")
		return nil
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
