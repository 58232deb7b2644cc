package fetch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/bundle/history/saved"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// If the past is longer, a run asks again for the newest epochs, which an auditor
// would gain most by rewriting, and for a few others at random, so that the auditor
// can't know which.
const (
	neighbours = 10
	sample     = 20
)

// again asks once more for epochs that were saved, and appends each statement that
// differs from the saved ones.
func (c *Client) again(ctx context.Context, f *appender, x *saved.Index, o Options, a *history.Again) error {
	served := slices.DeleteFunc(x.Epochs(), func(e uint64) bool { return e > a.Newest })
	list, err := c.choose(served, o.All)
	if err != nil {
		return err
	}
	for i, epoch := range list {
		line, err := c.statement(ctx, epoch)
		switch {
		case errors.Is(err, ErrNone):
			a.Gone = append(a.Gone, epoch)
		case err != nil:
			return err
		default:
			known, err := isKnown(f, x.Of(epoch), line)
			if err != nil {
				return err
			}
			if known {
				break
			}
			a.Rewritten = append(a.Rewritten, epoch)
			if err := f.add(line); err != nil {
				return err
			}
		}
		a.Asked++
		o.tell(int64(i+1), int64(len(list)))
	}
	return f.Sync()
}

// choose picks the epochs that are asked for again, in order.
func (c *Client) choose(epochs []uint64, all bool) ([]uint64, error) {
	if all || len(epochs) <= neighbours+sample {
		return epochs, nil
	}
	if c.Random == nil {
		return nil, errors.New("there is no source of randomness, so the auditor would know which epochs are asked for again")
	}
	rest := epochs[:len(epochs)-neighbours]
	chosen := map[uint64]bool{}
	for len(chosen) < sample {
		var b [8]byte
		if _, err := io.ReadFull(c.Random, b[:]); err != nil {
			return nil, fmt.Errorf("choosing which epochs are asked for again: %w", err)
		}
		chosen[rest[binary.BigEndian.Uint64(b[:])%uint64(len(rest))]] = true
	}
	list := slices.Clone(epochs[len(rest):])
	for e := range chosen {
		list = append(list, e)
	}
	slices.Sort(list)
	return list, nil
}

// isKnown says whether an answer is one of the statements that were saved for its
// epoch. It compares their fields, which may stand in another order.
func isKnown(f durable.File, lines []saved.Line, answer []byte) (bool, error) {
	now, err := bundle.ParseServed("answer", answer)
	if err != nil {
		return false, err
	}
	for _, l := range lines {
		data := make([]byte, l.Len)
		if _, err := f.ReadAt(data, l.At); err != nil {
			return false, err
		}
		then, err := bundle.ParseServed(f.Name(), data)
		if err != nil {
			return false, err
		}
		if then.Ciphersuite == now.Ciphersuite && then.Timestamp == now.Timestamp && then.Digest == now.Digest && then.Signature == now.Signature {
			return true, nil
		}
	}
	return false, nil
}
