package monitor

import (
	"context"
	"math"
	"net/http"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tile"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// FromEnd begins a log's first pass at its newest checkpoint. The entries before
// it are not read.
const FromEnd = math.MaxUint64

// followed is a log as a pass sees it. A *strict.Error means that what the log says
// of itself can't be believed; a *[Broken] means that it serves something else
// than it signed; any other error comes from the network or the disk.
type followed interface {
	// newest is the log's newest checkpoint, verified. It is of the same tree
	// as last, the last one seen, which is nil in the first pass.
	newest(ctx context.Context, last *auditlog.Checkpoint) (*head, error)
	// grow walks on from the state or, if that is nil, from the entry from.
	grow(ctx context.Context, s *state, from, size uint64, w *walk) (*grown, error)
	// rootAt is the root that the tree served now has at an earlier size, with
	// the consistency proof from there to size. Neither is checked here.
	rootAt(ctx context.Context, earlier, size uint64) ([32]byte, [][32]byte, error)
	verifySplit(s *auditlog.SplitView) error
}

// head is a log's checkpoint and who cosigned it.
type head struct {
	*auditlog.Checkpoint
	*auditlog.Cosigning
	found []Finding // what else the log says of itself
}

// grown is a tree that was read to its end.
type grown struct {
	start, size uint64
	root        [32]byte
	keep        func(*state)
}

// tiles is a log of C2SP tlog-tiles: of ours, or a Rekor log of version 2.
type tiles struct {
	src    *Source
	verify func(*auditlog.Checkpoint) (*auditlog.Cosigning, error)
	split  func(*auditlog.SplitView) error
}

func (t *tiles) newest(ctx context.Context, _ *auditlog.Checkpoint) (*head, error) {
	data, err := t.src.read(ctx, tile.Checkpoint, auditlog.MaxText)
	if err != nil {
		return nil, err
	}
	c, err := auditlog.ParseCheckpoint(t.src.ref+": checkpoint", data)
	if err != nil {
		return nil, err
	}
	cosigning, err := t.verify(c)
	if err != nil {
		return nil, err
	}
	return &head{Checkpoint: c, Cosigning: cosigning}, nil
}

func (t *tiles) grow(ctx context.Context, s *state, from, size uint64, w *walk) (*grown, error) {
	w.src, w.edge = t.src, s.edge()
	if s.Checkpoint == "" && from > 0 {
		var err error
		if w.edge, err = edgeAt(ctx, t.src.tile, from, size); err != nil {
			return nil, err
		}
	}
	g := &grown{start: w.edge.size}
	if err := w.to(ctx, size); err != nil {
		return nil, err
	}
	g.size, g.root, g.keep = w.edge.size, w.edge.root(), func(s *state) { s.setEdge(w.edge) }
	return g, nil
}

func (t *tiles) rootAt(ctx context.Context, earlier, size uint64) ([32]byte, [][32]byte, error) {
	return rootAt(ctx, t.src.tile, earlier, size)
}

func (t *tiles) verifySplit(s *auditlog.SplitView) error { return t.split(s) }

// NewRekor makes a monitor of a Rekor log, at its server's URL or, in version
// 2, in a directory of its tiles. The witnesses are those of a policy, which
// may be nil. The first pass begins at the entry from, because logs that many
// people use are long: the entries before it are taken on trust.
func NewRekor(ref string, client *http.Client, log *auditlog.RekorLog, witnesses *auditlog.Policy, from uint64, judge func() Judge, o Options) (*Monitor, error) {
	verify := func(c *auditlog.Checkpoint) (*auditlog.Cosigning, error) { return log.Cosigning(c, witnesses) }
	if log.Version() == auditlog.RekorV1 {
		if err := checkURL(ref); err != nil {
			return nil, err
		}
		return newMonitor(log.Origin(), &rekorV1{base: strings.TrimRight(ref, "/"), client: sameServer(client), log: log, verify: verify}, from, judge, o)
	}
	if isURL(ref) {
		ref = strings.TrimSuffix(strings.TrimRight(ref, "/"), "/api/v2") + "/api/v2"
	}
	src, err := Open(ref, client)
	if err != nil {
		return nil, err
	}
	return newMonitor(log.Origin(), &tiles{src, verify, log.VerifySplit}, from, judge, o)
}

// beginning is where the first pass begins.
func beginning(from, size uint64) (uint64, error) {
	if from == FromEnd {
		return size, nil
	}
	if from > size {
		return 0, strict.Errorf("", "the log has %d entries, fewer than the %d after which it is to be read", size, from)
	}
	return from, nil
}
