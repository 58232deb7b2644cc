// Package yubikey reads the attestation certificates of a YubiKey's PIV
// application: the card signs, with the key in its slot f9, a certificate for a
// key that it made.
//
// A YubiKey attests no imported key, so an attestation below Yubico's root shows
// that the key was generated inside; and PIV has no command that gives a private key
// out. The format has no field for a nonce: the same attestation can be shown again
// for as long as the key exists.
package yubikey

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/devicecert"
)

// Format is the name of evidence that this package reads.
const Format = "yubikey-piv"

// The parts of the evidence.
const (
	PartAttestation  = "attestation"
	PartCertificates = "certificates"
)

// Yubico's extensions of a YubiKey's PIV application, below arc.
const (
	extFirmware   = 3
	extSerial     = 7
	extPolicy     = 8 // PIN policy, touch policy
	extFormFactor = 9
	extFIPS       = 10
	extCSPN       = 11
)

var arc = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3}

const formFactorFIPS = 0x80 // the card is of the FIPS series

// Verifier is the format's attest.Verifier.
type Verifier struct{}

// Format is the format's name.
func (Verifier) Format() string { return Format }

// Parts gives the attestation and the certificates above it.
func (Verifier) Parts() []attest.PartRule {
	return []attest.PartRule{
		{Name: PartAttestation, Max: 8 << 10, What: "the attestation certificate of the key, PEM or DER: ykman piv keys attest SLOT FILE"},
		{Name: PartCertificates, Optional: true, Max: 32 << 10, What: "the certificate of slot f9 (ykman piv certificates export f9 FILE) and behind it, for firmware 5.7.4 and later, Yubico's PIV and intermediate authorities, each the issuer of the one before"},
	}
}

// attestedKey is what the attestation certificate says.
type attestedKey struct {
	Firmware   string
	Serial     uint64
	PIN, Touch byte
	FormFactor byte
	Slot       string   // 9c and so on
	Unknown    []string // extensions that aren't known
}

// slot reads the slot, two hexadecimal digits, from the name that a card gives an
// attestation.
func slot(name string) (string, bool) {
	s, ok := strings.CutPrefix(name, "YubiKey PIV Attestation ")
	return s, ok && len(s) == 2 && strings.Trim(s, "0123456789abcdef") == ""
}

// parseKey reads an attestation certificate's extensions and its slot. All must be
// there, so cards with firmware before 5, which don't write the form factor, are
// refused.
func parseKey(c *x509.Certificate) (*attestedKey, error) {
	f := devicecert.Read(c, arc)
	var firmware, policy, form []byte
	k := &attestedKey{}
	for _, step := range []func() error{
		func() (err error) { firmware, err = f.Plain(extFirmware, "firmware version", 3); return },
		func() (err error) { k.Serial, err = f.Uint(extSerial, "serial number", 0xffffffff); return },
		func() (err error) { policy, err = f.Plain(extPolicy, "PIN and touch policy", 2); return },
		func() (err error) { form, err = f.Plain(extFormFactor, "form factor", 1); return },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	name, err := devicecert.CommonName(c)
	if err != nil {
		return nil, err
	}
	in, named := slot(name)
	switch {
	case !named:
		return nil, errors.New(`the certificate isn't named "YubiKey PIV Attestation" and a slot, as cards name what they attest`)
	case in == "f9":
		return nil, errors.New("it is the attestation of slot f9, the card's own attestation key")
	case k.Serial == 0:
		return nil, errors.New("the serial number is 0, which says nothing")
	}
	k.Firmware = fmt.Sprintf("%d.%d.%d", firmware[0], firmware[1], firmware[2])
	k.PIN, k.Touch, k.FormFactor, k.Slot, k.Unknown = policy[0], policy[1], form[0], in, f.Unknown()
	return k, nil
}

// Verify checks the chain and reads the certificate.
func (Verifier) Verify(in attest.Input) (*attest.Claims, error) {
	certs, err := attest.ParseCertificates(in.Evidence.Part(PartAttestation))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", PartAttestation, err)
	}
	if len(certs) != 1 {
		return nil, fmt.Errorf("%s: %d certificates; only the key's belongs there", PartAttestation, len(certs))
	}
	if above := in.Evidence.Part(PartCertificates); above != nil {
		list, err := attest.ParseCertificates(above)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", PartCertificates, err)
		}
		certs = append(certs, list...)
	}
	path, err := attest.Chain{Format: Format, Certs: certs}.Verify(in.Anchors, in.At)
	if err != nil {
		return nil, err
	}
	k, err := parseKey(certs[0])
	if err != nil {
		return nil, err
	}
	c := k.claims(certs[0])
	path.Into(c)
	return c, checkAbove(path.Certs, c)
}

// newRoot is the name of the root for firmware 5.7.4 and later. Below it Yubico has
// authorities for FIDO, OpenPGP and secure domains too. Those for PIV are recognised
// by their names, which Yubico's own key signed.
const newRoot = "Yubico Attestation Root 1"

