package yubihsm

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/devicecert/certtest"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func evidence(leaf, above []byte) *attest.Evidence {
	return &attest.Evidence{Format: Format, Parts: []attest.Part{{Name: PartAttestation, Data: leaf}, {Name: PartCertificates, Data: above}}}
}

func certificates(t testing.TB, data []byte) []*x509.Certificate {
	t.Helper()
	list, err := attest.ParseCertificates(data)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// real is the sample with what stands above it, and the list that comes with fleetctl.
func real(t testing.TB) (leaf, above []byte, anchors *attest.Anchors) {
	t.Helper()
	anchors, err := attest.ParseAnchors("anchors.yaml", attest.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "secsy-31650425-key.pem"), slices.Concat(file(t, "secsy-31650425-device.pem"), file(t, "yubihsm2-attestation-intermediates.pem")), anchors
}

func samples(t *testing.T) []at.Sample {
	leaf, above, anchors := real(t)
	d := at.Kept(attest.Anchored, certificates(t, leaf)[0].RawSubjectPublicKeyInfo, "31650425")
	d.SignOnly, d.Understood, d.LeastFirmware, d.Vendors = true, true, "2.4", []string{"yubico"}
	return []at.Sample{{
		Name: "device 31650425, a P-256 key", Level: attest.Anchored,
		Case: at.Case{Input: attest.Input{Evidence: evidence(leaf, above), Anchors: anchors, At: at.At}, Demand: d},
		Claims: func(t *testing.T, c *attest.Claims) {
			want := "[{label hsmaudit-test} {origin 0x01 (generated)} {domains 1} {capabilities sign-ecdsa}]"
			if got := fmt.Sprint(c.Details); got != want || c.Key.Identifier != "0x7e57" || c.Platform.Firmware != "2.4.0" {
				t.Errorf("got %s, %s, %s", got, c.Key.Identifier, c.Platform.Firmware)
			}
		},
	}}
}

func TestUnderNoAnchorAnAttestationIsVendorSignedAtMost(t *testing.T) {
	leaf, above, _ := real(t)
	c, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(leaf, above), At: at.At})
	if err != nil || c.Level != attest.VendorSigned {
		t.Errorf("%v, %v", c, err)
	}
}

// device is an attestation under a root of the test's own, and what may be wrong with it.
type device struct {
	fields       []pkix.Extension
	deviceFields []pkix.Extension
	deviceName   string
	rootKey      string
	rootName     string
	authority    string
	mangle       func([]byte) []byte
	noAuthority  bool
	reorder      bool
	behindLeaf   []byte
}

func field(num int, value ...byte) pkix.Extension { return certtest.Ext(arc.String(), num, value) }

var serialField = []byte{2, 4, 1, 0xe2, 0xf2, 0x79}

func good() device {
	return device{
		fields: []pkix.Extension{
			field(extFirmware, 4, 3, 2, 4, 0), field(extSerial, serialField...), field(extOrigin, 3, 2, 0, originGenerated),
			field(extDomains, 3, 3, 0, 0, 1), field(extCapabilities, 3, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x80),
			field(extObjectID, 2, 2, 0x7e, 0x57), field(extLabel, 12, 1, 'k'),
		},
		deviceFields: []pkix.Extension{field(extFirmware, 4, 3, 2, 4, 0), field(extSerial, serialField...)},
		deviceName:   "YubiHSM Attestation (31650425)", rootKey: "root", rootName: "Yubico YubiHSM Root CA", authority: "Sub-CA",
	}
}

// with replaces a field, or takes it away where no value is given.
func (d device) with(num int, value ...byte) device {
	d.fields = slices.Clone(d.fields)
	for i, e := range d.fields {
		if e.Id[len(e.Id)-1] == num {
			if d.fields[i].Value = value; value == nil {
				d.fields = slices.Delete(d.fields, i, i+1)
			}
			return d
		}
	}
	d.fields = append(d.fields, field(num, value...))
	return d
}

// capable replaces the capabilities.
func (d device) capable(caps uint64) device {
	v := []byte{3, 9, 0}
	for i := range 8 {
		v = append(v, byte(caps>>(56-8*i)))
	}
	return d.with(extCapabilities, v...)
}

