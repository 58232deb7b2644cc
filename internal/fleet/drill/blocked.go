package drill

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
)

// few leaves just a majority running: the leader, one whose HSM will hang, and as many
// others as it takes. The rest is killed.
func (d *drill) few(leader *member) (hangs *member, rest []*member) {
	others := d.others(leader)
	rest = others[len(d.members)/2:]
	for _, m := range rest {
		d.kill(m)
	}
	return others[0], rest
}

// hang stops an HSM's process until the function that it gives is called.
func hang(h Host) (goOn func() error, err error) {
	return func() error { return syscall.Kill(h.PID(), syscall.SIGCONT) }, syscall.Kill(h.PID(), syscall.SIGSTOP)
}

// blocked has the HSM of a node hang without which there is no majority: nothing is
// answered, since what that node has on its disk alone doesn't count.
func (d *drill) blocked(ctx context.Context) error {
	h, leader, err := d.known(ctx, "drill.blocked")
	if err != nil {
		return err
	}
	h.first(leader)
	if err := d.whole(ctx); err != nil {
		return err
	}
	m, _ := d.few(leader)
	goOn, err := hang(m.host)
	if err != nil {
		return err
	}
	a, err := h.guess(ctx, h.code, outage)
	answered := err == nil || a.Counted
	if err := errors.Join(goOn(), d.mend(ctx)); err != nil {
		return err
	}
	if answered {
		d.mu.Lock()
		d.r.Counts.WithoutMajority++
		d.mu.Unlock()
		return errAmiss("a guess was answered that only a disk has, and no HSM")
	}
	if _, err := h.right(ctx); err != nil {
		return err
	}
	return h.wrong(ctx, limit-1)
}

// silent is the screen of a fleet that has to go wrong.
type silent struct{}

func (silent) Stage(int, int, string) {}
func (silent) Did(string, error)      {}
func (silent) NotRun(string)          {}
func (silent) Doing(string, int, int) {}

// aside runs another fleet on the same keys, in a way in which it has to go wrong: it
// shows that the tests of this stage can fail.
func (d *drill) aside(ctx context.Context, name, anchor string, do func(context.Context, *drill) error, flags ...string) (err error) {
	d.stop()
	c := *d.Config
	c.Out, c.Screen, c.Nodes = filepath.Join(d.Out, name), silent{}, nil
	for _, n := range d.Config.Nodes {
		n.Anchor = anchor
		c.Nodes = append(c.Nodes, n)
	}
	if err := durable.Mkdir(c.Out, 0o700); err != nil {
		return err
	}
	b, err := bundle.ParseBundle(c.BundleFile, c.Bundle)
	if err != nil {
		return err
	}
	x := &drill{Config: &c, keys: d.keys, extra: flags, beside: anchor != site.Nowhere}
	x.notes = &notes{screen: silent{}, r: &report.Report{Bundle: d.r.Bundle, Proof: d.r.Proof}}
	defer func() {
		x.close()
		if anchor != site.Nowhere {
			x.shut()
			for _, a := range x.r.Anchors {
				if a.Removed.IsZero() {
					err = errors.Join(err, errAmiss("an anchor beside the fleet's stays in %s: %s", a.HSM, a.Reason))
				}
			}
		}
		err = errors.Join(err, d.mend(ctx))
	}()
	if anchor == site.Nowhere {
		x.hosts = d.hosts
	} else {
		c.Open = func(hsm string, _ bool) (Host, error) { return d.Open(hsm, true) }
		if err := x.open(); err != nil {
			return err
		}
	}
	if err := x.prepare(b); err != nil {
		return err
	}
	if err := x.begin(ctx); err != nil {
		return err
	}
	return do(ctx, x)
}

// forgets demands that a fleet without anchors gives a locked account its guesses back
// once all disks are put back.
func forgets(ctx context.Context, x *drill) error {
	err := x.putBackSome(ctx, len(x.members))
	if x.r.Counts.ReleasedAfterLock == 0 {
		return errAmiss("without anchors nothing went wrong, so that the test shows nothing: %v", err)
	}
	return nil
}

// lost has the process of an HSM that hangs end as a power cut ends it, with what it was
// asked last undone, and starts another.
func (d *drill) lost(m *member) error {
	if err := syscall.Kill(m.host.PID(), syscall.SIGKILL); err != nil {
		return err
	}
	_ = m.host.Stop() // it was killed
	h, err := d.Open(m.HSM, d.beside)
	if err != nil {
		return err
	}
	m.host = h
	d.hosts[slices.Index(d.members, m)] = h
	return nil
}

// forgetsOne demands the same of a fleet whose anchors are written where entries are
// applied, with one HSM that hangs and one disk that is put back.
func forgetsOne(ctx context.Context, x *drill) error {
	h, leader, err := x.known(ctx, "drill.apply")
	if err != nil {
		return err
	}
	h.first(leader)
	if err := x.whole(ctx); err != nil {
		return err
	}
	m, rest := x.few(leader)
	if _, err := hang(m.host); err != nil {
		return err
	}
	err = copyTree(m.Dir, m.Dir+".copy")
	for left := limit - 1; left >= 0 && err == nil; left-- {
		err = h.wrong(ctx, left)
	}
	if err == nil {
		err = h.locked(ctx)
	}
	for _, o := range x.members {
		x.kill(o)
	}
	if err = errors.Join(err, x.lost(m)); err != nil {
		return err
	}
	if err := errors.Join(durable.RemoveAll(m.Dir), durable.Rename(m.Dir+".copy", m.Dir)); err != nil {
		return err
	}
	for _, o := range append(rest, m) {
		if err := x.start(ctx, o, x.flags()...); err != nil {
			return err
		}
	}
	if _, err := h.right(ctx); err != nil {
		return errAmiss("with anchors written too late nothing went wrong, so that the test shows nothing: %v", err)
	}
	return nil
}
