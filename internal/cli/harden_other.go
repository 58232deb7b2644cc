//go:build !linux

package cli

// hardenProcess does nothing: these systems write no cores by default.
func hardenProcess() {}
