package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
)

// What was seen is the same key, message and signature to the byte: a change of any
// is verified, and refused each time.
func TestASignatureThatWasSeenIsKnownByEveryByte(t *testing.T) {
	seed := sha256.Sum256([]byte("seen"))
	private := ed25519.NewKeyFromSeed(seed[:])
	key, message := []byte(private.Public().(ed25519.PublicKey)), []byte("a message")
	signature := ed25519.Sign(private, message)
	seen := &Seen{}
	for range 2 {
		if err := seen.VerifyEd25519(key, message, signature); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen.sums) != 1 {
		t.Errorf("%d signatures are remembered", len(seen.sums))
	}
	// That it isn't verified again shows where the verification would refuse.
	if err := seen.once(key, "", message, signature, func() error { t.Error("it is verified again"); return nil }); err != nil {
		t.Error(err)
	}
	other := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	flip := func(b []byte, i int) []byte {
		c := bytes.Clone(b)
		c[i] ^= 1
		return c
	}
	for range 2 {
		if seen.VerifyEd25519(other, message, signature) == nil {
			t.Error("under another key it is known")
		}
		for i := range message {
			if seen.VerifyEd25519(key, flip(message, i), signature) == nil {
				t.Errorf("with byte %d of the message changed it is known", i)
			}
		}
		for i := range signature {
			if seen.VerifyEd25519(key, message, flip(signature, i)) == nil {
				t.Errorf("with byte %d of the signature changed it is known", i)
			}
		}
		// A byte that goes over from one part to the next.
		if seen.VerifyEd25519(key, append(bytes.Clone(message), signature[0]), signature[1:]) == nil {
			t.Error("parts that run into each other are known")
		}
	}
	if len(seen.sums) != 1 {
		t.Errorf("%d signatures are remembered, and one verified", len(seen.sums))
	}
	if (*Seen)(nil).VerifyEd25519(key, message, flip(signature, 0)) == nil {
		t.Error("nobody remembers, and it passes")
	}
}
