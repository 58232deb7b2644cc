package sshsig

import (
	"bytes"
	"testing"
)

// What a blob says and what its key says of itself are the same bytes.
func FuzzParseBlob(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"))
	f.Fuzz(func(t *testing.T, blob []byte) {
		k, err := ParseBlob(blob)
		if err != nil {
			if k != nil {
				t.Fatal("a key came with the error")
			}
			return
		}
		again, err := ParsePublicKey(k.String())
		if err != nil || !bytes.Equal(k.Blob(), blob) || !k.Equal(again) {
			t.Fatalf("reads back as %v, %v", again, err)
		}
	})
}
