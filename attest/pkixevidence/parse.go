package pkixevidence

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of evidence. An HSM reports what it was asked about one key.
const (
	maxElements   = 16
	maxClaims     = 32
	maxSignatures = 3
)

// statement is parsed evidence, before any signature is checked.
type statement struct {
	Elements      []element
	Signatures    []signature
	Intermediates []*x509.Certificate
	signed        []byte // what the signatures are over
}

// element is a part of the device that is reported.
type element struct {
	Type   asn1.ObjectIdentifier
	Claims []claim
}

// claim is one thing said of an element. Value is its DER, nil where none is given.
type claim struct {
	Type  asn1.ObjectIdentifier
	Value []byte
}

// signature is a signature over the elements, and what identifies its key.
type signature struct {
	KeyID       []byte
	SPKI        []byte
	Certificate *x509.Certificate
	algorithm   x509.SignatureAlgorithm
	value       []byte
}

var errShape = errors.New("it is not DER of the draft's Evidence")

// parseStatement reads the DER of one Evidence, and nothing behind it.
func parseStatement(der []byte) (*statement, error) {
	s := &statement{}
	in := cryptobyte.String(der)
	var outer, tbs, list, signatures cryptobyte.String
	if !in.ReadASN1(&outer, tags.SEQUENCE) {
		return nil, errShape
	}
	if !in.Empty() {
		return nil, fmt.Errorf("%d bytes follow the evidence", len(in))
	}
	if !outer.ReadASN1Element(&tbs, tags.SEQUENCE) {
		return nil, errShape
	}
	s.signed = tbs
	var version int64
	if !tbs.ReadASN1(&tbs, tags.SEQUENCE) || !tbs.ReadASN1Integer(&version) || !tbs.ReadASN1(&list, tags.SEQUENCE) || !tbs.Empty() {
		return nil, errShape
	}
	if version != 1 {
		return nil, fmt.Errorf("version %d; 1 is read", version)
	}
	for !list.Empty() {
		if len(s.Elements) == maxElements {
			return nil, fmt.Errorf("more than %d elements", maxElements)
		}
		e, err := readElement(&list)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", len(s.Elements)+1, err)
		}
		s.Elements = append(s.Elements, *e)
	}
	if !outer.ReadASN1(&signatures, tags.SEQUENCE) {
		return nil, errShape
	}
	for !signatures.Empty() {
		if len(s.Signatures) == maxSignatures {
			return nil, fmt.Errorf("more than %d signatures", maxSignatures)
		}
		sig, err := readSignature(&signatures)
		if err != nil {
			return nil, fmt.Errorf("signature %d: %w", len(s.Signatures)+1, err)
		}
		s.Signatures = append(s.Signatures, *sig)
	}
	if err := s.readIntermediates(outer); err != nil {
		return nil, err
	}
	return s, nil
}

func readElement(in *cryptobyte.String) (*element, error) {
	e := &element{}
	var seq, claims cryptobyte.String
	if !in.ReadASN1(&seq, tags.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&e.Type) || !seq.ReadASN1(&claims, tags.SEQUENCE) || !seq.Empty() {
		return nil, errShape
	}
	for !claims.Empty() {
		if len(e.Claims) == maxClaims {
			return nil, fmt.Errorf("more than %d claims", maxClaims)
		}
		var c claim
		var one, value cryptobyte.String
		var tag tags.Tag
		if !claims.ReadASN1(&one, tags.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&c.Type) {
			return nil, errShape
		}
		if !one.Empty() {
			if !one.ReadAnyASN1Element(&value, &tag) || !one.Empty() {
				return nil, fmt.Errorf("claim %v: %w", c.Type, errShape)
			}
			c.Value = value
		}
		e.Claims = append(e.Claims, c)
	}
	if len(e.Claims) == 0 {
		return nil, errors.New("no claims")
	}
	return e, nil
}

