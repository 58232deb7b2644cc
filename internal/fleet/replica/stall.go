package replica

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// stall knows since when a node waits for its disk or its HSM.
type stall struct {
	most  time.Duration
	since atomic.Int64 // 0: it doesn't
}

func (s *stall) begin() { s.since.Store(time.Now().UnixNano()) }
func (s *stall) end()   { s.since.Store(0) }

// too says that it waits for too long.
func (s *stall) too() bool {
	since := s.since.Load()
	return since != 0 && time.Since(time.Unix(0, since)) > s.most
}

// gate is a transport over which a leader that can't write sends nothing. Raft sends
// heartbeats beside the loop that writes: a leader whose HSM hangs would be taken for
// one that leads, and nobody would be elected in its place.
type gate struct {
	raft.Transport
	stall *stall
}

var errStalled = errors.New("this node waits for its disk or its HSM, and doesn't lead as long as it does")

// AppendEntries sends entries, or a heartbeat.
func (g *gate) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if g.stall.too() {
		return errStalled
	}
	return g.Transport.AppendEntries(id, to, args, resp)
}

// AppendEntriesPipeline is the way on which a leader sends entries, and empty ones in
// between.
func (g *gate) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	if g.stall.too() {
		return nil, errStalled
	}
	p, err := g.Transport.AppendEntriesPipeline(id, to)
	if err != nil {
		return nil, err
	}
	return &gatedPipeline{p, g.stall}, nil
}

type gatedPipeline struct {
	raft.AppendPipeline
	stall *stall
}

func (p *gatedPipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if p.stall.too() {
		return nil, errStalled
	}
	return p.AppendPipeline.AppendEntries(args, resp)
}

// RequestPreVote asks whether a node would be voted for.
func (g *gate) RequestPreVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	pre, ok := g.Transport.(raft.WithPreVote)
	if !ok {
		return errors.New("the transport has no pre-votes")
	}
	return pre.RequestPreVote(id, to, args, resp)
}

// Close closes the transport.
func (g *gate) Close() error {
	if c, ok := g.Transport.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
