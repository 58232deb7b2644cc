//go:build linux || darwin

package engine

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// heldPIN keeps a PIN for a second try, in memory that isn't written to swap.
type heldPIN struct{ page, secret []byte }

// hold moves a PIN into such memory, and wipes the slice that it was in.
func hold(pin []byte) (*heldPIN, error) {
	defer clear(pin)
	if len(pin) > os.Getpagesize() {
		return nil, fmt.Errorf("a PIN of %d bytes can't be held", len(pin))
	}
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("memory for the PIN: %w", err)
	}
	if err := unix.Mlock(page); err != nil {
		_ = unix.Munmap(page) // the first error says more
		return nil, fmt.Errorf("the PIN can't be kept out of swap: %w (ulimit -l says how much may be)", err)
	}
	return &heldPIN{page, page[:copy(page, pin)]}, nil
}

// wipe clears the PIN and frees its memory.
func (h *heldPIN) wipe() {
	clear(h.page)
	_ = unix.Munmap(h.page) // it is cleared
	h.page, h.secret = nil, nil
}
