// Package smartcardhsm reads what a SmartCard-HSM, which is also sold as Nitrokey
// HSM 2, signs when it makes a key: a request in the form of a card-verifiable
// certificate (BSI TR-03110). The device's certificate, its issuer's and
// CardContact's root certify the device's key.
//
// The request shows that the device made the key. It doesn't show that the key
// can't leave: whether keys may be wrapped is decided when the device is
// initialised, and no signature covers that.
package smartcardhsm

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Format is the name of the evidence.
const Format = "smartcard-hsm"

// The parts of the evidence.
const (
	PartRequest = "request"
	PartChain   = "devaut"
)

// Verifier is the format's attest.Verifier.
type Verifier struct{}

// Format is the format's name.
func (Verifier) Format() string { return Format }

// Parts gives the two files of the device.
func (Verifier) Parts() []attest.PartRule {
	return []attest.PartRule{
		{Name: PartRequest, Max: 4096, What: "the device's file EF CExx of the key: opensc-tool, or sc-hsm-tool"},
		{Name: PartChain, Max: 4096, What: "the device's file EF 2F02: its certificate, then its issuer's and, optionally, the root's"},
	}
}

// root is CardContact's root certificate, which no device carries. It is not trusted
// because it stands here: only anchors are trusted.
//
//go:embed DESRCACC100001.cvcert
var root []byte

// The roles of certificates in a chain, from the device up.
var roles = []byte{0x00, 0x80, 0xc0}

// Verify checks the chain, the device's signature over the request, and the new
// key's own signature.
func (Verifier) Verify(in attest.Input) (*attest.Claims, error) {
	r, err := parseRequest(in.Evidence.Part(PartRequest))
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(in.Evidence.Part(PartChain))
	if err != nil {
		return nil, err
	}
	c := &attest.Claims{Platform: attest.Platform{Vendor: "CardContact", Model: "SmartCard-HSM"}}
	device, err := chain(certs, in, c)
	if err != nil {
		return nil, err
	}
	name := certs[0].Holder
	switch {
	case r.Device != name:
		return nil, fmt.Errorf("the request names device %s, and the certificate is %s's", r.Device, name)
	case !device.verify(r.signed, r.outer):
		return nil, errors.New("the device's signature over the request does not verify")
	case !r.key.verify(r.body, r.inner):
		return nil, errors.New("the new key's signature over its request does not verify")
	}
	c.Platform.Identity = name[:len(name)-5] // the last five characters number its certificates
	c.Platform.Serial = c.Platform.Identity
	c.Key = attest.Key{Identifier: r.Holder, SPKI: r.spki, Local: attest.True}
	for _, e := range r.Extensions {
		c.Unknown = append(c.Unknown, attest.Unknown{Where: "request", What: fmt.Sprintf("extension %s", strict.Clip(fmt.Sprintf("%X", e)))})
	}
	return c, nil
}

// chain checks the certificates from the root down, and gives the device's key.
func chain(certs []*certificate, in attest.Input, c *attest.Claims) (*key, error) {
	if len(certs) == 2 {
		known, err := parseCertificates(root)
		if err != nil {
			return nil, err
		}
		if known[0].Holder == certs[1].Issuer {
			certs = append(certs, known...)
		}
	}
	if len(certs) != len(roles) {
		return nil, fmt.Errorf("chain: %d certificates; it is the device's, its issuer's and the root's, which can be left out if it is %s", len(certs), "DESRCACC100001")
	}
	keys := make([]*key, len(certs))
	var parent *key
	for i := len(certs) - 1; i >= 0; i-- {
		cert, above := certs[i], certs[min(i+1, len(certs)-1)]
		at := fmt.Sprintf("chain: certificate %d (%s)", i, cert.Holder)
		if cert.Role != roles[i] {
			return nil, fmt.Errorf("%s: its role is %02X, but %02X belongs in this place: the chain is out of order, or a device signed it", at, cert.Role, roles[i])
		}
		if cert.Issuer != above.Holder {
			return nil, fmt.Errorf("%s: its issuer is %s, but %s stands above it", at, cert.Issuer, above.Holder)
		}
		var inherited *curve
		if parent != nil {
			inherited = parent.curve
		}
		k, err := parseKey(cert.key, inherited, at)
		if err != nil {
			return nil, err
		}
		if parent == nil {
			parent = k
		}
		if !parent.verify(cert.body, cert.signature) {
			return nil, fmt.Errorf("%s: the signature does not verify under %s", at, above.Holder)
		}
		if len(cert.Extensions) > 0 {
			c.Unknown = append(c.Unknown, attest.Unknown{Where: "certificate of " + cert.Holder, What: "its extensions", Matters: true})
		}
		keys[i], parent = k, k
	}
	return keys[0], anchor(certs, keys, in, c)
}

// anchor finds the lowest pinned key and checks the times of the certificates below
// it.
func anchor(certs []*certificate, keys []*key, in attest.Input, c *attest.Claims) error {
	c.Level = attest.VendorSigned
	below := len(certs)
	for i, k := range keys {
		spki, err := k.spki()
		if err != nil {
			return err
		}
		if a := in.Anchors.Find(Format, spki); a != nil {
			if !a.Valid(in.At) {
				return fmt.Errorf("the anchor %q is pinned until %s, not at %s", strict.Clip(a.Name), strict.FormatTime(*a.NotAfter), strict.FormatTime(in.At))
			}
			c.Level, c.Anchor, below = attest.Anchored, a, i
			if a.NotAfter != nil {
				c.Until = *a.NotAfter
			}
			break
		}
	}
	if c.Anchor == nil {
		top := certs[len(certs)-1].Holder
		c.NoAnchor = fmt.Sprintf("no key that is pinned for %s issued %s", Format, top)
		for _, a := range in.Anchors.For(Format) {
			if strings.Contains(a.Name, top) {
				c.NoAnchor = fmt.Sprintf("%s has the name of the pinned %q, but another key", top, strict.Clip(a.Name))
			}
		}
	}
	for _, cert := range certs[:below] {
		end := cert.Until.AddDate(0, 0, 1) // it is valid to the end of that day
		if in.At.Before(cert.From) || !in.At.Before(end) {
			return fmt.Errorf("chain: the certificate of %s is valid from %s to %s, not at %s", cert.Holder,
				cert.From.Format("2006-01-02"), cert.Until.Format("2006-01-02"), strict.FormatTime(in.At))
		}
		if c.Until.IsZero() || end.Before(c.Until) {
			c.Until = end
		}
	}
	return nil
}
