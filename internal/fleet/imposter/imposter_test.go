package imposter

import (
	"bytes"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add((&Said{name: []byte("\x05hsm-1"), Bundle: []byte(`{"a": "b"}`), Proof: []byte("proof\n\n— log x\n— w y\n"), more: []byte{0}}).frame()[4:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parse(body)
		if (s == nil) == (err == nil) {
			t.Fatalf("%v with error %v", s, err)
		}
		if err == nil && !bytes.Equal(s.frame()[4:], body) {
			t.Fatalf("%x is said again as %x", body, s.frame())
		}
	})
}

func TestWhatANodeSaidIsChangedInOnePlaceAlone(t *testing.T) {
	s := &Said{name: []byte("\x05hsm-1"), Bundle: []byte(`{"a": "b"}`), Proof: []byte("head\n\n— log x\n— witness y\n"), more: []byte{0}}
	if got := s.Tampered(); string(got.Bundle) != `{"a": "c"}` || !bytes.Equal(got.Proof, s.Proof) || string(s.Bundle) != `{"a": "b"}` {
		t.Errorf("tampered: %q", got.Bundle)
	}
	if got := s.Unwitnessed(); string(got.Proof) != "head\n\n— log x\n" || !bytes.Equal(got.Bundle, s.Bundle) {
		t.Errorf("unwitnessed: %q", got.Proof)
	}
}
