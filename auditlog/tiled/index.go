//go:build unix

package tiled

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"path/filepath"
	"slices"
	"sync"

	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// index knows which entry was the first with a key. It consists of a few files,
// called runs. Each run has the entries that follow those of the run before, and is
// at least twice as long as the run after it, so a lookup reads a few pages of each
// of few runs.
//
// The index is a cache, which can be made again from the entries. But when it says
// that it doesn't have a key, that must be true: otherwise an artifact is logged
// twice. So the manifest, which has the SHA-256 of each run's top page, lies with
// the guard: whoever restores or alters the log's directory can damage the index
// but can't change what it says. (Readers, who may have no guard, take the runs as
// they are.) Damage is noticed when a page is read; then that run and those after
// it are thrown away and made again from the entries, whose root must be the
// tree's. Before the index says that it has a key, it looks at the entry. So a
// power cut may destroy any part of the index, and none of it needs to be synced.
// No file is replaced, because some file systems sync when one is.
type index struct {
	dir   string // of the runs
	guard string // the guard's directory; empty for a reader, who writes nothing
	tree  *tree
	keys  Keys
	manifest
	manifests []string   // names of the files there are of them
	open      []*runFile // of the runs; nil for one that wasn't needed yet

	last *api.EntryBundle // the bundle looked at last, and its number
	at   uint64

	progress func(done, total uint64) // may be nil
}

const (
	indexDir     = "index"       // in it a directory for the scheme of keys
	manifestName = "index-"      // and the tree's size, in the guard's directory
	newName      = "new"         // of a run that is being written
	oldIndexName = "index.jsonl" // as older versions wrote it; made again as runs

	// maxKey is more than any sensible key needs.
	maxKey = 512

	// chunk is how many entries' keys are in memory at once.
	chunk = 1 << 16
)

// openIndex opens the index as far as it is there. guard is the guard's directory,
// empty for a reader.
func openIndex(r *Reader, guard string, keys Keys) *index {
	x := &index{
		dir: filepath.Join(r.dir, indexDir, keys.Scheme), guard: guard, tree: r.tree, keys: keys,
		manifest: manifest{log: r.key.String(), scheme: keys.Scheme},
	}
	x.load()
	return x
}

// load finds out of what runs the index consists.
func (x *index) load() {
	x.drop(0)
	if x.guard == "" {
		x.runs = runsIn(x.dir)
	} else {
		x.runs = x.committed()
	}
	x.open = make([]*runFile, len(x.runs))
}

// committed are the runs of the newest manifest that can be read.
func (x *index) committed() []run {
	x.manifests = manifestsIn(x.guard)
	for _, name := range x.manifests {
		path := filepath.Join(x.guard, name)
		data, err := durable.ReadFile(path)
		if err != nil {
			continue
		}
		if m, err := parseManifest(path, data); err == nil && m.log == x.log && m.scheme == x.scheme {
			return m.runs
		}
	}
	return nil
}

func (x *index) close() { x.drop(0) }

// drop forgets the runs from the i-th on.
func (x *index) drop(i int) {
	for _, f := range x.open[i:] {
		if f != nil {
			f.close()
		}
	}
	x.runs, x.open = x.runs[:i], x.open[:i]
}

// head is the tree that the runs are of.
func (x *index) head() *auditlog.Checkpoint {
	c := emptyHead(x.tree.origin)
	if n := len(x.runs); n > 0 {
		c.Size, c.Root = x.runs[n-1].end, x.runs[n-1].root
	}
	return c
}

// bind drops the runs that are not of this tree.
func (x *index) bind(ctx context.Context, tree *auditlog.Checkpoint) {
	for len(x.runs) > 0 && x.tree.continues(ctx, x.head(), tree) != nil {
		x.drop(len(x.runs) - 1)
	}
}

// run opens the i-th run.
func (x *index) run(i int) (*runFile, error) {
	if x.open[i] == nil {
		r := x.runs[i]
		f, err := openRun(filepath.Join(x.dir, r.name()), r.pages, r.top)
		if err != nil {
			return nil, err
		}
		x.open[i] = f
	}
	return x.open[i], nil
}

