package anchor

import (
	"errors"
	"io/fs"

	"github.com/fleetctl/fleetctl/internal/durable"
)

// File keeps an anchor in a file on the node's own disk, which is put back together
// with the disk: what a node without a fit HSM runs with. It anchors nothing, and
// whoever uses it must say so.
type File string

// Read reads the file.
func (f File) Read() ([]byte, error) {
	data, err := durable.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	return data, err
}

// Write puts another file in its place.
func (f File) Write(data []byte) error { return durable.Replace(string(f), data, 0o600) }
