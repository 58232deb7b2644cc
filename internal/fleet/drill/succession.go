package drill

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/imposter"
	"github.com/fleetctl/fleetctl/internal/fleet/phone"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// succession has the next epoch go live, and the fleet retired after it. The fleet that
// this is done with is one of its own beside the drill's, without anchors: those are in
// tokens, and the next epoch has others.
func (d *drill) succession(ctx context.Context) error {
	switch {
	case d.keys.Mode == ceremony.Production:
		d.notRun("a production ceremony has one epoch; a second one goes live in the drill of a rehearsal")
		return nil
	case d.Next == nil:
		d.notRun("it takes the ceremony of a second epoch, and none was given (--next)")
		return nil
	}
	next, err := d.Next.told(d.Role)
	if err != nil {
		return err
	}
	d.r.Next = next
	return d.aside(ctx, ceremony.StageSuccession, site.Nowhere, d.follow)
}

// heirs are the devices of a fleet whose next epoch goes live: all know the first one.
type heirs struct {
	keeps   *handset // with guesses used, which it takes along
	denies  *handset // with guesses used, of which it says nothing
	last    *handset // with one guess left
	pins    *handset // by its policy it takes the first epoch's keys alone
	numbers map[*handset][16]byte
}

// used is how many guesses of an heir are used at the first epoch.
const used = 3

