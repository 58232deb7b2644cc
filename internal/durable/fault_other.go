//go:build !unix && !windows

package durable

// DiskFault knows no system's errors here.
func DiskFault(error) bool { return false }
