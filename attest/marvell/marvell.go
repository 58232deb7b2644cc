// Package marvell reads the attestations of Marvell's (Cavium's) LiquidSecurity
// HSMs, which Google's Cloud HSM uses. The partition of the HSM that holds the key
// signs the key's attributes.
//
// Two authorities certify the partition's key: the manufacturer, that it is in one
// of its HSMs, and the owner, that the HSM is the owner's. Both chains must be
// there, for the same keys. The format has no field for a nonce.
package marvell

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/devicecert"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Format is the name of evidence that this package reads.
const Format = "marvell-liquidsecurity"

// vendor is the vendor of the manufacturer's anchors; all other anchors are owners'.
const vendor = "marvell"

// The parts of the evidence.
const (
	PartAttestation  = "attestation"
	PartCertificates = "certificates"
)

// QuirkBareDigest is an RSA signature over the digest without the hash's identifier,
// as firmware 2.x is said to make.
const QuirkBareDigest = "rsa-digest-without-its-name"

// Verifier is the format's attest.Verifier.
type Verifier struct{}

// Format is the format's name.
func (Verifier) Format() string { return Format }

// Parts are the attestation and its six certificates.
func (Verifier) Parts() []attest.PartRule {
	return []attest.PartRule{
		{Name: PartAttestation, Max: maxPacked, What: "the attestation as the HSM gave it, packed with gzip or not (Google: the key version's attestation.dat)"},
		{Name: PartCertificates, Max: 32 << 10, What: "six certificates, PEM: the manufacturer's root, card and partition, then the owner's root, card and partition (Google: the bundle of combined certificates)"},
	}
}

// Verify checks both chains and the signature, and reads the attributes.
func (Verifier) Verify(in attest.Input) (*attest.Claims, error) {
	s, err := verifySigned(in)
	if err != nil {
		return nil, err
	}
	private, spki, err := s.blob.keyPair()
	if err != nil {
		return nil, err
	}
	c := s.claims
	c.Key.SPKI = spki
	return c, readPrivate(private, c)
}

// signed is an attestation whose signatures are verified.
type signed struct {
	blob   *blob
	claims *attest.Claims
}

func verifySigned(in attest.Input) (*signed, error) {
	blob, err := parseBlob(in.Evidence.Part(PartAttestation))
	if err != nil {
		return nil, err
	}
	certs, err := attest.ParseCertificates(in.Evidence.Part(PartCertificates))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", PartCertificates, err)
	}
	c := &attest.Claims{}
	if err := verifyChains(in, certs, c); err != nil {
		return nil, err
	}
	partition := certs[2]
	quirk, err := blob.verify(partition)
	if err != nil {
		return nil, err
	}
	if quirk != "" {
		c.Quirks = append(c.Quirks, quirk)
	}
	id := sha256.Sum256(partition.RawSubjectPublicKeyInfo)
	c.Platform = attest.Platform{Vendor: vendor, Model: "LiquidSecurity", Identity: hex.EncodeToString(id[:])}
	name, err := devicecert.CommonName(partition)
	if err != nil {
		return nil, err
	}
	c.Platform.Serial, _, _ = strings.Cut(strings.TrimPrefix(name, "HSM:"), ":")
	c.Details = append(c.Details, attest.Detail{Name: "partition", Value: name}, attest.Detail{Name: "layout", Value: fmt.Sprintf("firmware %d.x", blob.Layout)})
	if owner := certs[3]; owner.Subject.CommonName != "" {
		c.Details = append(c.Details, attest.Detail{Name: "owner", Value: owner.Subject.CommonName})
	}
	for i, o := range blob.Objects {
		for _, kind := range slices.Sorted(maps.Keys(o.Attrs)) {
			if !known(kind) {
				c.Unknown = append(c.Unknown, attest.Unknown{Where: fmt.Sprintf("object %d", i+1), What: fmt.Sprintf("attribute %#04x", kind)})
			}
		}
	}
	if blob.Layout == firmware2 {
		c.Unknown = append(c.Unknown, attest.Unknown{Where: "the header of firmware 2.x", What: "20 bytes"})
	}
	return &signed{blob, c}, nil
}

