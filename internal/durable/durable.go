// Package durable writes files so that they are there after a power cut, or
// were never there at all.
//
// What makes a write durable here: the data is written to a temporary file,
// fsync(2) on it, then link(2) or rename(2) to its name, then fsync on the
// directory. What remains open: a disk that confirms a flush it didn't make.
//
// A process that is killed in between leaves its temporary file. So that such a
// file is never taken for one that somebody published, it has no name at all
// where the system has files without names, and otherwise stands in a folder
// for temporary files; see [Temp].
package durable

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Temp is the folder for temporary files of somebody who writes: nothing in it
// is published, and it is on the file system of what is written. It is made
// where it is needed. The empty Temp is the folder of the file that is written,
// for single results that a person asked for.
type Temp string

// Create is [Temp.Create] of the empty Temp.
func Create(path string, data []byte, mode fs.FileMode) error {
	return Temp("").Create(path, data, mode)
}

// CreateSame is [Temp.CreateSame] of the empty Temp.
func CreateSame(path string, data []byte, mode fs.FileMode) error {
	return Temp("").CreateSame(path, data, mode)
}

// Replace is [Temp.Replace] of the empty Temp.
func Replace(path string, data []byte, mode fs.FileMode) error {
	return Temp("").Replace(path, data, mode)
}

