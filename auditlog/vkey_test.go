package auditlog

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"filippo.io/edwards25519"
)

func TestVKeysComeBackAsRead(t *testing.T) {
	for _, k := range []*testKey{logKey, w1, w3, newTestKey("münchen.example/é", Ed25519)} {
		v, err := ParseVKey(k.vkey())
		if err != nil {
			t.Fatal(err)
		}
		if v.String() != k.vkey() || v.Name() != k.name || v.Type() != k.typ || v.KeyHash() != k.hash() {
			t.Errorf("read %s as %s", k.vkey(), v)
		}
	}
}

// TestKnownVKey is the example key of golang.org/x/mod/sumdb/note.
func TestKnownVKey(t *testing.T) {
	v, err := ParseVKey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
	if err != nil || v.KeyHash() != 0xc74f20a3 {
		t.Errorf("got %v, %v", v, err)
	}
}

func vkeyOf(name string, typ KeyType, key []byte) string {
	return (&Verifier{name: name, typ: typ, key: key, hash: keyHash(name, typ, key)}).String()
}

func TestParseVKeyRefuses(t *testing.T) {
	spki := func(curve elliptic.Curve) []byte {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519DER, err := x509.MarshalPKIXPublicKey(x25519.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := x509.MarshalPKIXPublicKey(logKey.ed.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	identity := append([]byte{1}, make([]byte, 31)...)
	order8, err := hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa")
	if err != nil {
		t.Fatal(err)
	}
	point, err := new(edwards25519.Point).SetBytes(order8)
	if err != nil {
		t.Fatal(err)
	}
	torsion := point.Add(point, edwards25519.NewGeneratorPoint()).Bytes()
	good := logKey.vkey()
	hash := fmt.Sprintf("+%08x+", logKey.hash())
	for name, test := range map[string]struct{ vkey, says string }{
		"empty":               {"", "is not <name>+<hash>+<base64>"},
		"no hash":             {"name", "is not <name>+<hash>+<base64>"},
		"no key":              {"name+00000000", "is not <name>+<hash>+<base64>"},
		"empty key":           {"name+00000000+", "the key is empty"},
		"empty name":          {strings.TrimPrefix(good, testOrigin), "name is empty"},
		"name with space":     {"a " + good, "spaces, plus"},
		"name not UTF-8":      {"\xff" + good, "not UTF-8"},
		"other name":          {"a" + good, "the key hash is"},
		"other hash":          {strings.Replace(good, hash, "+00000000+", 1), "the key hash is 00000000"},
		"hash in upper case":  {strings.Replace(good, hash, strings.ToUpper("+abcdef12+"), 1), "not lowercase hex"},
		"short hash":          {strings.Replace(good, hash, "+0+", 1), "has 1 characters"},
		"key not base64":      {good[:len(good)-1] + "!", "not canonical base64"},
		"trailing space":      {good + " ", "not canonical base64"},
		"type 0":              {vkeyOf("a", 0, logKey.public()), "has type 0x00"},
		"type 3":              {vkeyOf("a", 3, logKey.public()), "has type 0x03"},
		"RFC 6962":            {vkeyOf("a", 5, logKey.public()), "has type 0x05"},
		"type 0xff":           {vkeyOf("a", 0xff, logKey.public()), "has type 0xff"},
		"Ed25519 of 31 bytes": {vkeyOf("a", Ed25519, logKey.public()[1:]), "31 bytes"},
		"small order":         {vkeyOf("a", Ed25519, identity), "small order"},
		"small order, 0x04":   {vkeyOf("a", Ed25519Cosignature, identity), "small order"},
		"small order, zero":   {vkeyOf("a", Ed25519, make([]byte, 32)), "small order"},
		"small order, 8":      {vkeyOf("a", Ed25519, order8), "small order"},
		"torsion":             {vkeyOf("a", Ed25519, torsion), "torsion part"},
		"ML-DSA of zeros":     {vkeyOf("a", MLDSA44Cosignature, append([]byte(strings.Repeat("x", 32)), make([]byte, 1280)...)), "anyone can sign for it"},
		"ML-DSA too short":    {vkeyOf("a", MLDSA44Cosignature, w3.public()[1:]), "ML-DSA-44 has 1312"},
		"ECDSA is Ed25519":    {vkeyOf("a", ECDSA, edDER), "no ECDSA key"},
		"ECDSA is X25519":     {vkeyOf("a", ECDSA, x25519DER), "no ECDSA key"},
		"ECDSA on P-521":      {vkeyOf("a", ECDSA, spki(elliptic.P521())), "P-256 and P-384 are allowed"},
		"ECDSA trailing byte": {vkeyOf("a", ECDSA, append(spki(elliptic.P256()), 0)), "the key is no"},
		"ECDSA junk":          {vkeyOf("a", ECDSA, []byte("junk")), "the key is no"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := ParseVKey(test.vkey)
			wantStrict(t, err, test.says)
			if v != nil {
				t.Error("there is a key beside the error")
			}
		})
	}
}

// TestCheckSaysTheTime is what whoever asks a witness for a cosignature uses.
func TestCheckSaysTheTime(t *testing.T) {
	c := goodProof(t).Checkpoint
	for i, want := range []int64{0, 1000, 3000, 2000} {
		v, err := ParseVKey([]*testKey{logKey, w1, w2, w3}[i].vkey())
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Check(c, c.Signatures[i].Raw)
		if err != nil || want != 0 && got.Unix() != want || want == 0 && !got.IsZero() {
			t.Errorf("%s: %v, %v", v.Name(), got, err)
		}
		for _, bad := range [][]byte{nil, {}, c.Signatures[i].Raw[1:], make([]byte, 72), make([]byte, 2428), make([]byte, 64)} {
			_, err := v.Check(c, bad)
			wantStrict(t, err, "signature of "+v.Name())
		}
	}
}

func TestMLDSACosignatureNeedsShortOrigin(t *testing.T) {
	c := goodProof(t).Checkpoint
	c.Origin = strings.Repeat("x", 256)
	w3.sign(c, 1)
	v, err := ParseVKey(w3.vkey())
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Check(c, c.Signatures[4].Raw)
	wantStrict(t, err, "at most 255 bytes")
}
