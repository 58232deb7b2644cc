package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fleetctl/fleetctl/internal/fleet/links"
	"github.com/fleetctl/fleetctl/internal/fleet/phone"
)

// faults breaks the fleet in every way but the disks.
func (d *drill) faults(ctx context.Context) error {
	for _, p := range d.phases() {
		d.tried("leader-killed", "", "the leader is killed "+p.name+": the login ends, one guess is one", d.killed(ctx, p))
	}
	for _, f := range []struct {
		name, what string
		do         func(context.Context) error
	}{
		{"site-cut-off", "the leader's site is cut off: the others go on, and it catches up", d.cutOff},
		{"majority-lost", "the majority is lost: nothing is answered; with it back, all is as before", d.majorityLost},
		{"slow-line", "a node acknowledges 100 ms late: the others go on", d.late},
		{"slow-disk", "a node's disk is slow: it follows, and leads; then it hangs, and the others go on", d.slow},
		{"clocks-apart", "a node's clock and a device's are an hour ahead: nothing changes", d.clocksApart},
		{"leader-killed", "leaders are killed while devices log in", d.underLoad},
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f.do(ctx)
		d.tried(f.name, "", f.what, err)
		if err := d.mend(ctx); err != nil {
			return err
		}
	}
	return d.failOversTook()
}

// mend has every line whole and every node running.
func (d *drill) mend(ctx context.Context) error {
	for _, m := range d.members {
		ways := d.net.Of(m.HSM, true)
		d.net.Open(ways...)
		d.net.Delay(0, ways...)
		if m.running() {
			if err := m.proc.Signal(syscall.SIGCONT); err != nil {
				return err
			}
		}
	}
	return errors.Join(d.startAll(ctx, d.flags()...), d.whole(ctx))
}

// phase is where in a login the leader is killed.
type phase struct {
	name   string
	shutAt moment // when ways are shut
	shut   func(*member) []links.Way
	killAt moment
	wait   func(context.Context, *member) error // for what must have happened by then
}

func (d *drill) phases() []phase {
	to := func(m *member) (list []links.Way) {
		for _, o := range d.others(m) {
			list = append(list, links.Way{From: m.HSM, To: o.HSM})
		}
		return list
	}
	from := func(m *member) (list []links.Way) {
		for _, o := range d.others(m) {
			list = append(list, links.Way{From: o.HSM, To: m.HSM})
		}
		return list
	}
	out := func(m *member) []links.Way { return []links.Way{{From: m.HSM, To: links.Devices}} }
	held := func(ctx context.Context, m *member) error {
		return d.net.Waiting(ctx, links.Way{From: m.HSM, To: links.Devices})
	}
	tried := func(ctx context.Context, m *member) error { // to send on what it was told
		return d.net.Waiting(ctx, to(m)[0])
	}
	heard := func(ctx context.Context, m *member) error { // others' answers, that don't reach it
		return d.net.Waiting(ctx, from(m)[0])
	}
	return []phase{
		{"before another node has the guess", beforeKE1, to, afterKE1, tried},
		{"before it hears that others have the guess", beforeKE1, from, afterKE1, heard},
		{"with KE2 on its way", beforeKE1, out, afterKE1, held},
		{"once the device has KE2", "", nil, beforeKE3, nil},
		{"before another node has the success", beforeKE3, to, afterKE3, tried},
		{"before it hears that others have the success", beforeKE3, from, afterKE3, heard},
		{"with the sealed key on its way", beforeKE3, out, afterKE3, held},
		{"once the device has the key", "", nil, afterKey, nil},
	}
}

// killed kills the leader at a phase of a login, which has to end all the same, and to
// have used one guess.
func (d *drill) killed(ctx context.Context, p phase) error {
	leader, err := d.leader(ctx)
	if err != nil {
		return err
	}
	d.devices++
	h, err := d.device(fmt.Sprintf("drill.kill.%d", d.devices))
	if err != nil {
		return err
	}
	h.first(leader)
	if err := h.register(ctx); err != nil {
		return err
	}
	var once sync.Once
	var failed error
	var killed bool
	var ways []links.Way
	h.seen = func(at moment) {
		m := d.member(h.node)
		if at == p.shutAt && ways == nil && m != nil {
			ways = p.shut(m)
			d.net.Shut(ways...)
		}
		if at != p.killAt || m == nil {
			return
		}
		once.Do(func() {
			wait, stop := context.WithTimeout(ctx, within/3)
			defer stop()
			if p.wait != nil {
				failed = p.wait(wait, m)
			}
			d.meter.fall(m.HSM)
			d.kill(m)
			d.net.Open(ways...)
			killed = true
		})
	}
	_, err = h.right(ctx)
	h.seen = nil
	if failed != nil || !killed {
		err = errors.Join(err, errAmiss("the leader was not killed there: %v", failed))
	}
	if err == nil {
		err = h.wrong(ctx, limit-1)
	}
	d.meter.settle()
	return errors.Join(err, d.mend(ctx))
}

