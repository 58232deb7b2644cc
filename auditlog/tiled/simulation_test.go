//go:build unix

package tiled

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// simulated is a log that lives on a disk that forgets, with its guard, its index
// and its witnessed checkpoint. In Tessera's place stands what writes the same files
// in the same order: Tessera itself is killed in TestTorture.
type simulated struct {
	disk  *simdisk.Disk
	dir   string
	heads []*auditlog.Checkpoint // all that the key has signed
	at    [][]Position           // of each batch, as whoever added it was told
	kept  uint64                 // the size that was kept as witnessed
	begun bool
	steps []string
	hits  int
}

var batches = [][]string{{"a: 1", "b: 1"}, {"c: 1", "a: 2"}, {"d: 1+x"}, {"e: 1", "f: 1", "g: 1", "h: 1"}, {"x: 1", "i: 1"}, {"b: 3"}}

func newSimulated(t testing.TB, seed uint64) *simulated {
	d := simdisk.New(t, seed)
	return &simulated{disk: d, dir: d.Path("log")}
}

// signer remembers every head, since what was signed can't be called back.
func (s *simulated) signer() (note.Signer, error) {
	return NewSigner(testOrigin, testPub, func(msg []byte) ([]byte, error) {
		c, err := auditlog.ParseTreeHead("signed", msg)
		s.heads = append(s.heads, c)
		return ed25519.Sign(testKey, msg), err
	})
}

// live does batch after batch, each until it is done, as people do who are told
// that it failed.
func (s *simulated) live(vkey string) error {
	for range 60 {
		err := s.disk.Run(func() error { return s.next(vkey) })
		synctest.Wait() // what the process had under way is over
		if err == nil && len(s.at) == len(batches) {
			return s.end()
		}
		if err != nil {
			s.steps = append(s.steps, err.Error())
		}
	}
	return errors.New("it never comes to an end")
}

func (s *simulated) next(vkey string) error {
	if !s.begun {
		// As the refusal says, where nothing was ever added.
		if err := errors.Join(durable.RemoveAll(s.dir), durable.RemoveAll(s.dir+".guard")); err != nil {
			return err
		}
		err := Init(s.dir, vkey, testOptions)
		s.begun = err == nil
		return err
	}
	signer, err := s.signer()
	if err != nil {
		return err
	}
	l, err := Open(s.dir, signer, testOptions)
	if err != nil {
		return err
	}
	l.integrate = func(_ context.Context, leaves [][]byte, _ uint64) ([]uint64, error) { return standIn(l, leaves) }
	at, err := l.Append(context.Background(), byteSlices(batches[len(s.at)])...)
	if err != nil {
		return err
	}
	c, err := l.Checkpoint()
	if err != nil {
		return err
	}
	if err := l.Keep(context.Background(), testOptions, c, true); err != nil {
		return err
	}
	s.at, s.kept = append(s.at, at), c.Size
	return nil
}

// standIn writes a tree of up to 256 entries as Tessera does: the entries, their
// tile, its own state, and once that is there the checkpoint.
func standIn(l *Log, leaves [][]byte) (added []uint64, err error) {
	synctest.Wait() // the index is written meanwhile: first, so that a seed is always the same
	state, err := l.tree.state()
	if err != nil {
		return nil, err
	}
	if state == nil {
		state = emptyHead(testOrigin)
	}
	var all [][]byte
	if state.Size > 0 {
		b, err := l.tree.bundle(context.Background(), 0, state.Size)
		if err != nil {
			return nil, err
		}
		all = b.Entries[:state.Size]
	}
	for i, leaf := range leaves {
		all, added = append(all, leaf), append(added, state.Size+uint64(i))
	}
	head := &auditlog.Checkpoint{Origin: testOrigin, Size: uint64(len(all))}
	var entries, hashes []byte
	var stored hashReader
	for i, leaf := range all {
		entries = append(binary.BigEndian.AppendUint16(entries, uint16(len(leaf))), leaf...)
		h := tlog.RecordHash(leaf)
		hashes = append(hashes, h[:]...)
		more, err := tlog.StoredHashes(int64(i), leaf, stored)
		if err != nil {
			return nil, err
		}
		stored = append(stored, more...)
	}
	if head.Root, err = tlog.TreeHash(int64(head.Size), stored); err != nil {
		return nil, err
	}
	put := func(path string, data []byte) {
		path = filepath.Join(l.tree.files.Root, path)
		if err == nil {
			err = errors.Join(durable.MkdirAll(filepath.Dir(path), 0o755), durable.Replace(path, data, 0o644))
		}
	}
	if len(leaves) > 0 {
		put(layout.EntriesPath(0, uint8(head.Size)), entries)
		put(layout.TilePath(0, 0, uint8(head.Size)), hashes)
		put(".state/treeState", fmt.Appendf(nil, `{"size":%d,"root":%q}`, head.Size, base64.StdEncoding.EncodeToString(head.Root[:])))
	}
	if err != nil {
		return nil, err
	}
	g := l.guardedSigner()
	defer g.close()
	signed, err := note.Sign(&note.Note{Text: head.Text()}, g)
	put(layout.CheckpointPath, signed)
	return added, err
}

