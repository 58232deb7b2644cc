package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/phone"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
)

// How much is measured. A 99th percentile wants a hundred.
const (
	measuredSessions = 30
	measuredGuesses  = 100 // one after the other
	guessesOfEach    = 16  // of each device of a crowd, at the same time
	measuredStretch  = 3
	measuredAnchors  = 16 // few: a TPM bears a limited number
)

// meter has the time that guesses and fail-overs took, as devices see them. Times are of
// Go's monotonic clock.
type meter struct {
	mu        sync.Mutex
	guesses   []time.Duration // from KE1 sent to KE2 read
	gone      string          // the node that was killed, while it is down
	fell      time.Time       // when it was; zero: nothing is waited for
	failOvers []time.Duration
}

// fall notes that the node that led is about to be killed.
func (m *meter) fall(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone, m.fell = node, time.Now()
}

// back notes that the node runs again, so that what it answers is not from before.
func (m *meter) back() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = ""
}

// settle has no guess taken any more for the first one after a kill.
func (m *meter) settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone, m.fell = "", time.Time{}
}

// answered notes a guess that a node has just answered. The first one after a kill ends a
// fail-over, unless it is the killed node's, which was on its way.
func (m *meter) answered(node string, sent time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.guesses = append(m.guesses, time.Since(sent))
	if !m.fell.IsZero() && node != m.gone {
		m.failOvers = append(m.failOvers, time.Since(m.fell))
		m.fell = time.Time{}
	}
}

// take gives the guesses that were answered since it was asked last.
func (m *meter) take() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.guesses
	m.guesses = nil
	return list
}

// quantile is of a list that isn't empty: of 100 the 99th percentile is the 99th.
func quantile(list []time.Duration, of float64) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[max(0, int(float64(len(list))*of+0.999999)-1)]
}

// took notes a quantile of times that were measured.
func (n *notes) took(name, node string, list []time.Duration, of float64) {
	n.figure(report.Figure{Name: name, Node: node, Value: int(quantile(list, of).Microseconds()), Unit: report.Microseconds, Samples: len(list)})
}

// figure notes something measured.
func (n *notes) figure(f report.Figure) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.r.Figures = append(n.r.Figures, f)
}

// sessionsTook measures the set-up of sessions by a device that knows the fleet: the
// connection, TLS with the HSM's signature, the device's whole check.
func (d *drill) sessionsTook(ctx context.Context) error {
	h, err := d.device("drill.sessions")
	if err != nil {
		return err
	}
	var list []time.Duration
	for i := range measuredSessions + 1 {
		m := d.members[i%len(d.members)]
		began := time.Now()
		s, err := h.Open(ctx, phone.Node{HSM: m.HSM, Address: m.address})
		if err != nil {
			return err
		}
		if i > 0 { // at the first it meets the fleet
			list = append(list, time.Since(began))
		}
		s.Close()
	}
	d.took(report.SessionMedian, "", list, 0.5)
	return nil
}

// measurable is a device that has registered, and asks the leader first.
func (d *drill) measurable(ctx context.Context, account string) (*handset, error) {
	h, leader, err := d.known(ctx, account)
	if err == nil {
		h.first(leader)
	}
	return h, err
}

// guessesTook measures logins with nothing in their way: of one device, then of many at
// the same time.
func (d *drill) guessesTook(ctx context.Context) error {
	h, err := d.measurable(ctx, "drill.measured")
	if err != nil {
		return err
	}
	d.meter.take()
	for range measuredGuesses {
		if _, err := h.right(ctx); err != nil {
			return err
		}
	}
	list := d.meter.take()
	if len(list) < measuredGuesses {
		return errAmiss("%d of %d guesses were answered", len(list), measuredGuesses)
	}
	d.took(report.GuessMedian, "", list, 0.5)
	d.took(report.GuessP99, "", list, 0.99)
	var all []*handset
	for i := range crowd {
		if h, err = d.measurable(ctx, fmt.Sprintf("drill.measured.%d", i)); err != nil {
			return err
		}
		all = append(all, h)
	}
	var busy sync.WaitGroup
	errs := make([]error, len(all))
	began := time.Now()
	for i, h := range all {
		busy.Go(func() {
			for n := 0; n < guessesOfEach && errs[i] == nil; n++ {
				_, errs[i] = h.right(ctx)
			}
		})
	}
	busy.Wait()
	length := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	n := len(d.meter.take())
	d.figure(report.Figure{Name: report.GuessesPerSecond, Value: int(float64(n) / length.Seconds()), Unit: report.PerSecond, Samples: n})
	return nil
}

// stretchTook measures what a password's stretching costs a device besides: it is in no
// other figure, since recovery codes aren't stretched.
func (d *drill) stretchTook() {
	var list []time.Duration
	for range measuredStretch {
		began := time.Now()
		opaque.Argon2idSmall(make([]byte, 64))
		list = append(list, time.Since(began))
	}
	d.took(report.StretchMedian, "", list, 0.5)
}

// failOversTook tells of the leaders that were killed: from the kill to the next guess
// that another node answered.
func (d *drill) failOversTook() error {
	d.meter.settle()
	d.meter.mu.Lock()
	list := slices.Clone(d.meter.failOvers)
	d.meter.mu.Unlock()
	if len(list) == 0 {
		return errAmiss("no guess was answered after a leader was killed")
	}
	d.took(report.FailOverMedian, "", list, 0.5)
	d.took(report.FailOverWorst, "", list, 1)
	return nil
}

// anchorsTook has every HSM write its anchor again, as it is, once no node runs any more.
func (d *drill) anchorsTook() {
	for i, h := range d.hosts {
		a := d.r.Anchors[i]
		if a.Where == report.NoAnchor {
			continue
		}
		list, err := h.Rewrite(measuredAnchors)
		if err != nil {
			d.fault(fmt.Sprintf("hsm %s: writing its anchor again: %v", a.HSM, err))
			continue
		}
		d.took(report.AnchorMedian, a.HSM, list, 0.5)
	}
}

// stageTook notes how long the stage took that is over, if it was run.
func (n *notes) stageTook(began time.Time) {
	n.mu.Lock()
	s := *n.stage
	n.mu.Unlock()
	if s.Outcome != report.NotRun {
		n.took(report.StageTook(s.Name), "", []time.Duration{time.Since(began)}, 1)
	}
}
