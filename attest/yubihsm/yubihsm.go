// Package yubihsm reads the attestation certificates of a YubiHSM 2: the device
// signs a certificate for a key that it holds, and says in extensions how the
// key came there and what it may do.
//
// The format has no field for a nonce: an attestation can be shown again for as long
// as the key exists, and nothing says when it was made.
package yubihsm

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/devicecert"
)

// Format is the name of evidence that this package reads.
const Format = "yubihsm2"

// The parts of the evidence.
const (
	PartAttestation  = "attestation"
	PartCertificates = "certificates"
)

// Yubico's extensions of a YubiHSM 2, below arc. FIPS devices are said to have 10
// and 12 too; since it isn't published what these mean, they are reported as not
// understood, and no FIPS mode is shown.
const (
	extFirmware     = 1
	extSerial       = 2
	extOrigin       = 3
	extDomains      = 4
	extCapabilities = 5
	extObjectID     = 6
	extLabel        = 9
)

var arc = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 4}

// Bits that say how a key came into the device. They are combined: a key that was
// generated, exported under a wrap key and brought back has two of them.
const (
	originGenerated = 0x01
	originImported  = 0x02
	originWrapped   = 0x10
)

// Verifier is the format's attest.Verifier.
type Verifier struct{}

// Format is the format's name.
func (Verifier) Format() string { return Format }

// Parts gives the attestation and the certificates above it.
func (Verifier) Parts() []attest.PartRule {
	return []attest.PartRule{
		{Name: PartAttestation, Max: 8 << 10, What: "the attestation certificate of the key, PEM or DER: yubihsm-shell -a sign-attestation-certificate -i KEY-ID --attestation-id 0"},
		{Name: PartCertificates, Max: 32 << 10, What: "the device's certificate (yubihsm-shell -a get-opaque -i 0) and behind it those of Yubico's authorities, each the issuer of the one before"},
	}
}

// attestedKey is what the attestation certificate says.
type attestedKey struct {
	Firmware     string
	Serial       uint64
	Origin       byte
	Domains      uint16
	Capabilities uint64
	ObjectID     uint16
	Label        string
	Unknown      []string // extensions that aren't known
}

// parseKey reads an attestation certificate's extensions. All seven must be there: a
// missing one would read as zero, which has a meaning that nobody signed.
func parseKey(c *x509.Certificate) (*attestedKey, error) {
	f := devicecert.Read(c, arc)
	k := &attestedKey{}
	var err error
	if k.Firmware, k.Serial, err = readDevice(f); err != nil {
		return nil, err
	}
	var origin, domains, id uint64
	for _, step := range []func() error{
		func() (err error) { origin, err = f.Bits(extOrigin, "origin", 1); return },
		func() (err error) { domains, err = f.Bits(extDomains, "domains", 2); return },
		func() (err error) { k.Capabilities, err = f.Bits(extCapabilities, "capabilities", 8); return },
		func() (err error) { id, err = f.Uint(extObjectID, "object id", 0xffff); return },
		func() (err error) { k.Label, err = f.Text(extLabel, "label", 40); return },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	k.Origin, k.Domains, k.ObjectID, k.Unknown = byte(origin), uint16(domains), uint16(id), f.Unknown()
	return k, nil
}

// readDevice reads the two fields that the key's certificate and the device's share.
func readDevice(f *devicecert.Fields) (firmware string, serial uint64, err error) {
	v, err := f.Octets(extFirmware, "firmware version", 3)
	if err != nil {
		return "", 0, err
	}
	serial, err = f.Uint(extSerial, "serial number", 0xffffffff)
	return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]), serial, err
}

// Verify checks the chain and reads the certificate.
func (Verifier) Verify(in attest.Input) (*attest.Claims, error) {
	leaf, err := attest.ParseCertificates(in.Evidence.Part(PartAttestation))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", PartAttestation, err)
	}
	if len(leaf) != 1 {
		return nil, fmt.Errorf("%s: %d certificates; only the key's belongs there", PartAttestation, len(leaf))
	}
	above, err := attest.ParseCertificates(in.Evidence.Part(PartCertificates))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", PartCertificates, err)
	}
	path, err := attest.Chain{Format: Format, Certs: append(leaf, above...)}.Verify(in.Anchors, in.At)
	if err != nil {
		return nil, err
	}
	k, err := parseKey(leaf[0])
	if err != nil {
		return nil, err
	}
	c := k.claims(leaf[0])
	path.Into(c)
	if err := checkDevice(k, above[0], c); err != nil {
		return nil, err
	}
	return c, checkAuthority(path.Certs)
}

