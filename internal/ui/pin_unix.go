//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package ui

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/term"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// openPIN opens the file first and judges what it has opened, so that it
// can't be exchanged in between. It doesn't wait for a pipe's other end.
func openPIN(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := judgePIN(f, path); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func judgePIN(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return strict.Errorf(path, "is not a regular file, so it can't be a PIN file")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return strict.Errorf(path, "can be read or changed by others (mode %04o)", mode).
			WithHint("chmod 600 %s; and change the PIN if somebody may have read it", path)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (st.Uid != 0 && int(st.Uid) != os.Geteuid()) {
		return strict.Errorf(path, "belongs to another user")
	}
	return nil
}

// PINFromFD reads a PIN from a file descriptor that the caller's caller left
// open, and closes it: fleetctl … --pin fd:3 3<pipe. Once read it is gone.
func PINFromFD(n int) ([]byte, error) {
	name := fmt.Sprintf("file descriptor %d", n)
	if n < 0 || n == 1 || n == 2 {
		return nil, strict.Errorf(name, "is not one to read a PIN from")
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(n, &st); err != nil {
		return nil, strict.Errorf(name, "is not open")
	}
	if term.IsTerminal(n) {
		return nil, strict.Errorf(name, "is a terminal, which would show the PIN")
	}
	f := os.NewFile(uintptr(n), name)
	defer f.Close()
	return readPIN(f, name)
}
