package tpm

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The attributes of a TPM in its certificate's subjectAltName (TCG EK Credential Profile,
// 3.1.2).
var (
	idManufacturer = asn1.ObjectIdentifier{2, 23, 133, 2, 1}
	idModel        = asn1.ObjectIdentifier{2, 23, 133, 2, 2}
	idVersion      = asn1.ObjectIdentifier{2, 23, 133, 2, 3}
)

// described takes maker and model from a certificate, and the identity from the subject's
// serial number: the SHA-256 in hex of the SubjectPublicKeyInfo of the endorsement key,
// which the authority challenged.
func described(cert *x509.Certificate, c *attest.Claims) error {
	for _, n := range cert.Subject.Names {
		s, _ := n.Value.(string)
		if !n.Type.Equal(idSerial) || len(s) != 64 {
			continue
		}
		if _, err := strict.ParseHex(s, 32); err != nil {
			continue
		}
		if c.Platform.Identity != "" && c.Platform.Identity != s {
			return errors.New("the certificate names two endorsement keys")
		}
		c.Platform.Identity = s
	}
	for _, x := range cert.Extensions {
		if !x.Id.Equal(extSAN) {
			continue
		}
		names, err := directoryNames(x.Value)
		if err != nil {
			return fmt.Errorf("subjectAltName: %w", err)
		}
		for _, n := range names {
			if err := platform(n, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// platform takes one attribute of a directory name.
func platform(n pkix.AttributeTypeAndValue, c *attest.Claims) error {
	s, _ := n.Value.(string)
	var into *string
	switch {
	case n.Type.Equal(idManufacturer):
		into, s = &c.Platform.Vendor, maker(s)
	case n.Type.Equal(idModel):
		into = &c.Platform.Model
	case n.Type.Equal(idVersion):
		c.Details = append(c.Details, attest.Detail{Name: "tpm-version", Value: strict.Said(s)})
		return nil
	default:
		return nil
	}
	switch err := strict.CheckText(s, 64); {
	case err != nil:
		return fmt.Errorf("subjectAltName: %v: %w", n.Type, err)
	case *into != "":
		return fmt.Errorf("subjectAltName: %v stands twice", n.Type)
	}
	*into = s
	return nil
}

// maker reads a TCG vendor ID, which is up to four letters in hex: id:4E544300 is NTC.
func maker(s string) string {
	b, err := hex.DecodeString(strings.TrimPrefix(s, "id:"))
	if err != nil || len(b) != 4 || !strings.HasPrefix(s, "id:") {
		return s
	}
	letters := strings.TrimRight(string(b), "\x00 ")
	if strict.CheckToken(letters) != nil {
		return s
	}
	return letters
}

// directoryNames are the attributes of the directory names among GeneralNames
// (RFC 5280, 4.2.1.6).
func directoryNames(der []byte) (list []pkix.AttributeTypeAndValue, err error) {
	var seq asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &seq); err != nil || len(rest) > 0 || seq.Tag != asn1.TagSequence || !seq.IsCompound {
		return nil, errors.New("not a list of names")
	}
	for rest := seq.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &name); err != nil {
			return nil, errors.New("not a list of names")
		}
		if name.Class != asn1.ClassContextSpecific || name.Tag != 4 {
			continue
		}
		var rdn pkix.RDNSequence
		if more, err := asn1.Unmarshal(name.Bytes, &rdn); err != nil || len(more) > 0 {
			return nil, errors.New("not a directory name")
		}
		for _, set := range rdn {
			list = append(list, set...)
		}
	}
	return list, nil
}
