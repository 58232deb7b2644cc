//go:build unix || windows

package durable

import (
	"errors"
	"slices"
	"syscall"
)

// DiskFault says that an error is the disk's: full, over its quota, read-only,
// or broken. Whatever was given to be read or written is not to blame.
func DiskFault(err error) bool {
	var code syscall.Errno
	return errors.As(err, &code) && slices.Contains(diskFaults, code)
}
