//go:build cgo && unix

package tpmdevice

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/fleetctl/fleetctl/attest"
)

// NewAuthority is the certificate of an authority that certifies attestation keys.
// Its key is what verifiers pin, with the operator's name.
func NewAuthority(random io.Reader, operator string, key crypto.Signer, from, until time.Time) (*x509.Certificate, error) {
	from, until = from.Truncate(time.Second), until.Truncate(time.Second) // as certificates have them
	serial, err := serialNumber(random)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: operator + " TPM attestation", Organization: []string{operator}},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(random, c, c, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Issue certifies the attestation key of a request whose challenge was answered:
// PEM, the authority's certificate behind it.
func Issue(random io.Reader, request, expected, answer *attest.Evidence, anchors *attest.Anchors, trustOnFirstUse bool, authority *x509.Certificate, key crypto.Signer, from, until time.Time) ([]byte, Enrolment, error) {
	var nobody Enrolment
	r, err := requested(request, anchors, from, trustOnFirstUse)
	if err != nil {
		return nil, nobody, err
	}
	if err := answered(request, expected, answer); err != nil {
		return nil, nobody, err
	}
	from, until = from.Truncate(time.Second), until.Truncate(time.Second)
	if !authority.IsCA || until.After(authority.NotAfter) || from.Before(authority.NotBefore) {
		return nil, nobody, fmt.Errorf("the authority's certificate is valid from %s to %s, and the attestation key's has to be within", authority.NotBefore.Format(time.DateOnly), authority.NotAfter.Format(time.DateOnly))
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(authority.PublicKey) {
		return nil, nobody, errors.New("the authority's certificate is of another key")
	}
	serial, err := serialNumber(random)
	if err != nil {
		return nil, nobody, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "TPM attestation key", SerialNumber: r.about.Identity},
		NotBefore: from, NotAfter: until, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{ekuAK},
	}
	// Maker and model are in the endorsement key's certificate, and no name of ours
	// is a subjectAltName.
	for _, x := range r.ek.Extensions {
		if x.Id.Equal(extSAN) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: x.Id, Value: x.Value})
		}
	}
	der, err := x509.CreateCertificate(random, c, authority, r.ak, key)
	if err != nil {
		return nil, nobody, err
	}
	return bytes.Join([][]byte{encodePEM(der), encodePEM(authority.Raw)}, nil), r.about, nil
}

func serialNumber(random io.Reader) (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b), nil
}
