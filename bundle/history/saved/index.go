package saved

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// Line is where a statement stands in a file of lines.
type Line struct {
	Epoch uint64
	At    int64
	Len   int // without its line feed
}

// Index finds a namespace's statements in a file of lines.
type Index struct {
	Lines []Line // by epoch, then by place; an epoch that was rewritten has several
	Size  int64  // of whole lines; what follows was cut off by a crash
}

// errHole is a line with zero bytes: a power cut left what was written later, and not
// this, so that none of it had been synced.
var errHole = errors.New("has zero bytes")

// ReadIndex reads a file of lines. A file that doesn't exist has no lines.
func ReadIndex(name, namespace string) (*Index, error) {
	x := &Index{}
	info, err := durable.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return x, nil
	}
	if err != nil {
		return nil, err
	}
	err = eachLine(name, func(at uint64, line []byte) error {
		end := int64(at) + int64(len(line))
		if bytes.IndexByte(line, 0) >= 0 {
			return errHole
		}
		if end >= info.Size() { // no line feed follows
			return nil
		}
		x.Size = end + 1
		s, err := bundle.ParseServed(name, line)
		if err != nil {
			return err
		}
		if s.Namespace == namespace {
			x.Lines = append(x.Lines, Line{s.Epoch, int64(at), len(line)})
		}
		return nil
	})
	if err != nil && err != errHole {
		return nil, err
	}
	slices.SortStableFunc(x.Lines, func(a, b Line) int { return cmp.Compare(a.Epoch, b.Epoch) })
	return x, nil
}

// Newest is the newest epoch, 0 if there is none.
func (x *Index) Newest() uint64 {
	if len(x.Lines) == 0 {
		return 0
	}
	return x.Lines[len(x.Lines)-1].Epoch
}

// Epochs are the epochs, each once, in their order.
func (x *Index) Epochs() []uint64 {
	list := make([]uint64, len(x.Lines))
	for i, l := range x.Lines {
		list[i] = l.Epoch
	}
	return slices.Compact(list)
}

// Of gives the lines about one epoch.
func (x *Index) Of(epoch uint64) []Line {
	from, _ := slices.BinarySearchFunc(x.Lines, epoch, func(l Line, e uint64) int { return cmp.Compare(l.Epoch, e) })
	to := from
	for to < len(x.Lines) && x.Lines[to].Epoch == epoch {
		to++
	}
	return x.Lines[from:to]
}
