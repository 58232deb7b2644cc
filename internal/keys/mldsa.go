package keys

import (
	"bytes"
	"errors"
	"fmt"

	"filippo.io/mldsa"
)

// An ML-DSA public key (FIPS 204) is rho, from which the matrix follows, and t1.
const mldsaRho = 32

// mldsaSet is a parameter set, with the beginning of the one DER that its public
// keys have, and of the one that its private keys have as seeds (RFC 9881, sections
// 4 and 6). The key follows each. Its bytes are kept, not what they expand to, which
// is ten times as much and is made anew for each signature.
type mldsaSet struct {
	alg         Algorithm
	params      func() mldsa.Parameters
	spki, pkcs8 []byte
}

var mldsaSets = []*mldsaSet{
	newMLDSASet(MLDSA44, mldsa.MLDSA44, 0x11), newMLDSASet(MLDSA65, mldsa.MLDSA65, 0x12), newMLDSASet(MLDSA87, mldsa.MLDSA87, 0x13),
}

// newMLDSASet makes a set whose object identifier ends with this byte.
func newMLDSASet(alg Algorithm, params func() mldsa.Parameters, last byte) *mldsaSet {
	id := []byte{0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, last}
	bits := params().PublicKeySize() + 1 // and a byte that says how many bits are unused: none
	all := bits + 4 + len(id)
	spki := append([]byte{0x30, 0x82, byte(all >> 8), byte(all)}, id...)
	spki = append(spki, 0x03, 0x82, byte(bits>>8), byte(bits), 0)
	pkcs8 := append([]byte{0x30, 0x34, 0x02, 0x01, 0x00}, id...)
	return &mldsaSet{alg, params, spki, append(pkcs8, 0x04, 0x22, 0x80, mldsa.PrivateKeySize)}
}

// mldsaSetOf is the parameter set of an algorithm; nil of one that isn't ML-DSA.
func mldsaSetOf(alg Algorithm) *mldsaSet {
	for _, s := range mldsaSets {
		if s.alg == alg {
			return s
		}
	}
	return nil
}

// IsMLDSA says whether keys of this kind sign with ML-DSA.
func (a Algorithm) IsMLDSA() bool { return mldsaSetOf(a) != nil }

func (s *mldsaSet) maxSPKI() int { return len(s.spki) + s.params().PublicKeySize() }

// mldsaKey is the raw public key of a set.
type mldsaKey struct {
	set *mldsaSet
	raw []byte
}

// parseMLDSA admits a key from its DER, if that begins as an ML-DSA key's does.
func parseMLDSA(der []byte) (p *Public, ours bool, err error) {
	for _, s := range mldsaSets {
		if raw, ok := bytes.CutPrefix(der, s.spki); ok {
			p, err = FromMLDSA(s.alg, raw)
			return p, true, err
		}
	}
	return nil, false, nil
}

// FromMLDSA admits an ML-DSA key from its raw bytes. All bytes of the right number
// are some key, and of some anybody can make signatures: see weakT1.
func FromMLDSA(alg Algorithm, raw []byte) (*Public, error) {
	s := mldsaSetOf(alg)
	if s == nil {
		return nil, fmt.Errorf("%q is no parameter set of ML-DSA", alg)
	}
	if want := s.params().PublicKeySize(); len(raw) != want {
		return nil, fmt.Errorf("has %d bytes, a key of %s has %d", len(raw), alg, want)
	}
	if weakT1(raw[mldsaRho:]) {
		return nil, fmt.Errorf("is a key of %s with a t1 of small numbers: anyone can sign for it", alg)
	}
	spki := append(bytes.Clone(s.spki), raw...)
	return &Public{alg: alg, spki: spki, key: mldsaKey{s, spki[len(s.spki):]}}, nil
}

// weakT1 says whether more than half of the numbers of t1, of 10 bits each, are within 16
// of 0 modulo 1024. Of a key that was generated one in 31 is. The private half enters what
// is verified through c·t1·2^13, and of small numbers that is so little, modulo q, that
// hints take it back: 1023 is as small as 1, because 1023·2^13 is −1.
func weakT1(t1 []byte) bool {
	numbers, small := len(t1)*8/10, 0
	for i := range numbers {
		at := 10 * i
		n := (uint(t1[at/8]) | uint(t1[at/8+1])<<8) >> (at % 8) & 1023
		if (n+16)&1023 <= 32 {
			small++
		}
	}
	return 2*small > numbers
}

