// Package simdisk is a file system in memory that forgets what was not synced,
// and whose every change can fail: for tests alone, which mount it in the place
// of the computer's own (see durable.Mount).
//
// It knows what is on the disk apart from what processes see. The data of a file
// and the entry by which a folder names it are two things, each synced for
// itself. When the power fails, any part of what was not synced may be on the
// disk nevertheless, in any order, and a write may be torn; what follows is drawn
// from a seed. When only the process dies, all that it did stays.
package simdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/durable"
)

// Call is a call that changes something.
type Call struct {
	N    int // counted from 1
	Kind Kind
	Path string // from the disk's root
}

func (c Call) String() string { return fmt.Sprintf("call %d: %s %s", c.N, c.Kind, c.Path) }

// Kind is a kind of call.
type Kind string

// The kinds. A Mark is no call of the disk's: see Disk.Mark.
const (
	Create   Kind = "create"
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Sync     Kind = "sync"
	SyncDir  Kind = "sync the folder"
	Mkdir    Kind = "mkdir"
	Remove   Kind = "remove"
	Rename   Kind = "rename"
	Link     Kind = "link"
	Mark     Kind = "mark"
)

// Fault is what becomes of a call.
type Fault int

// The faults. Those of the second line hit the middle of a write; at any other
// call they are as those of the first.
const (
	None Fault = iota
	Kill       // the process ends before it
	Cut        // the power fails before it
	KillTorn
	CutTorn
	EIO         // it fails; a write may have been done in part
	ENOSPC      // it fails, if it is one that needs room
	SyncDropped // a sync fails, and what was to be synced is never written
)

var faultNames = []string{"none", "kill", "power cut", "kill within", "power cut within", "EIO", "ENOSPC", "EIO that drops what was written"}

// Faults are all but None.
var Faults = []Fault{Kill, Cut, KillTorn, CutTorn, EIO, ENOSPC, SyncDropped}

// Hits says that a call can be hit by it, and not as by another fault.
func (f Fault) Hits(c Call) bool {
	switch f {
	case KillTorn, CutTorn:
		return c.Kind == Write
	case SyncDropped:
		return c.Kind == Sync
	case ENOSPC:
		return c.Kind != Sync && c.Kind != SyncDir && c.Kind != Remove && c.Kind != Mark
	case EIO:
		return c.Kind != Mark
	}
	return true
}

func (f Fault) String() string { return faultNames[f] }

// Disk is a file system.
type Disk struct {
	// Fault says what becomes of a call; nil: nothing.
	Fault func(Call) Fault
	// Leave says that a sync is left out without a word: the mistake that a
	// simulation has to find.
	Leave func(Call) bool
	// Trace are the calls, for who has to see what happened.
	Trace []Call

	root    string
	mu      sync.Mutex
	rnd     *rand.Rand
	top     *node
	pending []*change // of folders, the oldest first
	locks   map[string]bool
	life    int  // of processes: a handle of one that is dead is good for nothing
	dead    bool // the process that runs is at its end
	death   *Death
	calls   int
}

// node is a file or a folder.
type node struct {
	mode fs.FileMode
	// data is what readers see; kept is on the disk, and writes lie between.
	data, kept []byte
	writes     []write
	// entries are what readers see; settled are on the disk.
	entries, settled map[string]*node
}

// write is one that was not synced: data at a place, or a new size.
type write struct {
	at   int
	data []byte
	size bool // at is the new size
}

func (w write) apply(data []byte) []byte {
	if w.size {
		return append(data[:min(len(data), w.at):min(len(data), w.at)], make([]byte, max(0, w.at-len(data)))...)
	}
	end := w.at + len(w.data)
	out := append([]byte{}, data...)
	if len(out) < end {
		out = append(out, make([]byte, end-len(out))...)
	}
	copy(out[w.at:], w.data)
	return out
}

