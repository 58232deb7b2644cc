//go:build unix

package tiled

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode/utf8"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Keys name what entries are about, such as namespace, epoch and digest. An
// entry may have several keys, or none. One that shares a key with an entry of
// the log is not added: [Log.Append] says where that one is, and by which key.
// So a key says either what makes two entries the same, or what there may be
// one entry of only, such as the ending of a ceremony; whoever appends compares
// the bytes and knows which it was.
type Keys struct {
	// Scheme names Of, in a token. The index is made again when it changes: so
	// it must change when Of gives other keys of the same bytes.
	Scheme string

	// Of gives the keys of an entry, the one that counts most first. It must be
	// a function of the bytes alone, and safe to be called from several
	// goroutines at once. A key is UTF-8 of 1 to 512 bytes.
	Of func(leaf []byte) []string
}

// BytesAlone makes entries the same that have the same bytes.
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

// of is Of with its promise checked.
func (k Keys) of(leaf []byte) ([]string, error) {
	list := k.Of(leaf)
	for _, s := range list {
		if s == "" || len(s) > maxKey || !utf8.ValidString(s) {
			return nil, strict.Errorf("", "a key of the entry is not UTF-8 of 1 to %d bytes", maxKey)
		}
	}
	return list, nil
}
