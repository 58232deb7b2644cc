//go:build !linux

package cli

// hardenProcess has nothing to do where cores are not written by default.
func hardenProcess() {}
