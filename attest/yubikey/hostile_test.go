package yubikey

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/devicecert/certtest"
)

func parsed(t testing.TB, ders ...[]byte) (list []*x509.Certificate) {
	t.Helper()
	for _, d := range ders {
		c, err := x509.ParseCertificate(d)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

func attestCertificates(t testing.TB, name string) (map[string][]byte, error) {
	t.Helper()
	byName := map[string][]byte{}
	for _, block := range bytes.SplitAfter(file(t, name), []byte("-----END CERTIFICATE-----\n")) {
		if len(bytes.TrimSpace(block)) == 0 {
			continue
		}
		c, err := attest.ParseCertificates(block)
		if err != nil {
			return nil, err
		}
		byName[c[0].Subject.CommonName] = c[0].Raw
	}
	return byName, nil
}

func f9Named(t testing.TB, name string) []byte {
	return certtest.Cert{Subject: certtest.Name(name), Issuer: certtest.Name("x"), SPKI: certtest.EC(t, name).SPKI,
		Extensions: []pkix.Extension{certtest.Ext(arc.String(), extFirmware, []byte{5, 7, 4})}}.Sign(t, certtest.EC(t, "x"))
}

// card is an attestation under roots of the test's own, and what may be wrong with it.
type card struct {
	serial     []byte
	fields     []pkix.Extension
	name       string
	authority  string // between f9 and root; "" for the chain of before 5.7.4
	f9Fields   []pkix.Extension
	f9Key      string
	rootKey    string
	rootName   string
	mangle     func([]byte) []byte
	f9Plain    bool // the f9 certificate doesn't say that it is an authority
	reorder    bool
	behindLeaf []byte
}

func good() card {
	return card{
		fields: []pkix.Extension{
			certtest.Ext(arc.String(), extFirmware, []byte{5, 7, 4}),
			certtest.Ext(arc.String(), extSerial, []byte{2, 4, 1, 0x85, 0x53, 0xfb}),
			certtest.Ext(arc.String(), extPolicy, []byte{3, 1}),
			certtest.Ext(arc.String(), extFormFactor, []byte{1}),
		},
		f9Fields: []pkix.Extension{certtest.Ext(arc.String(), extFirmware, []byte{5, 7, 4})},
		name:     "YubiKey PIV Attestation 9c", f9Key: "f9", rootKey: "root", rootName: "Yubico PIV Root CA Serial 263751",
	}
}

// with replaces a field, or takes it away where value is nil.
func (c card) with(num int, value []byte) card {
	c.fields = slices.Clone(c.fields)
	for i, e := range c.fields {
		if e.Id[len(e.Id)-1] == num {
			if value == nil {
				c.fields = slices.Delete(c.fields, i, i+1)
			} else {
				c.fields[i].Value = value
			}
			return c
		}
	}
	c.fields = append(c.fields, certtest.Ext(arc.String(), num, value))
	return c
}

func (c card) evidence(t testing.TB) *attest.Evidence {
	key, f9, root := certtest.EC(t, "key"), certtest.EC(t, c.f9Key), certtest.EC(t, c.rootKey)
	above := root
	chain := [][]byte{}
	top := certtest.Name(c.rootName)
	if c.authority != "" {
		top = certtest.Name(newRoot)
		mid, piv := certtest.EC(t, "mid"), certtest.EC(t, "piv")
		chain = append(chain,
			certtest.Cert{Subject: certtest.Name(c.authority), Issuer: certtest.Name("Yubico Attestation Intermediate A 1"), SPKI: piv.SPKI, Extensions: []pkix.Extension{certtest.CA()}}.Sign(t, mid),
			certtest.Cert{Subject: certtest.Name("Yubico Attestation Intermediate A 1"), Issuer: top, SPKI: mid.SPKI, Extensions: []pkix.Extension{certtest.CA()}}.Sign(t, root))
		above, top = piv, certtest.Name(c.authority)
	}
	fields := slices.Clone(c.f9Fields)
	if !c.f9Plain {
		fields = append(fields, certtest.CA())
	}
	chain = append([][]byte{certtest.Cert{Subject: certtest.Name("YubiKey PIV Attestation"), Issuer: top, SPKI: f9.SPKI, Extensions: fields}.Sign(t, above)}, chain...)
	if c.reorder {
		slices.Reverse(chain)
	}
	leaf := certtest.Cert{Subject: certtest.Name(c.name), Issuer: certtest.Name("YubiKey PIV Attestation"), SPKI: key.SPKI, Extensions: c.fields, MangleSignature: c.mangle}.Sign(t, f9)
	return evidence(append(certtest.PEM(leaf), c.behindLeaf...), certtest.PEM(chain...))
}

func testAnchors(t testing.TB) *attest.Anchors {
	var list []*x509.Certificate
	for _, name := range []string{"Yubico PIV Root CA Serial 263751", newRoot} {
		raw := certtest.Cert{Subject: certtest.Name(name), Issuer: certtest.Name(name), SPKI: certtest.EC(t, "root").SPKI, Extensions: []pkix.Extension{certtest.CA()}}.Sign(t, certtest.EC(t, "root"))
		list = append(list, parsed(t, raw)...)
	}
	return at.Pin(t, Format, list...)
}

func TestYubiKeyPIV(t *testing.T) {
	at.Run(t, at.Suite{Verifier: Verifier{}, Device: "YubiKey (PIV)", Samples: samples(t), Hostile: hostile(t), Without: map[string]string{
		at.Imported:   "a card attests no key that was imported",
		at.Exportable: "PIV has no command that gives a private key out, and no field that says so",
		at.GzipBomb:   "nothing in it is packed",
		at.Stale:      "the format has no room for a nonce",
	}})
}

func hostile(t *testing.T) (list []at.Hostile) {
	key := certtest.EC(t, "key").SPKI
	const serial = "25515003"
	anchors := testAnchors(t)
	newer := good()
	newer.authority = "Yubico PIV Attestation A 1"
	caseOf := func(c card, spki []byte, serial string) at.Case {
		d := at.Kept(attest.Anchored, spki, serial)
		d.Understood = true
		return at.Case{Input: attest.Input{Evidence: c.evidence(t), Anchors: anchors, At: at.At}, Demand: d}
	}
	alter := func(f func(*card)) card { c := good(); f(&c); return c }
	for _, c := range []struct {
		kind, name string
		card       card
		spki       []byte
		serial     string
		want       string
	}{
		{at.SubstitutedKey, "another key", good(), certtest.EC(t, "other").SPKI, serial, "spki: the evidence is of another key"},
		{at.WrongIdentity, "another card", good(), key, "25515004", "identity: the evidence is of device 25515003, and 25515004 is demanded"},
		{at.LookAlikeRoot, "a root of the same name", alter(func(c *card) { c.rootKey = "look-alike" }), key, serial, `has the name of the pinned "Yubico PIV Root CA Serial 263751", but another key`},
		{at.ReorderedChain, "a reordered chain", func() card { c := newer; c.reorder = true; return c }(), key, serial, "it names another issuer"},
		{at.BadSignature, "a bad signature", alter(func(c *card) {
			c.mangle = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
		}), key, serial, "the signature does not verify"},
		{at.Other, "an f9 that is no authority", alter(func(c *card) { c.f9Plain = true }), key, serial, "the issuer is no certification authority"},
		{at.Other, "the authority of another application", func() card { c := newer; c.authority = "Yubico OPGP Attestation A 1"; return c }(), key, serial, "they should be the card's f9, a PIV authority"},
		{at.Other, "an attested key as f9", alter(func(c *card) {
			c.f9Fields = append(c.f9Fields, certtest.Ext(arc.String(), extSerial, []byte{2, 1, 5}))
		}), key, serial, "signed by a key that was itself attested"},
		{at.MissingField, "no firmware in f9", alter(func(c *card) { c.f9Fields = nil }), key, serial, "slot f9: the certificate lacks the firmware version"},
		{at.MissingField, "no firmware", good().with(extFirmware, nil), key, serial, "lacks the firmware version"},
		{at.MissingField, "no serial", good().with(extSerial, nil), key, serial, "lacks the serial number"},
		{at.MissingField, "no policy", good().with(extPolicy, nil), key, serial, "lacks the PIN and touch policy"},
		{at.MissingField, "no form factor", good().with(extFormFactor, nil), key, serial, "lacks the form factor"},
		{at.Other, "serial 0", good().with(extSerial, []byte{2, 1, 0}), key, serial, "the serial number is 0"},
		{at.Other, "a negative serial", good().with(extSerial, []byte{2, 1, 0x80}), key, serial, "is negative"},
		{at.Other, "a serial too large", good().with(extSerial, []byte{2, 5, 1, 0, 0, 0, 0}), key, serial, "at most 4294967295 is possible"},
		{at.Other, "a serial of text", good().with(extSerial, []byte{12, 1, '5'}), key, serial, "is of the wrong type"},
		{at.TrailingBytes, "bytes behind the serial", good().with(extSerial, []byte{2, 4, 1, 0x85, 0x53, 0xfb, 0}), key, serial, "has 1 bytes behind its value"},
		{at.RepeatedField, "a serial twice", alter(func(c *card) {
			c.fields = append(c.fields, certtest.Ext(arc.String(), extSerial, []byte{2, 1, 5}))
		}), key, serial, "duplicate extension with OID"},
		{at.Other, "a policy too long", good().with(extPolicy, []byte{3, 1, 1}), key, serial, "has 3 bytes, and must have 2"},
		{at.LengthBomb, "a serial of more bytes than there are", good().with(extSerial, []byte{2, 0x84, 0xff, 0xff, 0xff, 0xff, 1}), key, serial, "the serial number (extension 1.3.6.1.4.1.41482.3.7) can't be read"},
		{at.LengthBomb, "a certificate of more bytes than there are", alter(func(c *card) {
			c.behindLeaf = []byte("-----BEGIN CERTIFICATE-----\nMIT/////\n-----END CERTIFICATE-----\n")
		}), key, serial, "not 1 to 8 certificates"},
		{at.Other, "an unknown policy", good().with(extPolicy, []byte{9, 1}), key, serial, "understood: the attestation certificate: PIN policy 9, touch policy 1 was not understood"},
		{at.Other, "an unknown form factor", good().with(extFormFactor, []byte{0x70}), key, serial, "form factor 0x70 was not understood"},
		{at.Other, "an unknown field", good().with(99, []byte{1}), key, serial, "extension 1.3.6.1.4.1.41482.3.99 was not understood"},
		{at.Other, "the attestation of f9", alter(func(c *card) { c.name = "YubiKey PIV Attestation f9" }), key, serial, "the attestation of slot f9"},
		{at.Other, "a name that is no slot's", alter(func(c *card) { c.name = "YubiKey OPGP Attestation SIG" }), key, serial, `isn't named "YubiKey PIV Attestation"`},
		{at.TrailingBytes, "bytes behind the certificate", alter(func(c *card) { c.behindLeaf = []byte("more") }), key, serial, "not PEM certificates alone"},
		{at.TrailingBytes, "two certificates", alter(func(c *card) { c.behindLeaf = certtest.PEM(f9Named(t, "x")) }), key, serial, "2 certificates; only the key's belongs there"},
	} {
		twin := good()
		if c.card.authority != "" {
			twin = newer
		}
		list = append(list, at.Hostile{Kind: c.kind, Name: c.name, Case: caseOf(c.card, c.spki, c.serial), Want: c.want, Twin: caseOf(twin, key, serial)})
	}
	return append(list, folderLies(t))
}

func FuzzVerify(f *testing.F) {
	f.Add(file(f, "yubikey-5.7.4-p256-leaf.pem"), file(f, "yubikey-sigstore", "13078778", "13078778_device_cert.pem"))
	f.Add(file(f, "yubikey-sigstore", "13078778", "13078778_key_cert.pem"), file(f, "yubikey-sigstore", "13078778", "13078778_device_cert.pem"))
	anchors := yubico(f)
	f.Fuzz(func(t *testing.T, leaf, above []byte) {
		claims, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(leaf, above), Anchors: anchors, At: at.At})
		if err == nil && (claims.Platform.Identity == "" || len(claims.Key.SPKI) == 0) {
			t.Error("an attestation without card or key is taken")
		}
		if c, err := x509.ParseCertificate(leaf); err == nil {
			_, _ = parseKey(c)
		}
	})
}
