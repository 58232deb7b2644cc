package drill

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/phone"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// within is how long one thing may take in a drill.
const within = 45 * time.Second

// handset is a device of the drill, with its account.
type handset struct {
	*phone.Phone
	d      *drill
	client int
	code   client.Secret
	key    []byte
	seen   func(moment)
	record *wire.RegisterFinish // that it registered with
	node   string               // that it speaks with
	streak *streak              // of a crowd's account
}

// device is a new device of an account, with a state of its own on the disk.
func (d *drill) device(account string) (*handset, error) {
	d.mu.Lock()
	d.devices++
	n := d.devices
	d.mu.Unlock()
	text, err := client.NewCode(rand.Reader)
	if err != nil {
		return nil, err
	}
	code, err := client.ParseCode(text)
	if err != nil {
		return nil, err
	}
	key, err := client.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	h := &handset{d: d, client: n, code: code, key: key}
	file := filepath.Join(d.Out, "devices", fmt.Sprintf("%s-%d", account, n))
	h.Phone = &phone.Phone{
		Session: session.Client{Policy: d.Policy, State: device.File(file), Guard: device.File(file + ".guard"), Begin: true, Role: d.Role, PostQuantumRole: d.PostQuantum, Now: d.Now},
		Nodes:   d.addresses(), Account: account, Random: rand.Reader, Stretch: opaque.Identity, Patience: within / 3, Over: h.over,
	}
	return h, nil
}

func (d *drill) addresses() (list []phone.Node) {
	for _, m := range d.members {
		list = append(list, phone.Node{HSM: m.HSM, Address: m.address})
	}
	return list
}

func (h *handset) over(s *session.Session) io.ReadWriter {
	h.node = s.Node()
	epoch := int(s.Accepted().Bundle.KeySet.Epoch)
	return &tap{ReadWriter: s, h: &h.d.history, client: h.client, account: h.Account, epoch: epoch, seen: h.seen, record: func(m *wire.RegisterFinish) { h.record = m }, answered: func(sent time.Time) { h.d.meter.answered(h.node, sent) }}
}

// register has the fleet keep the device's key.
func (h *handset) register(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	a, err := h.Register(ctx, h.code, h.key, 0)
	if err == nil && (a.Remaining != limit || a.Registration.Limit != limit) {
		err = errAmiss("%s is registered with %d of %d guesses", h.Account, a.Remaining, a.Registration.Limit)
	}
	return err
}

// guess makes one guess, and has the report count it.
func (h *handset) guess(ctx context.Context, code client.Secret, most time.Duration) (*phone.Answer, error) {
	ctx, stop := context.WithTimeout(ctx, most)
	defer stop()
	a, err := h.Recover(ctx, code)
	h.d.count(h.node, a, err)
	return a, err
}

// right is a login with the right code: the key comes back.
func (h *handset) right(ctx context.Context) (*phone.Answer, error) {
	a, err := h.guess(ctx, h.code, within)
	if err == nil && !slices.Equal(a.Key, h.key) {
		err = errAmiss("another key came back than was registered")
	}
	return a, err
}

// wrong is a login with a wrong code, after which so many guesses are left.
func (h *handset) wrong(ctx context.Context, left int) error {
	text, err := client.NewCode(rand.Reader)
	if err != nil {
		return err
	}
	code, err := client.ParseCode(text)
	if err != nil {
		return err
	}
	a, err := h.guess(ctx, code, within)
	var wrong *client.Wrong
	switch {
	case err == nil:
		return errAmiss("a wrong code opened the record")
	case !errors.As(err, &wrong):
		return err
	case left >= 0 && int(a.Remaining) != left:
		return errAmiss("after a wrong code %d guesses are left, not %d", a.Remaining, left)
	}
	return nil
}

