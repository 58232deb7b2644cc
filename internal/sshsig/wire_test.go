package sshsig

import (
	"bytes"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestReaderStopsAtTheFirstFault(t *testing.T) {
	r := &reader{rest: []byte{0, 0, 0, 2, 'a', 'b', 0xff, 0xff, 0xff, 0xff, 'c'}}
	if s := r.text("name"); s != "ab" || r.err != nil {
		t.Fatalf("%q, %v", s, r.err)
	}
	if b := r.string("blob"); b != nil {
		t.Errorf("a string beyond the end: %q", b)
	}
	const want = "ends within its blob"
	if r.byte("flags") != 0 || r.uint32("counter") != 0 || r.text("x") != "" || r.mpint("R").Sign() != 0 {
		t.Error("something was read after a fault")
	}
	if err := r.done(); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	for n := range 4 {
		if r := (&reader{rest: make([]byte, n)}); r.uint32("n") != 0 || r.err == nil {
			t.Errorf("a number of %d bytes", n)
		}
	}
}

func TestNamesArePrintable(t *testing.T) {
	for s, want := range map[string]string{
		"fleetctl-plan": "", "a b": "", "~": "", strings.Repeat("a", 255): "",
		"":                       "is empty",
		strings.Repeat("a", 256): "is longer than 255 bytes",
		"a\x00":                  "has the byte 0x00; printable ASCII is allowed",
		"\x1b[2J":                "has the byte 0x1b; printable ASCII is allowed",
		"é":                      "has the byte 0xc3; printable ASCII is allowed",
		"\x7f":                   "has the byte 0x7f; printable ASCII is allowed",
	} {
		if got := fmt.Sprint(checkText(s)); got != want && (want != "" || got != "<nil>") {
			t.Errorf("%q: %s, want %q", s, got, want)
		}
	}
}

// Each number has the one spelling that x/crypto/ssh gives it.
func TestNumbersHaveOneSpelling(t *testing.T) {
	for _, n := range []int64{1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 1 << 62} {
		b := ssh.Marshal(struct{ N *big.Int }{big.NewInt(n)})
		r := &reader{rest: b}
		if got := r.mpint("N"); r.done() != nil || got.Int64() != n {
			t.Errorf("%d reads as %v, %v", n, got, r.err)
		}
	}
	for want, b := range map[string][]byte{
		"has zero as its N":                     {},
		"has a negative number as its N":        {0x80},
		"has a needless zero byte before its N": {0, 0x7f},
	} {
		r := &reader{rest: appendString(nil, b)}
		r.mpint("N")
		if r.err == nil || r.err.Error() != want {
			t.Errorf("%x: %v, want %s", b, r.err, want)
		}
	}
	r := &reader{rest: appendString(nil, []byte{0})}
	if r.mpint("N"); r.err == nil {
		t.Error("zero as a zero byte is taken")
	}
}

func TestArmorIsSSHKeygens(t *testing.T) {
	for n := range 300 {
		blob := bytes.Repeat([]byte{7}, n)
		a := armor(blob)
		back, err := dearmor(a)
		if err != nil || !bytes.Equal(back, blob) {
			t.Fatalf("%d bytes: %x, %v", n, back, err)
		}
		lines := strings.Split(strings.TrimSuffix(string(a), "\n"), "\n")
		for i, l := range lines[1 : len(lines)-1] {
			if len(l) > 70 || len(l) == 0 || len(l) < 70 && i < len(lines)-3 {
				t.Fatalf("%d bytes: line %d has %d", n, i, len(l))
			}
		}
	}
}
