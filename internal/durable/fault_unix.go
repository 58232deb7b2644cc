//go:build unix

package durable

import "syscall"

var diskFaults = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EFBIG, syscall.ENXIO, syscall.ENODEV}
