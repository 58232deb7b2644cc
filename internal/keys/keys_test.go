package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		panic(err)
	}
	return k
})

// oneOfEach gives an admitted key of every kind, as its SPKI.
func oneOfEach(t testing.TB) map[Algorithm][]byte {
	t.Helper()
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, _ := ecdsaKey(t, P256)
	p384, _ := ecdsaKey(t, P384)
	all := map[Algorithm][]byte{}
	for alg, key := range map[Algorithm]any{
		Ed25519: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32)).Public(), P256: &p256.PublicKey, P384: &p384.PublicKey, X25519: x.Public(), RSA3072: &rsaKey().PublicKey,
	} {
		if all[alg], err = x509.MarshalPKIXPublicKey(key); err != nil {
			t.Fatal(err)
		}
	}
	for _, alg := range mldsaAlgorithms {
		all[alg] = bytes.Clone(mldsaOf(t, alg, "one of each").Public().SPKI())
	}
	kem, _ := mlkemKey(t)
	all[MLKEM768] = bytes.Clone(kem.SPKI())
	return all
}

func TestEachKindOfKeyIsAdmitted(t *testing.T) {
	for alg, spki := range oneOfEach(t) {
		p, err := ParseSPKI(spki)
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		if p.Algorithm() != alg || !bytes.Equal(p.SPKI(), spki) || p.Fingerprint() != sha256.Sum256(spki) || !alg.Known() || len(spki) != alg.MaxSPKI() {
			t.Errorf("%s: %+v of %d bytes, MaxSPKI %d", alg, p.Algorithm(), len(spki), alg.MaxSPKI())
		}
		if _, ok := p.Ed25519(); ok != (alg == Ed25519) {
			t.Errorf("%s: Ed25519 says %t", alg, ok)
		}
		if agrees := alg == X25519 || alg == MLKEM768; alg.CanSign() == agrees || alg.CanSign() != (alg.MaxSignature() > 0) && !agrees {
			t.Errorf("%s: CanSign %t, MaxSignature %d", alg, alg.CanSign(), alg.MaxSignature())
		}
	}
	if a := Algorithm("rsa-2048"); a.Known() || a.CanSign() || a.MaxSPKI() != 0 || a.MaxSignature() != 0 {
		t.Error("an unknown algorithm is known")
	}
	x, _ := ParseSPKI(oneOfEach(t)[X25519])
	if err := x.Verify(ForTest, nil, nil); err == nil || err.Error() != "a key of kind x25519 can't sign" {
		t.Error(err)
	}
}

// The caller's buffer may be used again; the admitted key must stay.
func TestAnAdmittedKeySharesNoMemoryWithItsInput(t *testing.T) {
	for alg, spki := range oneOfEach(t) {
		p, err := ParseSPKI(spki)
		if err != nil {
			t.Fatal(err)
		}
		want, raw := bytes.Clone(p.SPKI()), []byte(nil)
		if alg == Ed25519 {
			k, _ := p.Ed25519()
			raw = bytes.Clone(k)
		}
		clear(spki)
		if k, _ := p.Ed25519(); !bytes.Equal(p.SPKI(), want) || !bytes.Equal(k, raw) {
			t.Errorf("%s changed with its input", alg)
		}
	}
	raw := bytes.Clone(ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey))
	p, err := FromPoint(Ed25519, raw)
	if err != nil {
		t.Fatal(err)
	}
	raw[0] ^= 1
	if k, _ := p.Ed25519(); bytes.Equal(k, raw) {
		t.Error("FromPoint keeps its input")
	}
}

