package keys

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// ParseAs admits a key that is said to be of a kind. Nothing in a P-256 key tells
// one that agrees from one that signs, so whoever lists it says which it is; a key
// admitted as one of them does nothing of the other's.
func ParseAs(alg Algorithm, spki []byte) (*Public, error) {
	p, err := ParseSPKI(spki)
	if err != nil {
		return nil, err
	}
	return p.as(alg)
}

// as is the same key as another kind of key of its curve, where there is one.
func (p *Public) as(alg Algorithm) (*Public, error) {
	if k, ok := p.key.(*ecdsa.PublicKey); ok && p.alg == P256 && alg == ECDHP256 {
		key, err := k.ECDH()
		if err != nil {
			return nil, errors.New("is no point of its curve")
		}
		return &Public{alg: alg, spki: p.spki, key: key}, nil
	}
	if p.alg != alg {
		return nil, fmt.Errorf("is of kind %s, not %s", p.alg, alg)
	}
	return p, nil
}

// ECDH is the key for a key agreement; an error of one that signs.
func (p *Public) ECDH() (*ecdh.PublicKey, error) {
	if k, ok := p.key.(*ecdh.PublicKey); ok && p.alg.Use() == Agree {
		return k, nil
	}
	return nil, fmt.Errorf("a key of kind %s can't agree on a secret by ECDH", p.alg)
}

// Peer is what another party of a key agreement sends: the public half of a key
// that it drew for this once, or of ML-KEM the ciphertext.
type Peer struct {
	alg        Algorithm
	key        *ecdh.PublicKey
	ciphertext []byte
}

// peerSize is the size of a peer's one encoding: of P-256 the compressed point (SEC
// 1, 2.3.3), of X25519 the coordinate (RFC 7748, section 5), of ML-KEM-768 the
// ciphertext (FIPS 203, section 8).
func peerSize(alg Algorithm) int {
	switch alg {
	case ECDHP256:
		return 33
	case X25519:
		return 32
	case MLKEM768:
		return mlkem.CiphertextSize768
	}
	return 0
}

// scalarSize is the size of the private half of a peer.
const scalarSize = 32

// ParsePeer reads a peer. What is no point of the curve, of X25519 what isn't
// canonical or of low order, is refused: with such a one a secret is no secret, or
// the other side's key leaks. Of a ciphertext of ML-KEM only the length can be
// checked: all bytes of the right number give some secret.
func ParsePeer(alg Algorithm, data []byte) (*Peer, error) {
	if len(data) != peerSize(alg) || len(data) == 0 {
		return nil, fmt.Errorf("has %d bytes, one for %s has %d", len(data), alg, peerSize(alg))
	}
	switch alg {
	case MLKEM768:
		return &Peer{alg: alg, ciphertext: bytes.Clone(data)}, nil
	case X25519:
		if err := admitX25519(data); err != nil {
			return nil, err
		}
		k, err := ecdh.X25519().NewPublicKey(data)
		return &Peer{alg: alg, key: k}, err
	}
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), data)
	if x == nil {
		return nil, errors.New("is no compressed point of P-256")
	}
	raw := make([]byte, 65)
	raw[0] = 4
	x.FillBytes(raw[1:33])
	y.FillBytes(raw[33:])
	k, err := ecdh.P256().NewPublicKey(raw)
	return &Peer{alg: alg, key: k}, err
}

// Encode is the peer in its one encoding.
func (p *Peer) Encode() []byte {
	raw := p.Point()
	if p.alg != ECDHP256 {
		return raw
	}
	return append([]byte{2 + raw[len(raw)-1]&1}, raw[1:33]...)
}

// Point is the peer as a token takes it: of P-256 the uncompressed point, of ML-KEM
// the ciphertext.
func (p *Peer) Point() []byte {
	if p.alg == MLKEM768 {
		return bytes.Clone(p.ciphertext)
	}
	return p.key.Bytes()
}

// Scalar is the private half of a peer: whoever knows it can answer for the other
// side, whose key isn't needed for that. Of ML-KEM it is the 32 random bytes from which,
// with the other side's public key, ciphertext and secret follow.
type Scalar struct {
	alg    Algorithm
	key    *ecdh.PrivateKey
	random []byte
}

func curveOf(alg Algorithm) (ecdh.Curve, error) {
	switch alg {
	case ECDHP256:
		return ecdh.P256(), nil
	case X25519:
		return ecdh.X25519(), nil
	}
	return nil, fmt.Errorf("a key of kind %s can't agree on a secret", alg)
}

