package smartcardhsm

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // the digests that keys are used with
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// key is the public key of a certificate or a request.
type key struct {
	curve  *curve   // nil: an RSA key, or the curve of the issuer's key
	x, y   *big.Int // of an elliptic curve
	point  []byte
	rsa    *rsa.PublicKey
	digest crypto.Hash
}

// idTA is the object identifier id-TA, 0.4.0.127.0.7.2.2.2, below which BSI TR-03110
// has those of the algorithms that a certificate's key signs with.
var idTA = []byte{0x04, 0x00, 0x7f, 0x00, 0x07, 0x02, 0x02, 0x02}

// schemes are the algorithms that this package verifies, by the last two numbers of
// their object identifiers.
func schemes() map[[2]byte]crypto.Hash {
	return map[[2]byte]crypto.Hash{
		{1, 2}: crypto.SHA256,                                               // RSA, PKCS #1 v1.5
		{2, 3}: crypto.SHA256, {2, 4}: crypto.SHA384, {2, 5}: crypto.SHA512, // ECDSA
	}
}

const (
	tagCertificate = 0x7f21
	tagRequest     = 0x67
	tagBody        = 0x7f4e
	tagProfile     = 0x5f29
	tagIssuer      = 0x42 // certification authority reference
	tagKey         = 0x7f49
	tagHolder      = 0x5f20 // certificate holder reference
	tagRole        = 0x7f4c // certificate holder authorisation template
	tagFrom        = 0x5f25
	tagUntil       = 0x5f24
	tagExtensions  = 0x65
	tagSignature   = 0x5f37
)

// parseKey reads a public key object. inherited is the curve of the issuer's
// key, for certificates that leave the domain parameters out.
func parseKey(in []byte, inherited *curve, what string) (*key, error) {
	oid, _, err := next(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	end := bytes.TrimPrefix(oid.value, idTA)
	if oid.tag != 6 || len(end) != 2 || len(oid.value) != len(idTA)+2 {
		return nil, fmt.Errorf("%s: its algorithm %X is not one of TR-03110's", what, oid.value)
	}
	k := &key{digest: schemes()[[2]byte{end[0], end[1]}]}
	if k.digest == 0 {
		return nil, fmt.Errorf("%s: algorithm id-TA %d.%d isn't one that this program verifies", what, end[0], end[1])
	}
	if end[0] == 1 {
		return k, k.parseRSA(in, what)
	}
	domain := []wanted{{0x06, false}, {0x81, true}, {0x82, true}, {0x83, true}, {0x84, true}, {0x85, true}, {0x86, false}, {0x87, true}}
	f, err := sequence(in, what, domain...)
	if err != nil {
		return nil, err
	}
	if _, has := f[0x81]; !has && len(f) == 2 {
		k.curve = inherited
	} else if k.curve, err = parseDomain(f); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if k.curve == nil {
		return nil, fmt.Errorf("%s: names no curve, and no certificate above it does", what)
	}
	k.point = f[0x86].value
	if k.x, k.y = k.curve.point(k.point); k.x == nil {
		return nil, fmt.Errorf("%s: its point is not on %s", what, k.curve.name)
	}
	return k, nil
}

// parseDomain finds the curve that has all seven domain parameters. With a single
// other number it would be another curve, on which anyone could forge signatures.
func parseDomain(f map[uint32]field) (*curve, error) {
	for _, c := range curves() {
		g := append([]byte{4}, append(c.gx.FillBytes(make([]byte, c.size)), c.gy.FillBytes(make([]byte, c.size))...)...)
		same := bytes.Equal(f[0x84].value, g) && bytes.Equal(f[0x87].value, []byte{1})
		for tag, v := range map[uint32]*big.Int{0x81: c.p, 0x82: c.a, 0x83: c.b, 0x85: c.n} {
			same = same && bytes.Equal(f[tag].value, v.FillBytes(make([]byte, c.size)))
		}
		if same {
			return c, nil
		}
	}
	return nil, fmt.Errorf("its domain parameters are not those of a curve that this program knows")
}

func (k *key) parseRSA(in []byte, what string) error {
	f, err := sequence(in, what, wanted{0x06, false}, wanted{0x81, false}, wanted{0x82, false})
	if err != nil {
		return err
	}
	n, e := f[0x81].value, f[0x82].value
	if len(n) < 128 || len(n) > 512 || n[0] == 0 || n[len(n)-1]&1 == 0 {
		return fmt.Errorf("%s: a modulus of %d octets that starts with zero, is even, or isn't of 1024 to 4096 bits", what, len(n))
	}
	if len(e) == 0 || len(e) > 3 || e[0] == 0 || e[len(e)-1]&1 == 0 {
		return fmt.Errorf("%s: its exponent %X is not an odd number of at most 24 bits", what, e)
	}
	k.rsa = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	return nil
}

// verify checks a signature under the key.
func (k *key) verify(message, sig []byte) bool {
	h := k.digest.New()
	h.Write(message)
	if k.rsa != nil {
		return rsa.VerifyPKCS1v15(k.rsa, k.digest, h.Sum(nil), sig) == nil
	}
	return k.curve.verify(k.x, k.y, h.Sum(nil), sig)
}

// spki writes the key as a SubjectPublicKeyInfo, which identifies anchors and keys.
func (k *key) spki() ([]byte, error) {
	if k.rsa != nil {
		return x509.MarshalPKIXPublicKey(k.rsa)
	}
	name, err := asn1.Marshal(k.curve.oid)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: asn1.RawValue{FullBytes: name}},
		asn1.BitString{Bytes: k.point, BitLength: 8 * len(k.point)},
	})
}

