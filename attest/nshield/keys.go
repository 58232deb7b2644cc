package nshield

import (
	"crypto/dsa" //nolint:staticcheck // modules of today sign with DSA-3072
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
)

// The numbers that nCore gives to kinds of keys, curves and mechanisms.
const (
	keyRSAPublic   = 1
	keyDSAPublic   = 3
	keyECDSAPublic = 46
	curveP256      = 4
	curveP521      = 6
	mechSHA1       = 44
	mechDSA        = 170 // over SHA-256
	mechECDSA      = 187 // over SHA-512
)

// publicKey is an nCore public key: RSA (e, n), DSA (p, q, g, y), or a point.
type publicKey struct {
	kind   uint32
	curve  uint32
	values []*big.Int
}

func (r *reader) publicKey() *publicKey {
	k := &publicKey{kind: r.word()}
	n := 0
	switch k.kind {
	case keyRSAPublic, keyECDSAPublic:
		n = 2
	case keyDSAPublic:
		n = 4
	default:
		r.fail("a key of the kind %d, which isn't read", k.kind)
	}
	if k.kind == keyECDSAPublic {
		k.curve = r.word()
		if flags := r.word(); flags != 0 {
			r.fail("a key with the flags %X, which aren't understood", flags)
		}
	}
	for range n {
		k.values = append(k.values, r.bignum())
	}
	if r.err == nil {
		if err := k.check(); err != nil {
			r.fail("%w", err)
		}
	}
	return k
}

// check checks that a key has a size that is secure and cheap to verify with.
func (k *publicKey) check() error {
	v := k.values
	switch k.kind {
	case keyRSAPublic:
		if n, e := v[1].BitLen(), v[0]; n < 2048 || n > 4096 || e.BitLen() > 32 || e.BitLen() < 2 || e.Bit(0) == 0 {
			return fmt.Errorf("an RSA key of %d bits, or with an exponent that isn't accepted", n)
		}
	case keyDSAPublic:
		p, q, g, y := v[0], v[1], v[2], v[3]
		if p.BitLen() < 2048 || p.BitLen() > 3072 || q.BitLen() < 224 || q.BitLen() > 256 {
			return fmt.Errorf("a DSA key of %d and %d bits; 2048 to 3072 and 224 to 256 are accepted", p.BitLen(), q.BitLen())
		}
		one := big.NewInt(1)
		for _, x := range []*big.Int{g, y} {
			if x.Cmp(one) <= 0 || x.Cmp(p) >= 0 {
				return errors.New("a DSA key with a number outside its group")
			}
		}
	default:
		c := k.ellipticCurve()
		if c == nil {
			return fmt.Errorf("a key on curve %d, which isn't read", k.curve)
		}
		if _, err := k.ecdsa(); err != nil {
			return err
		}
	}
	return nil
}

func (k *publicKey) ellipticCurve() elliptic.Curve {
	switch k.curve {
	case curveP256:
		return elliptic.P256()
	case curveP521:
		return elliptic.P521()
	}
	return nil
}

func (k *publicKey) ecdsa() (*ecdsa.PublicKey, error) {
	c := k.ellipticCurve()
	pub := &ecdsa.PublicKey{Curve: c, X: k.values[0], Y: k.values[1]}
	if _, err := pub.ECDH(); err != nil {
		return nil, errors.New("a point that is not on its curve")
	}
	return pub, nil
}

// spki writes the key as X.509 does.
func (k *publicKey) spki() ([]byte, error) {
	switch k.kind {
	case keyRSAPublic:
		return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: k.values[1], E: int(k.values[0].Int64())})
	case keyECDSAPublic:
		pub, err := k.ecdsa()
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKIXPublicKey(pub)
	}
	return nil, errors.New("this program uses no DSA keys")
}

// verify checks a marshalled signature over a message.
func (k *publicKey) verify(what string, signature, message []byte) error {
	r := &reader{in: signature}
	mech := r.word()
	a, b := r.bignum(), r.bignum()
	if err := r.end(what); err != nil {
		return err
	}
	ok := false
	switch {
	case mech == mechDSA && k.kind == keyDSAPublic:
		h := sha256.Sum256(message)
		v := k.values
		pub := &dsa.PublicKey{Parameters: dsa.Parameters{P: v[0], Q: v[1], G: v[2]}, Y: v[3]}
		ok = dsa.Verify(pub, h[:v[1].BitLen()/8], a, b)
	case mech == mechECDSA && k.kind == keyECDSAPublic:
		pub, err := k.ecdsa()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		h := sha512.Sum512(message)
		ok = ecdsa.Verify(pub, h[:], a, b)
	default:
		return fmt.Errorf("%s: mechanism %d, which isn't verified for this kind of key", what, mech)
	}
	if !ok {
		return fmt.Errorf("%s: the signature does not verify", what)
	}
	return nil
}

// hash is nCore's hash of the key. It is known how nCore hashes RSA, DSA and P-256
// keys.
func (k *publicKey) hash() (h hash, err error) {
	var data []byte
	name := ""
	switch {
	case k.kind == keyRSAPublic:
		name = "RSA00"
	case k.kind == keyDSAPublic:
		name = "DSA00"
	case k.kind == keyECDSAPublic && k.curve == curveP256:
		name = "ECDSA00"
		p := elliptic.P256().Params()
		a := new(big.Int).Sub(p.P, big.NewInt(3))
		data = append(make([]byte, 8), 0, 1, 0, 0) // the field's 256 bits
		for _, x := range []*big.Int{p.P, a, p.B, p.Gx, p.Gy, p.N, big.NewInt(1)} {
			data = append(data, padded(x)...)
		}
	default:
		return h, errors.New("it isn't known how nCore hashes such a key, only RSA, DSA and P-256")
	}
	for _, x := range k.values {
		data = append(data, padded(x)...)
	}
	return sha1.Sum(append(append([]byte("nFast KeyHash\x00"+name+"\x00"), data...), "invented by nCipher 1997\x00"...)), nil
}

// padded writes a number little-endian, filled up to a multiple of 64 bytes.
func padded(x *big.Int) []byte {
	b := x.FillBytes(make([]byte, ((x.BitLen()+7)/8+63)/64*64))
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}
