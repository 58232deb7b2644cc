package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
)

var mldsaAlgorithms = []Algorithm{MLDSA44, MLDSA65, MLDSA87}

func mldsaOf(t testing.TB, alg Algorithm, name string) *MLDSA {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	k, err := NewMLDSA(alg, seed[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unbase64(t testing.TB, text string) []byte {
	t.Helper()
	if text == "-" {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The cases of other people. Those under a key of small numbers are what FIPS 204 says
// too, and such a key isn't admitted.
func TestMLDSAIsVerifiedAsWycheproofHasIt(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "wycheproof-mldsa.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var key mldsaKey
	var keyErr error
	count := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if line[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "key "); ok {
			f := strings.Fields(rest)
			key = mldsaKey{mldsaSetOf(Algorithm(f[0])), unbase64(t, f[1])}
			_, keyErr = FromMLDSA(Algorithm(f[0]), key.raw)
			continue
		}
		f := strings.SplitN(line, " ", 6)
		context, msg, sig, name := Context(unbase64(t, f[2])), unbase64(t, f[3]), unbase64(t, f[4]), f[0]+", "+f[5]
		if context == "" {
			context = ForLog // which signs without one
		}
		kind := f[1]
		switch {
		case keyErr == nil:
		case strings.Contains(keyErr.Error(), "anyone can sign"):
			kind = "weak key"
		case f[1] != "invalid":
			t.Errorf("%s: %v", name, keyErr)
			fallthrough
		default:
			count["length"]++
			continue
		}
		if err := key.verify(context, msg, sig); (err == nil) != (f[1] == "valid") {
			t.Errorf("%s %s is %s: %v", key.set.alg, name, f[1], err)
		}
		count[kind]++
	}
	if count["valid"] != 11 || count["invalid"] != 16 || count["weak key"] != 9 || count["length"] != 3 {
		t.Errorf("%v", count)
	}
}

// By FIPS 204 these signatures verify, and nobody has a private key for them.
func TestAnMLDSAKeyUnderWhichAnyoneCanSignIsRefused(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "mldsa-anyone.txt"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		if line[0] == '#' {
			continue
		}
		n++
		f := strings.Fields(line)
		raw, sig := unbase64(t, f[1]), unbase64(t, f[2])
		pub, err := mldsa.NewPublicKey(mldsa.MLDSA44(), raw)
		if err != nil || mldsa.Verify(pub, []byte("x"), sig, nil) != nil {
			t.Errorf("%s: it doesn't verify: %v", f[0], err)
		}
		if _, err := FromMLDSA(MLDSA44, raw); err == nil || !strings.Contains(err.Error(), "anyone can sign for it") {
			t.Errorf("%s: %v", f[0], err)
		}
	}
	if n != 2 {
		t.Errorf("%d keys", n)
	}
}

// ofNumbers is a raw key whose t1 has small numbers first, and then others.
func ofNumbers(alg Algorithm, small int, value uint) []byte {
	raw := make([]byte, mldsaSetOf(alg).params().PublicKeySize())
	for i := range (len(raw) - mldsaRho) * 8 / 10 {
		n := value
		if i >= small {
			n = 512
		}
		for bit := range 10 {
			at := 10*i + bit
			raw[mldsaRho+at/8] |= byte(n>>bit&1) << (at % 8)
		}
	}
	return raw
}

func TestAnMLDSAKeyIsRefusedIfMoreThanHalfOfItsNumbersAreSmall(t *testing.T) {
	for i, alg := range mldsaAlgorithms {
		half := []int{1024, 1536, 2048}[i] / 2
		for _, c := range []struct {
			small int
			value uint
			weak  bool
		}{{half, 16, false}, {half + 1, 16, true}, {half, 1008, false}, {half + 1, 1008, true}, {2 * half, 17, false}, {2 * half, 1007, false}, {2 * half, 0, true}} {
			if _, err := FromMLDSA(alg, ofNumbers(alg, c.small, c.value)); (err != nil) != c.weak {
				t.Errorf("%s, %d numbers of %d: %v", alg, c.small, c.value, err)
			}
		}
	}
}

func TestAnMLDSASignatureVerifiesForItsUseAlone(t *testing.T) {
	for _, alg := range mldsaAlgorithms {
		k, other := mldsaOf(t, alg, "a"), mldsaOf(t, alg, "b")
		for _, as := range contexts {
			sig, err := k.Sign(as, []byte("message"))
			if err != nil || len(sig) != alg.MaxSignature() {
				t.Fatalf("%s: %d bytes, %v", alg, len(sig), err)
			}
			for _, use := range append(contexts, "app.example/v1") {
				err := k.Public().Verify(use, []byte("message"), sig)
				if (err == nil) != (use == as) || err != nil && (!errors.Is(err, ErrSignature) || !strings.HasSuffix(err.Error(), "for "+string(use)+": it was made for "+string(as))) {
					t.Errorf("%s: signed for %s, verified for %s: %v", alg, as, use, err)
				}
			}
			if err := other.Public().Verify(as, []byte("message"), sig); !errors.Is(err, ErrSignature) {
				t.Errorf("under another key: %v", err)
			}
			if err := k.Public().Verify(as, []byte("massage"), sig); !errors.Is(err, ErrSignature) {
				t.Errorf("another message: %v", err)
			}
		}
	}
}

func TestASignatureThatIsForNothingIsRefusedOfEveryKind(t *testing.T) {
	ed, err := ParseSPKI(oneOfEach(t)[Ed25519])
	if err != nil {
		t.Fatal(err)
	}
	k := mldsaOf(t, MLDSA44, "a")
	for as, says := range map[Context]string{
		"": "no context says what the signature is for", "fleetctl/posession/v1": `"fleetctl/posession/v1" is no context of fleetctl's`,
		Context(strings.Repeat("a", 256)): "the context has 256 bytes; FIPS 204 allows 255",
	} {
		for _, p := range []*Public{ed, k.Public()} {
			if err := p.Verify(as, nil, nil); err == nil || err.Error() != says {
				t.Errorf("%q: %v", as, err)
			}
		}
		if sig, err := k.Sign(as, nil); err == nil || sig != nil {
			t.Errorf("signed for %q", as)
		}
	}
	if err := Context(strings.Repeat("a", 255)).Check(); err != nil {
		t.Error(err)
	}
}

// What another implementation of RFC 9881 writes is what we write and read, and
// nothing else is read.
func TestMLDSAKeysHaveTheOneDEROfRFC9881(t *testing.T) {
	for _, alg := range mldsaAlgorithms {
		k := mldsaOf(t, alg, "a")
		spki, err1 := mldsax509.MarshalPKIXPublicKey(k.key.PublicKey())
		private, err2 := mldsax509.MarshalPKCS8PrivateKey(k.key)
		if err1 != nil || err2 != nil || !bytes.Equal(spki, k.Public().SPKI()) || !bytes.Equal(private, k.PKCS8()) {
			t.Fatalf("%s: %x, %x, %v, %v", alg, k.Public().SPKI()[:30], k.PKCS8(), err1, err2)
		}
		again, ours, err := ParseMLDSA(private)
		if err != nil || !ours || !bytes.Equal(again.Public().SPKI(), spki) {
			t.Errorf("%s isn't read as it is written: %v", alg, err)
		}
		if again, err := ParseSPKI(spki); err != nil || again.Algorithm() != alg || !alg.IsMLDSA() || alg.Use() != Sign {
			t.Errorf("%s: %v", alg, err)
		}
		for i := range len(k.PKCS8()) - 32 { // every byte but the seed's
			bad := bytes.Clone(private)
			bad[i] ^= 1
			if got, ours, err := ParseMLDSA(bad); got != nil && got.Public().Algorithm() == alg || ours && err == nil && got == nil {
				t.Errorf("%s: byte %d doesn't count", alg, i)
			}
		}
		for i := range len(mldsaSetOf(alg).spki) {
			bad := bytes.Clone(spki)
			bad[i] ^= 0x10
			if _, err := ParseSPKI(bad); err == nil {
				t.Errorf("%s: byte %d of the SPKI doesn't count", alg, i)
			}
		}
		if what, _ := Private(private); what != "a private key in PKCS#8" {
			t.Errorf("%s: its private key is found as %q", alg, what)
		}
		if what, _ := Private(spki); what != "" {
			t.Errorf("%s: its public key is taken for %s", alg, what)
		}
	}
	// Seed and expanded key together, as OpenSSL 3.5 writes them: found, not read.
	both := append([]byte{0x30, 0x82, 0x0a, 0x3e}, mldsaSets[0].pkcs8[2:18]...)
	both = append(both, 0x04, 0x82, 0x0a, 0x2a, 0x30, 0x82)
	if _, ours, err := ParseMLDSA(both); !ours || err == nil || !strings.Contains(err.Error(), "RFC 9881") {
		t.Errorf("%t, %v", ours, err)
	}
	if what, _ := Private(both); what != "a private key in PKCS#8" {
		t.Errorf("found as %q", what)
	}
}

func TestAnMLDSAKeyThatAnyoneCanSignForIsRefused(t *testing.T) {
	for _, alg := range mldsaAlgorithms {
		raw := bytes.Clone(mldsaOf(t, alg, "a").Public().key.(mldsaKey).raw)
		clear(raw[32:])
		if p, err := FromMLDSA(alg, raw); err == nil || p != nil || !strings.HasSuffix(err.Error(), "anyone can sign for it") {
			t.Errorf("%s: %v", alg, err)
		}
		raw[len(raw)-1] = 1 // one number that isn't small changes nothing
		if _, err := FromMLDSA(alg, raw); err == nil {
			t.Errorf("%s: of all numbers one isn't zero, and it is admitted", alg)
		}
		if _, err := FromMLDSA(alg, raw[1:]); err == nil {
			t.Errorf("%s: too short", alg)
		}
	}
	if _, err := FromMLDSA(Ed25519, make([]byte, 32)); err == nil {
		t.Error("Ed25519 is a parameter set")
	}
}

func TestTheKeyOfACosignatureIsTheSameKeyAsAnSPKI(t *testing.T) {
	p := mldsaOf(t, MLDSA44, "a").Public()
	if MLDSA44Point(p.key.(mldsaKey).raw) != p.Point() {
		t.Error("one ML-DSA key counts as two")
	}
}

func FuzzParseMLDSA(f *testing.F) {
	for _, alg := range mldsaAlgorithms {
		f.Add(mldsaOf(f, alg, "a").PKCS8())
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		k, ours, err := ParseMLDSA(der)
		if (k != nil) != (ours && err == nil) || k != nil && !bytes.Equal(k.PKCS8(), der) {
			t.Fatalf("%x: %v, %t, %v", der, k, ours, err)
		}
	})
}

func BenchmarkVerifyMLDSA(b *testing.B) {
	for _, alg := range mldsaAlgorithms {
		k := mldsaOf(b, alg, "a")
		sig, err := k.Sign(ForTest, []byte("message"))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(alg), func(b *testing.B) {
			for b.Loop() {
				if k.Public().Verify(ForTest, []byte("message"), sig) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
