package ui

import (
	"bytes"
	"io"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// PINFromFile reads a PIN from a file that nobody but its owner can read. The
// caller overwrites it with clear as soon as it has been used. No error ever
// shows anything of the file's content.
func PINFromFile(path string) ([]byte, error) {
	f, err := openPIN(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readPIN(f, path)
}

// readPIN takes one line: its newline may be missing, nothing may follow it.
func readPIN(r io.Reader, name string) ([]byte, error) {
	buf := make([]byte, maxPIN+3) // the PIN, its newline, and one byte too many
	n, err := io.ReadFull(r, buf)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		clear(buf)
		return nil, err
	}
	pin := bytes.TrimSuffix(buf[:n], []byte("\n"))
	pin = bytes.TrimSuffix(pin, []byte("\r"))
	fault := ""
	switch {
	case len(pin) == 0:
		fault = "holds no PIN"
	case len(pin) > maxPIN:
		fault = "is longer than a PIN can be, 255 bytes"
	case bytes.ContainsRune(pin, '\n'):
		fault = "has more than one line; it must hold the PIN and nothing else"
	case hasControl(pin):
		fault = "holds a control character; no PIN does"
	}
	if fault != "" {
		clear(buf)
		return nil, strict.Errorf(name, "%s", fault)
	}
	return pin, nil
}
