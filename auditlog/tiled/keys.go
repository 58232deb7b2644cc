//go:build unix

package tiled

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode/utf8"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Keys name what entries are about, such as namespace, epoch and digest. An entry
// may have several keys, or none. An entry that shares a key with one in the log is
// not added: [Log.Append] says where the one in the log is, and which key they
// share. So a key names either what makes two entries the same or something of
// which the log may have only one entry, such as the end of a ceremony. The caller
// compares the bytes to know which it was.
type Keys struct {
	// Scheme is a token that names the function Of. It must change whenever Of
	// gives other keys for the same bytes: the index is then made again.
	Scheme string

	// Of gives the keys of an entry, the one that counts most first. It must be
	// a function of the bytes alone, and safe to be called from several
	// goroutines at once. A key is UTF-8 of 1 to 512 bytes.
	Of func(leaf []byte) []string
}

// BytesAlone takes two entries for the same only if they have the same bytes.
var BytesAlone = Keys{"sha256", func(leaf []byte) []string {
	sum := sha256.Sum256(leaf)
	return []string{"sha256 " + hex.EncodeToString(sum[:])}
}}

func (k Keys) check() error {
	if k.Of == nil {
		return strict.Errorf("", "nothing says what the keys of the log's entries are")
	}
	return strict.CheckToken(k.Scheme)
}

// of calls Of and checks the keys that it gives.
func (k Keys) of(leaf []byte) ([]string, error) {
	list := k.Of(leaf)
	for _, s := range list {
		if s == "" || len(s) > maxKey || !utf8.ValidString(s) {
			return nil, strict.Errorf("", "a key of the entry is not UTF-8 of 1 to %d bytes", maxKey)
		}
	}
	return list, nil
}
