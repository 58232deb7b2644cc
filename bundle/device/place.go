package device

import (
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Place keeps one small text: a device's state, or the guard of one. [File] is a
// file. An app has its guard in the system's secure storage, which backups don't
// hold, by a Place of its own.
type Place interface {
	// Name is for errors.
	Name() string
	// Read gives what was written last; an error that is fs.ErrNotExist where
	// nothing ever was.
	Read() ([]byte, error)
	// Write puts a new text in the place of the old one. Once it returns without an
	// error, the text is there whatever happens; until then, and after an error, the
	// old one or the new one is there as a whole.
	Write(text []byte) error
	// Lock waits until nobody else has the place, other processes included.
	Lock() (unlock func(), err error)
}

// File is a place in the file system. Beside it stands its lock, FILE.lock.
func File(path string) Place { return file(path) }

type file string

// mostKept bounds what is read of a file; the readers' own limits are below.
const mostKept = maxState + 1

func (f file) Name() string { return string(f) }

func (f file) Read() ([]byte, error) {
	if err := f.isFile(); err != nil {
		return nil, err
	}
	r, err := durable.Open(string(f))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, mostKept))
}

// isFile refuses a link: what is replaced as a whole would leave the file behind
// it as it was, and a file of two names has two locks.
func (f file) isFile() error {
	info, err := durable.Lstat(string(f))
	if err == nil && !info.Mode().IsRegular() {
		what := "no regular file"
		if info.Mode()&fs.ModeSymlink != 0 {
			what = "a symbolic link"
		}
		return strict.Errorf(string(f), "is %s; a device's state and its guard are files, each by its one name", what)
	}
	return nil
}

func (f file) Write(text []byte) error {
	if err := f.isFile(); err != nil {
		return err
	}
	return durable.Replace(string(f), text, 0o600)
}

// lockOf is the name of a file's lock.
func lockOf(path string) string { return path + ".lock" }

// together says of two files that they are one, whatever paths lead there, or that
// one is the other's lock: whoever has locked the one would wait for itself.
func together(a, b Place) bool {
	x, isFile := a.(file)
	y, too := b.(file)
	if !isFile || !too {
		return false
	}
	same := func(look func(string) (fs.FileInfo, error), p, q string) bool {
		i, err := look(p)
		j, err2 := look(q)
		return err == nil && err2 == nil && durable.SameFile(i, j)
	}
	if same(durable.Lstat, string(x), string(y)) { // a link is refused where it is read
		return true
	}
	if !same(durable.Stat, filepath.Dir(string(x)), filepath.Dir(string(y))) {
		return false
	}
	// Where a folder doesn't tell large letters from small ones, these are one name too.
	i, j := filepath.Base(string(x)), filepath.Base(string(y))
	return strings.EqualFold(i, j) || strings.EqualFold(lockOf(i), j) || strings.EqualFold(i, lockOf(j))
}

func (f file) Lock() (unlock func(), err error) {
	if unlock, err = durable.Hold(lockOf(string(f))); err != nil {
		return nil, err
	}
	// What a killed process left half written, nobody else is writing now.
	if err := durable.Temp(filepath.Dir(string(f))).Sweep(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}
