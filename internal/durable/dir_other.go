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
func (computer) SyncDir(string) error { return nil }

// Lock is by the file's mere existence: after a crash it has to be removed by
// hand. Who waits does so a few seconds at most.
func (c computer) Lock(path string, wait bool) (unlock func(), err error) {
	tries := 1
	if wait {
		tries = 200
	}
	for range tries {
		var f *os.File
		f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			f.Close()
			return func() { os.Remove(path) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		err = fmt.Errorf("%s %w (after a crash: remove this file)", path, ErrLocked)
		if wait {
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil, err
}