// Create writes a new file and refuses to touch one that exists. The mode is
// the most that is allowed: the umask takes from it, as everywhere.
func (t Temp) Create(path string, data []byte, mode fs.FileMode) error {
	done, err := createUnnamed(path, data, mode)
	if !done {
		err = t.createNamed(path, data, mode)
	}
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// CreateSame is Create of a file that may be there with the same content: whoever
// wrote it may have been killed before its name was durable.
func (t Temp) CreateSame(path string, data []byte, mode fs.FileMode) error {
	err := t.Create(path, data, mode)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if have, rerr := ReadFile(path); rerr != nil || !bytes.Equal(have, data) {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// createNamed is Create with a temporary file that has a name.
func (t Temp) createNamed(path string, data []byte, mode fs.FileMode) error {
	err := t.place(path, data, mode, at(path).Link)
	switch {
	case errors.Is(err, fs.ErrExist):
		return existed(path)
	case errors.Is(err, errNotPlaced) && !DiskFault(err):
		// The sticks that cross an air gap have file systems without links.
		return createInPlace(path, data, mode)
	}
	return err
}

// createUnnamed is Create with a file that has no name until it is whole, so
// that nothing is left of one that isn't. done is false where the file system
// has no such files.
func createUnnamed(path string, data []byte, mode fs.FileMode) (done bool, err error) {
	f, err := at(path).OpenUnnamed(filepath.Dir(path), mode)
	if err != nil {
		return false, nil // the way with a name says what is wrong
	}
	defer f.Close()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return true, named(err, path)
	}
	err = f.LinkTo(path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return true, existed(path)
	case err != nil:
		return false, nil // without /proc it can't get a name
	}
	return true, nil
}

func existed(path string) error {
	return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
}

// createInPlace is Create without a link: a power cut can leave it half
// written, but never another's file overwritten.
func createInPlace(path string, data []byte, mode fs.FileMode) error {
	f, err := OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err := fill(f, data); err != nil {
		Remove(path)
		return err
	}
	return nil
}

// Replace writes a file in one step: readers and a power cut leave either the
// old content or the new.
func (t Temp) Replace(path string, data []byte, mode fs.FileMode) error {
	if err := t.place(path, data, mode, at(path).Rename); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Append adds to the end of a file that is there. Unlike Replace it is not done
// in one step: a power cut can leave a part of data at the end, and the next to
// read the file must know that by its content.
func Append(path string, data []byte) error {
	f, err := OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	return fill(f, data)
}

// mostAtOnce is more than is ever appended by AppendLines at once, in bytes.
const mostAtOnce = 4 << 20

// AppendLines adds whole lines, durably, to a file that is made where it isn't there. It
// has whole lines alone then, whatever happens: what an earlier process left there that
// was cut off is cut off, or made durable where it is whole. That is for a writer
// who writes again what it wasn't told was written.
func AppendLines(path string, lines []byte, mode fs.FileMode) error {
	f, err := OpenFile(path, os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	whole := data
	if hole := bytes.IndexByte(whole, 0); hole >= 0 {
		whole = whole[:hole] // a power cut left what came later, and not this
	}
	whole = whole[:bytes.LastIndexByte(whole, '\n')+1]
	if len(whole) < len(data) {
		if err := Truncate(path, int64(len(whole))); err != nil {
			return err
		}
	}
	if err := SettleFrom(path, max(0, int64(len(whole))-mostAtOnce)); err != nil {
		return err
	}
	return Append(path, lines)
}

// Settle makes durable what an earlier process left of a file whose lines are
// appended, and its name. One that was killed before its sync, or whose sync
// failed, leaves a line that is there for readers and not on the disk. Since
// Linux takes data that it could not write for written, the last lines, as many as
// are appended at once, are written once more: the same bytes in the same place,
// which a power cut doesn't change.
func Settle(path string, lines int) error {
	data, err := ReadFile(path)
	if err != nil {
		return err
	}
	last := len(data)
	for range lines {
		last = bytes.LastIndexByte(data[:max(0, last-1)], '\n') + 1
	}
	return SettleFrom(path, int64(last))
}

// SettleFrom is Settle of a file of which the bytes from there on may not be on the
// disk.
func SettleFrom(path string, at int64) error {
	f, err := OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	part := make([]byte, 1<<20)
	for err == nil {
		var n int
		if n, err = f.ReadAt(part, at); n > 0 && (err == nil || err == io.EOF) {
			if _, werr := f.WriteAt(part[:n], at); werr != nil {
				err = werr
			}
		}
		at += int64(n)
	}
	if err == io.EOF {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncFile makes durable what an earlier process left of a file, but for what the
// disk refused it; it can be called beside whoever writes the file.
func SyncFile(path string) error {
	f, err := OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Truncate cuts a file off behind so many bytes.
func Truncate(path string, size int64) error {
	f, err := OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

var errNotPlaced = errors.New("the temporary file could not be linked")

// place fills a temporary file and gives it its name. Somebody else's sweep may
// take it away in between: then it is written once more.
func (t Temp) place(path string, data []byte, mode fs.FileMode, give func(from, to string) error) error {
	for tries := 1; ; tries++ {
		tmp, err := t.write(path, data, mode)
		if err != nil {
			return err
		}
		err = give(tmp, path) // link fails where the name is taken, which rename would not
		if _, gone := Lstat(tmp); err != nil && errors.Is(gone, fs.ErrNotExist) && tries < 100 {
			continue
		}
		Remove(tmp)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return &placeError{err}
		}
		return err
	}
}

// placeError is an error of the step that gives a file its name.
type placeError struct{ err error }

func (e *placeError) Error() string        { return e.err.Error() }
func (e *placeError) Unwrap() error        { return e.err }
func (e *placeError) Is(target error) bool { return target == errNotPlaced }

// write fills a new temporary file. An error names path: what the file would
// have been called on the way there helps nobody.
func (t Temp) write(path string, data []byte, mode fs.FileMode) (string, error) {
	folder := string(t)
	if folder == "" {
		folder = filepath.Dir(path)
	} else if err := mkdirTemp(folder); err != nil {
		return "", named(err, path)
	}
	name := filepath.Join(folder, tempPrefix+rand.Text())
	f, err := OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", named(err, path)
	}
	if err := fill(f, data); err != nil {
		Remove(name)
		return "", named(err, path)
	}
	return name, nil
}

// mkdirTemp makes the folder for temporary files, and doesn't mind whether it is
// there after a power cut.
func mkdirTemp(folder string) error {
	err := at(folder).Mkdir(folder, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err = MkdirAll(filepath.Dir(folder), 0o700); err == nil {
			err = at(folder).Mkdir(folder, 0o700)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // or what has the name is no folder, and what is written there says so
	}
	return err
}

// tempPrefix begins the name of every temporary file; rand.Text follows.
const tempPrefix = ".fleetctl-"

// IsTemp says that a file of this name is a temporary one, and nothing that
// anybody may read.
func IsTemp(name string) bool {
	random, ok := strings.CutPrefix(name, tempPrefix)
	return ok && len(random) == 26 && strings.Trim(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// Sweep removes what writers that were killed have left in the folder. One that
// is at work meanwhile writes its file once more.
func (t Temp) Sweep() error {
	list, err := ReadDir(string(t))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range list {
		if !e.Type().IsRegular() || !IsTemp(e.Name()) {
			continue
		}
		if err := Remove(filepath.Join(string(t), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func named(err error, path string) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: p.Op, Path: path, Err: p.Err}
	}
	return err
}

func fill(f File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