// change is a change of folders' entries that is on the disk as a whole or not at
// all: a rename is one, of two folders.
type change []entry

type entry struct {
	dir  *node
	name string
	to   *node // nil: removed
}

var disks atomic.Int64

// New is an empty disk, which is mounted until the test ends. The seed decides
// what is left after power cuts.
func New(t testing.TB, seed uint64) *Disk {
	d := &Disk{root: fmt.Sprintf("%csimdisk-%d", filepath.Separator, disks.Add(1)), rnd: rand.New(rand.NewPCG(seed, 2)), top: folder(), locks: map[string]bool{}}
	t.Cleanup(durable.Mount(d.root, d))
	return d
}

func folder() *node {
	return &node{mode: fs.ModeDir | 0o755, entries: map[string]*node{}, settled: map[string]*node{}}
}

// Path is a path on the disk.
func (d *Disk) Path(parts ...string) string {
	return filepath.Join(append([]string{d.root}, parts...)...)
}

// Calls is how many calls there were that change something.
func (d *Disk) Calls() int { return d.calls }

// Death is how a process ended that did not end by itself.
type Death struct {
	At    Call
	Fault Fault
}

func (e *Death) Error() string { return fmt.Sprintf("%s at %v", e.Fault, e.At) }

// Run runs a process and gives its error, a *Death where the disk's fault ended it.
// What it has locked is free then, and after a power cut what was not synced is
// lost.
func (d *Disk) Run(process func() error) error {
	d.mu.Lock()
	d.death = nil
	d.mu.Unlock()
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done) // also where the process ends itself
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		err = process()
	}()
	<-done
	d.mu.Lock()
	defer d.mu.Unlock()
	d.locks = map[string]bool{}
	d.life++
	d.dead = false
	if d.death == nil {
		return err
	}
	if d.death.Fault == Cut || d.death.Fault == CutTorn {
		d.powerCut()
	}
	return d.death
}

// Cut is a power cut while nothing runs.
func (d *Disk) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life++
	d.locks = map[string]bool{}
	d.powerCut()
}

// Mark is a call of something else that changes, a token for one: it can be hit by a
// fault as the disk's own are. Its error is the call's.
func (d *Disk) Mark(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.alter(Mark, d.Path(what))
}

var errDead = errors.New("the process is dead")

// call counts a call, with the disk locked. It doesn't return where the process
// ends here. What it says once the process is dead is for its deferred calls.
func (d *Disk) call(kind Kind, path string) (Fault, error) {
	if d.dead {
		return None, errDead
	}
	d.calls++
	c := Call{d.calls, kind, strings.TrimPrefix(strings.TrimPrefix(path, d.root), string(filepath.Separator))}
	d.Trace = append(d.Trace, c)
	fault := None
	if d.Fault != nil {
		fault = d.Fault(c)
	}
	switch fault {
	case KillTorn, CutTorn:
		if kind == Write {
			d.death = &Death{c, fault}
			return fault, nil // dies when it has written a part
		}
		fallthrough
	case Kill, Cut:
		d.death = &Death{c, fault}
		d.die()
	case ENOSPC:
		if kind == Sync || kind == SyncDir || kind == Remove || kind == Mark {
			return EIO, nil
		}
	case SyncDropped:
		if kind != Sync {
			return EIO, nil
		}
	}
	return fault, nil
}

// alter is call where a fault is an error.
func (d *Disk) alter(kind Kind, path string) error {
	fault, err := d.call(kind, path)
	if err == nil && fault != None {
		err = fault.error()
	}
	if err != nil {
		return &fs.PathError{Op: string(kind), Path: path, Err: err}
	}
	return nil
}

// die ends the process where it stands, with the disk locked: whoever locked it
// unlocks it by defer.
func (d *Disk) die() {
	d.dead = true
	runtime.Goexit()
}

func (f Fault) error() error {
	if f == ENOSPC {
		return syscall.ENOSPC
	}
	return syscall.EIO
}
