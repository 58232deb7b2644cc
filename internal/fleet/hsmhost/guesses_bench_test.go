//go:build cgo && linux

package hsmhost

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
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
	"github.com/fleetctl/fleetctl/internal/testtpm"
	"github.com/fleetctl/fleetctl/internal/tpmdevice"
)

// inKryoptic is an anchor in a kryoptic token, in a process of its own.
func inKryoptic(b testing.TB) anchor.Keeper {
	c, _, _ := kryoptic(b)
	n := dial(b, start(b, c, folder(b)))
	b.Cleanup(func() { n.Close() })
	return n.Anchor()
}

// inTPM is one in a TPM in software.
func inTPM(b testing.TB) anchor.Keeper {
	c, _, _ := kryoptic(b) // somebody has to log in somewhere
	c.TPM, c.AnchorIndex = &TPM{TCTI: testtpm.NewMaker(b, b.TempDir()).Start("anchor").TCTI, Store: "/nowhere"}, uint64(tpmdevice.FirstNV)+0xf1e
	n := dial(b, start(b, c, folder(b)))
	b.Cleanup(func() { n.Close() })
	return n.Anchor()
}

var keepers = []struct {
	name string
	keep func(testing.TB) anchor.Keeper
}{
	{"memory", func(testing.TB) anchor.Keeper { return &anchor.Memory{} }},
	{"kryoptic", inKryoptic},
	{"TPM", inTPM},
}

// quantiles reports a list's median and 99th percentile.
func quantiles(b *testing.B, all []time.Duration) {
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms/median")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms/p99")
}

// BenchmarkAnchor is one anchor written, as a node has it written: through the HSM's
// process and its socket.
func BenchmarkAnchor(b *testing.B) {
	for _, k := range keepers {
		b.Run(k.name, func(b *testing.B) {
			keeper := k.keep(b)
			a := must(anchor.Begin(keeper, fleet, rand.Reader))
			var all []time.Duration
			for b.Loop() {
				a.Term, a.LastTerm, a.LastIndex, a.Head = 1, 1, a.LastIndex+1, [32]byte{1}
				began := time.Now()
				if err := keeper.Write(a.Encode()); err != nil {
					b.Fatal(err)
				}
				all = append(all, time.Since(began))
			}
			quantiles(b, all)
		})
	}
}

// BenchmarkGuesses is a guess committed by three nodes, one after the other and by 64
// clients at once: by bare Raft with the same log on the same disk and no anchor, then
// with anchors. Use -benchtime 1x: each counts its own guesses.
func BenchmarkGuesses(b *testing.B) {
	b.Run("bare Raft", func(b *testing.B) {
		for b.Loop() {
			measured(b, bare(b))
		}
	})
	for _, k := range keepers {
		b.Run(k.name, func(b *testing.B) {
			for b.Loop() {
				measured(b, replicated(b, k.keep))
			}
		})
	}
}

// measured has guesses committed by submit.
func measured(b *testing.B, submit func(command []byte) error) {
	var n atomic.Uint64
	one := func() {
		c := &guess.Command{Kind: guess.Guess, Account: "drill.bench"}
		must(rand.Read(c.Attempt[:]))
		if err := submit(must(c.Encode())); err != nil {
			b.Error(err)
		}
		n.Add(1)
	}
	var all []time.Duration
	for range 400 {
		began := time.Now()
		one()
		all = append(all, time.Since(began))
	}
	quantiles(b, all)
	n.Store(0)
	began := time.Now()
	var clients sync.WaitGroup
	for range 64 {
		clients.Go(func() {
			for time.Since(began) < 4*time.Second && !b.Failed() {
				one()
			}
		})
	}
	clients.Wait()
	b.ReportMetric(float64(n.Load())/time.Since(began).Seconds(), "guesses/s-of-64")
}

const election = time.Second