var (
	pivAuthorities   = []string{"Yubico PIV Attestation A 1", "Yubico PIV Attestation B 1", "Yubico PIV Attestation B2 1"}
	intermediateAuth = []string{"Yubico Attestation Intermediate A 1", "Yubico Attestation Intermediate B 1"}
)

// checkAbove checks that the certificates are one of Yubico's two chains:
// attestation, f9, root; or attestation, f9, PIV authority, intermediate, root.
func checkAbove(certs []*x509.Certificate, claims *attest.Claims) error {
	var names []string
	for _, c := range certs[1:] {
		name, err := devicecert.CommonName(c)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	if n := len(names); n > 0 && (n > 2 || names[n-1] == newRoot) {
		wrong := n > 4 || n < 2 || !slices.Contains(pivAuthorities, names[1]) ||
			n > 2 && !slices.Contains(intermediateAuth, names[2]) || n > 3 && names[3] != newRoot
		if wrong {
			return fmt.Errorf("the certificates above the attestation are %q; they should be the card's f9, a PIV authority, an intermediate and %s", names, newRoot)
		}
	}
	if len(certs) < 2 {
		return nil
	}
	f := devicecert.Read(certs[1], arc)
	if _, err := f.Plain(extFirmware, "firmware version", 3); err != nil {
		return fmt.Errorf("the certificate of slot f9: %w", err)
	}
	if f.Has(extSerial) || f.Has(extPolicy) {
		return errors.New("the attestation is signed by a key that was itself attested, not by the one in slot f9")
	}
	for _, mark := range []struct {
		num  int
		name string
	}{{extFIPS, "FIPS"}, {extCSPN, "CSPN"}} {
		if f.Has(mark.num) {
			v, err := f.Uint(mark.num, mark.name+" certification", 1<<32-1)
			if err != nil {
				return fmt.Errorf("the certificate of slot f9: %w", err)
			}
			claims.Details = append(claims.Details, attest.Detail{Name: "certification", Value: fmt.Sprintf("%s (%d), says Yubico's certificate of slot f9", mark.name, v)})
		}
	}
	for _, id := range f.Unknown() {
		claims.Unknown = append(claims.Unknown, attest.Unknown{Where: "the certificate of slot f9", What: "extension " + id})
	}
	return nil
}

func (k *attestedKey) claims(c *x509.Certificate) *attest.Claims {
	serial := fmt.Sprint(k.Serial)
	claims := &attest.Claims{
		Key: attest.Key{
			Identifier: k.Slot,
			SPKI:       c.RawSubjectPublicKeyInfo,
			// That the card attested the key says so: see the package's comment.
			Local: attest.True, Sensitive: attest.True, Extractable: attest.False, NeverExtractable: attest.True,
			// A PIV key may do whatever its algorithm allows: in any slot an RSA key also
			// decrypts and an EC key also agrees on secrets, so these aren't shown to be False.
			Purpose: attest.Purpose{Sign: attest.True, Wrap: attest.False, Unwrap: attest.False},
		},
		Platform: attest.Platform{Vendor: "yubico", Model: "YubiKey", Serial: serial, Identity: serial, Firmware: k.Firmware},
		Details: []attest.Detail{
			{Name: "slot", Value: k.Slot},
			{Name: "PIN policy", Value: pick(pinPolicies, k.PIN)},
			{Name: "touch policy", Value: pick(touchPolicies, k.Touch)},
			{Name: "form factor", Value: k.formFactor()},
		},
	}
	for _, id := range k.Unknown {
		claims.Unknown = append(claims.Unknown, attest.Unknown{Where: "the attestation certificate", What: "extension " + id})
	}
	if pick(pinPolicies, k.PIN) == "" || pick(touchPolicies, k.Touch) == "" {
		claims.Unknown = append(claims.Unknown, attest.Unknown{Where: "the attestation certificate", Matters: true,
			What: fmt.Sprintf("PIN policy %d, touch policy %d", k.PIN, k.Touch)})
	}
	if k.formFactor() == "" {
		claims.Unknown = append(claims.Unknown, attest.Unknown{Where: "the attestation certificate", What: fmt.Sprintf("form factor %#02x", k.FormFactor)})
	}
	return claims
}

var (
	pinPolicies   = []string{"", "never", "once", "always", "match once", "match always"}
	touchPolicies = []string{"", "never", "always", "cached"}
	formFactors   = []string{"", "USB-A keychain", "USB-A nano", "USB-C keychain", "USB-C nano", "USB-C and Lightning", "USB-A bio", "USB-C bio"}
)

func pick(names []string, n byte) string {
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}

func (k *attestedKey) formFactor() string {
	name := pick(formFactors, k.FormFactor&^formFactorFIPS)
	if name != "" && k.FormFactor&formFactorFIPS != 0 {
		name = strings.Join([]string{name, "FIPS series"}, ", ")
	}
	return name
}
