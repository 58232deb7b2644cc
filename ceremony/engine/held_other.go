//go:build !linux && !darwin

package engine

import "errors"

type heldPIN struct{ secret []byte }

// hold fails: this system has no call here that keeps memory out of swap.
func hold(pin []byte) (*heldPIN, error) {
	clear(pin)
	return nil, errors.New("the PIN can't be kept out of swap on this system: lock down from Linux or macOS")
}

func (h *heldPIN) wipe() {}
