package replica_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/chain"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
)

// measured is a fleet under measurement, on the computer's own disk.
type measured struct {
	submit []func([]byte) error // by node
	leads  []func() bool
	stop   []func()
}

func (m *measured) leader(b *testing.B) (at int) {
	await.Until(b, "a node leads", func() bool {
		at = slices.IndexFunc(m.leads, func(leads func() bool) bool { return leads() })
		return at >= 0
	})
	return at
}

func transports(n int) (list []*raft.InmemTransport) {
	for i := range n {
		_, t := raft.NewInmemTransportWithTimeout(raft.ServerAddress(fmt.Sprint("node-", i)), 10*timeout)
		list = append(list, t)
	}
	for _, a := range list {
		for _, o := range list {
			if a != o {
				a.Connect(o.LocalAddr(), o)
			}
		}
	}
	return list
}

// anchoredFleet has anchors in memory: what an HSM takes is not in its figures.
func anchoredFleet(b *testing.B, n int) *measured {
	m, ts := &measured{}, transports(n)
	var founders []replica.Member
	keepers := make([]*anchor.Memory, n)
	for i := range n {
		keepers[i] = &anchor.Memory{}
		a, err := anchor.Begin(keepers[i], fleetName, rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		founders = append(founders, replica.Member{Name: fmt.Sprint("node-", i), Incarnation: a.Incarnation, Address: string(ts[i].LocalAddr())})
	}
	for i := range n {
		r, err := replica.Open(replica.Config{Dir: b.TempDir(), Name: founders[i].Name, Fleet: fleetName, Keeper: keepers[i], Transport: ts[i], Founders: founders, Majority: n/2 + 1, Timeout: timeout, Every: 1 << 40})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { r.Close() })
		m.submit = append(m.submit, func(c []byte) error { _, err := r.Submit(context.Background(), c); return err })
		m.leads = append(m.leads, func() bool { return r.Err() == nil && r.Status().Leads })
		m.stop = append(m.stop, func() { ts[i].DisconnectAll(); r.Close() })
	}
	return m
}

// bareStore is the fleet's log as Raft's store, with no anchor.
type bareStore struct{ *chain.Log }

func (s bareStore) FirstIndex() (uint64, error)   { return min(s.Base().Index+1, s.Last().Index), nil }
func (s bareStore) LastIndex() (uint64, error)    { return s.Last().Index, nil }
func (s bareStore) StoreLog(l *raft.Log) error    { return s.StoreLogs([]*raft.Log{l}) }
func (s bareStore) DeleteRange(f, _ uint64) error { return s.Cut(f - 1) }

func (s bareStore) GetLog(index uint64, to *raft.Log) error {
	e, ok := s.Entry(index)
	if !ok {
		return raft.ErrLogNotFound
	}
	*to = raft.Log{Index: e.Index, Term: e.Term, Type: raft.LogType(e.Type), Data: e.Data, Extensions: e.Extra}
	return nil
}

func (s bareStore) StoreLogs(logs []*raft.Log) error {
	list := make([]*chain.Entry, len(logs))
	for i, l := range logs {
		list[i] = &chain.Entry{Index: l.Index, Term: l.Term, Type: uint8(l.Type), Data: l.Data, Extra: l.Extensions}
	}
	return s.Append(list...)
}

// nothing is the state machine of bare Raft.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, io.ErrUnexpectedEOF }
func (nothing) Restore(io.ReadCloser) error         { return io.ErrUnexpectedEOF }

// bareFleet is Raft with the same settings on the same log.
func bareFleet(b *testing.B, n int) *measured {
	m, ts := &measured{}, transports(n)
	var members raft.Configuration
	for _, t := range ts {
		members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(t.LocalAddr()), Address: t.LocalAddr()})
	}
	for i, s := range members.Servers {
		log, err := chain.Open(filepath.Join(b.TempDir(), "log"))
		if err != nil {
			b.Fatal(err)
		}
		c := raft.DefaultConfig()
		c.LocalID, c.LogOutput = s.ID, io.Discard
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout, c.CommitTimeout = timeout, timeout, timeout/2, timeout/100
		c.BatchApplyCh, c.MaxAppendEntries, c.SnapshotThreshold = true, 128, 1<<40
		r, err := raft.NewRaft(c, nothing{}, bareStore{log}, raft.NewInmemStore(), raft.NewInmemSnapshotStore(), ts[i])
		if err == nil {
			err = r.BootstrapCluster(members).Error()
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { r.Shutdown().Error() })
		m.submit = append(m.submit, func(c []byte) error { return r.Apply(c, 10*time.Second).Error() })
		m.leads = append(m.leads, func() bool { return r.State() == raft.Leader })
		m.stop = append(m.stop, func() { ts[i].DisconnectAll(); r.Shutdown().Error() })
	}
	return m
}

// BenchmarkGuesses is what it costs to count guesses safely, beside Raft alone: use
// -benchtime 1x, and -count to see how much it varies.
func BenchmarkGuesses(b *testing.B) {
	for _, n := range []int{3, 5, 7} {
		for _, kind := range []struct {
			name string
			make func(*testing.B, int) *measured
		}{{"bare Raft", bareFleet}, {"anchored", anchoredFleet}} {
			b.Run(fmt.Sprintf("%d nodes, %s", n, kind.name), func(b *testing.B) {
				for b.Loop() {
					kind.make(b, n).measure(b)
				}
			})
		}
	}
}

func (m *measured) measure(b *testing.B) {
	at := m.leader(b)
	var next atomic.Uint64
	one := func(at int) error {
		n := next.Add(1)
		c := guessing(fmt.Sprint("drill.", n%512), n)
		data, err := c.Encode()
		if err != nil {
			return err
		}
		return m.submit[at](data)
	}
	var times []time.Duration
	for range 1000 {
		began := time.Now()
		if err := one(at); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[500].Microseconds()), "µs-p50")
	b.ReportMetric(float64(times[990].Microseconds()), "µs-p99")
	began, was := time.Now(), next.Load()
	var clients sync.WaitGroup
	for range 64 {
		clients.Go(func() {
			for time.Since(began) < 3*time.Second {
				if err := one(at); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
	b.ReportMetric(float64(next.Load()-was)/time.Since(began).Seconds(), "guesses/s-of-64")
	began = time.Now()
	m.stop[at]()
	m.leads[at] = func() bool { return false }
	await.Until(b, "another node has answered", func() bool {
		for i, leads := range m.leads {
			if leads() && one(i) == nil {
				return true
			}
		}
		return false
	})
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-fail-over")
}
