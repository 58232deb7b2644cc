// Package pkixevidence reads Evidence as draft-ietf-rats-pkix-key-attestation-08
// defines it, from any vendor.
//
// The draft's object identifiers aren't assigned yet, so a Verifier is told below
// which arc they are. It understands no claims below another arc.
package pkixevidence

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Format is the name of the evidence.
const Format = "pkix-evidence"

// The parts of the evidence.
const (
	PartEvidence = "evidence"
	PartChain    = "chain"
	PartKey      = "key"
)

// Limits of certificates, which keep the cost of a piece of evidence low.
const (
	maxCertificates = 8
	maxLength       = 4 // of a chain
	maxTries        = 6 // of issuers with the same name, for all signatures together
	maxRSA          = 8192
)

// Verifier is the format's attest.Verifier.
type Verifier struct {
	// Arc is what the draft calls id-evidence; nil is that of the working group's
	// samples, 1.3.6.1.5.5.999.
	Arc asn1.ObjectIdentifier
	// AttestationKey is what the draft calls id-kp-attestationKey; nil is that of
	// the samples, 1.3.6.1.5.5.7.3.999.
	AttestationKey asn1.ObjectIdentifier
}

func (v Verifier) arc() asn1.ObjectIdentifier {
	if v.Arc != nil {
		return v.Arc
	}
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 999}
}

func (v Verifier) purpose() asn1.ObjectIdentifier {
	if v.AttestationKey != nil {
		return v.AttestationKey
	}
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 999}
}

// Format is the format's name.
func (Verifier) Format() string { return Format }

// Parts gives the evidence, and two parts that it may need.
func (Verifier) Parts() []attest.PartRule {
	return []attest.PartRule{
		{Name: PartEvidence, Max: 32 << 10, What: "the Evidence, PEM or DER"},
		{Name: PartChain, Optional: true, Max: 16 << 10, What: "certificates that the Evidence doesn't carry, PEM or DER, in any order"},
		{Name: PartKey, Optional: true, Max: 1024, What: "the DER SubjectPublicKeyInfo of the key that is meant, if the Evidence reports several"},
	}
}

// Verify checks every signature of the evidence. If one doesn't verify, or its key
// isn't known, the evidence is refused. The best of the signers' chains gives the
// level.
func (v Verifier) Verify(in attest.Input) (*attest.Claims, error) {
	der := in.Evidence.Part(PartEvidence)
	if bytes.HasPrefix(der, []byte("-----BEGIN ")) {
		block, rest := pem.Decode(der)
		if block == nil || block.Type != "EVIDENCE" || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
			return nil, errors.New("it is not one PEM block of EVIDENCE")
		}
		der = block.Bytes
	}
	s, err := parseStatement(der)
	if err != nil {
		return nil, err
	}
	pool := s.Intermediates
	if extra := in.Evidence.Part(PartChain); extra != nil {
		list, err := attest.ParseCertificates(extra)
		if err != nil {
			return nil, fmt.Errorf("part %q: %w", PartChain, err)
		}
		pool = append(slices.Clone(pool), list...)
	}
	if len(pool) > maxCertificates {
		return nil, fmt.Errorf("%d certificates beside the signatures; at most %d are read", len(pool), maxCertificates)
	}
	c := &attest.Claims{}
	signers, err := v.signatures(s, pool, in, c)
	if err != nil {
		return nil, err
	}
	if err := v.elements(s, in.Evidence.Part(PartKey), signers, c); err != nil {
		return nil, err
	}
	return c, nil
}

// signatures checks all of them and gives the keys that signed.
func (v Verifier) signatures(s *statement, pool []*x509.Certificate, in attest.Input, c *attest.Claims) (signers [][]byte, err error) {
	if len(s.Signatures) == 0 {
		return nil, errors.New("it is not signed")
	}
	var best *attest.Path
	tries := maxTries
	for i, sig := range s.Signatures {
		at := fmt.Sprintf("signature %d", i+1)
		cert, err := sig.certificate(pool)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		if err := v.mayAttest(cert); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", at, strict.Clip(cert.Subject.String()), err)
		}
		if cert.CheckSignature(sig.algorithm, s.signed, sig.value) != nil {
			return nil, fmt.Errorf("%s does not verify under %s", at, strict.Clip(cert.Subject.String()))
		}
		if slices.ContainsFunc(signers, func(k []byte) bool { return bytes.Equal(k, cert.RawSubjectPublicKeyInfo) }) {
			return nil, fmt.Errorf("%s is by a key that signed already", at)
		}
		chain, err := above(cert, pool, &tries)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		path, err := attest.Chain{Format: Format, Certs: chain}.Verify(in.Anchors, in.At)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		if best == nil || path.Level() > best.Level() {
			best = path
		}
		signers = append(signers, cert.RawSubjectPublicKeyInfo)
		c.Details = append(c.Details, attest.Detail{Name: at, Value: path.Level().String() + ", by " + strict.Clip(cert.Subject.String())})
	}
	best.Into(c)
	return signers, nil
}

