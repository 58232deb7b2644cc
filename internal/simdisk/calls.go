package simdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/fleetctl/fleetctl/internal/durable"
)

func sorted(m map[string]*node) []string { return slices.Sorted(maps.Keys(m)) }

// find gives the node of a path; nil where there is none.
func (d *Disk) find(path string) *node {
	n := d.top
	rest := strings.Trim(strings.TrimPrefix(filepath.Clean(path), d.root), string(filepath.Separator))
	if rest == "" {
		return n
	}
	for name := range strings.SplitSeq(rest, string(filepath.Separator)) {
		if n = n.entries[name]; n == nil {
			return nil
		}
	}
	return n
}

// place gives the folder that a path stands in, and its name there.
func (d *Disk) place(path string) (*node, string, error) {
	dir := d.find(filepath.Dir(filepath.Clean(path)))
	if dir == nil {
		return nil, "", syscall.ENOENT
	}
	if !dir.mode.IsDir() {
		return nil, "", syscall.ENOTDIR
	}
	return dir, filepath.Base(path), nil
}

// enter changes entries: readers see it at once.
func (d *Disk) enter(list ...entry) {
	for _, e := range list {
		if e.to == nil {
			delete(e.dir.entries, e.name)
		} else {
			e.dir.entries[e.name] = e.to
		}
	}
	c := change(list)
	d.pending = append(d.pending, &c)
}

func wrong(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// OpenFile opens a file or, to be read, a folder.
func (d *Disk) OpenFile(path string, flag int, mode fs.FileMode) (durable.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(path)
	writes := flag&(os.O_WRONLY|os.O_RDWR) != 0
	switch {
	case d.dead:
		return nil, wrong("open", path, errDead)
	case n == nil && flag&os.O_CREATE == 0:
		return nil, wrong("open", path, syscall.ENOENT)
	case n != nil && flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, wrong("open", path, syscall.EEXIST)
	case n != nil && n.mode.IsDir() && writes:
		return nil, wrong("open", path, syscall.EISDIR)
	case n == nil:
		dir, name, err := d.place(path)
		if err != nil {
			return nil, wrong("open", path, err)
		}
		if err := d.alter(Create, path); err != nil {
			return nil, err
		}
		n = &node{mode: mode}
		d.enter(entry{dir, name, n})
	case flag&os.O_TRUNC != 0 && len(n.data) > 0:
		if err := d.alter(Truncate, path); err != nil {
			return nil, err
		}
		n.do(write{size: true})
	}
	return &handle{d: d, n: n, path: path, life: d.life, writes: writes, appends: flag&os.O_APPEND != 0}, nil
}

// OpenUnnamed opens a file that has no name yet.
func (d *Disk) OpenUnnamed(dir string, mode fs.FileMode) (durable.Unnamed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.find(dir); n == nil || !n.mode.IsDir() || d.dead {
		return nil, wrong("open", dir, syscall.ENOENT)
	}
	path := filepath.Join(dir, "(no name)")
	if err := d.alter(Create, path); err != nil {
		return nil, err
	}
	return &handle{d: d, n: &node{mode: mode}, path: path, life: d.life, writes: true}, nil
}

// Stat is Lstat: there are no links.
func (d *Disk) Stat(path string) (fs.FileInfo, error) { return d.Lstat(path) }

// Lstat says what is there.
func (d *Disk) Lstat(path string) (fs.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(path)
	if n == nil || d.dead {
		return nil, wrong("lstat", path, syscall.ENOENT)
	}
	return n.info(filepath.Base(path)), nil
}

// ReadDir lists a folder by names.
func (d *Disk) ReadDir(path string) ([]fs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(path)
	switch {
	case n == nil || d.dead:
		return nil, wrong("open", path, syscall.ENOENT)
	case !n.mode.IsDir():
		return nil, wrong("readdir", path, syscall.ENOTDIR)
	}
	return n.list(), nil
}

func (n *node) list() []fs.DirEntry {
	var list []fs.DirEntry
	for _, name := range sorted(n.entries) {
		list = append(list, fs.FileInfoToDirEntry(n.entries[name].info(name)))
	}
	return list
}

// Mkdir makes a folder.
func (d *Disk) Mkdir(path string, mode fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, name, err := d.place(path)
	if err == nil && d.find(path) != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return wrong("mkdir", path, err)
	}
	if err := d.alter(Mkdir, path); err != nil {
		return err
	}
	n := folder()
	n.mode = fs.ModeDir | mode
	d.enter(entry{dir, name, n})
	return nil
}

// Remove removes a file, or a folder that is empty.
func (d *Disk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, name, err := d.place(path)
	n := d.find(path)
	switch {
	case err != nil:
	case n == nil:
		err = syscall.ENOENT
	case len(n.entries) > 0:
		err = syscall.ENOTEMPTY
	}
	if err != nil {
		return wrong("remove", path, err)
	}
	if err := d.alter(Remove, path); err != nil {
		return err
	}
	d.enter(entry{dir, name, nil})
	return nil
}

// Rename gives a file another name, in the place of what has it.
func (d *Disk) Rename(from, to string) error {
	return d.give(Rename, from, to)
}

// Link gives a file one more name.
func (d *Disk) Link(from, to string) error {
	return d.give(Link, from, to)
}

func (d *Disk) give(kind Kind, from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(from)
	there, name, err := d.place(to)
	switch {
	case n == nil:
		err = syscall.ENOENT
	case err != nil:
	case kind == Link && d.find(to) != nil:
		err = syscall.EEXIST
	case n.mode.IsDir():
		err = errors.ErrUnsupported // no code of ours moves folders
	}
	if err != nil {
		return wrong(string(kind), to, err)
	}
	if err := d.alter(kind, to); err != nil {
		return err
	}
	list := []entry{{there, name, n}}
	if kind == Rename {
		here, old, _ := d.place(from)
		list = append(list, entry{here, old, nil})
	}
	d.enter(list...)
	return nil
}

// SyncDir makes a folder's entries durable.
func (d *Disk) SyncDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(path)
	if n == nil {
		return wrong("open", path, syscall.ENOENT)
	}
	if err := d.alter(SyncDir, path); err != nil {
		return err
	}
	if !d.left(SyncDir, path) {
		d.commit(n)
	}
	return nil
}

// left says that a sync is left out.
func (d *Disk) left(kind Kind, path string) bool {
	return d.Leave != nil && d.Leave(Call{d.calls, kind, strings.TrimPrefix(path, d.root+string(filepath.Separator))})
}

// Lock locks a file. Nobody waits here: processes run one after the other, and
// one that waits for itself would do so for ever.
func (d *Disk) Lock(path string, _ bool) (func(), error) {
	f, err := d.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	f.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locks[path] {
		return nil, fmt.Errorf("%s %w", path, durable.ErrLocked)
	}
	d.locks[path] = true
	life := d.life
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.life == life {
			delete(d.locks, path)
		}
	}, nil
}
