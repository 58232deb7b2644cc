package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// System is what holds files. Every file that the program changes is changed
// through one, and so is every file read that an interruption could have left:
// see [Mount].
type System interface {
	OpenFile(path string, flag int, mode fs.FileMode) (File, error)
	// OpenUnnamed opens a new file of a folder's file system that has no name
	// yet; errors.ErrUnsupported where there are none.
	OpenUnnamed(dir string, mode fs.FileMode) (Unnamed, error)
	Stat(path string) (fs.FileInfo, error)
	Lstat(path string) (fs.FileInfo, error)
	ReadDir(path string) ([]fs.DirEntry, error)
	Mkdir(path string, mode fs.FileMode) error
	Remove(path string) error
	Rename(from, to string) error
	Link(from, to string) error
	// SyncDir makes a folder's entries durable.
	SyncDir(path string) error
	// Lock takes a file, made if need be, for the caller alone. wait is to wait for
	// whoever has it; else the error is ErrLocked.
	Lock(path string, wait bool) (unlock func(), err error)
}

// File is an open file; *os.File is one.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Seeker
	io.Closer
	ReadDir(n int) ([]fs.DirEntry, error)
	Name() string
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

// Unnamed is a file that has no name until LinkTo gives it one that is free.
type Unnamed interface {
	File
	LinkTo(path string) error
}

// ErrLocked means that another process, or another part of this one, has it.
var ErrLocked = errors.New("is in use by another process")

// mounts are the systems that tests put in the place of the computer's own; in
// the program there is none but that of Slow.
var mounts struct {
	sync.Mutex
	byRoot atomic.Pointer[map[string]System]
}

// Mount puts a system in the place of the computer's own for all that is under
// root, until unmount. It is for tests alone: they let the disk fail where no
// real one can be brought to.
func Mount(root string, s System) (unmount func()) {
	change := func(do func(map[string]System)) {
		mounts.Lock()
		defer mounts.Unlock()
		next := map[string]System{}
		if now := mounts.byRoot.Load(); now != nil {
			for r, s := range *now {
				next[r] = s
			}
		}
		if do(next); len(next) == 0 {
			mounts.byRoot.Store(nil)
			return
		}
		mounts.byRoot.Store(&next)
	}
	change(func(m map[string]System) { m[root] = s })
	return func() { change(func(m map[string]System) { delete(m, root) }) }
}

// at is the system that holds a path.
func at(path string) System {
	if m := mounts.byRoot.Load(); m != nil {
		for root, s := range *m {
			if rest, ok := strings.CutPrefix(path, root); ok && (rest == "" || rest[0] == filepath.Separator) {
				return s
			}
		}
	}
	return computer{}
}

// OpenFile is os.OpenFile, for who writes more than a whole file.
func OpenFile(path string, flag int, mode fs.FileMode) (File, error) {
	return at(path).OpenFile(path, flag, mode)
}

// Open is os.Open.
func Open(path string) (File, error) { return OpenFile(path, os.O_RDONLY, 0) }

// ReadFile is os.ReadFile.
func ReadFile(path string) ([]byte, error) {
	s := at(path)
	if s == (computer{}) {
		return os.ReadFile(path)
	}
	f, err := s.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// Stat is os.Stat.
func Stat(path string) (fs.FileInfo, error) { return at(path).Stat(path) }

// Lstat is os.Lstat.
func Lstat(path string) (fs.FileInfo, error) { return at(path).Lstat(path) }

// SameFile is os.SameFile.
func SameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) || a.Sys() != nil && a.Sys() == b.Sys()
}

// ReadDir is os.ReadDir.
func ReadDir(path string) ([]fs.DirEntry, error) { return at(path).ReadDir(path) }

// Remove is os.Remove: what it removed may be there again after a power cut,
// until SyncDir.
func Remove(path string) error { return at(path).Remove(path) }

// RemoveAll is os.RemoveAll, and no more durable than Remove.
func RemoveAll(path string) error {
	s := at(path)
	if s == (computer{}) {
		return os.RemoveAll(path)
	}
	err := s.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	list, lerr := s.ReadDir(path)
	if lerr != nil {
		return err
	}
	for _, e := range list {
		if err := RemoveAll(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	return s.Remove(path)
}

// WriteCache is os.WriteFile: a power cut can leave any part of the file, or none.
// It is for what is made again where it isn't whole.
func WriteCache(path string, data []byte, mode fs.FileMode) error {
	f, err := OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// Mkdir makes a folder, durably.
func Mkdir(path string, mode fs.FileMode) error {
	if err := at(path).Mkdir(path, mode); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(filepath.Clean(path)))
}

// MkdirAll makes a folder, and those that it is to stand in, durably. One that is
// there may be there in memory alone, since whoever made it was killed.
func MkdirAll(path string, mode fs.FileMode) error {
	if info, err := Stat(path); err == nil && info.IsDir() {
		if err := SyncDir(filepath.Dir(filepath.Clean(path))); !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil // who may not look into the folder above made nothing there
	}
	if parent := filepath.Dir(filepath.Clean(path)); parent != path && parent != "." {
		if err := MkdirAll(parent, mode); err != nil {
			return err
		}
	}
	err := Mkdir(path, mode)
	if info, serr := Stat(path); errors.Is(err, fs.ErrExist) && serr == nil && info.IsDir() {
		return nil // somebody else made it meanwhile
	}
	return err
}

// Rename is os.Rename, and no more durable than Remove.
func Rename(from, to string) error { return at(to).Rename(from, to) }

// Move gives a file that is on the disk another name, durably.
func Move(from, to string) error {
	if err := Rename(from, to); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(to), filepath.Dir(from)} {
		if err := SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// SyncDir makes a folder's entries durable, where the system can do that.
func SyncDir(dir string) error { return at(dir).SyncDir(dir) }

// Lock takes path, made if need be, for this caller alone until unlock. The
// kernel drops the lock when the process ends, however it ends; where there are
// no such locks, the file has to be removed by hand after a crash.
func Lock(path string) (unlock func(), err error) { return at(path).Lock(path, false) }

// Hold is Lock, but waits for whoever has it. It is for moments: a few files
// that have to appear together.
func Hold(path string) (unlock func(), err error) { return at(path).Lock(path, true) }
