package guess

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// snapshotMagic begins every snapshot.
const snapshotMagic = "fleetctl guess snapshot 1\n"

// mostAttempts is more than an account ever has: those counted up to its limit,
// and those of the time before.
const mostAttempts = MostLimit + 1

// code walks over the fields of an account, but for its attempts.
func (a *account) code(w walker) {
	w.u32(&a.limit, true)
	w.u32(&a.used, true)
	w.u64(&a.epoch, true)
	w.fixed(a.registration[:], true)
	w.bytes(&a.record, MostRecord, true)
	w.bytes(&a.oprfKey, MostOPRFKey, true)
	w.bytes(&a.envelope, MostEnvelope, true)
}

// Snapshot gives the one spelling of the machine's state.
func (m *Machine) Snapshot() []byte {
	w := &writer{out: []byte(snapshotMagic)}
	w.u64(&m.index, true)
	w.u64(&m.epoch, true)
	w.u64(&m.retired, true)
	w.fixed(m.secrets[:], true)
	n := uint32(len(m.accounts))
	w.u32(&n, true)
	for _, name := range slices.Sorted(maps.Keys(m.accounts)) {
		a := m.accounts[name]
		w.account(&name, true)
		w.out = append(w.out, flag(a.locked))
		a.code(w)
		w.attempts(a.attempts)
		w.attempts(a.before)
	}
	return w.out
}

// Later gives Snapshot of the state as it is now, to be called later.
func (m *Machine) Later() func() []byte { return m.clone().Snapshot }

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (w *writer) attempts(list map[[32]byte]attempt) {
	n := uint32(len(list))
	w.u32(&n, true)
	for _, id := range slices.SortedFunc(maps.Keys(list), func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }) {
		a := list[id]
		w.fixed(id[:], true)
		w.u32(&a.left, true)
		w.out = append(w.out, flag(a.right))
	}
}

func (r *reader) flag() bool {
	b := r.take(1)
	if b != nil && b[0] > 1 {
		r.err = fmt.Errorf("a yes or no of %d", b[0])
	}
	return b != nil && b[0] == 1
}

func (r *reader) attempts(limit uint32) map[[32]byte]attempt {
	var n uint32
	r.u32(&n, true)
	if n > mostAttempts {
		r.err = fmt.Errorf("%d attempts, of at most %d", n, mostAttempts)
	}
	list := map[[32]byte]attempt{}
	var last [32]byte
	for range n {
		var id [32]byte
		var a attempt
		r.fixed(id[:], true)
		r.u32(&a.left, true)
		a.right = r.flag()
		if r.err != nil {
			break
		}
		if bytes.Compare(id[:], last[:]) <= 0 || a.left >= MostLimit {
			r.err = errors.New("attempts that no machine writes")
			break
		}
		last, list[id] = id, a
	}
	return list
}

// Restore reads a snapshot. What it takes is written as the same bytes.
func Restore(data []byte) (*Machine, error) {
	rest, ok := bytes.CutPrefix(data, []byte(snapshotMagic))
	if !ok {
		return nil, errors.New("no snapshot of the guess counter, version 1")
	}
	r, m := &reader{rest: rest}, New()
	r.u64(&m.index, true)
	r.u64(&m.epoch, true)
	r.u64(&m.retired, true)
	r.fixed(m.secrets[:], true)
	var n uint32
	r.u32(&n, true)
	if n > MostAccounts {
		return nil, fmt.Errorf("snapshot of the guess counter: %d accounts, of at most %d", n, MostAccounts)
	}
	last := ""
	for range n {
		var name string
		a := &account{}
		r.account(&name, true)
		a.locked = r.flag()
		a.code(r)
		a.attempts, a.before = r.attempts(a.limit), r.attempts(a.limit)
		if r.err != nil {
			break
		}
		if name <= last {
			r.err = fmt.Errorf("account %q is not in its place", name)
			break
		}
		if err := m.admit(name, a); err != nil {
			r.err = fmt.Errorf("account %q: %w", name, err)
			break
		}
		last = name
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("snapshot of the guess counter: %w", err)
	}
	if begun := m.epoch > 0; begun == (m.secrets == [32]byte{}) || !begun && len(m.accounts) > 0 || m.retired > m.epoch {
		return nil, errors.New("snapshot of the guess counter: epochs that no machine writes")
	}
	return m, nil
}

// admit adds an account of a snapshot, if there can be such a one.
func (m *Machine) admit(name string, a *account) error {
	if err := CheckAccount(name); err != nil {
		return err
	}
	has := a.epoch > 0
	full := len(a.record) > 0 && len(a.oprfKey) > 0 && len(a.envelope) > 0
	none := len(a.record) == 0 && len(a.oprfKey) == 0 && len(a.envelope) == 0 && len(a.attempts) == 0 && len(a.before) == 0
	switch {
	case a.limit == 0 || a.limit > MostLimit || a.used > a.limit || a.registration == [16]byte{}:
		return errors.New("a count that no machine writes")
	case has && (!full || a.epoch <= m.retired || a.epoch > m.epoch || a.locked):
		return errors.New("a record that no machine writes")
	case !has && !none || a.locked && a.used < a.limit:
		return errors.New("it should have no record, and has something of one")
	case len(a.attempts) > int(a.used) || has && a.before == nil:
		return errors.New("more attempts than guesses were used")
	}
	if !has {
		a.attempts, a.before, a.record, a.oprfKey, a.envelope = nil, nil, nil, nil, nil
	}
	m.accounts[name] = a
	if a.locked {
		m.locked++
	}
	return nil
}