func (d device) evidence(t testing.TB) *attest.Evidence {
	key, dev, sub, root := certtest.EC(t, "key"), certtest.EC(t, "device"), certtest.EC(t, "sub"), certtest.EC(t, d.rootKey)
	fields := slices.Clone(d.deviceFields)
	if !d.noAuthority {
		fields = append(fields, certtest.CA())
	}
	chain := [][]byte{
		certtest.Cert{Subject: certtest.Name(d.deviceName), Issuer: certtest.Name(d.authority), SPKI: dev.SPKI, Extensions: fields}.Sign(t, sub),
		certtest.Cert{Subject: certtest.Name(d.authority), Issuer: certtest.Name(d.rootName), SPKI: sub.SPKI, Extensions: []pkix.Extension{certtest.CA()}}.Sign(t, root),
	}
	if d.reorder {
		slices.Reverse(chain)
	}
	leaf := certtest.Cert{Subject: certtest.Name("YubiHSM Attestation id:0x7e57"), Issuer: certtest.Name(d.deviceName), SPKI: key.SPKI, Extensions: d.fields, MangleSignature: d.mangle}.Sign(t, dev)
	return evidence(append(certtest.PEM(leaf), d.behindLeaf...), certtest.PEM(chain...))
}

func TestYubiHSM2(t *testing.T) {
	at.Run(t, at.Suite{Verifier: Verifier{}, Device: "YubiHSM 2", Samples: samples(t), Hostile: hostile(t), Without: map[string]string{
		at.GzipBomb: "nothing in it is packed",
		at.Stale:    "the format has no room for a nonce",
	}})
}

