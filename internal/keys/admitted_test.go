package keys

import (
	"crypto/ed25519"
	"crypto/rand"
	"sync"
	"testing"
)

func TestOnlyGoodKeysAreRemembered(t *testing.T) {
	var bad [32]byte
	bad[0] = 1 // the identity
	for range 3 {
		if err := AdmitEd25519(bad[:]); err == nil {
			t.Fatal("a key of small order is admitted")
		}
	}
	if admitted.has(bad) {
		t.Error("a refused key is remembered as admitted")
	}
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if admitted.has([32]byte(pub)) {
		t.Error("remembered before it was admitted")
	}
	if err := AdmitEd25519(pub); err != nil || !admitted.has([32]byte(pub)) {
		t.Errorf("not remembered: %v", err)
	}
}

func TestTheMemoryOfKeysIsBounded(t *testing.T) {
	s := keySet{max: 8}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			s.add([32]byte{byte(i)})
			s.has([32]byte{byte(i)})
			s.mu.RLock()
			defer s.mu.RUnlock()
			if len(s.keys) > 8 {
				t.Errorf("%d keys", len(s.keys))
			}
		})
	}
	wg.Wait()
}

func TestAParsedKeyIsRememberedByItsEncodingAlone(t *testing.T) {
	_, p := ecdsaKey(t, P256)
	first, err := ParseSPKI(p.SPKI())
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseSPKI(p.SPKI())
	if err != nil || again != first {
		t.Errorf("parsed twice: %v", err)
	}
	other := append([]byte(nil), p.SPKI()...)
	other[len(other)-1] ^= 1 // no point of the curve
	for range 2 {
		if _, err := ParseSPKI(other); err == nil {
			t.Fatal("a key that is none is taken")
		}
	}
	if parsed.get(other) != nil {
		t.Error("a refused key is remembered")
	}
	s := publicSet{}
	for i := range 2 * maxParsed {
		s.add(&Public{spki: []byte{byte(i), byte(i >> 8)}})
	}
	if len(s.keys) > maxParsed {
		t.Errorf("%d keys are remembered", len(s.keys))
	}
}
