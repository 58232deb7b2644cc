// Package tpm verifies what TPM2_Certify says about a key in a TPM 2.0.
//
// The attestation key (AK) signs it. An authority found out by a challenge
// (TPM2_MakeCredential, TPM2_ActivateCredential) that the AK is a restricted key of this
// TPM, and then issued the AK's certificate. Such a challenge convinces only the one who
// made it, so a policy pins the authority together with its operator. Without the
// authority's certificate, the evidence is module-claimed.
//
// The parser is the project's own: it accepts one encoding, with limits. Tests compare it
// with go-tpm.
package tpm

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Format is the format's name. EKFormat is the format of the anchors of TPM makers, which
// certify endorsement keys (EK).
const (
	Format   = "tpm2-certify"
	EKFormat = "tpm2-ek"
)

// The parts of the evidence.
const (
	PartAttest    = "attest"
	PartSignature = "signature"
	PartPublic    = "public"
	PartAKPublic  = "ak-public"
	PartAKCerts   = "ak-certificates"
	PartAKKey     = "ak-key"
	PartEKCerts   = "ek-certificates"
)

// Verifier verifies evidence of this format.
type Verifier struct{}

// Format is tpm2-certify.
func (Verifier) Format() string { return Format }

// Parts are the results of TPM2_Certify, and the keys and certificates of AK and EK.
func (Verifier) Parts() []attest.PartRule {
	return []attest.PartRule{
		{Name: PartAttest, Max: 1 << 10, What: "TPMS_ATTEST, as `tpm2_certify -o` writes it"},
		{Name: PartSignature, Max: 2 << 10, What: "TPMT_SIGNATURE, as `tpm2_certify -s` writes it"},
		{Name: PartPublic, Max: 4 << 10, What: "the key's TPMT_PUBLIC or TPM2B_PUBLIC, as `tpm2_readpublic -o` writes it"},
		{Name: PartAKPublic, Max: 4 << 10, Optional: true, What: "the attestation key's public area, the same way; above vendor-signed it is needed"},
		{Name: PartAKCerts, Max: 64 << 10, Optional: true, What: "the attestation key's certificate and those above it, PEM or DER"},
		{Name: PartAKKey, Max: 4 << 10, Optional: true, What: "the attestation key as SubjectPublicKeyInfo, PEM or DER, where it has no certificate"},
		{Name: PartEKCerts, Max: 64 << 10, Optional: true, What: "the endorsement key's certificate and those above it, PEM or DER"},
	}
}

// Verify verifies the evidence and returns its claims.
func (Verifier) Verify(in attest.Input) (*attest.Claims, error) {
	e := in.Evidence
	quote, err := parseCertify(e.Part(PartAttest))
	if err != nil {
		return nil, err
	}
	key, err := parsePublic(PartPublic, e.Part(PartPublic))
	if err != nil {
		return nil, err
	}
	c := &attest.Claims{Nonce: quote.nonce}
	ak, err := attestationKey(in, c)
	if err != nil {
		return nil, err
	}
	weak, err := verifySignature(ak, e.Part(PartAttest), e.Part(PartSignature))
	if err != nil {
		return nil, err
	}
	if weak && !slices.Contains(c.Quirks, attest.QuirkSHA1) {
		c.Quirks = append(c.Quirks, attest.QuirkSHA1)
	}
	if !bytes.Equal(quote.name, key.name) {
		return nil, errors.New("public: the attestation is of another public area")
	}
	if key.has(restricted) {
		return nil, errors.New("public: a restricted key, which signs or decrypts only what the TPM made")
	}
	if err := checkAK(e.Part(PartAKPublic), ak, quote, c); err != nil {
		return nil, err
	}
	describe(c, key, quote)
	return c, endorsementKey(in, c)
}

