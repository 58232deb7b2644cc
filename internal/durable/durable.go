// Package durable writes files so that they are there after a power cut, or
// were never there at all.
//
// What makes a write durable here: the data is written to a temporary file in
// the same directory, fsync(2) on it, then link(2) or rename(2) to its name,
// then fsync on the directory. What remains open: a disk that confirms a flush
// it didn't make.
package durable

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Create writes a new file and refuses to touch one that exists. The mode is
// the most that is allowed: the umask takes from it, as everywhere.
func Create(path string, data []byte, mode fs.FileMode) error {
	tmp, err := writeTemp(path, data, mode)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	// link fails where the name is taken, which rename would not.
	err = os.Link(tmp, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	case err != nil:
		// The sticks that cross an air gap have file systems without links.
		return createInPlace(path, data, mode)
	}
	return SyncDir(filepath.Dir(path))
}

// createInPlace is Create without a link: a power cut can leave it half
// written, but never another's file overwritten.
func createInPlace(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err := fill(f, data); err != nil {
		os.Remove(path)
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Replace writes a file in one step: readers and a power cut leave either the
// old content or the new.
func Replace(path string, data []byte, mode fs.FileMode) error {
	tmp, err := writeTemp(path, data, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// writeTemp fills a new file beside path. An error names path: what the file
// would have been called on the way there helps nobody.
func writeTemp(path string, data []byte, mode fs.FileMode) (string, error) {
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:10])
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", named(err, path)
	}
	if err := fill(f, data); err != nil {
		os.Remove(name)
		return "", named(err, path)
	}
	return name, nil
}

func named(err error, path string) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: p.Op, Path: path, Err: p.Err}
	}
	return err
}

func fill(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
