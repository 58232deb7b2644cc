package bundle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// keyed is a statement that is verified under a key.
type keyed struct {
	vector
	key [32]byte
}

// statements writes the vectors of statements: those that are read, and those whose
// signature is verified too.
func statements(t *testing.T) {
	set := testvectors.NewSet("statement")
	for _, v := range statementVectors(t) {
		_, err := ParseStatement("statement.json", v.data)
		set.Add(t, v.asCase(t, err), testvectors.Part{Part: "statement", Name: "statement.json", Data: v.data})
	}
	for _, v := range keyedVectors(t) {
		s, err := ParseStatement("statement.json", v.data)
		if err == nil {
			err = keys.AdmitEd25519(v.key[:])
		}
		if err == nil {
			err = s.Verify(v.key)
		}
		c := v.asCase(t, err)
		c.With = map[string]string{"key": b64(v.key[:])}
		set.Add(t, c, testvectors.Part{Part: "statement", Name: "statement.json", Data: v.data})
	}
	set.Check(t)
}

// A verifier that doesn't admit keys takes what nobody signed: else the vector would
// show nothing.
func TestNobodysSignatureFitsTheEquation(t *testing.T) {
	m := signed("tp-1", newWorld().set).Statement.Message()
	if err := keys.VerifyEd25519(smallOrder, m, nobodys(smallOrder, m)); err != nil {
		t.Error(err)
	}
}

func keyedVectors(t *testing.T) (list []keyed) {
	for _, v := range plexiVectors(t) {
		list = append(list, keyed{vector{"signed-good-" + v.ID, "ok", v.served()}, [32]byte(must(hex.DecodeString(v.PublicKey)))})
	}
	s := signed("tp-1", newWorld().set).Statement
	good := ed25519.Sign(edKey("tp-1"), s.Message())
	other := func(name string, key [32]byte, want string, change func(sig []byte)) {
		sig := slices.Clone(good)
		change(sig)
		n := *s
		n.KeyID = nil
		list = append(list, keyed{vector{"signed-" + name, want, n.Encode([64]byte(sig))}, key})
	}
	tp1 := edRaw("tp-1")
	other("good", tp1, "ok", func([]byte) {})
	other("by-another-key", edRaw("tp-2"), "does not verify", func([]byte) {})
	other("spoilt", tp1, "does not verify", func(sig []byte) { sig[0] ^= 1 })
	other("s-and-the-order", tp1, "", func(sig []byte) { copy(sig[32:], plusOrder(sig[32:])) })
	other("r-of-small-order", tp1, "", func(sig []byte) { copy(sig, smallOrder) })
	other("r-not-canonical", tp1, "", func(sig []byte) { copy(sig, bytes.Repeat([]byte{0xff}, 31)); sig[31] = 0x7f })
	// It fits where both sides are multiplied by 8, and nowhere else.
	other("with-a-torsion-part", tp1, "does not verify", func(sig []byte) { copy(sig, cofactored("tp-1", s.Message())) })
	// Who pins a key that isn't admitted takes anybody's word: this signature is nobody's.
	other("key-of-small-order", [32]byte(smallOrder), "small order", func(sig []byte) { copy(sig, nobodys(smallOrder, s.Message())) })
	other("key-of-mixed-order", [32]byte(mixedOrder), "torsion part", func([]byte) {})
	other("key-not-canonical", [32]byte(slices.Concat(bytes.Repeat([]byte{0xff}, 31), []byte{0x7f})), "", func([]byte) {})
	return list
}

// nobodys is a signature that fits the equation under a key of order 2: any R = [r]B
// for which the challenge is even.
func nobodys(key, message []byte) []byte {
	for i := range byte(64) {
		seed := seed("nobody " + string(rune('a'+i)))
		r := sha512.Sum512(seed)
		r[0], r[31] = r[0]&248, r[31]&127|64
		point := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		k := sha512.Sum512(slices.Concat(point, key, message))
		if reduced(k[:])[0]&1 == 0 {
			return slices.Concat(point, reduced(r[:32]))
		}
	}
	panic("no even challenge")
}

// cofactored is a signature whose R has a torsion part.
func cofactored(name string, message []byte) []byte {
	scalar := func(seed []byte) []byte {
		h := sha512.Sum512(seed)
		h[0], h[31] = h[0]&248, h[31]&127|64
		return h[:32]
	}
	r := plusTorsion(edKey("a nonce").Public().(ed25519.PublicKey))
	public := edRaw(name)
	k := sha512.Sum512(slices.Concat(r, public[:], message))
	number := func(b []byte) *big.Int {
		n := slices.Clone(b)
		slices.Reverse(n)
		return new(big.Int).SetBytes(n)
	}
	sum := new(big.Int).Mul(number(k[:]), number(scalar(seed(name))))
	sum.Add(sum, number(scalar(seed("a nonce")))).Mod(sum, order)
	out := sum.FillBytes(make([]byte, 32))
	slices.Reverse(out)
	return slices.Concat(r, out)
}

var order, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// reduced is a number, little-endian, modulo the order of the base point.
func reduced(b []byte) []byte {
	n := slices.Clone(b)
	slices.Reverse(n)
	out := new(big.Int).Mod(new(big.Int).SetBytes(n), order).FillBytes(make([]byte, 32))
	slices.Reverse(out)
	return out
}

// plusOrder adds the order of Ed25519's base point to S, which a lax verifier takes.
func plusOrder(s []byte) []byte {
	n := slices.Clone(s)
	slices.Reverse(n)
	sum := new(big.Int).Add(new(big.Int).SetBytes(n), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return sum
}