func hostile(t *testing.T) (list []at.Hostile) {
	key := certtest.EC(t, "key").SPKI
	const serial = "31650425"
	var roots []*x509.Certificate
	for _, name := range []string{"Yubico YubiHSM Root CA", sharedRoot} {
		root := certtest.Cert{Subject: certtest.Name(name), Issuer: certtest.Name(name), SPKI: certtest.EC(t, "root").SPKI, Extensions: []pkix.Extension{certtest.CA()}}.Sign(t, certtest.EC(t, "root"))
		roots = append(roots, certificates(t, root)...)
	}
	anchors := at.Pin(t, Format, roots...)
	newer := good()
	newer.rootName, newer.authority = sharedRoot, "YubiHSM Attestation B2 1"
	caseOf := func(d device, spki []byte, serial string) at.Case {
		demand := at.Kept(attest.Anchored, spki, serial)
		demand.Understood, demand.SignOnly = true, true
		return at.Case{Input: attest.Input{Evidence: d.evidence(t), Anchors: anchors, At: at.At}, Demand: demand}
	}
	alter := func(f func(*device)) device { d := good(); f(&d); return d }
	for _, c := range []struct {
		kind, name string
		device     device
		spki       []byte
		serial     string
		want       string
	}{
		{at.SubstitutedKey, "another key", good(), certtest.EC(t, "other").SPKI, serial, "spki: the evidence is of another key"},
		{at.WrongIdentity, "another device", good(), key, "31650426", "identity: the evidence is of device 31650425, and 31650426 is demanded"},
		{at.LookAlikeRoot, "a root of the same name", alter(func(d *device) { d.rootKey = "look-alike" }), key, serial, `has the name of the pinned "Yubico YubiHSM Root CA", but another key`},
		{at.ReorderedChain, "a reordered chain", alter(func(d *device) { d.reorder = true }), key, serial, "it names another issuer"},
		{at.BadSignature, "a bad signature", alter(func(d *device) {
			d.mangle = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
		}), key, serial, "the signature does not verify"},
		{at.Other, "a device's key that is no authority", alter(func(d *device) { d.noAuthority = true }), key, serial, "the issuer is no certification authority"},
		{at.Other, "a key of the device as its attestation key", alter(func(d *device) { d.deviceName = "YubiHSM Attestation id:0x0001" }), key, serial, "which isn't the attestation key of the device 31650425"},
		{at.Other, "an attested key as attestation key", alter(func(d *device) { d.deviceFields = append(d.deviceFields, field(extOrigin, 3, 2, 0, 1)) }), key, serial, "signed by a key that was itself attested"},
		{at.Other, "the authority of another product", func() device { d := newer; d.authority = "Yubico PIV Attestation B2 1"; return d }(), key, serial, `is from "Yubico PIV Attestation B2 1", which is not an authority for YubiHSMs`},
		{at.Other, "a key with capabilities as attestation key", alter(func(d *device) { d.deviceFields = append(d.deviceFields, field(extCapabilities, 3, 2, 0, 1)) }), key, serial, "signed by a key that was itself attested"},
		{at.TrailingBytes, "two certificates", alter(func(d *device) { d.behindLeaf = []byte(file(t, "secsy-31650425-key.pem")) }), key, serial, "2 certificates; only the key's belongs there"},
		{at.WrongIdentity, "the attestation key of another device", alter(func(d *device) { d.deviceFields[1] = field(extSerial, 2, 1, 5) }), key, serial, "is for the device 31650425, and is signed by the device 5"},
		{at.Imported, "imported", good().with(extOrigin, 3, 2, 0, originImported), key, serial, "never-extractable: not shown, and true is demanded; local: false, and true is demanded"},
		{at.Imported, "imported under wrap", good().with(extOrigin, 3, 2, 0, originWrapped), key, serial, "never-extractable: not shown, and true is demanded; local: false"},
		{at.Imported, "generated, exported and brought back", good().with(extOrigin, 3, 2, 0, 0x11), key, serial, "never-extractable: not shown, and true is demanded; local: false, and true is demanded"},
		{at.Other, "no origin bit", good().with(extOrigin, 3, 2, 0, 0), key, serial, "never-extractable: not shown, and true is demanded; local: false, and true is demanded; origin 0x00 was not understood"},
		{at.Other, "an unknown origin bit", good().with(extOrigin, 3, 2, 0, 0x21), key, serial, "never-extractable: not shown, and true is demanded; local: false, and true is demanded; origin 0x21 was not understood"},
		{at.Other, "origin with unused bits", good().with(extOrigin, 3, 2, 7, 0x80), key, serial, "isn't a string of 1 whole bytes"},
		{at.Exportable, "exportable under wrap", good().capable(1<<capSignECDSA | 1<<capExportable), key, serial, "extractable: true, and false is demanded; never-extractable: false"},
		{at.Exportable, "exports others", good().capable(1<<capSignECDSA | 1<<capExportWrapped), key, serial, "extractable: true, and false is demanded; never-extractable: false, and true is demanded; purpose wrap: true, and false is demanded"},
		{at.Other, "capabilities of the other byte order", good().with(extCapabilities, 3, 9, 0, 0x80, 0, 0, 0, 0, 0, 0, 0), key, serial, "purpose sign: false, and true is demanded; capability bit 63 was not understood"},
		{at.Other, "also decrypts", good().capable(1<<capSignECDSA | 1<<capDecryptPKCS), key, serial, "purpose decrypt: true, and false is demanded"},
		{at.Other, "also agrees", good().capable(1<<capSignECDSA | 1<<capDeriveECDH), key, serial, "purpose derive: true, and false is demanded"},
		{at.Other, "an unknown capability", good().capable(1<<capSignECDSA | 1<<63), key, serial, "capability bit 63 was not understood"},
		{at.MissingField, "no firmware", good().with(extFirmware), key, serial, "lacks the firmware version"},
		{at.MissingField, "no serial", good().with(extSerial), key, serial, "lacks the serial number"},
		{at.MissingField, "no origin", good().with(extOrigin), key, serial, "lacks the origin"},
		{at.MissingField, "no domains", good().with(extDomains), key, serial, "lacks the domains"},
		{at.MissingField, "no capabilities", good().with(extCapabilities), key, serial, "lacks the capabilities"},
		{at.MissingField, "no object id", good().with(extObjectID), key, serial, "lacks the object id"},
		{at.MissingField, "no label", good().with(extLabel), key, serial, "lacks the label"},
		{at.Other, "short capabilities", good().with(extCapabilities, 3, 5, 0, 0, 0, 0, 0x80), key, serial, "isn't a string of 8 whole bytes"},
		{at.TrailingBytes, "bytes behind the origin", good().with(extOrigin, 3, 2, 0, 1, 0), key, serial, "has 1 bytes behind its value"},
		{at.LengthBomb, "a length beyond the end", good().with(extLabel, 12, 0x84, 0xff, 0xff, 0xff, 0xff, 'k'), key, serial, "the label (extension 1.3.6.1.4.1.41482.4.9) can't be read"},
		{at.RepeatedField, "an origin twice", alter(func(d *device) { d.fields = append(d.fields, field(extOrigin, 3, 2, 0, 1)) }), key, serial, "duplicate extension with OID"},
		{at.Other, "an unknown field", good().with(99, 1), key, serial, "extension 1.3.6.1.4.1.41482.4.99 was not understood"},
		{at.TrailingBytes, "bytes behind the certificate", alter(func(d *device) { d.behindLeaf = []byte("more") }), key, serial, "not PEM certificates alone"},
	} {
		twin := good()
		if c.device.rootName == sharedRoot {
			twin = newer
		}
		list = append(list, at.Hostile{Kind: c.kind, Name: c.name, Case: caseOf(c.device, c.spki, c.serial), Want: c.want, Twin: caseOf(twin, key, serial)})
	}
	return list
}

func FuzzVerify(f *testing.F) {
	leaf, above, anchors := real(f)
	f.Add(leaf, above)
	f.Fuzz(func(t *testing.T, leaf, above []byte) {
		claims, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(leaf, above), Anchors: anchors, At: at.At})
		if err == nil && (claims.Platform.Identity == "" || len(claims.Key.SPKI) == 0) {
			t.Error("an attestation without device or key is taken")
		}
		if c, err := x509.ParseCertificate(leaf); err == nil {
			_, _ = parseKey(c)
		}
	})
}
