// Package opaque is OPAQUE-3DH of RFC 9807 with ristretto255-SHA512: a device proves
// to a server that it knows a password or recovery code without the server ever
// learning it, and both end with the same session key; the device alone ends with an
// export key, from which it wraps what is its own.
//
// It is pure: bytes in, bytes out, randomness handed in. Group and OPRF are CIRCL's
// (RFC 9496, RFC 9497); key derivation, hash and MAC are HKDF, SHA-512 and HMAC of the
// standard library.
//
// Who can learn what:
//
//   - Whoever has a record, its OPRF key and the server's private key can try passwords
//     offline, at the price of one stretching each (RFC 9807, 10.8 and 10.11). A record
//     without its OPRF key gives no way to try anything: it is why an account's key is
//     random, and erased with its record.
//   - Whoever answers as the server in a session can try one password for each login
//     that it is led into, as any server can; it needs the server's private key, or the
//     envelope isn't accepted.
//   - Whoever asks about an account that doesn't exist gets a response of the same form
//     from the same calls, made from the seed (RFC 9807, 6.3.2.2 and 10.9).
//   - The seed serves these fakes alone. Who has it can tell fakes from accounts, and
//     learns nothing about any account's password.
package opaque

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
)

// Sizes in bytes of what a fleet's devices and nodes exchange and keep.
const (
	RequestSize   = 32                           // a registration's request: a blinded element
	ResponseSize  = 32 + 32                      // evaluated element, server's public key
	RecordSize    = 32 + 64 + envelopeNonce + 64 // client's public key, masking key, envelope
	KE1Size       = 32 + 32 + 32                 // blinded element, nonce, key share
	KE2Size       = 32 + 32 + 32 + 96 + 32 + 32 + 64
	KE3Size       = 64
	OPRFKeySize   = 32
	ServerKeySize = 32
	SeedSize      = 64
	ExportKeySize = 64
)

const (
	envelopeNonce = 32 // Nn
	keySeed       = 32 // Nseed and Nok
	longest       = 1<<16 - 1
)

// suite is a configuration of RFC 9807, section 7. Devices and nodes use ristretto255
// alone; the RFC's vectors have others, which share this code in its tests.
type suite struct {
	oprf oprf.Suite
	hash func() hash.Hash
	ake  exchange
}

var ristretto = &suite{oprf.SuiteRistretto255, sha512.New, groupExchange{oprf.SuiteRistretto255}}

func (s *suite) element() int  { return int(s.oprf.Group().Params().CompressedElementLength) }
func (s *suite) nh() int       { return s.hash().Size() }
func (s *suite) envelope() int { return envelopeNonce + s.nh() }
func (s *suite) masked() int   { return s.ake.size() + s.envelope() }
func (s *suite) record() int   { return s.ake.size() + s.nh() + s.envelope() }
func (s *suite) ke1() int      { return s.element() + envelopeNonce + s.ake.size() }

// response is the size of KE2's first part, the credential response.
func (s *suite) response() int { return s.element() + envelopeNonce + s.masked() }
func (s *suite) ke2() int      { return s.response() + envelopeNonce + s.ake.size() + s.nh() }

// expand is HKDF-Expand. Its only error is a length that no caller asks for.
func (s *suite) expand(key []byte, info string, n int) ([]byte, error) {
	return hkdf.Expand(s.hash, key, info, n)
}

func (s *suite) mac(key []byte, parts ...[]byte) []byte {
	m := hmac.New(s.hash, key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

func (s *suite) digest(parts ...[]byte) []byte {
	h := s.hash()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// decode reads a group element as a peer sent it: in its one encoding (CIRCL takes no
// other), and never the identity, with which every key gives the same answer.
func (s *suite) decode(what string, data []byte) (group.Element, error) {
	return decodeElement(s.oprf.Group(), what, data)
}

func decodeElement(g group.Group, what string, data []byte) (group.Element, error) {
	if want := int(g.Params().CompressedElementLength); len(data) != want {
		return nil, fmt.Errorf("%s has %d bytes instead of %d", what, len(data), want)
	}
	e := g.NewElement()
	if err := e.UnmarshalBinary(data); err != nil {
		return nil, fmt.Errorf("%s is no point of the group", what)
	}
	if e.IsIdentity() {
		return nil, fmt.Errorf("%s is the group's identity", what)
	}
	return e, nil
}

// scalar draws a scalar other than zero, each with the same probability: what is no
// canonical encoding is drawn again.
func (s *suite) scalar(random io.Reader) (group.Scalar, error) {
	g := s.oprf.Group()
	b := make([]byte, g.Params().ScalarLength)
	for range 256 {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("no randomness: %w", err)
		}
		if s.oprf == oprf.SuiteRistretto255 {
			b[31] &= 0x1f // the order lies just above 2^252
		}
		if k := g.NewScalar(); k.UnmarshalBinary(b) == nil && !k.IsZero() {
			return k, nil
		}
	}
	return nil, errors.New("256 draws gave no scalar: the source of randomness is broken")
}

// evaluate applies a server's OPRF key to a blinded element.
func (s *suite) evaluate(key, blinded []byte) ([]byte, error) {
	e, err := s.decode("the blinded element", blinded)
	if err != nil {
		return nil, err
	}
	k := new(oprf.PrivateKey)
	if err := k.UnmarshalBinary(s.oprf, key); err != nil {
		return nil, errors.New("the account's OPRF key is no scalar of the group")
	}
	v, err := oprf.NewServer(s.oprf, k).Evaluate(&oprf.EvaluationRequest{Elements: []oprf.Blinded{e}})
	if err != nil {
		return nil, err
	}
	return v.Elements[0].MarshalBinaryCompress()
}

// derivedKey is an account's OPRF key as it follows from the seed (RFC 9807, 5.2.2).
func (s *suite) derivedKey(seed, account []byte) ([]byte, error) {
	b, err := s.expand(seed, string(account)+"OprfKey", keySeed)
	if err != nil {
		return nil, err
	}
	k, err := oprf.DeriveKey(s.oprf, oprf.BaseMode, b, []byte("OPAQUE-DeriveKeyPair"))
	if err != nil {
		return nil, err
	}
	return k.MarshalBinary()
}

func draw(random io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("no randomness: %w", err)
	}
	return b, nil
}

// prefixed is a byte string with its length before it, in two bytes.
func prefixed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func identity(given, key []byte) []byte {
	if given == nil {
		return key
	}
	return given
}
