package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
)

func ecdsaKey(t testing.TB, alg Algorithm) (*ecdsa.PrivateKey, *Public) {
	t.Helper()
	curve := map[Algorithm]elliptic.Curve{P256: elliptic.P256(), P384: elliptic.P384()}[alg]
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := admit(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k, p
}

type ecdsaSignature struct{ R, S *big.Int }

func der(t testing.TB, r, s *big.Int) []byte {
	t.Helper()
	b, err := asn1.Marshal(ecdsaSignature{r, s})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lowAndHigh gives both signatures that verify under one nonce.
func lowAndHigh(t testing.TB, k *ecdsa.PrivateKey, alg Algorithm, msg []byte) (r, low, high *big.Int) {
	t.Helper()
	sig, err := ecdsa.SignASN1(rand.Reader, k, Digest(alg, msg))
	if err != nil {
		t.Fatal(err)
	}
	var rs ecdsaSignature
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		t.Fatal(err)
	}
	other := new(big.Int).Sub(k.Params().N, rs.S)
	if rs.S.Cmp(other) < 0 {
		return rs.R, rs.S, other
	}
	return rs.R, other, rs.S
}

// checkedByNumbers is checkECDSA with the decoder of encoding/asn1 and big numbers.
func checkedByNumbers(alg Algorithm, sig []byte) bool {
	var rs ecdsaSignature
	rest, err := asn1.Unmarshal(sig, &rs)
	if err != nil || len(rest) > 0 {
		return false
	}
	n := groupFor(alg).order
	for _, v := range []*big.Int{rs.R, rs.S} {
		if v.Sign() <= 0 || v.Cmp(n) >= 0 {
			return false
		}
	}
	again, err := asn1.Marshal(rs)
	return new(big.Int).Lsh(rs.S, 1).Cmp(n) <= 0 && err == nil && bytes.Equal(again, sig)
}

func TestOrdersAreThoseOfTheCurves(t *testing.T) {
	if group256.order.Cmp(elliptic.P256().Params().N) != 0 || group384.order.Cmp(elliptic.P384().Params().N) != 0 {
		t.Error("a constant is wrong")
	}
}

func TestECDSASignaturesHaveOneSpelling(t *testing.T) {
	const notDER, notRange, highS, notCanonical = "the signature is no DER ECDSA signature", "the ECDSA signature's numbers are out of range",
		"the ECDSA signature has the higher of its two S", "the signature is not the canonical DER of its numbers"
	msg := []byte("message")
	for _, alg := range []Algorithm{P256, P384} {
		t.Run(string(alg), func(t *testing.T) {
			k, p := ecdsaKey(t, alg)
			r, low, high := lowAndHigh(t, k, alg, msg)
			n, one, zero := k.Params().N, big.NewInt(1), new(big.Int)
			good := der(t, r, low)
			if err := p.Verify(ForTest, msg, good); err != nil {
				t.Fatal(err)
			}
			if len(good) > alg.MaxSignature() {
				t.Errorf("%d bytes, MaxSignature says %d", len(good), alg.MaxSignature())
			}
			if !ecdsa.VerifyASN1(&k.PublicKey, Digest(alg, msg), der(t, r, high)) {
				t.Error("crypto/ecdsa refuses the higher S: our comment is out of date")
			}
			half := new(big.Int).Rsh(n, 1)
			long := append([]byte{0x30, 0x81, byte(len(good) - 2)}, good[2:]...)
			padded := append([]byte{0x30, good[1] + 1, 2, good[3] + 1, 0}, good[4:]...)
			indefinite := append(append([]byte{0x30, 0x80}, good[2:]...), 0, 0)
			third := append(bytes.Clone(good), 2, 1, 1)
			third[1] += 3
			for _, c := range []struct {
				name, want string
				sig        []byte
			}{
				{"nothing", notDER, nil},
				{"the higher S", highS, der(t, r, high)},
				{"half of n and a half", highS, der(t, r, new(big.Int).Add(half, one))},
				{"R zero", notRange, der(t, zero, low)},
				{"S zero", notRange, der(t, r, zero)},
				{"both zero", notRange, der(t, zero, zero)},
				{"R negative", notRange, der(t, new(big.Int).Neg(r), low)},
				{"S negative", notRange, der(t, r, new(big.Int).Neg(low))},
				{"R of n", notRange, der(t, n, low)},
				{"S of n", notRange, der(t, r, n)},
				{"R above n", notRange, der(t, new(big.Int).Add(r, n), low)},
				{"S above n", notRange, der(t, r, new(big.Int).Add(low, n))},
				{"a huge R", notRange, der(t, new(big.Int).Lsh(one, 4000), low)},
				{"a byte more", notDER, append(bytes.Clone(good), 0)},
				{"a byte less", notDER, good[:len(good)-1]},
				{"a long length", notDER, long},
				{"a zero before R", notDER, padded},
				{"an indefinite length", notDER, indefinite},
				{"a third number", notCanonical, third},
				{"r‖s", notDER, append(r.FillBytes(make([]byte, (n.BitLen()+7)/8)), low.FillBytes(make([]byte, (n.BitLen()+7)/8))...)},
				{"R and S swapped", "", der(t, new(big.Int).Set(low), new(big.Int).Set(r))},
				{"the lowest", ErrSignature.Error(), der(t, one, one)},
				{"S of half n", ErrSignature.Error(), der(t, r, half)},
			} {
				err := p.Verify(ForTest, msg, c.sig)
				if checkedByNumbers(alg, c.sig) != (checkECDSA(alg, c.sig) == nil) {
					t.Errorf("%s: by its numbers it is judged otherwise", c.name)
				}
				if err == nil || c.want != "" && err.Error() != c.want {
					t.Errorf("%s: got %v, want %s", c.name, err, c.want)
				}
			}
			if err := p.Verify(ForTest, []byte("massage"), good); !errors.Is(err, ErrSignature) {
				t.Errorf("another message: %v", err)
			}
			if _, other := ecdsaKey(t, alg); !errors.Is(other.Verify(ForTest, msg, good), ErrSignature) {
				t.Error("another key verifies")
			}
		})
	}
}

func TestSignatureFromRawGivesTheLowerS(t *testing.T) {
	msg := []byte("message")
	for _, alg := range []Algorithm{P256, P384} {
		k, p := ecdsaKey(t, alg)
		size := (k.Params().N.BitLen() + 7) / 8
		raw := func(r, s *big.Int) []byte {
			return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
		for range 20 {
			r, low, high := lowAndHigh(t, k, alg, msg)
			for _, s := range []*big.Int{low, high} {
				sig, err := SignatureFromRaw(alg, raw(r, s))
				if err != nil || !bytes.Equal(sig, der(t, r, low)) || p.Verify(ForTest, msg, sig) != nil {
					t.Fatalf("%s: %x, %v", alg, sig, err)
				}
			}
		}
		n, one, zero := k.Params().N, big.NewInt(1), new(big.Int)
		top := new(big.Int).Sub(new(big.Int).Lsh(one, uint(8*size)), one)
		for name, b := range map[string][]byte{
			"both zero": raw(zero, zero), "R zero": raw(zero, one), "S zero": raw(one, zero), "R of n": raw(n, one), "S of n": raw(one, n), "S of all ones": raw(one, top), "R of all ones": raw(top, one),
			"nothing": nil, "a byte less": raw(one, one)[1:], "a byte more": append(raw(one, one), 0), "DER": der(t, one, one), "the other curve's": make([]byte, 2*(48+32-size)),
		} {
			if sig, err := SignatureFromRaw(alg, b); err == nil || sig != nil {
				t.Errorf("%s, %s: gives %x, %v", alg, name, sig, err)
			}
		}
		// The smallest numbers have the shortest DER.
		if sig, err := SignatureFromRaw(alg, raw(one, one)); err != nil || !bytes.Equal(sig, []byte{0x30, 6, 2, 1, 1, 2, 1, 1}) {
			t.Errorf("%x, %v", sig, err)
		}
	}
	for _, alg := range []Algorithm{Ed25519, RSA3072} {
		if sig, err := SignatureFromRaw(alg, []byte("as it is")); err != nil || string(sig) != "as it is" {
			t.Errorf("%s: %q, %v", alg, sig, err)
		}
	}
}