func TestParseSPKIRefuses(t *testing.T) {
	all := oneOfEach(t)
	const notDER, notCanonical = "is no DER public key (SubjectPublicKeyInfo)", "is not the canonical DER of its key"
	for alg, spki := range all {
		for n := range len(spki) {
			if p, err := ParseSPKI(spki[:n]); err == nil || p != nil {
				t.Fatalf("%s: the first %d bytes are admitted", alg, n)
			}
		}
		if p, err := ParseSPKI(append(bytes.Clone(spki), 0)); err == nil || p != nil {
			t.Errorf("%s: trailing byte", alg)
		}
		if _, err := ParseSPKI(append(bytes.Clone(spki), spki...)); err == nil {
			t.Errorf("%s: twice", alg)
		}
	}
	marshal := func(key any) []byte {
		b, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// spki makes one from its parts: algorithm, parameters (DER), key bytes.
	type algorithm struct {
		OID    asn1.ObjectIdentifier
		Params asn1.RawValue `asn1:"optional"`
	}
	spki := func(oid asn1.ObjectIdentifier, params, key []byte) []byte {
		b, err := asn1.Marshal(struct {
			A algorithm
			K asn1.BitString
		}{algorithm{oid, asn1.RawValue{FullBytes: params}}, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ecOID, edOID, null := asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, asn1.ObjectIdentifier{1, 3, 101, 112}, []byte{5, 0}
	p256, p224 := unhex(t, "06082a8648ce3d030107"), unhex(t, "06052b81040021")
	k, _ := ecdsaKey(t, P256)
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if got := spki(ecOID, p256, point); !bytes.Equal(got, marshal(&k.PublicKey)) {
		t.Fatalf("the test makes other DER than crypto/x509: %x", got)
	}
	k224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	k521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	r2048, _ := rsa.GenerateKey(rand.Reader, 2048)
	compressed := elliptic.MarshalCompressed(elliptic.P256(), new(big.Int).SetBytes(point[1:33]), new(big.Int).SetBytes(point[33:]))
	hybrid := append([]byte{6 + point[64]&1}, point[1:]...)
	off := bytes.Clone(point)
	off[64] ^= 1
	p := elliptic.P256().Params()
	explicit, err := asn1.Marshal(struct {
		V     int
		Field struct {
			OID asn1.ObjectIdentifier
			P   *big.Int
		}
		Curve struct{ A, B []byte }
		G     []byte
		N     *big.Int
	}{1, struct {
		OID asn1.ObjectIdentifier
		P   *big.Int
	}{asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1}, p.P}, struct{ A, B []byte }{new(big.Int).Sub(p.P, big.NewInt(3)).Bytes(), p.B.Bytes()},
		append(append([]byte{4}, p.Gx.Bytes()...), p.Gy.Bytes()...), p.N})
	if err != nil {
		t.Fatal(err)
	}
	ed := all[Ed25519][12:]
	longLength := append([]byte{0x30, 0x81}, all[Ed25519][1:]...)
	oddBits := bytes.Clone(all[Ed25519])
	oddBits[11] = 1 // says that the last bit is unused
	noNull := spki(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, nil, x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey))
	for _, c := range []struct {
		name, want string
		der        []byte
	}{
		{"nothing", notDER, nil},
		{"a compressed point", notDER, spki(ecOID, p256, compressed)},
		{"a hybrid point", notDER, spki(ecOID, p256, hybrid)},
		{"a point off the curve", notDER, spki(ecOID, p256, off)},
		{"the point at infinity", notDER, spki(ecOID, p256, []byte{0})},
		{"explicit curve parameters", notDER, spki(ecOID, explicit, point)},
		{"no curve", notDER, spki(ecOID, nil, point)},
		{"another curve's name", notDER, spki(ecOID, p224, point)},
		{"P-224", "is on curve P-224; P-256 and P-384 are allowed", marshal(&k224.PublicKey)},
		{"P-521", "is on curve P-521; P-256 and P-384 are allowed", marshal(&k521.PublicKey)},
		{"RSA of 2048 bits", "is an RSA key of 2048 bits and exponent 65537; 3072 bits and 65537 are allowed", marshal(&r2048.PublicKey)},
		{"RSA with exponent 3", "is an RSA key of 3072 bits and exponent 3; 3072 bits and 65537 are allowed", marshal(&rsa.PublicKey{N: rsaKey().N, E: 3})},
		{"RSA without NULL", "", noNull},
		{"Ed25519 with NULL", notDER, spki(edOID, null, ed)},
		{"Ed25519 of 31 bytes", notDER, spki(edOID, nil, ed[1:])},
		{"Ed25519 of small order", smallOrderMsg, spki(edOID, nil, identity.Bytes())},
		{"Ed448", notDER, spki(asn1.ObjectIdentifier{1, 3, 101, 113}, nil, make([]byte, 57))},
		{"a long length", notDER, longLength},
		{"unused bits", "", oddBits},
		{"PKCS#1", notDER, x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)},
		{"PEM", notDER, []byte("-----BEGIN PUBLIC KEY-----")},
	} {
		p, err := ParseSPKI(c.der)
		if err == nil || p != nil || c.want != "" && err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
		if c.want == "" && err != nil && err.Error() != notDER && err.Error() != notCanonical {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestX25519KeysOfLowOrderAndSecondNamesAreRefused(t *testing.T) {
	zero, one, ff := strings.Repeat("00", 32), "01"+strings.Repeat("00", 31), strings.Repeat("ff", 30)
	e0, p5f := "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"
	const low, second = "is an X25519 key of low order", "is not the canonical encoding of its X25519 key"
	for in, want := range map[string]string{
		zero: low, one: low, e0: low, p5f: low, "ec" + ff + "7f": low, // RFC 7748's list, https://cr.yp.to/ecdh.html
		"ed" + ff + "7f": second, "ee" + ff + "7f": second, "ff" + ff + "7f": second, "f0" + ff + "7f": second, // p, p+1, …
		zero[:62] + "80": second, "09" + strings.Repeat("00", 30) + "80": second, "ec" + ff + "ff": second,
	} {
		if p, err := FromPoint(X25519, unhex(t, in)); err == nil || p != nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
	for _, in := range []string{"09" + strings.Repeat("00", 31), "eb" + ff + "7f"} {
		if _, err := FromPoint(X25519, unhex(t, in)); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestRSASignaturesArePSSWithSHA256AndASaltOf32(t *testing.T) {
	k, msg := rsaKey(), []byte("message")
	exp := []byte{1, 0, 1}
	p, err := FromRSA(append([]byte{0, 0}, k.N.Bytes()...), append([]byte{0}, exp...)) // tokens may pad
	if err != nil || p.Algorithm() != RSA3072 {
		t.Fatal(err)
	}
	digest := Digest(RSA3072, msg)
	pss := func(salt int, h crypto.Hash) []byte {
		hh := h.New()
		hh.Write(msg)
		sig, err := rsa.SignPSS(rand.Reader, k, h, hh.Sum(nil), &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	good := pss(32, crypto.SHA256)
	if err := p.Verify(ForTest, msg, good); err != nil || len(good) != RSA3072.MaxSignature() {
		t.Fatal(err)
	}
	pkcs1, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest)
	if err != nil {
		t.Fatal(err)
	}
	for name, sig := range map[string][]byte{
		"a salt of 20": pss(20, crypto.SHA256), "no salt": pss(0, crypto.SHA256), "a salt of 33": pss(33, crypto.SHA256), "the longest salt": pss(rsa.PSSSaltLengthAuto, crypto.SHA256),
		"SHA-384": pss(32, crypto.SHA384), "SHA-512": pss(32, crypto.SHA512), "PKCS#1 v1.5": pkcs1, "a byte more": append(bytes.Clone(good), 0), "a byte before": append([]byte{0}, good...),
		"a byte less": good[1:], "nothing": nil, "plus N": new(big.Int).Add(new(big.Int).SetBytes(good), k.N).Bytes(), "zero": make([]byte, 384), "one": append(make([]byte, 383), 1),
	} {
		if err := p.Verify(ForTest, msg, sig); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, ne := range map[string][2][]byte{
		"no modulus": {nil, exp}, "no exponent": {k.N.Bytes(), nil}, "exponent 3": {k.N.Bytes(), {3}}, "exponent 2^64+65537": {k.N.Bytes(), {1, 0, 0, 0, 0, 0, 1, 0, 1}}, "3071 bits": {new(big.Int).Rsh(k.N, 1).Bytes(), exp}, "3073 bits": {new(big.Int).Lsh(k.N, 1).Bytes(), exp},
	} {
		if p, err := FromRSA(ne[0], ne[1]); err == nil || p != nil {
			t.Errorf("%s is admitted", name)
		}
	}
}
