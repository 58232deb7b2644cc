package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestAFirstFrameThatIsNotOneIsRefused(t *testing.T) {
	good := must((&greeting{"hsm-1", Answer{[]byte("bundle"), []byte("proof")}, false}).encode())
	if g, err := readGreeting(bytes.NewReader(good)); err != nil || g.node != "hsm-1" || string(g.Bundle) != "bundle" || string(g.Proof) != "proof" {
		t.Fatalf("what is good is read as %+v: %v", g, err)
	}
	if g, err := readGreeting(bytes.NewReader(must((&greeting{"hsm-1", Answer{[]byte("bundle"), []byte("proof")}, true}).encode()))); err != nil || !g.signs {
		t.Fatalf("a node that signs is read as %+v: %v", g, err)
	}
	for i := 4; i < len(good); i++ { // of every length but its own
		if _, err := parseGreeting(good[4:i]); err == nil {
			t.Errorf("%d bytes of %d are read", i-4, len(good)-4)
		}
	}
	name := append([]byte{5}, "hsm-1"...)
	for what, c := range map[string]struct {
		frame []byte
		text  string
	}{
		"too long":              {binary.BigEndian.AppendUint32(nil, maxAnswer+1), "at most"},
		"a byte too many":       {framed(append(bytes.Clone(good[4:]), 0)), "1 bytes too many"},
		"two signatures":        {framed(append(bytes.Clone(good[4:len(good)-1]), 2)), "newer fleetctl"},
		"no name":               {framed(append([]byte{0}, good[10:]...)), "is empty"},
		"a name that is none":   {framed(append([]byte{5}, append([]byte("hsm 1"), good[10:]...)...)), "allowed are"},
		"an empty bundle":       {framed(append(bytes.Clone(name), framed(nil)...)), "a bundle of 0 bytes"},
		"a bundle too large":    {framed(append(bytes.Clone(name), binary.BigEndian.AppendUint32(nil, bundle.MaxBundle+1)...)), "a bundle of 65536 bytes"},
		"a proof too large":     {framed(append(append(bytes.Clone(name), framed([]byte("b"))...), binary.BigEndian.AppendUint32(nil, maxProof+1)...)), "a proof of 65537 bytes"},
		"nothing after a count": {framed(append(bytes.Clone(name), 0, 0, 0, 9, 'x')), "inside its bundle"},
	} {
		_, err := readGreeting(bytes.NewReader(c.frame))
		var r *bundle.Refusal
		if !errors.As(err, &r) || r.Reason != ReasonAnswer || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v; it should say %q", what, err, c.text)
		}
	}
	for what, g := range map[string]*greeting{
		"no bundle": {"hsm-1", Answer{nil, []byte("p")}, false}, "no proof": {"hsm-1", Answer{[]byte("b"), nil}, false}, "no name": {"", Answer{[]byte("b"), []byte("p")}, false},
		"a long name":  {strings.Repeat("a", 129), Answer{[]byte("b"), []byte("p")}, false},
		"a long proof": {"a", Answer{[]byte("b"), make([]byte, maxProof+1)}, false}, "a long bundle": {"a", Answer{make([]byte, bundle.MaxBundle+1), []byte("p")}, false},
	} {
		if _, err := g.encode(); err == nil {
			t.Errorf("a first frame with %s is written", what)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(must((&greeting{"hsm-1", Answer{[]byte("bundle"), []byte("proof")}, false}).encode()))
	f.Add(must((&greeting{"hsm-1", Answer{[]byte("bundle"), []byte("proof")}, true}).encode()))
	f.Add(framed([]byte{5}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		g, err := readGreeting(r)
		if err != nil {
			return
		}
		again, err := g.encode()
		if err != nil || !bytes.Equal(again, data[:len(data)-r.Len()]) {
			t.Errorf("what was read is written otherwise: %v", err)
		}
	})
}

func FuzzSigned(f *testing.F) {
	f.Add((&signed{"session-pq", make([]byte, keys.MLDSA44.MaxSignature())}).encode())
	f.Add((&signed{"s", make([]byte, keys.MLDSA87.MaxSignature())}).encode())
	f.Add(framed([]byte{5}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		s, err := readSigned(r)
		if err != nil {
			return
		}
		if !bytes.Equal(s.encode(), data[:len(data)-r.Len()]) {
			t.Error("what was read is written otherwise")
		}
	})
}
