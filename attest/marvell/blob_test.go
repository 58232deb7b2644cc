package marvell

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/devicecert/certtest"
)

// Lengths and offsets that would lead outside, or leave bytes unread, are refused
// before anything is read by them.
func TestABlobsLengthsFitExactly(t *testing.T) {
	whole := pair(t, certtest.EC(t, "key"))
	whole.wrap = bytes.Clone
	good := whole.bytes(t)
	if _, err := parseBlob(good); err != nil {
		t.Fatal(err)
	}
	// resized says that n bytes are attested, of a blob that is so much longer or shorter.
	resized := func(n, by int) []byte {
		b := append(bytes.Clone(good), make([]byte, max(by, 0))...)
		b = b[:len(good)+by]
		binary.BigEndian.PutUint32(b[8:], uint32(len(b)))
		binary.BigEndian.PutUint32(b[12:], uint32(n))
		return b
	}
	size := int(binary.BigEndian.Uint32(good[12:]))
	second := int(binary.BigEndian.Uint16(good[38:]))
	gap := append(append(bytes.Clone(good[:32+second]), 0), good[32+second:]...)
	binary.BigEndian.PutUint32(gap[8:], uint32(len(gap)))
	binary.BigEndian.PutUint32(gap[12:], uint32(size+1))
	binary.BigEndian.PutUint16(gap[38:], uint16(second+1))
	short := func(n int, info []byte) []byte {
		b := append(be(nil, 0, 3, uint32(24+n+sigLen), uint32(n), 0, 8), info...)
		return append(b, make([]byte, 24+n+sigLen-len(b))...)
	}
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"too many bytes":                  {make([]byte, maxPacked+1), "at most 65536 are read"},
		"no room for the handles":         {resized(size+16, 0), "which leaves 16 for itself"},
		"room for half a handle":          {resized(size+4, 0), "which leaves 28 for itself"},
		"room for three handles":          {resized(size-8, 0), "which leaves 40 for itself"},
		"no room for the objects' places": {short(4, nil), "the header says that 4 bytes are attested"},
		"a gap between the objects":       {gap, "object 1: 1 bytes stand behind its attributes"},
		"no room for an object":           {short(12, []byte{0, 1, 0, 3, 0, 8, 0, 0}), "object 1: its header is cut off"},
		"an old one without its header":   {make([]byte, headerLen+sigLen), "it is too short"},
		"an old one without its object":   {make([]byte, oldHeader+4+sigLen), "its header is cut off"},
	} {
		if _, err := parseBlob(c.raw); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestOnlyAPartitionsRSAKeyOf2048BitsSigns(t *testing.T) {
	b, err := parseBlob(file(t, "ec.dat"))
	if err != nil {
		t.Fatal(err)
	}
	onCurve, err := x509.ParseCertificate(ownerRoot(t, "owner root"))
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*x509.Certificate{onCurve, {PublicKey: long.Public()}} {
		if _, err := b.verify(c); err == nil || !strings.Contains(err.Error(), "isn't RSA of 2048 bits") {
			t.Error(err)
		}
	}
}
