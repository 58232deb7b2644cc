package monitor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tile"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// maxHeld bounds how many leaf hashes are held: 512 MiB of them.
const maxHeld = 1 << 24

// held is a file with the hashes of all leaves that were walked over, 32 bytes
// each, in the log's order. A log that went back no longer serves the tree that
// it showed before. With these hashes it can still be proven that the two trees
// contradict each other.
//
// The file isn't trusted: a proof made from it has to lead to the root that the
// log signed. If it is lost, the proof can't be made; alarms are raised all the
// same.
type held struct{ f durable.File }

// hold opens the file for a pass. Only a log that is read from its start, and
// whose hashes were held without a gap so far, has one; otherwise the result is
// nil, on which all methods work and do nothing.
func (p *pass) hold(first bool, from uint64) (*held, error) {
	flag := os.O_RDWR
	if first {
		if from > 0 {
			return nil, nil
		}
		flag |= os.O_CREATE | os.O_TRUNC
	}
	f, err := durable.OpenFile(p.heldPath(), flag, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || uint64(info.Size()) < 32*min(p.s.Size, maxHeld) {
		return nil, errors.Join(err, f.Close())
	}
	return &held{f}, nil
}

func (p *pass) heldPath() string { return filepath.Join(p.o.State, "hashes") }

// put keeps the hashes of the leaves from the entry at on.
func (h *held) put(at uint64, hashes [][32]byte) error {
	if h == nil || at >= maxHeld {
		return nil
	}
	hashes = hashes[:min(uint64(len(hashes)), maxHeld-at)]
	data := make([]byte, 0, 32*len(hashes))
	for _, x := range hashes {
		data = append(data, x[:]...)
	}
	_, err := h.f.WriteAt(data, int64(32*at))
	return err
}

// sync makes the hashes durable, and the file's name in its folder.
func (h *held) sync(dir string) error {
	if h == nil {
		return nil
	}
	if err := h.f.Sync(); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

func (h *held) close() {
	if h != nil {
		h.f.Close()
	}
}

// row gives hashes of one level of tiles.
func (h *held) row(level, at, n uint64) ([][32]byte, error) {
	list := make([][32]byte, n)
	if level == 0 {
		data := make([]byte, 32*n)
		if _, err := h.f.ReadAt(data, int64(32*at)); err != nil {
			return nil, err
		}
		for i := range list {
			list[i] = [32]byte(data[32*i:])
		}
		return list, nil
	}
	for i := range list {
		below, err := h.row(level-1, (at+uint64(i))*width, width)
		if err != nil {
			return nil, err
		}
		list[i] = tile.Root(below)
	}
	return list, nil
}

// tile gives the tile that follows from the hashes.
func (h *held) tile(_ context.Context, level, index uint64, n int) ([][32]byte, error) {
	if level > 2 || index >= maxHeld/width { // of a tree that is larger than what is held
		return nil, fs.ErrNotExist
	}
	return h.row(level, index*width, uint64(n))
}

// proveHeld makes the proof from the held hashes, if the larger tree is the one
// that was walked over, and says whether it proves the split.
func (p *pass) proveHeld(s *auditlog.SplitView) bool {
	if s.Larger.Size != p.s.Size {
		return false
	}
	f, err := durable.Open(p.heldPath())
	if err != nil {
		return false
	}
	defer f.Close()
	root, hashes, err := rootAt(p.ctx, (&held{f}).tile, s.Smaller.Size, s.Larger.Size)
	if err != nil {
		return false
	}
	proven := &auditlog.SplitView{Smaller: s.Smaller, Larger: s.Larger, Root: root, Hashes: hashes}
	if p.log.verifySplit(proven) != nil {
		return false
	}
	*s = *proven
	return true
}