// attestationKey returns the AK's public key, and sets the level in c by its chain.
func attestationKey(in attest.Input, c *attest.Claims) (crypto.PublicKey, error) {
	e := in.Evidence
	certs, bare, area := e.Part(PartAKCerts), e.Part(PartAKKey), e.Part(PartAKPublic)
	switch {
	case certs != nil && bare != nil:
		return nil, errors.New("ak-key stands beside ak-certificates; one of them is enough")
	case certs != nil:
		return certifiedAK(in, certs, c)
	}
	c.Level, c.NoAnchor = attest.ModuleClaimed, "no certificate says that the attestation key is a TPM's"
	if bare != nil {
		if block, rest := pem.Decode(bare); block != nil {
			if block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 || !bytes.HasPrefix(bare, []byte("-----BEGIN")) {
				return nil, errors.New("ak-key: not one PEM public key")
			}
			bare = block.Bytes
		}
		key, err := x509.ParsePKIXPublicKey(bare)
		if err != nil {
			return nil, fmt.Errorf("ak-key: %w", err)
		}
		return key, nil
	}
	if area == nil {
		return nil, errors.New("the attestation key is missing: ak-certificates, or ak-public, or ak-key")
	}
	p, err := parsePublic(PartAKPublic, area)
	if err != nil {
		return nil, err
	}
	return p.key, nil
}

var (
	extSAN   = asn1.ObjectIdentifier{2, 5, 29, 17}
	ekuAK    = asn1.ObjectIdentifier{2, 23, 133, 8, 3}
	ekuEK    = asn1.ObjectIdentifier{2, 23, 133, 8, 1}
	idSerial = asn1.ObjectIdentifier{2, 5, 4, 5}
)

// certifiedAK verifies the AK's chain.
func certifiedAK(in attest.Input, data []byte, c *attest.Claims) (crypto.PublicKey, error) {
	certs, err := attest.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("ak-certificates: %w", err)
	}
	ak := certs[0]
	switch {
	case ak.IsCA:
		return nil, errors.New("ak-certificates: the first is an authority's, not an attestation key's")
	case !slices.ContainsFunc(ak.UnknownExtKeyUsage, ekuAK.Equal):
		return nil, fmt.Errorf("ak-certificates: the first does not say that it is of an attestation key (extended key usage %v)", ekuAK)
	}
	path, err := attest.Chain{Format: Format, Certs: certs, Critical: []asn1.ObjectIdentifier{extSAN}}.Verify(in.Anchors, in.At)
	if err != nil {
		return nil, fmt.Errorf("ak-certificates: %w", err)
	}
	path.Into(c)
	switch {
	case c.Anchor == nil:
	case c.Anchor.Operator == "":
		c.NoAnchor = fmt.Sprintf("the anchor %q names no operator, and an authority's word on attestation keys is its operator's", strict.Clip(c.Anchor.Name))
	case in.Evidence.Part(PartAKPublic) == nil:
		c.NoAnchor = "the attestation key's public area is not given, so it isn't shown that the key is restricted and of the endorsement hierarchy"
	}
	if c.Anchor != nil && c.NoAnchor != "" {
		c.Level, c.Anchor = attest.VendorSigned, nil
	}
	if err := described(ak, c); err != nil {
		return nil, fmt.Errorf("ak-certificates: %w", err)
	}
	return ak.PublicKey, nil
}

// checkAK checks the AK's public area, if it is given.
func checkAK(area []byte, ak crypto.PublicKey, quote *certify, c *attest.Claims) error {
	if area == nil {
		return nil
	}
	p, err := parsePublic(PartAKPublic, area)
	if err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(ak)
	switch {
	case err != nil:
		return err
	case !sameKey(p, spki):
		return errors.New("ak-public: it is of another key than the certificate")
	case !p.has(fixedTPM | fixedParent | sensitiveDataOrigin | restricted | sign):
		return errors.New("ak-public: not a restricted signing key that was made in its TPM and can't leave it")
	case p.has(decrypt):
		return errors.New("ak-public: an attestation key does not decrypt")
	case !bytes.Equal(quote.signer, primaryOf(endorsement, p.name)):
		return errors.New("ak-public: the signer is no primary key of the endorsement hierarchy; under another one the TPM hides its firmware and its resets")
	}
	f := quote.firmware
	c.Platform.Firmware = fmt.Sprintf("%d.%d.%d.%d", f>>48, f>>32&0xffff, f>>16&0xffff, f&0xffff)
	c.Details = append(c.Details, attest.Detail{Name: "resets", Value: strconv.FormatUint(uint64(quote.resets), 10)})
	return nil
}

