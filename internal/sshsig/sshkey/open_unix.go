//go:build unix

package sshkey

import (
	"os"
	"syscall"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// open opens the file first and judges what it has opened, so that it can't be
// exchanged in between. It doesn't wait for a pipe's other end.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := judge(f, path); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func judge(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return strict.Errorf(path, "is not a regular file, so it can't be a private key")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return strict.Errorf(path, "is a private key that others can read or change (mode %04o)", mode).
			WithHint("chmod 600 %s; and take another key if somebody may have read it", path)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (st.Uid != 0 && int(st.Uid) != os.Geteuid()) {
		return strict.Errorf(path, "belongs to another user").WithHint("sign with a key of your own")
	}
	return nil
}
