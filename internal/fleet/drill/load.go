package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// crowd is how many devices log in at the same time, two of each account.
const crowd = 8

// underLoad has devices log in, rightly and wrongly, while leaders are killed. What they
// see is judged with the whole history.
func (d *drill) underLoad(ctx context.Context) error {
	var all []*handset
	for i := range crowd / 2 {
		h, err := d.device(fmt.Sprintf("drill.crowd.%d", i))
		if err != nil {
			return err
		}
		if err := h.register(ctx); err != nil {
			return err
		}
		twin, err := d.device(h.Account)
		if err != nil {
			return err
		}
		twin.code, twin.key = h.code, h.key
		h.streak = &streak{}
		twin.streak = h.streak
		all = append(all, h, twin)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var left atomic.Int64
	left.Store(int64(d.Logins))
	var busy sync.WaitGroup
	failed := make(chan error, crowd)
	for _, h := range all {
		busy.Go(func() {
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				if err := h.some(ctx); err != nil && ctx.Err() == nil {
					failed <- err
					return
				}
				d.screen.Doing("logins", d.Logins-int(max(0, left.Load())), d.Logins)
			}
		})
	}
	done := make(chan struct{})
	go func() { busy.Wait(); close(done) }()
	kills := d.killSome(ctx, done, &left)
	<-done
	close(failed)
	var errs []error
	for err := range failed {
		errs = append(errs, err)
	}
	if kills == nil && len(errs) > 0 {
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, kills)...)
}

// killSome kills the leader a few times until the devices are done.
func (d *drill) killSome(ctx context.Context, done <-chan struct{}, left *atomic.Int64) error {
	const kills = 3
	for n := range int64(kills) {
		for left.Load() > int64(d.Logins)*(kills-n)/(kills+1) {
			select {
			case <-done:
				return nil
			case <-time.After(5 * time.Millisecond):
			}
		}
		m, err := d.leader(ctx)
		if err != nil {
			return err
		}
		d.meter.fall(m.HSM)
		d.kill(m)
		if err := d.start(ctx, m, d.flags()...); err != nil {
			return err
		}
		d.meter.back()
	}
	return nil
}

// streak is how many wrong codes an account of a crowd was given since the last right one.
// Without an end to it a drill of many logins locks an account by chance.
type streak struct{ wrong atomic.Int32 }

// next says whether the next code is wrong: one of three, and half of an account's guesses
// in a row at the most. The other half is for what its devices have under way.
func (s *streak) next() (wrong bool) {
	if rand.IntN(3) != 0 || s.wrong.Load() >= limit/2 {
		return false
	}
	s.wrong.Add(1)
	return true
}

// right says that the count was started anew.
func (s *streak) right() { s.wrong.Store(0) }

// some is a login of a crowd: right two times of three. Two devices of one account are at
// work, so that what is left is for the model to say.
func (h *handset) some(ctx context.Context) error {
	if h.streak.next() {
		return h.wrong(ctx, -1)
	}
	_, err := h.right(ctx)
	if err == nil {
		h.streak.right()
	}
	var wrong *client.Wrong
	var refusal *wire.Refusal
	switch {
	case errors.As(err, &wrong):
		return errAmiss("the right code was told to be wrong")
	case errors.As(err, &refusal) && refusal.Code == wire.CodeNumber:
		return nil // the account's other device was right twice in between: the guess is used for nothing
	}
	return err
}