// replicated is a fleet of three in this process.
func replicated(b *testing.B, keep func(testing.TB) anchor.Keeper) func([]byte) error {
	var founders []replica.Member
	var ks []anchor.Keeper
	var ts []*raft.InmemTransport
	for i := range 3 {
		ks = append(ks, keep(b))
		a := must(anchor.Begin(ks[i], fleet, rand.Reader))
		m := replica.Member{Name: fmt.Sprint("node-", i), Incarnation: a.Incarnation, Address: fmt.Sprint("at-", i)}
		_, t := raft.NewInmemTransportWithTimeout(raft.ServerAddress(m.Address), 10*election)
		founders, ts = append(founders, m), append(ts, t)
	}
	connect(ts)
	var rs []*replica.Replica
	for i, m := range founders {
		r, err := replica.Open(replica.Config{Dir: b.TempDir(), Name: m.Name, Fleet: fleet, Keeper: ks[i], Transport: ts[i], Founders: founders, Majority: len(founders)/2 + 1, Timeout: election})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = r.Close() })
		rs = append(rs, r)
	}
	var leader *replica.Replica
	await.Until(b, "a node leads", func() bool {
		i := slices.IndexFunc(rs, func(r *replica.Replica) bool { return r.Status().Leads })
		if i >= 0 {
			leader = rs[i]
		}
		return i >= 0
	})
	return func(command []byte) error {
		_, err := leader.Submit(context.Background(), command)
		return err
	}
}

func connect(ts []*raft.InmemTransport) {
	for _, a := range ts {
		for _, o := range ts {
			if a != o {
				a.Connect(o.LocalAddr(), o)
			}
		}
	}
}

// plain is the fleet's log as Raft's own store: nothing is anchored.
type plain struct{ *chain.Log }

func (p plain) FirstIndex() (uint64, error) { return min(p.Base().Index+1, p.Last().Index), nil }
func (p plain) LastIndex() (uint64, error)  { return p.Last().Index, nil }
func (p plain) StoreLog(l *raft.Log) error  { return p.StoreLogs([]*raft.Log{l}) }

func (p plain) GetLog(index uint64, to *raft.Log) error {
	e, ok := p.Entry(index)
	if !ok {
		return raft.ErrLogNotFound
	}
	*to = raft.Log{Index: e.Index, Term: e.Term, Type: raft.LogType(e.Type), Data: e.Data, Extensions: e.Extra}
	return nil
}

func (p plain) StoreLogs(logs []*raft.Log) error {
	var list []*chain.Entry
	for _, l := range logs {
		list = append(list, &chain.Entry{Index: l.Index, Term: l.Term, Type: uint8(l.Type), Data: l.Data, Extra: l.Extensions})
	}
	return p.Append(list...)
}

func (p plain) DeleteRange(first, _ uint64) error { return p.Cut(first - 1) }

// counts is the least that a state machine does.
type counts struct{ n int }

func (c *counts) Apply(*raft.Log) any                 { c.n++; return c.n }
func (c *counts) Snapshot() (raft.FSMSnapshot, error) { return nil, io.ErrUnexpectedEOF }
func (c *counts) Restore(io.ReadCloser) error         { return io.ErrUnexpectedEOF }

// bare is Raft as it comes, on the same log.
func bare(b *testing.B) func([]byte) error {
	var servers raft.Configuration
	var ts []*raft.InmemTransport
	for i := range 3 {
		at, t := raft.NewInmemTransportWithTimeout(raft.ServerAddress(fmt.Sprint("at-", i)), 10*election)
		servers.Servers = append(servers.Servers, raft.Server{ID: raft.ServerID(at), Address: at})
		ts = append(ts, t)
	}
	connect(ts)
	var rs []*raft.Raft
	for i, s := range servers.Servers {
		log := must(chain.Open(filepath.Join(b.TempDir(), "log")))
		c := raft.DefaultConfig()
		c.LocalID, c.LogOutput = s.ID, io.Discard
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout, c.CommitTimeout = election, election, election/2, 5*time.Millisecond
		c.SnapshotThreshold = 1 << 30
		r, err := raft.NewRaft(c, &counts{}, plain{log}, raft.NewInmemStore(), raft.NewInmemSnapshotStore(), ts[i])
		if err != nil {
			b.Fatal(err)
		}
		if err := r.BootstrapCluster(servers).Error(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = r.Shutdown().Error(); _ = log.Close() })
		rs = append(rs, r)
	}
	var leader *raft.Raft
	await.Until(b, "a node leads", func() bool {
		i := slices.IndexFunc(rs, func(r *raft.Raft) bool { return r.State() == raft.Leader && r.VerifyLeader().Error() == nil })
		if i >= 0 {
			leader = rs[i]
		}
		return i >= 0
	})
	return func(command []byte) error { return leader.Apply(command, 10*time.Second).Error() }
}
