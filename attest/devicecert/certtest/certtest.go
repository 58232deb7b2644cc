// Package certtest makes certificates for tests, byte by byte: such as
// crypto/x509 makes, and such as it would refuse to make.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"
)

// Key is a private key with its public half encoded.
type Key struct {
	crypto.Signer
	SPKI []byte
}

var (
	keysMu sync.Mutex
	keys   = map[string]*Key{}
)

// RSA gives the RSA key of 2048 bits that goes by name, made when first asked
// for: making one takes a tenth of a second or more.
func RSA(t testing.TB, name string) *Key {
	return cached(t, "rsa "+name, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })
}

// EC gives the P-256 key that goes by name.
func EC(t testing.TB, name string) *Key {
	return cached(t, "p256 "+name, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
}

// P384 gives the P-384 key that goes by name.
func P384(t testing.TB, name string) *Key {
	return cached(t, "p384 "+name, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) })
}

func cached(t testing.TB, name string, make func() (crypto.Signer, error)) *Key {
	t.Helper()
	keysMu.Lock()
	defer keysMu.Unlock()
	if keys[name] == nil {
		s, err := make()
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(s.Public())
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = &Key{s, spki}
	}
	return keys[name]
}

// Cert is what a certificate says.
type Cert struct {
	Version         int // 1 or 3; 0 is 3
	Serial          int64
	Subject, Issuer pkix.Name
	From, To        time.Time // the years 2020 and 2050 when zero
	SPKI            []byte
	Extensions      []pkix.Extension
	MangleSignature func([]byte) []byte
}

// Name is a name of one common name.
func Name(cn string) pkix.Name { return pkix.Name{CommonName: cn} }

// CA is the extension that lets a certificate sign others.
func CA() pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}
}

// Ext is a field below an arc.
func Ext(arc string, num int, value []byte) pkix.Extension {
	id, err := parseOID(arc)
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: append(id, num), Value: value}
}

func parseOID(s string) (asn1.ObjectIdentifier, error) {
	o, err := x509.ParseOID(s)
	if err != nil {
		return nil, err
	}
	der, err := o.MarshalBinary()
	if err != nil {
		return nil, err
	}
	var id asn1.ObjectIdentifier
	_, err = asn1.Unmarshal(append([]byte{6, byte(len(der))}, der...), &id)
	return id, err
}

type validity struct{ From, To time.Time }

type toBeSigned struct {
	Version    int `asn1:"optional,explicit,default:0,tag:0"`
	Serial     *big.Int
	Algorithm  pkix.AlgorithmIdentifier
	Issuer     asn1.RawValue
	Validity   validity
	Subject    asn1.RawValue
	PublicKey  asn1.RawValue
	Extensions []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
}

// Sign makes the certificate, signed by the issuer's key.
func (c Cert) Sign(t testing.TB, by *Key) []byte {
	t.Helper()
	tbs := toBeSigned{Version: 2, Serial: big.NewInt(c.Serial + 1), Algorithm: algorithm(by), Extensions: c.Extensions,
		Issuer: rawName(t, c.Issuer), Subject: rawName(t, c.Subject), PublicKey: asn1.RawValue{FullBytes: c.SPKI},
		Validity: validity{c.From, c.To}}
	if c.Version == 1 {
		tbs.Version, tbs.Extensions = 0, nil
	}
	if c.From.IsZero() {
		tbs.Validity.From = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if c.To.IsZero() {
		tbs.Validity.To = time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	raw := marshal(t, tbs)
	sig := signBytes(t, by, raw)
	if c.MangleSignature != nil {
		sig = c.MangleSignature(sig)
	}
	return marshal(t, struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: raw}, algorithm(by), asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
}

// signBytes signs with the hash that goes with the key: SHA-384 for P-384, else SHA-256.
func signBytes(t testing.TB, by *Key, data []byte) []byte {
	t.Helper()
	h := sha256.Sum256(data)
	digest, hash := h[:], crypto.SHA256
	if k, ok := by.Public().(*ecdsa.PublicKey); ok && k.Curve == elliptic.P384() {
		h := sha512.Sum384(data)
		digest, hash = h[:], crypto.SHA384
	}
	sig, err := by.Sign(rand.Reader, digest, hash)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func algorithm(k *Key) pkix.AlgorithmIdentifier {
	switch p := k.Public().(type) {
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P384() {
			return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}
		}
		return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
	default:
		return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
	}
}

func rawName(t testing.TB, n pkix.Name) asn1.RawValue {
	return asn1.RawValue{FullBytes: marshal(t, n.ToRDNSequence())}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// PEM writes certificates as vendors' tools do, one behind the other.
func PEM(ders ...[]byte) (out []byte) {
	for _, d := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d})...)
	}
	return out
}