// first has a device ask a node first.
func (h *handset) first(m *member) {
	slices.SortStableFunc(h.Nodes, func(a, b phone.Node) int {
		rank := func(n phone.Node) int {
			if n.HSM == m.HSM {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
}

// known is a device that has registered, and what a test begins with.
func (d *drill) known(ctx context.Context, account string) (*handset, *member, error) {
	leader, err := d.leader(ctx)
	if err != nil {
		return nil, nil, err
	}
	h, err := d.device(account)
	if err != nil {
		return nil, nil, err
	}
	return h, leader, h.register(ctx)
}

func (d *drill) cutOff(ctx context.Context) error {
	h, leader, err := d.known(ctx, "drill.cut")
	if err != nil {
		return err
	}
	d.net.Shut(d.net.Of(leader.HSM, true)...)
	h.Nodes = slices.DeleteFunc(h.Nodes, func(n phone.Node) bool { return n.HSM == leader.HSM })
	if _, err := h.right(ctx); err != nil {
		return err
	}
	if err := h.wrong(ctx, limit-1); err != nil {
		return err
	}
	d.net.Open(d.net.Of(leader.HSM, true)...)
	if err := d.whole(ctx); err != nil {
		return err
	}
	return h.wrong(ctx, limit-2)
}

// outage is how long a device asks a fleet without a majority.
const outage = 3 * time.Second

func (d *drill) majorityLost(ctx context.Context) error {
	h, leader, err := d.known(ctx, "drill.majority")
	if err != nil {
		return err
	}
	h.first(leader)
	for i, m := range d.others(leader) {
		if len(d.members)-i > len(d.members)/2 { // down to half or less
			d.kill(m)
		}
	}
	a, err := h.guess(ctx, h.code, outage)
	if err == nil || a.Counted {
		d.mu.Lock()
		d.r.Counts.WithoutMajority++
		d.mu.Unlock()
		return errAmiss("a guess was answered without a majority")
	}
	if err := d.mend(ctx); err != nil {
		return err
	}
	if _, err := h.right(ctx); err != nil {
		return err
	}
	return h.wrong(ctx, limit-1)
}

func (d *drill) late(ctx context.Context) error {
	h, leader, err := d.known(ctx, "drill.late")
	if err != nil {
		return err
	}
	d.net.Delay(100*time.Millisecond, links.Way{From: d.others(leader)[0].HSM, To: leader.HSM})
	if _, err := h.right(ctx); err != nil {
		return err
	}
	return h.wrong(ctx, limit-1)
}

// diskDelay is how much longer each sync of a slow disk takes. A node's anchor in a file
// takes two more, a vote as many, and both have to fit into an election.
const diskDelay = 50 * time.Millisecond

// slow has a node run on a disk that is slow, which follows, then leads, then hangs.
func (d *drill) slow(ctx context.Context) error {
	h, leader, err := d.known(ctx, "drill.slow")
	if err != nil {
		return err
	}
	late := d.others(leader)[0]
	d.kill(late)
	if err := d.start(ctx, late, append(d.flags(), "--disk-delay", fmt.Sprintf("%dms", diskDelay.Milliseconds()))...); err != nil {
		return err
	}
	if err := d.whole(ctx); err != nil {
		return err
	}
	h.first(leader)
	if _, err := h.right(ctx); err != nil {
		return err
	}
	if err := d.lead(ctx, late); err != nil {
		return err
	}
	h.first(late)
	began := time.Now()
	if _, err := h.right(ctx); err != nil {
		return err
	}
	// The guess and the success: a leader stores an entry before it sends it on.
	if took := time.Since(began); h.node == late.HSM && took < 2*diskDelay {
		return errAmiss("the disk was not slow: a login took %d ms", took.Milliseconds())
	}
	if err := late.proc.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	h.Nodes = slices.DeleteFunc(h.Nodes, func(n phone.Node) bool { return n.HSM == late.HSM })
	if err := h.wrong(ctx, limit-1); err != nil {
		return err
	}
	_, err = h.right(ctx)
	d.kill(late) // it is started again with the computer's own disk
	return err
}

func (d *drill) clocksApart(ctx context.Context) error {
	h, leader, err := d.known(ctx, "drill.clock")
	if err != nil {
		return err
	}
	m := d.others(leader)[0]
	d.kill(m)
	if err := d.start(ctx, m, append(d.flags(), "--clock-ahead", "1h")...); err != nil {
		return err
	}
	if err := d.whole(ctx); err != nil {
		return err
	}
	h.Session.Now = func() time.Time { return d.Now().Add(time.Hour) }
	if err := d.lead(ctx, m); err != nil {
		return err
	}
	if _, err := h.right(ctx); err != nil {
		return err
	}
	err = h.wrong(ctx, limit-1)
	d.kill(m) // it is started again with this computer's clock
	return err
}
