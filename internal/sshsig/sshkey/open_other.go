//go:build !unix

package sshkey

import (
	"os"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Who can read a file can't be told from its mode here.
func open(path string) (*os.File, error) {
	return nil, strict.Errorf(path, "who can read a key file can't be checked on this system").
		WithHint("sign with: ssh-keygen -Y sign -n <namespace> -f %s <file>", path)
}