// certificate finds the certificate of the key that signed. Everything in the
// signature that identifies the key must identify the same one.
func (sig *signature) certificate(pool []*x509.Certificate) (*x509.Certificate, error) {
	fits := func(c *x509.Certificate) bool {
		return (sig.KeyID == nil || bytes.Equal(sig.KeyID, c.SubjectKeyId)) && (sig.SPKI == nil || bytes.Equal(sig.SPKI, c.RawSubjectPublicKeyInfo))
	}
	if sig.Certificate != nil {
		if !fits(sig.Certificate) {
			return nil, errors.New("its key identifier or public key is not that of its certificate")
		}
		return sig.Certificate, nil
	}
	var found *x509.Certificate
	for _, c := range pool {
		if !fits(c) || found != nil && bytes.Equal(found.Raw, c.Raw) {
			continue
		}
		if found != nil {
			return nil, errors.New("two certificates have the key that it names")
		}
		found = c
	}
	if found == nil {
		return nil, fmt.Errorf("no certificate has the key that it names: give it in the part %q", PartChain)
	}
	return found, nil
}

// mayAttest checks an attestation key's certificate by the draft's section 2.2.
func (v Verifier) mayAttest(c *x509.Certificate) error {
	if !small(c) {
		return fmt.Errorf("its RSA key has more than %d bits", maxRSA)
	}
	if c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return errors.New("the certificate's key usage lacks digitalSignature")
	}
	if !slices.ContainsFunc(c.UnknownExtKeyUsage, v.purpose().Equal) {
		return fmt.Errorf("the certificate's extended key usage lacks %v: its key is no attestation key", v.purpose())
	}
	return nil
}

// above finds the issuers of a certificate among others in any order. It looks for
// the issuer's name; only if several have it, it tries which one signed. Otherwise
// the chain's verification finds out whether it signed.
func above(cert *x509.Certificate, pool []*x509.Certificate, tries *int) ([]*x509.Certificate, error) {
	chain := []*x509.Certificate{cert}
	for len(chain) < maxLength {
		top := chain[len(chain)-1]
		var named []*x509.Certificate
		for _, c := range pool {
			if bytes.Equal(c.RawSubject, top.RawIssuer) && !slices.Contains(chain, c) && !bytes.Equal(c.Raw, top.Raw) {
				named = append(named, c)
			}
		}
		if len(named) > 1 {
			for _, c := range named {
				if !small(c) {
					continue
				}
				if *tries--; *tries < 0 {
					return nil, fmt.Errorf("more than %d certificates that could be an issuer's", maxTries)
				}
				if top.CheckSignatureFrom(c) == nil {
					named[0] = c
					break
				}
			}
		}
		if len(named) == 0 {
			break
		}
		chain = append(chain, named[0])
	}
	return chain, nil
}

// small says whether a key is small enough for checking a signature at little cost.
func small(c *x509.Certificate) bool {
	k, isRSA := c.PublicKey.(*rsa.PublicKey)
	return !isRSA || k.N.BitLen() <= maxRSA
}

// elements reads the statement's elements and, of its keys, only the one that is
// meant.
func (v Verifier) elements(s *statement, wanted []byte, signers [][]byte, c *attest.Claims) error {
	var reported []attest.Claims
	seen := map[int]bool{}
	for _, e := range s.Elements {
		n := below(v.arc(), e.Type)
		if len(n) != 2 || n[0] != 0 || n[1] > key {
			c.Unknown = append(c.Unknown, attest.Unknown{Where: "evidence", What: "element " + e.Type.String()})
			continue
		}
		kind := n[1]
		if kind == key {
			var one attest.Claims
			if _, err := v.read(e, kind, &one); err != nil {
				return err
			}
			if slices.ContainsFunc(reported, func(k attest.Claims) bool { return bytes.Equal(k.Key.SPKI, one.Key.SPKI) }) {
				return errors.New("one key is reported twice, or two without their public keys")
			}
			reported = append(reported, one)
			continue
		}
		if seen[kind] {
			return fmt.Errorf("two elements of the kind %v, of which there is one", e.Type)
		}
		seen[kind] = true
		named, err := v.read(e, kind, c)
		if err != nil {
			return err
		}
		if err := bound(named, signers); err != nil {
			return err
		}
	}
	return pick(reported, wanted, c)
}

// bound compares the attestation keys that the statement names, if it names any,
// with those that signed it, so that no signature can be removed or added.
func bound(named, signers [][]byte) error {
	if len(named) == 0 {
		return nil
	}
	has := func(list [][]byte, k []byte) bool {
		return slices.ContainsFunc(list, func(x []byte) bool { return bytes.Equal(x, k) })
	}
	for i, k := range named {
		if !has(signers, k) || has(named[:i], k) {
			return errors.New("it names an attestation key that did not sign it, or names one twice")
		}
	}
	for _, k := range signers {
		if !has(named, k) {
			return errors.New("it is signed by a key that it does not name among its attestation keys")
		}
	}
	return nil
}

func pick(reported []attest.Claims, wanted []byte, c *attest.Claims) error {
	if len(reported) == 0 {
		return errors.New("it reports no key")
	}
	if wanted == nil && len(reported) > 1 {
		return fmt.Errorf("it reports %d keys: say in the part %q which is meant", len(reported), PartKey)
	}
	for _, k := range reported {
		if wanted == nil || bytes.Equal(k.Key.SPKI, wanted) {
			c.Key = k.Key
			c.Unknown = append(c.Unknown, k.Unknown...)
			c.Details = append(c.Details, k.Details...)
			return nil
		}
	}
	return fmt.Errorf("it reports %d keys, and none is the one in the part %q", len(reported), PartKey)
}