// sharedRoot is the name of a root below which Yubico has authorities for its other
// products too.
const sharedRoot = "Yubico Attestation Root 1"

// checkAuthority checks that, below that root, the device's issuer is an authority
// for YubiHSMs.
func checkAuthority(certs []*x509.Certificate) error {
	if top := certs[len(certs)-1]; top.Subject.CommonName != sharedRoot {
		return nil
	}
	if name := certs[1].Issuer.CommonName; !strings.HasPrefix(name, "YubiHSM Attestation ") {
		return fmt.Errorf("the device's certificate is from %q, which is not an authority for YubiHSMs", name)
	}
	return nil
}

// checkDevice checks that the certificate above the attestation is that of the
// device's attestation key, object 0, with the same serial number. Any other signing
// key of the device would sign whatever it is given.
func checkDevice(k *attestedKey, c *x509.Certificate, claims *attest.Claims) error {
	f := devicecert.Read(c, arc)
	_, serial, err := readDevice(f)
	name, _ := devicecert.CommonName(c) // none is none of the device's
	switch {
	case err != nil:
		return fmt.Errorf("the device's certificate: %w", err)
	case serial != k.Serial:
		return fmt.Errorf("the attestation is for the device %d, and is signed by the device %d", k.Serial, serial)
	case name != fmt.Sprintf("YubiHSM Attestation (%d)", serial):
		return fmt.Errorf("the attestation is signed by %q, which isn't the attestation key of the device %d", name, serial)
	case f.Has(extOrigin) || f.Has(extCapabilities):
		return errors.New("the attestation is signed by a key that was itself attested, not by the device's attestation key")
	}
	for _, id := range f.Unknown() {
		claims.Unknown = append(claims.Unknown, attest.Unknown{Where: "the device's certificate", What: "extension " + id})
	}
	return nil
}

func (k *attestedKey) claims(c *x509.Certificate) *attest.Claims {
	serial := fmt.Sprint(k.Serial)
	claims := &attest.Claims{
		Key: attest.Key{
			Identifier:       fmt.Sprintf("%#04x", k.ObjectID),
			SPKI:             c.RawSubjectPublicKeyInfo,
			Sensitive:        attest.True, // no command gives a key out in the clear
			Extractable:      attest.Of(k.exportable()),
			NeverExtractable: k.neverExtractable(),
			Local:            attest.Of(k.Origin == originGenerated),
			Purpose:          k.purpose(),
		},
		Platform: attest.Platform{Vendor: "yubico", Model: "YubiHSM 2", Serial: serial, Identity: serial, Firmware: k.Firmware},
		Details: []attest.Detail{
			{Name: "label", Value: k.Label},
			{Name: "origin", Value: k.origin()},
			{Name: "domains", Value: k.domains()},
			{Name: "capabilities", Value: k.capabilities()},
		},
	}
	for _, id := range k.Unknown {
		claims.Unknown = append(claims.Unknown, attest.Unknown{Where: "the attestation certificate", What: "extension " + id})
	}
	if odd := k.Origin &^ (originGenerated | originImported | originWrapped); odd != 0 || k.Origin == 0 {
		claims.Unknown = append(claims.Unknown, attest.Unknown{Where: "the attestation certificate", What: fmt.Sprintf("origin %#02x", k.Origin), Matters: true})
	}
	for n := k.Capabilities; n != 0; n &= n - 1 {
		if bit := bits.TrailingZeros64(n); bit >= len(capabilityNames()) {
			claims.Unknown = append(claims.Unknown, attest.Unknown{Where: "the attestation certificate", What: fmt.Sprintf("capability bit %d", bit), Matters: true})
		}
	}
	return claims
}

func (k *attestedKey) origin() string {
	var list []string
	for _, o := range []struct {
		bit  byte
		name string
	}{{originGenerated, "generated"}, {originImported, "imported"}, {originWrapped, "imported under wrap"}} {
		if k.Origin&o.bit != 0 {
			list = append(list, o.name)
		}
	}
	return fmt.Sprintf("%#02x (%s)", k.Origin, strings.Join(list, ", "))
}

func (k *attestedKey) domains() string {
	var list []string
	for n := k.Domains; n != 0; n &= n - 1 {
		list = append(list, fmt.Sprint(bits.TrailingZeros16(n)+1))
	}
	return strings.Join(list, ", ")
}
