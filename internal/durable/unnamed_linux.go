package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// createUnnamed is Create with a file that has no name until it is whole, so
// that nothing is left of one that isn't. done is false where the file system
// has no such files.
func createUnnamed(path string, data []byte, mode fs.FileMode) (done bool, err error) {
	f, err := os.OpenFile(filepath.Dir(path), os.O_WRONLY|unix.O_TMPFILE, mode)
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
	err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	switch {
	case errors.Is(err, fs.ErrExist):
		return true, existed(path)
	case err != nil:
		return false, nil // without /proc it can't get a name
	}
	return true, nil
}