// Raw is an ML-DSA or ML-KEM key's raw bytes; nil of another kind. They are not to be
// written to.
func (p *Public) Raw() []byte {
	if p.alg.IsMLKEM() {
		return p.spki[len(mlkemSPKI):]
	}
	k, _ := p.key.(mldsaKey)
	return k.raw
}

func (k mldsaKey) verify(as Context, msg, sig []byte) error {
	if want := k.set.params().SignatureSize(); len(sig) != want {
		return fmt.Errorf("the signature has %d bytes, one of %s has %d", len(sig), k.set.alg, want)
	}
	pub, err := mldsa.NewPublicKey(k.set.params(), k.raw)
	if err != nil {
		return err
	}
	if mldsa.Verify(pub, msg, sig, &mldsa.Options{Context: as.FIPS204()}) == nil {
		return nil
	}
	// Whoever took a signature of one use for another is told so.
	for _, other := range contexts {
		if other != as && mldsa.Verify(pub, msg, sig, &mldsa.Options{Context: other.FIPS204()}) == nil {
			return fmt.Errorf("%w for %s: it was made for %s", ErrSignature, as, other)
		}
	}
	return ErrSignature
}

// MLDSA is a private key that is in memory: those of people's and parties' files.
type MLDSA struct {
	key    *mldsa.PrivateKey
	public *Public
}

// NewMLDSA makes the key of a seed.
func NewMLDSA(alg Algorithm, seed []byte) (*MLDSA, error) {
	s := mldsaSetOf(alg)
	if s == nil {
		return nil, fmt.Errorf("%q is no parameter set of ML-DSA", alg)
	}
	k, err := mldsa.NewPrivateKey(s.params(), seed)
	if err != nil {
		return nil, fmt.Errorf("a seed of ML-DSA has %d bytes, not %d", mldsa.PrivateKeySize, len(seed))
	}
	p, err := FromMLDSA(alg, k.PublicKey().Bytes())
	if err != nil {
		return nil, err
	}
	return &MLDSA{k, p}, nil
}

// ParseMLDSA reads PKCS#8 in the seed form of RFC 9881, in its one DER. ours is false
// of what is no private key of ML-DSA in whatever form.
func ParseMLDSA(pkcs8 []byte) (key *MLDSA, ours bool, err error) {
	for _, s := range mldsaSets {
		seed, ok := bytes.CutPrefix(pkcs8, s.pkcs8)
		if ok && len(seed) == mldsa.PrivateKeySize {
			key, err = NewMLDSA(s.alg, seed)
			return key, true, err
		}
	}
	if !isMLDSAPrivate(pkcs8) {
		return nil, false, nil
	}
	return nil, true, errors.New("is an ML-DSA key that is not in the form of its seed alone (RFC 9881, section 6)")
}

// isMLDSAPrivate says whether this begins as PKCS#8 of ML-DSA, in whichever form.
func isMLDSAPrivate(der []byte) bool {
	const version = "\x02\x01\x00"
	for _, s := range mldsaSets {
		id := s.pkcs8[2+len(version) : len(s.pkcs8)-4]
		if i := bytes.Index(der[:min(len(der), 32)], append([]byte(version), id...)); i > 0 && der[0] == 0x30 {
			return true
		}
	}
	return false
}

// PKCS8 is the key in the form that [ParseMLDSA] reads.
func (k *MLDSA) PKCS8() []byte {
	return append(bytes.Clone(mldsaSetOf(k.public.alg).pkcs8), k.key.Bytes()...)
}

// Public is the public half.
func (k *MLDSA) Public() *Public { return k.public }

// Sign signs for a use. The signature follows from key, use and message.
func (k *MLDSA) Sign(as Context, msg []byte) ([]byte, error) {
	if err := as.Check(); err != nil {
		return nil, err
	}
	return k.key.SignDeterministic(msg, &mldsa.Options{Context: as.FIPS204()})
}
