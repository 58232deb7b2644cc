//go:build unix

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestAFaultOfTheDiskIsKnownThroughWhateverIsAroundIt(t *testing.T) {
	for _, code := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO} {
		err := fmt.Errorf("closing: %w", errors.Join(errors.New("other"), &os.PathError{Op: "write", Path: "f", Err: code}))
		if !DiskFault(err) {
			t.Errorf("%v is no fault of the disk", err)
		}
	}
	for _, err := range []error{nil, fs.ErrNotExist, syscall.ENOENT, syscall.EACCES, syscall.EEXIST, syscall.ENOTDIR, errors.New("no space left on device")} {
		if DiskFault(err) {
			t.Errorf("%v is a fault of the disk", err)
		}
	}
}