// locked demands that even the right code is refused for good.
func (h *handset) locked(ctx context.Context) error {
	a, err := h.guess(ctx, h.code, within)
	var refusal *wire.Refusal
	if err == nil {
		h.d.mu.Lock()
		h.d.r.Counts.ReleasedAfterLock++
		h.d.mu.Unlock()
		return errAmiss("the right code gave a key back after the lock, %d guesses left", a.Remaining)
	}
	if !errors.As(err, &refusal) || refusal.Code != wire.CodeLocked {
		return errAmiss("the account should be locked, and the answer is: %v", err)
	}
	return nil
}

// count adds a guess to the report.
func (d *drill) count(node string, a *phone.Answer, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.members, func(m *member) bool { return m.HSM == node })
	if i < 0 {
		return
	}
	n, c := &d.r.Nodes[i], &d.r.Counts
	n.Attempts++
	c.Attempts++
	switch {
	case a.Counted:
		n.Acknowledged++
		c.Acknowledged++
		c.Consumed++
	case a.Uncertain:
		n.Ambiguous++
		c.Ambiguous++
	}
	if err == nil {
		c.Logins++
	}
}

// states asks every node how it is; nil for one that doesn't answer.
func (d *drill) states(ctx context.Context) []*wire.Status {
	list := make([]*wire.Status, len(d.members))
	for i, m := range d.members {
		if !m.running() {
			continue
		}
		p := phone.Phone{
			Session:  session.Client{Policy: d.Policy, State: phone.Memory("state"), Guard: phone.Memory("guard"), Begin: true, Role: d.Role, PostQuantumRole: d.PostQuantum, Now: d.Now},
			Patience: 2 * time.Second,
		}
		list[i], _ = p.Status(ctx, phone.Node{HSM: m.HSM, Address: m.address})
		if s := list[i]; s != nil && s.State == leads {
			d.led(i, s.Term)
		}
	}
	return list
}

// leads is the state of a node that leads.
const leads = "leads"

// reign is a node's time as the leader.
type reign struct {
	node int
	term uint64
}

// led notes that a node was seen to lead in a term.
func (d *drill) led(node int, term uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := (reign{node, term}); !d.reigns[r] {
		if d.reigns == nil {
			d.reigns = map[reign]bool{}
		}
		d.reigns[r] = true
		d.r.Nodes[node].Led++
		d.r.Counts.Leaders++
	}
}

// until asks every node until they stand as is wanted.
func (d *drill) until(ctx context.Context, what string, ok func([]*wire.Status) bool) error {
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	for {
		if ok(d.states(ctx)) {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waited in vain until %s", what)
		}
	}
}

// whole waits until all nodes vote, follow one leader, and have applied the same.
func (d *drill) whole(ctx context.Context) error {
	return d.until(ctx, "all nodes are up to date", func(list []*wire.Status) bool {
		for _, s := range list {
			if s == nil || s.Leader == "" || s.Leader != list[0].Leader || s.Applied != list[0].Applied || len(strings.Fields(s.Voters)) != len(list) || s.Epoch != d.keys.Epoch {
				return false
			}
		}
		return true
	})
}

// leader is the node that most say leads.
func (d *drill) leader(ctx context.Context) (*member, error) {
	var found *member
	err := d.until(ctx, "a node leads", func(list []*wire.Status) bool {
		for i, s := range list {
			if s != nil && s.State == leads {
				found = d.members[i]
				return true
			}
		}
		return false
	})
	if found == nil {
		err = errors.Join(err, errNoLeader)
	}
	return found, err
}

// again is how long a node has to become the leader before it is told once more: an
// election may come in between.
const again = 3 * time.Second

// lead has a node lead.
func (d *drill) lead(ctx context.Context, m *member) error {
	i := slices.Index(d.members, m)
	var told time.Time
	var failed error
	err := d.until(ctx, m.HSM+" leads", func(list []*wire.Status) bool {
		if list[i] != nil && list[i].State == leads {
			return true
		}
		if time.Since(told) > again {
			told, failed = time.Now(), m.proc.Signal(syscall.SIGUSR1)
		}
		return failed != nil
	})
	return errors.Join(err, failed)
}