// verifyChains verifies the manufacturer's chain of root, card and partition, and
// the owner's, whose root signs both card and partition. Marvell's certificates are
// of version 1, or lack basic constraints.
func verifyChains(in attest.Input, certs []*x509.Certificate, c *attest.Claims) error {
	if len(certs) != 6 {
		return fmt.Errorf("%d certificates: the manufacturer's root, card and partition and then the owner's are expected", len(certs))
	}
	maker, owner := certs[:3], certs[3:]
	manufacturers, owners, err := roles(in.Anchors)
	if err != nil {
		return err
	}
	quirks := []string{attest.QuirkNoBasicConstraints}
	made, err := attest.Chain{Format: Format, Certs: []*x509.Certificate{maker[2], maker[1], maker[0]}, Quirks: quirks}.Verify(manufacturers, in.At)
	if err != nil {
		return fmt.Errorf("the manufacturer's certificates: %w", err)
	}
	card, err := attest.Chain{Format: Format, Certs: []*x509.Certificate{owner[1], owner[0]}}.Verify(owners, in.At)
	if err != nil {
		return fmt.Errorf("the owner's certificate of the card: %w", err)
	}
	partition, err := attest.Chain{Format: Format, Certs: []*x509.Certificate{owner[2], owner[0]}}.Verify(owners, in.At)
	if err != nil {
		return fmt.Errorf("the owner's certificate of the partition: %w", err)
	}
	for i, what := range []string{1: "card", 2: "partition"} {
		if i > 0 && !bytes.Equal(maker[i].RawSubjectPublicKeyInfo, owner[i].RawSubjectPublicKeyInfo) {
			return fmt.Errorf("manufacturer and owner certify different keys of the %s", what)
		}
	}
	card.Into(c)
	made.Into(c)
	if partition.Into(c); made.Anchor == nil || partition.Anchor == nil {
		c.Level, c.Anchor, c.NoAnchor = attest.VendorSigned, nil, "the owner: "+partition.Why
		if made.Anchor == nil {
			c.NoAnchor = "the manufacturer: " + made.Why
		}
		return nil
	}
	c.Details = append(c.Details, attest.Detail{Name: "manufacturer's anchor", Value: made.Anchor.Name}, attest.Detail{Name: "owner's anchor", Value: partition.Anchor.Name})
	c.Anchor = made.Anchor
	return nil
}

// roles separates the manufacturer's anchors from the owners'. An owner's key must
// not count in the manufacturer's chain: otherwise an owner alone could certify any
// key as an HSM's.
func roles(all *attest.Anchors) (manufacturers, owners *attest.Anchors, err error) {
	var makers, others []attest.Anchor
	for _, a := range all.For(Format) {
		if a.Vendor == vendor {
			makers = append(makers, *a)
		} else {
			others = append(others, *a)
		}
	}
	if manufacturers, err = attest.NewAnchors(makers...); err != nil {
		return nil, nil, err
	}
	owners, err = attest.NewAnchors(others...)
	return manufacturers, owners, err
}

// verify checks the signature by the partition's key.
func (b *blob) verify(partition *x509.Certificate) (quirk string, err error) {
	key, ok := partition.PublicKey.(*rsa.PublicKey)
	if !ok || key.Size() != sigLen {
		return "", errors.New("the partition's key isn't RSA of 2048 bits")
	}
	digest := sha256.Sum256(b.Signed)
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], b.Signature) == nil {
		return "", nil
	}
	if b.Layout == firmware2 && rsa.VerifyPKCS1v15(key, 0, digest[:], b.Signature) == nil {
		return QuirkBareDigest, nil
	}
	return "", errors.New("the partition's signature does not verify")
}

// readPrivate reads what the private half's attributes say.
func readPrivate(o object, c *attest.Claims) error {
	var always, splittable, split attest.Answer
	for _, a := range []struct {
		kind uint32
		into *attest.Answer
	}{
		{attrExtractable, &c.Key.Extractable}, {attrNeverExtractable, &c.Key.NeverExtractable}, {attrLocal, &c.Key.Local},
		{attrSensitive, &c.Key.Sensitive}, {attrAlwaysSensitive, &always}, {attrSplittable, &splittable}, {attrSplit, &split},
		{attrSign, &c.Key.Purpose.Sign}, {attrDecrypt, &c.Key.Purpose.Decrypt}, {attrWrap, &c.Key.Purpose.Wrap},
		{attrUnwrap, &c.Key.Purpose.Unwrap}, {attrDerive, &c.Key.Purpose.Derive},
	} {
		v, err := o.answer(a.kind)
		if err != nil {
			return fmt.Errorf("the private key: %w", err)
		}
		*a.into = v
	}
	// A key that could be read at some time may have been read then.
	if always != attest.True && c.Key.Sensitive == attest.True {
		c.Key.Sensitive = always
	}
	// A key that can be exported in shares can leave by them.
	if splittable == attest.True || split == attest.True {
		c.Key.Extractable, c.Key.NeverExtractable = attest.True, attest.False
	}
	c.Key.Identifier = fmt.Sprintf("handle %d", o.Handle)
	for _, text := range []struct {
		kind uint32
		name string
	}{{attrLabel, "label"}, {attrID, "id"}} {
		c.Details = append(c.Details, attest.Detail{Name: text.name, Value: strict.Clip(string(bytes.TrimRight(o.Attrs[text.kind], "\x00")))})
	}
	return nil
}