// end is after a power cut, when all is done: what people were told is so, and the
// key has signed one history.
func (s *simulated) end() error {
	s.disk.Fault = nil
	s.disk.Cut()
	r, err := OpenReader(s.dir)
	if err != nil {
		return err
	}
	c, err := r.Checkpoint()
	if err != nil {
		return err
	}
	var stored hashReader
	roots := map[uint64][32]byte{0: emptyHead(testOrigin).Root}
	for i := range c.Size {
		leaf, err := r.Entry(context.Background(), i)
		if err != nil {
			return fmt.Errorf("lost: entry %d: %w", i, err)
		}
		more, err := tlog.StoredHashes(int64(i), leaf, stored)
		if err != nil {
			return err
		}
		stored = append(stored, more...)
		if roots[i+1], err = tlog.TreeHash(int64(i)+1, stored); err != nil {
			return err
		}
	}
	for _, h := range s.heads {
		if root, ok := roots[h.Size]; !ok || root != h.Root {
			return fmt.Errorf("fork: the key signed a tree of size %d that the log of size %d doesn't continue", h.Size, c.Size)
		}
	}
	if w, err := r.Witnessed(); err != nil || w == nil || w.Size < s.kept {
		return fmt.Errorf("lost: the witnessed checkpoint of size %d: %+v, %w", s.kept, w, err)
	}
	return s.again()
}

// again adds everything once more: each is found where it was.
func (s *simulated) again() error {
	told := s.at
	for i, batch := range batches {
		signer, err := s.signer()
		if err != nil {
			return err
		}
		l, err := Open(s.dir, signer, testOptions)
		if err != nil {
			return err
		}
		l.integrate = func(context.Context, [][]byte, uint64) ([]uint64, error) { return nil, errors.New("an entry was lost") }
		at, err := l.Append(context.Background(), byteSlices(batch)...)
		if err != nil {
			return err
		}
		for n, p := range at {
			if p.Index != told[i][n].Index {
				return fmt.Errorf("%q was entry %d, and is %d now", batch[n], told[i][n].Index, p.Index)
			}
		}
	}
	return nil
}

// A log outlives a fault at every call of its guard, its index and what it keeps:
// no entry is lost or added twice, and its key never signs two histories.
// FLEETCTL_FAULT, as a failure prints it, sees one life again.
func TestALogOutlivesAFaultAtEveryCall(t *testing.T) {
	vkey := testVKey(t)
	var base *simulated
	synctest.Test(t, func(t *testing.T) {
		base = newSimulated(t, 1)
		if err := base.live(vkey); err != nil {
			t.Fatalf("without any fault: %v: %q", err, base.steps)
		}
	})
	step := 3
	switch only := os.Getenv("FLEETCTL_FAULT"); {
	case only != "" || os.Getenv("FLEETCTL_FULL") == "1":
		step = 1
	case testing.Short() || await.RaceDetector:
		step = 60
	}
	all, lives, resumed, hits := 0, 0, 0, 0
	for _, c := range base.disk.Trace {
		for _, fault := range simdisk.Faults {
			if !fault.Hits(c) {
				continue
			}
			all++
			name := fmt.Sprintf("%d %v", c.N, fault)
			// Where a guard's head was in memory alone, the log was lost once.
			found := c.Path == "log.guard/guard" && fault == simdisk.SyncDropped
			if only := os.Getenv("FLEETCTL_FAULT"); all%step > 0 && !found || only != "" && only != name {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				s := newSimulated(t, uint64(c.N))
				s.disk.Fault = func(at simdisk.Call) simdisk.Fault {
					if at.N == c.N {
						s.hits++
						return fault
					}
					return simdisk.None
				}
				if err := s.live(vkey); err != nil {
					t.Errorf("%v: %v\nafter %s\nto see it again: FLEETCTL_FAULT=%q go test ./auditlog/tiled -run %s", c, err, strings.Join(s.steps, "\n      "), name, t.Name())
				}
				lives, resumed, hits = lives+1, resumed+len(s.steps), hits+s.hits
			})
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d of %d single faults: %d lives of %d calls that change something or more; %d hit by a fault, %d states gone on with; 0 lost, 0 forks", lives, all, lives, base.disk.Calls(), hits, resumed)
}

// A sync that the log leaves out must be noticed, or the simulation shows nothing.
func TestASyncThatTheLogLeavesOutIsNoticed(t *testing.T) {
	vkey := testVKey(t)
	for _, c := range []struct {
		kind simdisk.Kind
		path string
	}{{simdisk.Sync, "log.guard/guard"}, {simdisk.Sync, "log/(no name)"}, {simdisk.SyncDir, "log"}, {simdisk.SyncDir, "log.guard"}} {
		leave := func(at simdisk.Call) bool { return at.Kind == c.kind && at.Path == c.path }
		noticed := error(nil)
		for seed := uint64(1); seed < 400 && noticed == nil; seed++ {
			synctest.Test(t, func(t *testing.T) {
				s := newSimulated(t, seed)
				s.disk.Leave = leave
				s.disk.Fault = func(at simdisk.Call) simdisk.Fault {
					return map[bool]simdisk.Fault{true: simdisk.Cut}[at.N == int(seed)]
				}
				noticed = s.live(vkey)
			})
		}
		if noticed == nil {
			t.Errorf("nobody noticed that %q of %s is left out", c.kind, c.path)
		} else {
			t.Logf("%s of %s is left out: %v", c.kind, c.path, noticed)
		}
	}
}
