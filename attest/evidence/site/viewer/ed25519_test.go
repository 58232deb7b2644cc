package viewer_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"filippo.io/edwards25519"

	"github.com/fleetctl/fleetctl/internal/keys"
)

type edCase struct {
	Key       []byte `json:"key"`
	Message   []byte `json:"message"`
	Signature []byte `json:"signature"`
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func point(t *testing.T, b []byte) *edwards25519.Point {
	t.Helper()
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// smallOrder are the eight points of small order.
func smallOrder(t *testing.T) (list []*edwards25519.Point) {
	t8, p := point(t, unhex(t, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")), edwards25519.NewIdentityPoint()
	for range 8 {
		list = append(list, p)
		p = new(edwards25519.Point).Add(p, t8)
	}
	return list
}

// twice are encodings of points that have another one, and some that are of none.
func twice(t *testing.T) (list [][]byte) {
	for low := 0xe8; low <= 0xff; low++ {
		for _, high := range []byte{0x7f, 0xff} {
			list = append(list, append(append([]byte{byte(low)}, bytes.Repeat([]byte{0xff}, 30)...), high))
		}
	}
	for _, first := range []string{"00", "01", "02", "03", "04", "05", "06"} {
		list = append(list, unhex(t, first+strings.Repeat("00", 30)+"80"), unhex(t, first+strings.Repeat("00", 31)))
	}
	return append(list, unhex(t, "ec"+strings.Repeat("ff", 31)))
}

func hashed(t *testing.T, parts ...[]byte) *edwards25519.Scalar {
	t.Helper()
	sum := sha512.Sum512(slices.Concat(parts...))
	s, err := new(edwards25519.Scalar).SetUniformBytes(sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mixed signs with key and nonce that each have a part of small order, as the vectors
// of C2SP's CCTV do: with the cofactor it verifies, and without it only by chance.
func mixed(t *testing.T, a, r *edwards25519.Scalar, inKey, inR *edwards25519.Point, message []byte) edCase {
	A := new(edwards25519.Point).Add(new(edwards25519.Point).ScalarBaseMult(a), inKey).Bytes()
	R := new(edwards25519.Point).Add(new(edwards25519.Point).ScalarBaseMult(r), inR).Bytes()
	s := new(edwards25519.Scalar).MultiplyAdd(hashed(t, R, A, message), a, r)
	return edCase{A, message, append(R, s.Bytes()...)}
}

// plusOrder adds the group's order to a signature's S.
func plusOrder(sig []byte, times int) []byte {
	order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
	out := bytes.Clone(sig)
	for range times {
		carry := 0
		for i := range order {
			sum := int(out[32+i]) + int(order[i]) + carry
			out[32+i], carry = byte(sum), sum>>8
		}
	}
	return out
}

// edCases are signatures at the edges of RFC 8032, where libraries differ.
func edCases(t *testing.T) (list []edCase) {
	a, r := hashed(t, []byte("key")), hashed(t, []byte("nonce"))
	zero, none := edwards25519.NewScalar(), edwards25519.NewIdentityPoint()
	message := []byte("an epoch")
	good := mixed(t, a, r, none, none, message)
	list = append(list, good)
	for _, inKey := range smallOrder(t) {
		for _, inR := range smallOrder(t) {
			for i := range 2 { // the equation holds by chance for some messages
				m := append(message, byte(i))
				list = append(list, mixed(t, a, r, inKey, inR, m), mixed(t, zero, r, inKey, inR, m), mixed(t, a, zero, inKey, inR, m))
			}
		}
	}
	for _, b := range twice(t) {
		list = append(list, edCase{b, message, good.Signature}, edCase{good.Key, message, append(bytes.Clone(b), good.Signature[32:]...)},
			edCase{b, message, append(bytes.Clone(b), make([]byte, 32)...)})
	}
	for i := range 15 {
		list = append(list, edCase{good.Key, message, plusOrder(good.Signature, i)})
	}
	for i := range 64 {
		bad := bytes.Clone(good.Signature)
		bad[i] ^= 1 << (i % 8)
		list = append(list, edCase{good.Key, message, bad})
	}
	for _, n := range []int{0, 31, 32, 63, 65} {
		list = append(list, edCase{good.Key, message, append(bytes.Clone(good.Signature), 0)[:n]}, edCase{append(bytes.Clone(good.Key), 0)[:min(n, 33)], message, good.Signature})
	}
	for i := range 20 {
		seed := sha512.Sum512_256([]byte{byte(i)})
		k := ed25519.NewKeyFromSeed(seed[:])
		list = append(list, edCase{k.Public().(ed25519.PublicKey), seed[:i], ed25519.Sign(k, seed[:i])})
	}
	return list
}

func TestJavaScriptTakesTheEd25519SignaturesThatGoTakes(t *testing.T) {
	list := edCases(t)
	var got []struct{ Admitted, Verifies bool }
	node(t, "ed25519", list, &got)
	admitted, verified, other := 0, 0, 0
	for i, c := range list {
		admit := keys.AdmitEd25519(c.Key) == nil
		verifies := admit && keys.VerifyEd25519(c.Key, c.Message, c.Signature) == nil
		if got[i].Admitted != admit || got[i].Verifies != verifies {
			t.Errorf("key %x, message %x, signature %x: JavaScript says %+v, Go admitted %t, verifies %t", c.Key, c.Message, c.Signature, got[i], admit, verifies)
		}
		if admit {
			admitted++
		}
		if verifies {
			verified++
		}
		if !verifies && len(c.Key) == 32 && ed25519.Verify(c.Key, c.Message, c.Signature) {
			other++
		}
	}
	t.Logf("%d cases: %d keys admitted, %d signatures verify; %d more would by crypto/ed25519", len(list), admitted, verified, other)
	if verified < 20 || other == 0 {
		t.Errorf("%d verify, %d more elsewhere: the edges aren't there", verified, other)
	}
}
