// Package securosys reads the attestation of a key in a Securosys Primus HSM: an
// XML statement, a signature over its bytes, and the chain of the device's
// attestation key up to Securosys' root.
package securosys

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Format is the name of the evidence.
const Format = "securosys-xml"

// The parts of the evidence.
const (
	PartStatement = "xml"
	PartSignature = "signature"
	PartChain     = "chain"
)

// Verifier is the format's attest.Verifier.
type Verifier struct{}

// Format is the format's name.
func (Verifier) Format() string { return Format }

// Parts are the statement, its signature and the chain.
func (Verifier) Parts() []attest.PartRule {
	return []attest.PartRule{
		{Name: PartStatement, Max: 32 << 10, What: "the attestation's XML, byte for byte as the HSM gave it"},
		{Name: PartSignature, Max: 1024, What: "its signature, in base64 or as bytes"},
		{Name: PartChain, Max: 16 << 10, What: "the certificates from the attestation key's up, PEM or DER"},
	}
}

// Verify checks the signature over the statement's bytes before it reads them.
func (Verifier) Verify(in attest.Input) (*attest.Claims, error) {
	xml := in.Evidence.Part(PartStatement)
	certs, err := attest.ParseCertificates(in.Evidence.Part(PartChain))
	if err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	if len(certs) < 2 {
		return nil, errors.New("chain: one certificate; the attestation key's and the device's are needed, and the root's can be left out")
	}
	path, err := attest.Chain{Format: Format, Certs: certs}.Verify(in.Anchors, in.At)
	if err != nil {
		return nil, err
	}
	if certs[0].IsCA {
		return nil, errors.New("chain: the first certificate is an authority's, not an attestation key's")
	}
	key, ok := certs[0].PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("chain: the attestation key is one for %s, and Primus signs with RSA", certs[0].PublicKeyAlgorithm)
	}
	digest, sig := sha256.Sum256(xml), signature(in.Evidence.Part(PartSignature))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) != nil &&
		rsa.VerifyPSS(key, crypto.SHA256, digest[:], sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) != nil {
		return nil, errors.New("the signature over the statement does not verify, neither as PKCS #1 v1.5 nor as PSS")
	}
	s, err := parseStatement(xml)
	if err != nil {
		return nil, err
	}
	serial, err := serialOf(certs[1].Subject.CommonName)
	if err != nil {
		return nil, fmt.Errorf("chain: certificate 1: %w", err)
	}
	return s.claims(path, serial), nil
}

// signature decodes base64, as the HSM's tools give it; other bytes are the signature itself.
func signature(in []byte) []byte {
	if b, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimSpace(in))); err == nil && len(b) >= 256 {
		return b
	}
	return in
}

// serialOf reads the device's number out of its key's name, "PRIMUS HSM KEY (SN: 18386101)".
func serialOf(name string) (string, error) {
	rest, ok := strings.CutPrefix(name, "PRIMUS HSM KEY (SN: ")
	serial, closed := strings.CutSuffix(rest, ")")
	if _, err := strict.ParseUint(serial); !ok || !closed || err != nil {
		return "", fmt.Errorf("its subject %q names no device; it should be PRIMUS HSM KEY (SN: …)", strict.Clip(name))
	}
	return serial, nil
}

func (s *statement) claims(path *attest.Path, serial string) *attest.Claims {
	a := s.Attributes
	c := &attest.Claims{
		Platform: attest.Platform{Vendor: "Securosys", Model: "Primus HSM", Serial: serial, Identity: serial},
		Made:     s.Attested,
		Key: attest.Key{
			Identifier: s.Label, SPKI: s.SPKI,
			Extractable: a["extractable"], Sensitive: a["sensitive"], NeverExtractable: a["never_extractable"],
			Local:   attest.Of(s.Creation == "generated"),
			Purpose: attest.Purpose{Sign: a["sign"], Decrypt: a["decrypt"], Unwrap: a["unwrap"], Derive: a["derive"]},
		},
		Details: []attest.Detail{
			{Name: "creation", Value: s.Creation}, {Name: "created", Value: strict.FormatTime(s.Created)}, {Name: "uses", Value: s.Uses},
			{Name: "always sensitive", Value: a["always_sensitive"].String()}, {Name: "modifiable", Value: a["modifiable"].String()},
			{Name: "copyable", Value: a["copyable"].String()}, {Name: "destroyable", Value: a["destroyable"].String()},
		},
	}
	for _, name := range s.Unknown {
		// A new attribute may let the key leave the HSM, and a policy is a rule of access.
		matters := strings.HasPrefix(name, "attributes/") || name == "policy"
		c.Unknown = append(c.Unknown, attest.Unknown{Where: "xml", What: name, Matters: matters})
	}
	path.Into(c)
	return c
}