// ParseScalar reads one; of P-256 it is a number from 1 to n − 1.
func ParseScalar(alg Algorithm, data []byte) (*Scalar, error) {
	if alg == MLKEM768 {
		if len(data) != scalarSize {
			return nil, fmt.Errorf("has %d bytes, what a ciphertext of %s is made from has %d", len(data), alg, scalarSize)
		}
		return &Scalar{alg: alg, random: bytes.Clone(data)}, nil
	}
	c, err := curveOf(alg)
	if err != nil {
		return nil, err
	}
	k, err := c.NewPrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("is no private half of a peer for %s", alg)
	}
	return &Scalar{alg: alg, key: k}, nil
}

// DrawScalar draws one. It takes bytes until they are a number in range, so that
// every number is as likely as any other.
func DrawScalar(alg Algorithm, random io.Reader) (*Scalar, error) {
	for range 128 {
		data := make([]byte, scalarSize)
		if _, err := io.ReadFull(random, data); err != nil {
			return nil, err
		}
		s, err := ParseScalar(alg, data)
		if err == nil || alg.Use() != Agree {
			return s, err
		}
	}
	return nil, errors.New("the source of randomness gives no number in range")
}

// Encode is the scalar's 32 bytes.
func (s *Scalar) Encode() []byte {
	if s.alg == MLKEM768 {
		return bytes.Clone(s.random)
	}
	return s.key.Bytes()
}

// Peer is its public half. A ciphertext of ML-KEM is made for the key p; the peer of an
// ECDH is the same for every key, and p may be nil.
func (s *Scalar) Peer(p *Public) (*Peer, error) {
	if s.alg != MLKEM768 {
		return &Peer{alg: s.alg, key: s.key.PublicKey()}, nil
	}
	secret, ciphertext, err := encapsulate(p, s.random)
	clear(secret)
	if err != nil {
		return nil, err
	}
	return &Peer{alg: s.alg, ciphertext: ciphertext}, nil
}

// Secret is what the key and the scalar's peer agree on.
func (s *Scalar) Secret(p *Public) ([]byte, error) {
	if p.alg != s.alg {
		return nil, fmt.Errorf("a key of kind %s and a peer of %s agree on nothing", p.alg, s.alg)
	}
	if s.alg == MLKEM768 {
		secret, _, err := encapsulate(p, s.random)
		return secret, err
	}
	k, err := p.ECDH()
	if err != nil {
		return nil, err
	}
	return s.key.ECDH(k) // of X25519 fails where the secret is all zero
}

// AgreementAnswer is what a key that agrees gives in place of a signature: it shows
// whoever drew the peer, and nobody else, that the private half was at work. secret
// is what both agreed on.
func AgreementAnswer(p *Public, peer *Peer, secret, text []byte) ([32]byte, error) {
	var out [32]byte
	switch {
	case p.alg.Use() != Agree || p.alg != peer.alg:
		return out, fmt.Errorf("a key of kind %s and a peer of %s agree on nothing", p.alg, peer.alg)
	case len(secret) != 32:
		return out, fmt.Errorf("the secret has %d bytes, of %s it has 32", len(secret), p.alg)
	case bytes.Equal(secret, make([]byte, 32)):
		return out, errors.New("the secret is all zero: one side gave a point of low order")
	}
	info := fmt.Sprintf("fleetctl agreement v1\n%s\n%x\n%x\n", p.alg, peer.Encode(), p.Fingerprint())
	key, err := hkdf.Key(sha256.New, secret, nil, info, sha256.Size)
	if err != nil {
		return out, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return [32]byte(mac.Sum(nil)), nil
}

// admitX25519 refuses the points of low order (RFC 7748, section 6.1): a key
// agreement with one gives the same secret to everybody.
func admitX25519(raw []byte) error {
	// RFC 7748 takes u above p and ignores the highest bit: two names for a key.
	if len(raw) == 32 && (raw[31] > 127 || aboveP(raw)) {
		return errors.New("is not the canonical encoding of its X25519 key")
	}
	k, err := ecdh.X25519().NewPublicKey(raw)
	if err != nil {
		return errors.New("is no X25519 key")
	}
	scalar, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{0x77}, 32))
	if err != nil {
		return err
	}
	if _, err := scalar.ECDH(k); err != nil { // fails on an all-zero result alone
		return errors.New("is an X25519 key of low order")
	}
	return nil
}
