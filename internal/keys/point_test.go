package keys

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// Two honest keys that look like DER: their seeds are the SHA-256 of 128110 and
// of 51125 as little-endian uint64.
const (
	raw041e = "041ece2a6b731ce1d24927fa80de1224f26cf76b3bf35581045ab5027d0dffcf"
	raw0420 = "0420cddbe733f6e72a35cbb356cf8aa94f14607710e9c39d86a05026c8e24fda"
)

func TestFromPointDecidesByLength(t *testing.T) {
	p256, _ := ecdsaKey(t, P256)
	p384, _ := ecdsaKey(t, P384)
	w256, _ := p256.PublicKey.Bytes()
	w384, _ := p384.PublicKey.Bytes()
	x, _ := ecdh.X25519().GenerateKey(rand.Reader)
	ed := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	der041e, der0420 := unhex(t, raw041e), unhex(t, raw0420)
	for n, want := range map[uint64][]byte{128110: der041e, 51125: der0420} {
		seed := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, n))
		if got := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey); !bytes.Equal(got, want) {
			t.Fatalf("%d gives %x", n, got)
		}
	}
	wrap := func(prefix string, b []byte) []byte { return append([]byte(prefix), b...) }
	for _, c := range []struct {
		name  string
		alg   Algorithm
		point []byte
		want  []byte // nil: refused
	}{
		{"raw", Ed25519, ed, ed},
		{"in an OCTET STRING", Ed25519, wrap("\x04\x20", ed), ed},
		{"in a BIT STRING", Ed25519, wrap("\x03\x21\x00", ed), ed},
		{"raw, like an OCTET STRING of 30", Ed25519, der041e, der041e},
		{"raw, like an OCTET STRING of 32", Ed25519, der0420, der0420},
		{"wrapped, like one twice wrapped", Ed25519, wrap("\x04\x20", der0420), der0420},
		{"twice wrapped", Ed25519, wrap("\x04\x22\x04\x20", ed), nil},
		{"with another tag", Ed25519, wrap("\x03\x20", ed), nil},
		{"with another length", Ed25519, wrap("\x04\x1f", ed), nil},
		{"with unused bits", Ed25519, wrap("\x03\x21\x01", ed), nil},
		{"with a long length", Ed25519, wrap("\x04\x81\x20", ed), nil},
		{"33 bytes", Ed25519, wrap("\x04", ed), nil},
		{"31 bytes", Ed25519, ed[1:], nil},
		{"36 bytes", Ed25519, make([]byte, 36), nil},
		{"nothing", Ed25519, nil, nil},
		{"of small order", Ed25519, wrap("\x04\x20", identity.Bytes()), nil},
		{"raw", X25519, x.PublicKey().Bytes(), x.PublicKey().Bytes()},
		{"in an OCTET STRING", X25519, wrap("\x04\x20", x.PublicKey().Bytes()), x.PublicKey().Bytes()},
		{"in a BIT STRING", X25519, wrap("\x03\x21\x00", x.PublicKey().Bytes()), x.PublicKey().Bytes()},
		{"raw", P256, w256, w256},
		{"in an OCTET STRING", P256, wrap("\x04\x41", w256), w256},
		{"in a BIT STRING", P256, wrap("\x03\x42\x00", w256), nil},
		{"without its 04", P256, w256[1:], nil},
		{"compressed", P256, append([]byte{2 + w256[64]&1}, w256[1:33]...), nil},
		{"hybrid", P256, append([]byte{6 + w256[64]&1}, w256[1:]...), nil},
		{"off the curve", P256, append(bytes.Clone(w256[:64]), w256[64]^1), nil},
		{"of zeros", P256, append([]byte{4}, make([]byte, 64)...), nil},
		{"at infinity", P256, []byte{0}, nil},
		{"of P-384", P256, w384, nil},
		{"raw", P384, w384, w384},
		{"in an OCTET STRING", P384, wrap("\x04\x61", w384), w384},
		{"off the curve", P384, append(bytes.Clone(w384[:96]), w384[96]^1), nil},
		{"a point", RSA3072, w256, nil},
		{"a point", "unknown", ed, nil},
		{"nothing", "unknown", nil, nil},
	} {
		p, err := FromPoint(c.alg, c.point)
		if (err == nil) != (c.want != nil) || (p != nil) != (c.want != nil) {
			t.Errorf("%s %s: %v", c.alg, c.name, err)
			continue
		}
		if p != nil && (!bytes.HasSuffix(p.SPKI(), c.want) || p.Algorithm() != c.alg) {
			t.Errorf("%s %s: another key", c.alg, c.name)
		}
	}
}