// keysOf gives the digests of an entry's keys.
func (x *index) keysOf(leaf []byte) ([][32]byte, error) {
	list, err := x.keys.of(leaf)
	digests := make([][32]byte, len(list))
	for i, k := range list {
		digests[i] = sha256.Sum256([]byte(k))
	}
	return digests, err
}

// find gives, for each of the keys that any entry has, the first entry with it. All
// of the tree's entries must be in the index. It looks at each entry that it gives;
// if the index turns out to be wrong, it is made again from the entries.
func (x *index) find(ctx context.Context, tree *auditlog.Checkpoint, keys [][32]byte) (map[[32]byte]uint64, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	keys = slices.Compact(keys)
	var err error
	for range 3 {
		if err = x.catchUp(ctx, tree); err == nil {
			var found map[[32]byte]uint64
			if found, err = x.look(keys); err == nil {
				if err = x.confirm(ctx, found); err == nil {
					return found, nil
				}
			}
		}
		if !isDamaged(err) {
			return nil, err
		}
	}
	return nil, strict.Errorf(x.dir, "can't be made: %v", err).
		WithHint("It is made from the log's entries and was found damaged three times in a row. Check the disk.")
}

// look asks the runs, the oldest first, for the keys; on all cores if there are
// many.
func (x *index) look(keys [][32]byte) (map[[32]byte]uint64, error) {
	found := map[[32]byte]uint64{}
	var mu sync.Mutex
	for i := range x.runs {
		f, err := x.run(i)
		if err != nil {
			x.drop(i)
			return nil, err
		}
		parallel(len(keys), func(from, to int) {
			mine := f.again()
			for _, k := range keys[from:to] {
				n, ok, ferr := mine.find(&k)
				if ferr != nil || ok {
					mu.Lock()
					if _, known := found[k]; ok && !known {
						found[k] = n
					}
					err = cmp.Or(err, ferr)
					mu.Unlock()
				}
				if ferr != nil {
					return
				}
			}
		})
		if err != nil {
			x.drop(i)
			return nil, err
		}
	}
	return found, nil
}

// findWithout looks for one key and writes nothing. It reads from the entries what
// the index can't tell, and what is newer than the index.
func (x *index) findWithout(ctx context.Context, tree *auditlog.Checkpoint, key [32]byte) (uint64, bool, error) {
	for reloaded := false; ; {
		found, err := x.look([][32]byte{key})
		if err == nil {
			err = x.confirm(ctx, found)
		}
		switch n, ok := found[key]; {
		case isDamaged(err) && !reloaded: // or a process that adds has just replaced it
			reloaded = true
			x.load()
		case isDamaged(err): // and dropped
		case ok || err != nil:
			return n, ok, err
		default:
			return x.scan(ctx, x.head().Size, tree.Size, key)
		}
	}
}

// scan reads entries until one has the key.
func (x *index) scan(ctx context.Context, from, size uint64, key [32]byte) (uint64, bool, error) {
	for n := from; n < size; {
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		b := x.read(ctx, n/layout.EntryBundleWidth, n, size)
		if b.err != nil {
			return 0, false, b.err
		}
		for _, r := range b.records {
			if r.key == key {
				return r.entry, true, nil
			}
		}
		n += uint64(len(b.hashes))
	}
	return 0, false, nil
}

// confirm looks at the entries themselves. If one doesn't have its key, the whole
// index counts as damaged and is made again. If it is the entries that are damaged,
// that shows then: they don't give the tree's root.
func (x *index) confirm(ctx context.Context, found map[[32]byte]uint64) error {
	for k, n := range found {
		leaf, err := x.entry(ctx, n)
		if err != nil {
			return err
		}
		keys, err := x.keysOf(leaf)
		if err != nil {
			return err
		}
		if !slices.Contains(keys, k) {
			x.drop(0)
			return &damaged{strict.Errorf(x.dir, "entry %d does not have the key that the index gives it", n)}
		}
	}
	return nil
}

func (x *index) entry(ctx context.Context, n uint64) ([]byte, error) {
	number := n / layout.EntryBundleWidth
	if size := x.head().Size; x.last == nil || x.at != number {
		b, err := x.tree.bundle(ctx, number, size)
		if err != nil {
			return nil, err
		}
		x.last, x.at = b, number
	}
	return x.last.Entries[n%layout.EntryBundleWidth], nil
}
