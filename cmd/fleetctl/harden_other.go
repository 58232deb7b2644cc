//go:build !linux

package main

// hardenProcess has nothing to do where cores are not written by default.
func hardenProcess() {}