// The signature algorithms that are verified.
var algorithms = []struct {
	oid  asn1.ObjectIdentifier
	null bool // RSA's parameters are NULL, the others' are left out
	alg  x509.SignatureAlgorithm
}{
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, false, x509.ECDSAWithSHA256},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, false, x509.ECDSAWithSHA384},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, false, x509.ECDSAWithSHA512},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, true, x509.SHA256WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, true, x509.SHA384WithRSA},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, true, x509.SHA512WithRSA},
	{asn1.ObjectIdentifier{1, 3, 101, 112}, false, x509.PureEd25519},
}

func readSignature(in *cryptobyte.String) (*signature, error) {
	sig := &signature{}
	var seq, sid, alg, keyID, spki, cert cryptobyte.String
	var hasID, hasSPKI, hasCert bool
	if !in.ReadASN1(&seq, tags.SEQUENCE) || !seq.ReadASN1(&sid, tags.SEQUENCE) || !seq.ReadASN1(&alg, tags.SEQUENCE) ||
		!seq.ReadASN1Bytes(&sig.value, tags.OCTET_STRING) || !seq.Empty() {
		return nil, errShape
	}
	context := func(n uint8) tags.Tag { return tags.Tag(n).ContextSpecific().Constructed() }
	if !sid.ReadOptionalASN1(&keyID, &hasID, context(0)) || !sid.ReadOptionalASN1(&spki, &hasSPKI, context(1)) ||
		!sid.ReadOptionalASN1(&cert, &hasCert, context(2)) || !sid.Empty() {
		return nil, errShape
	}
	if hasID && (!keyID.ReadASN1Bytes(&sig.KeyID, tags.OCTET_STRING) || !keyID.Empty() || len(sig.KeyID) == 0) {
		return nil, fmt.Errorf("keyId: %w", errShape)
	}
	if hasSPKI {
		sig.SPKI = spki
	}
	if hasCert {
		var err error
		if sig.Certificate, err = x509.ParseCertificate(cert); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
	}
	if !hasID && !hasSPKI && !hasCert {
		return nil, errors.New("nothing names the key that signed")
	}
	var oid asn1.ObjectIdentifier
	if !alg.ReadASN1ObjectIdentifier(&oid) {
		return nil, errShape
	}
	for _, a := range algorithms {
		if a.oid.Equal(oid) && string(alg) == map[bool]string{true: "\x05\x00"}[a.null] {
			sig.algorithm = a.alg
			return sig, nil
		}
	}
	return nil, fmt.Errorf("algorithm %v, or its parameters, aren't ones that are verified", oid)
}

// readIntermediates reads the certificates beside the signatures. By the draft's
// ASN.1 module tags are explicit, so that [0] has a list of certificates; in its
// samples they are implicit, so that [0] has the certificates themselves.
func (s *statement) readIntermediates(in cryptobyte.String) error {
	var list cryptobyte.String
	var has bool
	if !in.ReadOptionalASN1(&list, &has, tags.Tag(0).ContextSpecific().Constructed()) || !in.Empty() {
		return fmt.Errorf("what follows the signatures: %w", errShape)
	}
	var inner cryptobyte.String
	if once := list; has && once.ReadASN1(&inner, tags.SEQUENCE) && once.Empty() {
		first := inner
		var cert cryptobyte.String
		if first.Empty() {
			list = inner
		} else if first.ReadASN1Element(&cert, tags.SEQUENCE) {
			if _, err := x509.ParseCertificate(cert); err == nil {
				list = inner
			}
		}
	}
	for !list.Empty() {
		var der cryptobyte.String
		if !list.ReadASN1Element(&der, tags.SEQUENCE) || len(s.Intermediates) == maxCertificates {
			return fmt.Errorf("the intermediate certificates are more than %d, or something else", maxCertificates)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("intermediate certificate %d: %w", len(s.Intermediates)+1, err)
		}
		s.Intermediates = append(s.Intermediates, c)
	}
	return nil
}