// describe translates the key's attributes, which never change, into claims. A key with
// fixedTPM and fixedParent can't be duplicated, and can't have been imported: TPM2_Import
// and TPM2_LoadExternal refuse such a key.
func describe(c *attest.Claims, key *public, quote *certify) {
	kept, local := key.has(fixedTPM|fixedParent), key.has(sensitiveDataOrigin)
	c.Key = attest.Key{
		Identifier: hex.EncodeToString(key.name), SPKI: key.spki,
		Extractable: attest.Of(!kept), Sensitive: attest.Of(kept), NeverExtractable: attest.Of(kept && local), Local: attest.Of(local),
		Purpose: attest.Purpose{
			Sign: attest.Of(key.has(sign)), Decrypt: attest.Of(key.has(decrypt)), Unwrap: attest.Of(key.has(decrypt)),
			Wrap: attest.False, Derive: attest.Of(key.ecc && key.has(decrypt)),
		},
	}
	for _, f := range []struct {
		bit  uint32
		name string
	}{{stClear, "until-restart"}, {noDA, "no-dictionary-attack-protection"}, {userWithAuth, "use-by-password"}} {
		if key.has(f.bit) {
			c.Details = append(c.Details, attest.Detail{Name: f.name, Value: "true"})
		}
	}
	if !quote.safe {
		c.Details = append(c.Details, attest.Detail{Name: "clock", Value: "may have been seen before"})
	}
}

// endorsementKey compares the EK's certificate, if it is given, with the identity that the
// AK's certificate names. If the EK's chain ends in a pinned anchor, it takes maker and
// model from that certificate.
func endorsementKey(in attest.Input, c *attest.Claims) error {
	data := in.Evidence.Part(PartEKCerts)
	if data == nil {
		return nil
	}
	certs, err := attest.ParseCertificates(data)
	if err != nil {
		return fmt.Errorf("ek-certificates: %w", err)
	}
	ek := certs[0]
	id := sha256.Sum256(ek.RawSubjectPublicKeyInfo)
	switch {
	case c.Platform.Identity == "":
		return errors.New("ek-certificates: the attestation key's certificate names no endorsement key, so that this one could be anybody's")
	case c.Platform.Identity != hex.EncodeToString(id[:]):
		return errors.New("ek-certificates: the endorsement key is another than the attestation key's certificate names")
	case !slices.ContainsFunc(ek.UnknownExtKeyUsage, ekuEK.Equal):
		return fmt.Errorf("ek-certificates: the first does not say that it is of an endorsement key (extended key usage %v)", ekuEK)
	}
	path, err := attest.Chain{Format: EKFormat, Certs: certs, Critical: []asn1.ObjectIdentifier{extSAN}}.Verify(in.Anchors, in.At)
	if err != nil {
		return fmt.Errorf("ek-certificates: %w", err)
	}
	if path.Anchor == nil {
		c.Details = append(c.Details, attest.Detail{Name: "ek-anchor", Value: "none: " + path.Why})
		return nil
	}
	c.Details = append(c.Details, attest.Detail{Name: "ek-anchor", Value: path.Anchor.Name})
	if path.Until.Before(c.Until) {
		c.Until = path.Until
	}
	c.Platform.Vendor, c.Platform.Model = "", "" // take the maker's instead of the authority's
	if err := described(ek, c); err != nil {
		return fmt.Errorf("ek-certificates: %w", err)
	}
	return nil
}