// certificate is a card-verifiable certificate of the device's chain.
type certificate struct {
	Issuer, Holder string
	Role           byte
	From, Until    time.Time
	Extensions     []byte // not understood; devices have none
	key            []byte // the key object; it is read when the issuer's curve is known
	body           []byte
	signature      []byte
}

// holderRole is the object identifier of CardContact's roles, 1.3.6.1.4.1.24991.3.1.1.
var holderRole = []byte{0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xc3, 0x1f, 0x03, 0x01, 0x01}

// parseCertificates reads at most four certificates, one after the other, as in the
// device's file EF 2F02.
func parseCertificates(in []byte) (list []*certificate, err error) {
	for len(in) > 0 {
		what := fmt.Sprintf("certificate %d", len(list)+1)
		f, rest, err := next(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		if f.tag != tagCertificate {
			return nil, fmt.Errorf("%s: starts with %X, a certificate with %X", what, f.tag, tagCertificate)
		}
		if len(list) == 4 {
			return nil, fmt.Errorf("more than 4 certificates; a device has its own and its issuer's, beside the root's")
		}
		c, err := parseCertificate(f.value, what)
		if err != nil {
			return nil, err
		}
		list, in = append(list, c), rest
	}
	return list, nil
}

func parseCertificate(in []byte, what string) (*certificate, error) {
	outer, err := sequence(in, what, wanted{tagBody, false}, wanted{tagSignature, false})
	if err != nil {
		return nil, err
	}
	b, err := sequence(outer[tagBody].value, what, wanted{tagProfile, false}, wanted{tagIssuer, false}, wanted{tagKey, false},
		wanted{tagHolder, false}, wanted{tagRole, false}, wanted{tagFrom, false}, wanted{tagUntil, false}, wanted{tagExtensions, true})
	if err != nil {
		return nil, err
	}
	c := &certificate{key: b[tagKey].value, body: outer[tagBody].whole, signature: outer[tagSignature].value}
	c.Extensions = b[tagExtensions].value
	if err := checkProfile(b, what); err != nil {
		return nil, err
	}
	if c.Issuer, err = reference(b[tagIssuer].value); err != nil {
		return nil, fmt.Errorf("%s: issuer: %w", what, err)
	}
	if c.Holder, err = reference(b[tagHolder].value); err != nil {
		return nil, fmt.Errorf("%s: holder: %w", what, err)
	}
	role, err := sequence(b[tagRole].value, what+": role", wanted{0x06, false}, wanted{0x53, false})
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(role[0x06].value, holderRole) || len(role[0x53].value) != 1 {
		return nil, fmt.Errorf("%s: its role is not one of the SmartCard-HSM's", what)
	}
	c.Role = role[0x53].value[0]
	if c.From, err = date(b[tagFrom].value); err != nil {
		return nil, fmt.Errorf("%s: valid from: %w", what, err)
	}
	if c.Until, err = date(b[tagUntil].value); err != nil {
		return nil, fmt.Errorf("%s: valid until: %w", what, err)
	}
	return c, nil
}

func checkProfile(b map[uint32]field, what string) error {
	if !bytes.Equal(b[tagProfile].value, []byte{0}) {
		return fmt.Errorf("%s: profile %X; 00 is the one that is defined", what, b[tagProfile].value)
	}
	return nil
}

// reference reads a certificate's name: 8 to 16 letters and digits.
func reference(b []byte) (string, error) {
	for _, c := range b {
		if c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' || c > 'z' {
			return "", fmt.Errorf("%q has other characters than letters and digits", strict.Clip(string(b)))
		}
	}
	if len(b) < 8 || len(b) > 16 {
		return "", fmt.Errorf("%q has not between 8 and 16 characters", strict.Clip(string(b)))
	}
	return string(b), nil
}

// date reads YYMMDD, a digit an octet.
func date(b []byte) (time.Time, error) {
	if len(b) != 6 {
		return time.Time{}, fmt.Errorf("%X is not a date of six digits", b)
	}
	n := [3]int{}
	for i, d := range b {
		if d > 9 {
			return time.Time{}, fmt.Errorf("%X is not a date of six digits", b)
		}
		n[i/2] = 10*n[i/2] + int(d)
	}
	t := time.Date(2000+n[0], time.Month(n[1]), n[2], 0, 0, 0, 0, time.UTC)
	if int(t.Month()) != n[1] || t.Day() != n[2] {
		return time.Time{}, fmt.Errorf("%X is a date that doesn't exist", b)
	}
	return t, nil
}
