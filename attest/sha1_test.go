package attest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
)

// overSHA1 is a certificate with its issuer's signature over SHA-1, which Go no longer
// makes. spoil may change what is signed.
func overSHA1(t *testing.T, cert, issuer *at.Cert, spoil func(digest []byte)) *x509.Certificate {
	t.Helper()
	alg := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}} // ecdsa-with-SHA1
	if _, ok := issuer.Key.(*rsa.PrivateKey); ok {
		alg = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, Parameters: asn1.NullRawValue} // sha1WithRSAEncryption
	}
	made := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var fields []asn1.RawValue // version, serial number, algorithm, …
	made(asn1.Unmarshal(cert.RawTBSCertificate, &fields))
	fields[2] = asn1.RawValue{FullBytes: made(asn1.Marshal(alg))}
	tbs := made(asn1.Marshal(fields))
	digest := sha1.Sum(tbs)
	spoil(digest[:])
	sig := made(issuer.Key.Sign(nil, digest[:], crypto.SHA1))
	der := made(asn1.Marshal(struct {
		TBS asn1.RawValue
		Alg pkix.AlgorithmIdentifier
		Sig asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, alg, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}}))
	x, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Old devices' certificates are signed over SHA-1. That is taken where the format
// names it, reported, and the signature verified all the same.
func TestACertificateSignedOverSHA1IsTakenByNameAloneAndVerified(t *testing.T) {
	root := at.Issue(t, "root", nil, at.P256(t))
	for name, key := range map[string]crypto.Signer{"RSA": at.RSA(t, 2048), "ECDSA": at.P256(t)} {
		mid := at.Issue(t, "mid", root, key)
		leaf := at.Issue(t, "leaf", mid, at.P256(t), at.Leaf)
		good := overSHA1(t, leaf, mid, func([]byte) {})
		bad := overSHA1(t, leaf, mid, func(digest []byte) { digest[0] ^= 1 })
		verify := func(leaf *x509.Certificate, quirks ...string) (*attest.Path, error) {
			return attest.Chain{Format: "f", Certs: []*x509.Certificate{leaf, mid.Certificate, root.Certificate}, Quirks: quirks}.Verify(&attest.Anchors{}, at.At)
		}
		if p, err := verify(good, attest.QuirkSHA1); err != nil || !slices.Equal(p.Quirks, []string{attest.QuirkSHA1}) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if _, err := verify(good); err == nil || !strings.Contains(err.Error(), "it is signed over SHA-1") {
			t.Errorf("%s, by a format that names no such quirk: %v", name, err)
		}
		if _, err := verify(bad, attest.QuirkSHA1); err == nil || !strings.Contains(err.Error(), "the signature does not verify") {
			t.Errorf("%s, over something else: %v", name, err)
		}
	}
}
