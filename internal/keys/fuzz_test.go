package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/asn1"
	"math/big"
	"testing"

	"filippo.io/edwards25519"
)

// normalised gives an ECDSA signature the lower S, others as they are.
func normalised(t testing.TB, alg Algorithm, sig []byte) []byte {
	if alg != P256 && alg != P384 {
		return sig
	}
	var rs ecdsaSignature
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		t.Fatal(err)
	}
	size := len(groupFor(alg).bytes)
	out, err := SignatureFromRaw(alg, append(rs.R.FillBytes(make([]byte, size)), rs.S.FillBytes(make([]byte, size))...))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func FuzzParseSPKI(f *testing.F) {
	for _, spki := range oneOfEach(f) {
		f.Add(spki)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		p, err := ParseSPKI(der)
		if err != nil {
			if p != nil {
				t.Fatal("an error and a key")
			}
			return
		}
		if !bytes.Equal(p.SPKI(), der) || !p.Algorithm().Known() || len(der) > p.Algorithm().MaxSPKI() {
			t.Fatalf("%x: %s, %x", der, p.Algorithm(), p.SPKI())
		}
		_ = p.Verify(ForTest, der, der)
	})
}

func FuzzFromPoint(f *testing.F) {
	for i, spki := range oneOfEach(f) {
		f.Add(string(i), spki[min(12, len(spki)):])
		f.Add(string(i), append([]byte{4, 32}, spki[min(12, len(spki)):]...))
	}
	f.Fuzz(func(t *testing.T, alg string, point []byte) {
		p, err := FromPoint(Algorithm(alg), point)
		if err != nil {
			if p != nil {
				t.Fatal("an error and a key")
			}
			return
		}
		q, err := ParseAs(Algorithm(alg), p.SPKI())
		if err != nil || q.Algorithm() != Algorithm(alg) || q.Fingerprint() != p.Fingerprint() {
			t.Fatalf("%s %x: isn't admitted as SPKI: %v", alg, point, err)
		}
	})
}

// FuzzVerify: no panic; what verifies is what the standard library takes; and
// no second spelling of an ECDSA or Ed25519 signature is found.
func FuzzVerify(f *testing.F) {
	seed := bytes.Repeat([]byte{5}, 32)
	ed := ed25519.NewKeyFromSeed(seed)
	p256, pub256 := ecdsaKey(f, P256)
	p384, pub384 := ecdsaKey(f, P384)
	pubEd, err := FromEd25519(ed.Public().(ed25519.PublicKey))
	if err != nil {
		f.Fatal(err)
	}
	pubRSA, err := admit(&rsaKey().PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	msg := []byte("message")
	sign256, _ := ecdsa.SignASN1(rand.Reader, p256, Digest(P256, msg))
	sign384, _ := ecdsa.SignASN1(rand.Reader, p384, Digest(P384, msg))
	signRSA, _ := rsa.SignPSS(rand.Reader, rsaKey(), 5, Digest(RSA3072, msg), &rsa.PSSOptions{SaltLength: 32})
	good := map[*Public][]byte{pubEd: ed25519.Sign(ed, msg), pub256: normalised(f, P256, sign256), pub384: normalised(f, P384, sign384), pubRSA: signRSA}
	for p, sig := range good {
		if err := p.Verify(ForTest, msg, sig); err != nil {
			f.Fatal(err)
		}
		f.Add(sig)
	}
	for _, p := range torsion(f) {
		f.Add(append(p.Bytes(), make([]byte, 32)...))
	}
	f.Fuzz(func(t *testing.T, sig []byte) {
		for p, want := range good {
			if p.Verify(ForTest, msg, sig) == nil && !bytes.Equal(sig, want) {
				t.Fatalf("%s: a second signature: %x", p.Algorithm(), sig)
			}
		}
		if len(sig) >= 32 {
			raw := sig[:32]
			_, err := new(edwards25519.Point).SetBytes(raw)
			p, cerr := canonicalPoint(raw)
			if ok := cerr == nil && !hasSmallOrder(p); err == nil && ok != admitR(raw) {
				t.Fatalf("R %x: by bytes %t, decoded %t", raw, admitR(raw), ok)
			}
			_ = VerifyEd25519(raw, msg, sig)
			_, _ = FromRSA(sig, []byte{1, 0, 1})
			h := sha512.Sum512(raw)
			_, _ = FromRSA(append(h[:], sig...), new(big.Int).SetBytes(raw).Bytes())
		}
		for _, alg := range []Algorithm{P256, P384} {
			if checkedByNumbers(alg, sig) != (checkECDSA(alg, sig) == nil) {
				t.Fatalf("%s %x: by its numbers it is judged otherwise", alg, sig)
			}
		}
		for _, alg := range Algorithms {
			if der, err := SignatureFromRaw(alg, sig); err == nil && (alg == P256 || alg == P384) && checkECDSA(alg, der) != nil {
				t.Fatalf("%s: %x gives what we refuse: %x", alg, sig, der)
			}
		}
	})
}

func BenchmarkVerifyEd25519(b *testing.B) {
	k := ed25519.NewKeyFromSeed(make([]byte, 32))
	pub, msg := k.Public().(ed25519.PublicKey), make([]byte, 128)
	sig := ed25519.Sign(k, msg)
	b.Run("crypto", func(b *testing.B) {
		for b.Loop() {
			ed25519.Verify(pub, msg, sig)
		}
	})
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			_ = VerifyEd25519(pub, msg, sig)
		}
	})
	b.Run("R decoded", func(b *testing.B) { // as it would be without admitR
		for b.Loop() {
			p, _ := canonicalPoint(sig[:32])
			hasSmallOrder(p)
		}
	})
	b.Run("R by its bytes", func(b *testing.B) {
		for b.Loop() {
			admitR(sig[:32])
		}
	})
}

// BenchmarkAdmitEd25519 is what a key costs that isn't known yet, averaged over
// many, beside what the definition's L·A would.
func BenchmarkAdmitEd25519(b *testing.B) {
	var list [64]ed25519.PublicKey
	for i := range list {
		list[i] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i)}, 32)).Public().(ed25519.PublicKey)
	}
	for name, admit := range map[string]func([]byte) error{"ours": admitPoint, "by definition": admitByDefinition} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				if err := admit(list[i%len(list)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
