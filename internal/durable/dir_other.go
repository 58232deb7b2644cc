//go:build !unix

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// SyncDir does nothing where directories can't be synced.
func SyncDir(string) error { return nil }

// ErrLocked means that another process, or another part of this one, has it.
var ErrLocked = errors.New("is in use by another process")

// Lock takes path for this caller alone until unlock, by its mere existence:
// after a crash it has to be removed by hand.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s %w (after a crash: remove this file)", path, ErrLocked)
	}
	if err != nil {
		return nil, err
	}
	f.Close()
	return func() { os.Remove(path) }, nil
}

// Hold is Lock, but waits for whoever has it, a few seconds at most.
func Hold(path string) (unlock func(), err error) {
	for range 200 {
		if unlock, err = Lock(path); !errors.Is(err, ErrLocked) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return unlock, err
}
