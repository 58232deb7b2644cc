package sshkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"golang.org/x/crypto/ed25519"
)

func TestCloseOverwritesThePrivateKey(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	(&File{raw: &ed}).Close()
	if !bytes.Equal(ed, make([]byte, len(ed))) {
		t.Errorf("%x stays", ed)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	words := ec.D.Bits()
	(&File{raw: ec}).Close()
	for _, w := range words {
		if w != 0 {
			t.Errorf("%x stays", words)
		}
	}
}
