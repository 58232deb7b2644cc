// Package attesttest makes attestations that are wrong in one thing and yet validly
// signed, under the tests' own roots, and runs a format's samples and hostile
// variants. It is only for tests.
package attesttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
)

// At is the time at which the certificates made here are valid and are judged.
var At = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// Cert is a certificate and the key in it.
type Cert struct {
	*x509.Certificate
	Key crypto.Signer
}

// Issue makes a certificate: by issuer, or self-signed where that is nil. alter
// may change the template: a CA by default, valid for a year either side of At.
func Issue(t testing.TB, name string, issuer *Cert, key crypto.Signer, alter ...func(*x509.Certificate)) *Cert {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(name, issuer, SPKI(t, key.Public())), Subject: pkix.Name{CommonName: name},
		NotBefore: At.AddDate(-1, 0, 0), NotAfter: At.AddDate(1, 0, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	for _, f := range alter {
		f(template)
	}
	parent := &Cert{template, key}
	if issuer != nil {
		parent = issuer
	}
	// Without randomness a signature follows from what is signed (RFC 6979): who makes
	// a certificate of the same keys again gets the same bytes.
	der, err := x509.CreateCertificate(nil, template, parent.Certificate, key.Public(), parent.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Cert{cert, key}
}

// serial is a number that another certificate doesn't have.
func serial(name string, issuer *Cert, spki []byte) *big.Int {
	h := sha256.New()
	h.Write([]byte(name))
	if issuer != nil {
		h.Write(issuer.RawSubjectPublicKeyInfo)
	}
	h.Write(spki)
	return new(big.Int).SetBytes(append([]byte{1}, h.Sum(nil)[:15]...))
}

// Named is a key on P-256 that follows from a name.
func Named(t testing.TB, name string) *ecdsa.PrivateKey {
	t.Helper()
	scalar := sha256.Sum256([]byte("attesttest " + name))
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Leaf is for Issue: a certificate that issues nothing.
func Leaf(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }

// P256 makes a key.
func P256(t testing.TB) *ecdsa.PrivateKey { return ec(t, elliptic.P256()) }

// P384 makes a key.
func P384(t testing.TB) *ecdsa.PrivateKey { return ec(t, elliptic.P384()) }

func ec(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// RSA makes a key.
func RSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// SPKI is a key's DER SubjectPublicKeyInfo.
func SPKI(t testing.TB, pub crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Pin pins the keys of certificates for a format.
func Pin(t testing.TB, format string, certs ...*x509.Certificate) *attest.Anchors {
	t.Helper()
	var list []attest.Anchor
	for _, c := range certs {
		list = append(list, attest.Anchor{
			Vendor: "test", Name: c.Subject.CommonName, Operator: "test operator", Formats: []string{format},
			SPKI: sha256.Sum256(c.RawSubjectPublicKeyInfo), Certificate: c.Raw, Origin: "made by the test", Check: "none: it is a test's",
		})
	}
	a, err := attest.NewAnchors(list...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// DER is the encodings of certificates, one behind the other.
func DER(certs ...*x509.Certificate) (der []byte) {
	for _, c := range certs {
		der = append(der, c.Raw...)
	}
	return der
}
