package replica_test

import (
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// life is a node's disk and HSM as one process sees them. Once the process is killed,
// no goroutine of it changes anything any more: each ends where it next tries to.
type life struct {
	disk *simdisk.Disk
	root string // where it is mounted

	mu   sync.Mutex
	dead bool
	over chan struct{} // closed by its death
	// at says whether the process dies at a step; within: in the middle of a write.
	at func(step string) (dies, within bool)
	// slow is waited for before every sync.
	slow func()
}

// born mounts a disk for a new process. It stays mounted when the test ends: what is
// left of killed processes must never reach the computer's own disk.
func born(t testing.TB, disk *simdisk.Disk) *life {
	l := &life{disk: disk, root: filepath.Join(t.TempDir(), "disk"), over: make(chan struct{})}
	durable.Mount(l.root, l)
	return l
}

// step is called before everything that a process changes, with what that is: "sync
// log". It doesn't return to a process that is dead.
func (l *life) step(what, path string) (within bool) {
	name := ""
	if path != "" {
		name = filepath.Base(path)
	}
	if strings.HasPrefix(name, "snapshot-") {
		name = "snapshot"
	}
	l.mu.Lock()
	if !l.dead && l.at != nil {
		dies, half := l.at(strings.TrimSpace(what + " " + name))
		if dies && half && what == "write" {
			l.mu.Unlock()
			return true
		}
		if dies {
			l.end()
		}
	}
	dead, slow := l.dead, l.slow
	l.mu.Unlock()
	if dead {
		runtime.Goexit()
	}
	if slow != nil && what == "sync" {
		slow()
	}
	return false
}

func (l *life) end() {
	if !l.dead {
		l.dead = true
		close(l.over)
	}
}

// kill ends the process, wherever it is.
func (l *life) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}

func (l *life) set(at func(string) (bool, bool), slow func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.slow = at, slow
}

// on is a path on the disk.
func (l *life) on(path string) string { return l.disk.Path(strings.TrimPrefix(path, l.root)) }

func (l *life) OpenFile(path string, flag int, mode fs.FileMode) (durable.File, error) {
	l.step("open", path)
	f, err := l.disk.OpenFile(l.on(path), flag, mode)
	if err != nil {
		return nil, err
	}
	return &file{f, l, path}, nil
}

func (l *life) OpenUnnamed(string, fs.FileMode) (durable.Unnamed, error) {
	return nil, fs.ErrInvalid // no file of a node's is made so
}

func (l *life) Stat(path string) (fs.FileInfo, error)      { return l.disk.Stat(l.on(path)) }
func (l *life) Lstat(path string) (fs.FileInfo, error)     { return l.disk.Lstat(l.on(path)) }
func (l *life) ReadDir(path string) ([]fs.DirEntry, error) { return l.disk.ReadDir(l.on(path)) }
func (l *life) Link(from, to string) error                 { return fs.ErrInvalid }
func (l *life) Lock(path string, _ bool) (func(), error)   { return func() {}, nil }

func (l *life) Mkdir(path string, mode fs.FileMode) error {
	l.step("mkdir", path)
	return l.disk.Mkdir(l.on(path), mode)
}

func (l *life) Remove(path string) error {
	l.step("remove", path)
	return l.disk.Remove(l.on(path))
}

func (l *life) Rename(from, to string) error {
	l.step("rename", to)
	return l.disk.Rename(l.on(from), l.on(to))
}

func (l *life) SyncDir(path string) error {
	l.step("sync", "folder")
	return l.disk.SyncDir(l.on(path))
}

type file struct {
	durable.File
	l    *life
	path string
}

func (f *file) Write(p []byte) (int, error) {
	if f.l.step("write", f.path) {
		f.File.Write(p[:len(p)/2])
		f.l.kill()
		runtime.Goexit()
	}
	return f.File.Write(p)
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	if f.l.step("write", f.path) {
		f.File.WriteAt(p[:len(p)/2], at)
		f.l.kill()
		runtime.Goexit()
	}
	return f.File.WriteAt(p, at)
}

func (f *file) Sync() error {
	f.l.step("sync", f.path)
	return f.File.Sync()
}

func (f *file) Truncate(size int64) error {
	f.l.step("truncate", f.path)
	return f.File.Truncate(size)
}

// hsm is a keeper as a life's process sees it.
type hsm struct {
	*anchor.Memory
	l *life
}

func (h hsm) Write(data []byte) error {
	h.l.step("anchor", "")
	err := h.Memory.Write(data)
	h.l.step("anchored", "")
	return err
}
