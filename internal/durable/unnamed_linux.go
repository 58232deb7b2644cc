package durable

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

type unnamed struct{ *os.File }

func (computer) OpenUnnamed(dir string, mode fs.FileMode) (Unnamed, error) {
	f, err := os.OpenFile(dir, os.O_WRONLY|unix.O_TMPFILE, mode)
	if err != nil {
		return nil, err
	}
	return unnamed{f}, nil
}

func (f unnamed) LinkTo(path string) error {
	return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
}
