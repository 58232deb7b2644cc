package ui

import (
	"os"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Who can read a file can't be told from its mode on Windows, and ceremonies
// aren't run there: a PIN is typed or not given.

func openPIN(path string) (*os.File, error) {
	return nil, strict.Errorf(path, "PIN files can't be checked on Windows; type the PIN")
}

// PINFromFD is for Unix.
func PINFromFD(int) ([]byte, error) {
	return nil, strict.Errorf("", "file descriptors can't be passed on Windows; type the PIN")
}