// heirs registers them, and has them guess.
func (d *drill) heirs(ctx context.Context) (*heirs, error) {
	e := &heirs{numbers: map[*handset][16]byte{}}
	for _, x := range []struct {
		h    **handset
		name string
		used int
	}{{&e.keeps, "keeps", used}, {&e.denies, "denies", used}, {&e.last, "last", limit - 1}} {
		h, err := d.device("drill.next." + x.name)
		if err != nil {
			return nil, err
		}
		*x.h = h
		if e.numbers[h], err = h.enrol(ctx, 0, limit); err != nil {
			return nil, err
		}
		for n := range x.used {
			if err := h.wrong(ctx, limit-1-n); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if e.pins, err = d.device("drill.next.pins"); err != nil {
		return nil, err
	}
	if e.pins.Session.Policy, err = d.pinned(); err != nil {
		return nil, err
	}
	_, err = e.pins.shown(ctx, d.members[0])
	return e, err
}

// pinned is the drill's policy, of a device that pins this epoch's keys besides. Whether
// sessions have to be signed by a role's ML-DSA keys it says as before. A policy that pins
// keys or artifacts itself takes no next epoch, so that none comes here.
func (d *drill) pinned() (*device.Policy, error) {
	p := d.Policy
	pins := device.Pins{SessionPostQuantum: p.SessionPostQuantum}
	for _, k := range d.keys.Keys {
		pins.Keys = append(pins.Keys, k.SPKI)
	}
	return device.NewPolicy(p.Trust, p.Log, p.MaxAge, pins, p.Unconfirmed)
}

// enrol registers, with so many guesses used elsewhere, after which so many are left.
func (h *handset) enrol(ctx context.Context, used uint32, left int) (number [16]byte, err error) {
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	a, err := h.Register(ctx, h.code, h.key, used)
	if err == nil && int(a.Remaining) != left {
		err = errAmiss("%s is registered with %d guesses left, not %d", h.Account, a.Remaining, left)
	}
	return a.Registration.Number, err
}

// follow is the stage; x is the fleet.
func (d *drill) follow(ctx context.Context, x *drill) (err error) {
	e, err := x.heirs(ctx)
	if err != nil {
		return err
	}
	old, err := imposter.Overhear(ctx, x.members[0].address)
	if err != nil {
		return err
	}
	stop, err := x.move(ctx, d.Next)
	defer func() {
		x.stop()
		err = errors.Join(err, stop(), d.takeOver(x))
	}()
	if err != nil {
		return err
	}
	if err := d.mend(ctx); err != nil { // the first epoch's own nodes, beside
		return err
	}
	what := fmt.Sprintf("a device that knows epoch %d takes epoch %d from the answer of", d.keys.Epoch, x.keys.Epoch)
	for i, m := range x.members {
		proof, err := e.keeps.shown(ctx, m)
		d.tried("new-epoch-taken", m.HSM, what+" "+m.HSM+", by the same policy", err)
		d.r.Next.Nodes[i].Proof = proof
	}
	err = e.keeps.refuses(ctx, old, bundle.ReasonEpoch)
	d.tried("older-epoch-refused", "", "it refuses what a node of the older epoch once said", err)
	for _, m := range d.members {
		_, err := e.keeps.shown(ctx, m)
		d.tried("older-epoch-refused", m.HSM, "it refuses "+m.HSM+" of the older epoch, which runs and has its key", refusedFor(err, bundle.ReasonEpoch))
	}
	for _, m := range x.members {
		_, err := e.pins.shown(ctx, m)
		d.tried("unpinned-refused", m.HSM, "", refusedFor(err, device.ReasonPinned))
	}
	err = e.pins.goesOn(ctx, d.members[0], d.keys.Epoch)
	d.tried("unpinned-refused", "", "a device that pins the older epoch's keys refuses the newer ones, and goes on with the older", err)
	d.moves(ctx, x, e)
	return d.retires(ctx, x, e)
}

// goesOn demands that a node's answer of an epoch is accepted.
func (h *handset) goesOn(ctx context.Context, m *member, epoch uint64) error {
	s, err := h.Open(ctx, phone.Node{HSM: m.HSM, Address: m.address})
	if err != nil {
		return err
	}
	if got := s.Accepted().Bundle.KeySet.Epoch; got != epoch {
		err = errAmiss("epoch %d is answered, not %d", got, epoch)
	}
	return errors.Join(err, s.Close())
}

// rereading is how often nodes read again what they hand out.
const rereading = 200 * time.Millisecond

// move stops the nodes, and starts them with the next epoch's bundle, secrets and HSMs on
// the log that they have: the one that leads moves it on. stop ends the HSMs' processes, in any case.
func (x *drill) move(ctx context.Context, n *Next) (stop func() error, err error) {
	var hosts []Host
	stop = func() (err error) {
		for _, h := range hosts {
			err = errors.Join(err, h.Stop())
		}
		return err
	}
	x.world.stop()
	for _, m := range x.members {
		h, err := n.Open(m.HSM)
		if err != nil {
			return stop, err
		}
		hosts, m.host = append(hosts, h), h
	}
	if err := x.handOut(n.Bundle, n.Proof); err != nil {
		return stop, err
	}
	file, proof := x.answer()
	if err := x.answers(n.bundle, file, proof, filepath.Join(x.Out, "next-secrets.json")); err != nil {
		return stop, err
	}
	x.r.Bundle, x.r.Proof = sha256.Sum256(n.Bundle), sha256.Sum256(n.Proof)
	x.keys, x.extra = n.bundle.KeySet, append(x.extra, "--reread", fmt.Sprintf("%dms", rereading.Milliseconds()))
	return stop, x.mend(ctx)
}

// moves has the accounts move: the older record is erased first, and what was used counts.
func (d *drill) moves(ctx context.Context, x *drill, e *heirs) {
	const name = "guesses-count-over-both"
	_, err := e.keeps.enrol(ctx, used, limit-used)
	var refusal *wire.Refusal
	if !errors.As(err, &refusal) || refusal.Code != wire.CodeEraseFirst {
		err = errAmiss("the answer is: %v", err)
	} else {
		err = nil
	}
	d.tried("earlier-record-erased-first", "", "an account is not registered with the next epoch while the older one's record is there", err)
	d.tried("earlier-record-erased-first", "", "once it is erased nobody answers for it, and nothing of it is left in any node's folder", x.erased(ctx, e.keeps, e.numbers[e.keeps], used))
	_, err = e.keeps.enrol(ctx, used, limit-used)
	if err == nil {
		err = e.keeps.wrong(ctx, limit-used-1)
	}
	if err == nil {
		var a *phone.Answer
		if a, err = e.keeps.right(ctx); err == nil && (a.Registration.Epoch != x.keys.Epoch || a.Registration.Remaining != limit) {
			err = errAmiss("the key comes back of epoch %d, %d guesses left", a.Registration.Epoch, a.Registration.Remaining)
		}
	}
	d.tried(name, "", fmt.Sprintf("%d guesses used with the older epoch are used with the next one, and the right code gives the key back", used), err)

	err = x.erased(ctx, e.denies, e.numbers[e.denies], used)
	if err == nil {
		_, err = e.denies.enrol(ctx, 0, limit-used)
	}
	d.tried(name, "", "a device that says nothing of them gets none back", err)

	err = x.erased(ctx, e.last, e.numbers[e.last], limit-1)
	if err == nil {
		_, err = e.last.enrol(ctx, limit-1, 1)
	}
	if err == nil {
		err = e.last.wrong(ctx, 0)
	}
	if err == nil {
		err = e.last.locked(ctx)
	}
	d.tried(name, "", fmt.Sprintf("%d guesses with the older epoch and one with the next are all, and the lock follows", limit-1), err)
}

// erased has a record erased, with so many guesses used, and demands that it is.
func (d *drill) erased(ctx context.Context, h *handset, number [16]byte, used uint32) error {
	asking, stop := context.WithTimeout(ctx, within)
	defer stop()
	got, err := h.Erase(asking, number)
	switch {
	case err != nil:
		return err
	case got != used:
		return errAmiss("%d guesses are used, not %d", got, used)
	}
	_, err = h.guess(ctx, h.code, within)
	var refusal *wire.Refusal
	if !errors.As(err, &refusal) || refusal.Code != wire.CodeErased {
		return errAmiss("the right code for the erased record is answered: %v", err)
	}
	return d.gone(ctx, h)
}

// retires has the nodes hand out the notice that retires the fleet: devices refuse them
// from then on, and whatever is of that fleet.
func (d *drill) retires(ctx context.Context, x *drill, e *heirs) error {
	said, err := imposter.Overhear(ctx, x.members[0].address)
	if err != nil {
		return err
	}
	if err := x.handOut(d.Next.Notice, d.Next.NoticeProof); err != nil {
		return err
	}
	for _, m := range x.members {
		d.tried("retired-refused", m.HSM, m.HSM+" hands out the notice: a new device refuses it, as retired", x.retired(ctx, m))
		_, err := e.keeps.shown(ctx, m)
		d.tried("retired-refused", m.HSM, "", refusedFor(err, bundle.ReasonRetired))
	}
	d.tried("retired-refused", "", "a device that has seen the notice refuses the keys that it used before", e.keeps.refuses(ctx, said, bundle.ReasonRetired))
	_, err = e.denies.shown(ctx, d.members[0])
	d.tried("older-epoch-refused", "", "a device that hasn't seen it yet still refuses the older epoch", refusedFor(err, bundle.ReasonEpoch))
	return nil
}

// retired waits until a node hands out the notice, and demands that a new device refuses
// it by that.
func (x *drill) retired(ctx context.Context, m *member) error {
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	for {
		h, err := x.device("drill.next.new")
		if err != nil {
			return err
		}
		_, err = h.shown(ctx, m)
		if err = refusedFor(err, bundle.ReasonRetired); err == nil {
			return nil
		}
		select {
		case <-time.After(rereading / 2):
		case <-ctx.Done():
			return err
		}
	}
}

// takeOver adds what devices of a fleet beside did to the drill's report.
func (d *drill) takeOver(x *drill) error {
	for i, n := range x.r.Nodes {
		to := &d.r.Nodes[i]
		to.Attempts, to.Acknowledged, to.Ambiguous, to.Led = to.Attempts+n.Attempts, to.Acknowledged+n.Acknowledged, to.Ambiguous+n.Ambiguous, to.Led+n.Led
	}
	to, c := &d.r.Counts, x.r.Counts
	to.Logins, to.Attempts, to.Acknowledged, to.Ambiguous = to.Logins+c.Logins, to.Attempts+c.Attempts, to.Acknowledged+c.Acknowledged, to.Ambiguous+c.Ambiguous
	to.Consumed, to.Leaders = to.Consumed+c.Consumed, to.Leaders+c.Leaders
	to.ReleasedAfterLock, to.WithoutMajority = to.ReleasedAfterLock+c.ReleasedAfterLock, to.WithoutMajority+c.WithoutMajority
	if h := x.history.judge(ceremony.StageSuccession, limit, time.Minute); h.Operations > 0 {
		d.r.Histories = append(d.r.Histories, h)
	}
	return durable.Create(filepath.Join(x.Out, "history.txt"), x.history.file(), 0o644)
}
