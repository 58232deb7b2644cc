package tpm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// point is the SPKI of the P-256 key at the end of a public area.
func point(t testing.TB, area []byte) []byte {
	end := area[len(area)-2-64:]
	key, err := ecdsa.ParseUncompressedPublicKey(at.P256(t).Curve, slices.Concat([]byte{4}, end[:32], end[34:]))
	if err != nil {
		t.Fatal(err)
	}
	return at.SPKI(t, key)
}

func samples(t *testing.T) []at.Sample {
	swtpm := func(attestFile, sig, pub string, nonce []byte) at.Case {
		d := at.Kept(attest.ModuleClaimed, point(t, read(t, "swtpm/"+pub)), "")
		d.Sign = true
		return at.Case{Demand: d, Input: attest.Input{At: at.At, Nonce: nonce, Evidence: &attest.Evidence{Format: tpm.Format, Parts: []attest.Part{
			{Name: tpm.PartAttest, Data: read(t, "swtpm/"+attestFile)}, {Name: tpm.PartSignature, Data: read(t, "swtpm/"+sig)},
			{Name: tpm.PartPublic, Data: read(t, "swtpm/"+pub)}, {Name: tpm.PartAKKey, Data: read(t, "swtpm/p11-ak.pem")},
		}}}}
	}
	direct := swtpm("attest.bin", "sig.bin", "pub.bin", read(t, "swtpm/attest.bin")[44:76])
	direct.Demand.SignOnly = true
	// The signature is bare in this sample: a TPMT_SIGNATURE has the scheme before it.
	sig := append([]byte{0, 0x14, 0, 4, 1, 0}, read(t, "nuvoton/sig.bin")...)
	nuvoton := at.Kept(attest.VendorSigned, point(t, read(t, "nuvoton/pubarea.bin")), "")
	nuvoton.SignOnly, nuvoton.Vendors, nuvoton.Models, nuvoton.Tolerates = true, []string{"NTC"}, []string{"NPCT75x"}, []string{attest.QuirkSHA1}
	return []at.Sample{
		{Name: "swtpm, P-256 for signing alone; its attestation key has no certificate", Level: attest.ModuleClaimed, Case: direct},
		{Name: "swtpm, P-256 made through tpm2-pkcs11; the same", Level: attest.ModuleClaimed, Case: swtpm("p11-att.bin", "p11-sig.bin", "p11-key.tpm2b_public", []byte{0, 0xff, 0x55, 0xaa}),
			Claims: func(t *testing.T, c *attest.Claims) {
				if p := c.Key.Purpose; p.Decrypt != attest.True || p.Derive != attest.True || c.Platform != (attest.Platform{}) {
					t.Errorf("%+v", c)
				}
			}},
		{Name: "Nuvoton NPCT75x, P-256, attestation key by Microsoft, RSA over SHA-1; neither root nor the key's public area is given", Level: attest.VendorSigned, Case: at.Case{Demand: nuvoton, Input: attest.Input{
			At: time.Date(2022, 6, 1, 0, 0, 0, 0, time.UTC), Nonce: read(t, "nuvoton/extradata.bin"), Evidence: &attest.Evidence{Format: tpm.Format, Parts: []attest.Part{
				{Name: tpm.PartAttest, Data: read(t, "nuvoton/certinfo.bin")}, {Name: tpm.PartSignature, Data: sig}, {Name: tpm.PartPublic, Data: read(t, "nuvoton/pubarea.bin")},
				{Name: tpm.PartAKCerts, Data: slices.Concat(read(t, "nuvoton/x5c0.der"), read(t, "nuvoton/x5c1.der"))},
			}}}}, Claims: func(t *testing.T, c *attest.Claims) {
			if c.Platform.Firmware != "" || c.Platform.Identity != "" || !slices.Equal(c.Quirks, []string{attest.QuirkSHA1}) {
				t.Errorf("%+v", c)
			}
		}},
	}
}

func TestTPMAttestations(t *testing.T) {
	d := tpmtest.New(t)
	key := at.P256(t)
	good := d.Attested(key.Public(), tpmtest.KeyAttrs)
	var list []at.Hostile
	add := func(kind, name, want string, c at.Case) {
		list = append(list, at.Hostile{Kind: kind, Name: name, Want: want, Case: c, Twin: good})
	}
	addKeys(t, d, key, good, add)
	addAttestationKeys(t, d, key, good, add)
	addBytes(t, d, key, good, add)
	at.Run(t, at.Suite{
		Verifier: tpm.Verifier{}, Device: "TPM 2.0", Samples: samples(t), Hostile: list,
		Without: map[string]string{at.GzipBomb: "nothing in it is compressed"},
	})
}

type adder func(kind, name, want string, c at.Case)

// addKeys are keys that are another or not what is demanded.
func addKeys(t *testing.T, d *tpmtest.Device, key crypto.Signer, good at.Case, add adder) {
	other := at.P256(t)
	about := func(pub crypto.PublicKey, change func(*tpm2.TPMAObject)) at.Case {
		attrs := tpmtest.KeyAttrs
		change(&attrs)
		return d.Attested(pub, attrs)
	}
	c := d.Attested(other.Public(), tpmtest.KeyAttrs)
	c.Demand = good.Demand
	add(at.SubstitutedKey, "another key of the same TPM", "spki: the evidence is of another key", c)
	add(at.SubstitutedKey, "another key's public area beside the attestation", "the attestation is of another public area", tpmtest.With(good, tpm.PartPublic, tpmtest.Area(t, other.Public(), tpmtest.KeyAttrs)))
	add(at.Imported, "sensitiveDataOrigin is false", "never-extractable: false, and true is demanded; local: false, and true is demanded", about(key.Public(), func(a *tpm2.TPMAObject) { a.SensitiveDataOrigin = false }))
	kept := "extractable: true, and false is demanded; sensitive: false, and true is demanded; never-extractable: false, and true is demanded"
	add(at.Exportable, "fixedTPM is false", kept, about(key.Public(), func(a *tpm2.TPMAObject) { a.FixedTPM = false }))
	add(at.Exportable, "fixedParent is false", kept, about(key.Public(), func(a *tpm2.TPMAObject) { a.FixedParent = false }))
	add(at.Other, "a key that decrypts too", "purpose decrypt: true, and false is demanded; purpose unwrap: true, and false is demanded; purpose derive: true, and false is demanded", about(key.Public(), func(a *tpm2.TPMAObject) { a.Decrypt = true }))
	add(at.Other, "a restricted key", "a restricted key, which signs or decrypts only what the TPM made", about(key.Public(), func(a *tpm2.TPMAObject) { a.Restricted = true }))
	unknown := tpmtest.Area(t, key.Public(), tpmtest.KeyAttrs)
	unknown[7] |= 1 // a bit that the specification keeps
	add(at.Other, "an attribute that nobody knows", "of which not all are known", d.About(key.Public(), d.Evidence(unknown, d.Statement(unknown))))
	off := tpmtest.Area(t, key.Public(), tpmtest.KeyAttrs)
	off[len(off)-1] ^= 1
	add(at.Other, "a point beside its curve", "the point is not on its curve", d.About(key.Public(), d.Evidence(off, d.Statement(off))))
	short := tpmtest.Area(t, at.RSA(t, 1024).Public(), tpmtest.KeyAttrs)
	add(at.Other, "a short RSA key", "an RSA key of 1024 bits", d.About(key.Public(), d.Evidence(short, d.Statement(short))))
	c = d.Attested(key.Public(), tpmtest.KeyAttrs, func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = []byte("another ceremony's") })
	add(at.Stale, "an attestation of another ceremony", "stale: the evidence answers the nonce", c)
	c = d.Attested(key.Public(), tpmtest.KeyAttrs, func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = nil })
	add(at.Stale, "an attestation that nobody asked for", "level: anchored, and fresh is demanded", c)
	c = d.Attested(key.Public(), tpmtest.KeyAttrs, func(a *tpm2.TPMSAttest) { a.FirmwareVersion = 0x0001_0002_0003_0003 })
	add(at.Other, "old firmware", "swversion: 1.2.3.3, and at least 1.2.3.4 is demanded", c)
}

// addAttestationKeys are attestation keys and chains that aren't what they say.
func addAttestationKeys(t *testing.T, d *tpmtest.Device, key crypto.Signer, good at.Case, add adder) {
	enrolled := func(change func(*tpmtest.Device)) at.Case {
		e := *d
		change(&e)
		c := e.Attested(key.Public(), tpmtest.KeyAttrs)
		c.Demand.Identity = d.ID
		return c
	}
	add(at.WrongIdentity, "another TPM of the same authority", "identity: the evidence is of device", enrolled(func(e *tpmtest.Device) {
		*e = *tpmtest.New(t)
	}))
	look := enrolled(func(e *tpmtest.Device) {
		e.Root = at.Issue(t, "AK root", nil, at.P256(t))
		e.Mid = at.Issue(t, "AK authority", e.Root, at.P256(t))
		e.Enrol(e.AK, tpmtest.AKAttrs)
	})
	look.Input.Anchors = good.Input.Anchors
	add(at.LookAlikeRoot, "an authority under a root of the pinned one's name", `level: vendor-signed, and fresh is demanded: CN=AK root has the name of the pinned "AK root", but another key`, look)
	chain := func(certs ...*at.Cert) at.Case {
		var der []byte
		for _, c := range certs {
			der = append(der, c.Raw...)
		}
		return tpmtest.With(good, tpm.PartAKCerts, der)
	}
	add(at.ReorderedChain, "the authority before the attestation key", "the first is an authority's", chain(d.Mid, d.Cert))
	add(at.ReorderedChain, "the root before the authority", "the chain is out of order, or belongs to something else", chain(d.Cert, d.Root, d.Mid))
	add(at.RepeatedField, "a certificate twice", "it stands twice in the chain", chain(d.Cert, d.Mid, d.Mid))
	anchors, err := attest.NewAnchors(func() attest.Anchor { a := good.Input.Anchors.All()[0]; a.Operator = ""; return a }())
	if err != nil {
		t.Fatal(err)
	}
	nobody := good
	nobody.Input.Anchors = anchors
	add(at.Other, "an authority that nobody is named to run", "names no operator", nobody)
	for _, x := range []struct {
		name  string
		attrs func(*tpm2.TPMAObject)
		want  string
	}{
		{"an attestation key that signs anything", func(a *tpm2.TPMAObject) { a.Restricted = false }, "not a restricted signing key"},
		{"an attestation key that can leave", func(a *tpm2.TPMAObject) { a.FixedTPM, a.FixedParent = false, false }, "not a restricted signing key"},
		{"an attestation key that decrypts", func(a *tpm2.TPMAObject) { a.Decrypt = true }, "an attestation key does not decrypt"},
	} {
		attrs := tpmtest.AKAttrs
		x.attrs(&attrs)
		add(at.Other, x.name, x.want, enrolled(func(e *tpmtest.Device) { e.Enrol(e.AK, attrs) }))
	}
	add(at.Other, "an attestation key of the owner's hierarchy", "no primary key of the endorsement hierarchy", enrolled(func(e *tpmtest.Device) { e.Hierarchy = tpmtest.RHOwner }))
	add(at.Other, "a certificate for something else", "does not say that it is of an attestation key", enrolled(func(e *tpmtest.Device) {
		e.Enrol(e.AK, tpmtest.AKAttrs, func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil })
	}))
	add(at.Other, "a certificate that has ended", "is valid from", enrolled(func(e *tpmtest.Device) {
		e.Enrol(e.AK, tpmtest.AKAttrs, func(c *x509.Certificate) { c.NotAfter = at.At.Add(-time.Second) })
	}))
	add(at.Other, "a certificate with two models", "stands twice", enrolled(func(e *tpmtest.Device) {
		e.Enrol(e.AK, tpmtest.AKAttrs, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{tpmtest.SAN(t, "id:49424D00", "swtpm", "x", "id:49424D00", "another")}
		})
	}))
	add(at.SubstitutedKey, "an attestation key's public area of another", "ak-public: it is of another key than the certificate", tpmtest.With(good, tpm.PartAKPublic, tpmtest.Area(t, at.P256(t).Public(), tpmtest.AKAttrs)))
}

// addBytes are structures that are malformed, and signed all the same.
func addBytes(t *testing.T, d *tpmtest.Device, key crypto.Signer, good at.Case, add adder) {
	area, statement := tpmtest.Area(t, key.Public(), tpmtest.KeyAttrs), d.Statement(tpmtest.Area(t, key.Public(), tpmtest.KeyAttrs))
	signed := func(statement []byte) at.Case { return d.About(key.Public(), d.Evidence(area, statement)) }
	changed := func(at int, b ...byte) []byte {
		s := slices.Clone(statement)
		copy(s[at:], b)
		return s
	}
	add(at.BadSignature, "signed by another key", "signature: it does not verify", tpmtest.With(good, tpm.PartSignature, tpmtest.Signature(t, at.P256(t), statement, crypto.SHA256)))
	add(at.BadSignature, "signed over SHA-1", "quirk: sha1-signature, which is not tolerated", tpmtest.With(good, tpm.PartSignature, tpmtest.Signature(t, d.AK, good.Input.Evidence.Part(tpm.PartAttest), crypto.SHA1)))
	add(at.BadSignature, "a scheme of another kind of key", "the scheme 0x0014, with a key on a curve", tpmtest.With(good, tpm.PartSignature, tpmtest.Signature(t, at.RSA(t, 2048), statement, crypto.SHA256)))
	add(at.Other, "not made by a TPM", "not as what a TPM makes", signed(changed(0, 0)))
	add(at.Other, "a quote", "not of TPM2_Certify", signed(changed(4, 0x80, 0x18)))
	add(at.Other, "a clock that is neither safe nor not", "a clock that is safe 2", signed(changed(4+2+36+2+len(tpmtest.Nonce)+16, 2)))
	add(at.Other, "a name that is a handle", "is no algorithm and digest", signed(d.Statement(area, func(a *tpm2.TPMSAttest) { a.QualifiedSigner.Buffer = []byte{0x81, 0, 0, 1} })))
	add(at.TrailingBytes, "behind the attestation", "attest: 1 bytes behind its end", signed(append(slices.Clone(statement), 0)))
	add(at.TrailingBytes, "behind the signature", "signature: 1 bytes behind its end", tpmtest.With(good, tpm.PartSignature, append(d.Sign(good.Input.Evidence.Part(tpm.PartAttest)), 0)))
	long := append(slices.Clone(area), 0)
	add(at.TrailingBytes, "behind the public area", "public: 1 bytes behind its end", d.About(key.Public(), d.Evidence(long, d.Statement(long))))
	add(at.TrailingBytes, "behind the certificates", "not 1 to 8 certificates", tpmtest.With(good, tpm.PartAKCerts, append(slices.Clone(good.Input.Evidence.Part(tpm.PartAKCerts)), 0)))
	add(at.LengthBomb, "extraData of 65,535 bytes", "extraData of 65535 bytes; at most 64 are taken", signed(changed(4+2+36, 0xff, 0xff)))
	add(at.LengthBomb, "a coordinate of 65,535 bytes", "a coordinate of 65535 bytes", func() at.Case {
		b := slices.Clone(area)
		binary.BigEndian.PutUint16(b[len(b)-34:], 0xffff)
		return d.About(key.Public(), d.Evidence(b, d.Statement(b)))
	}())
	add(at.LengthBomb, "a certificate of 4 GB", "not 1 to 8 certificates", tpmtest.With(good, tpm.PartAKCerts, []byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}))
	add(at.MissingField, "cut in the middle of a field", "attest: it ends too early", signed(statement[:len(statement)-9]))
	without := func(part string) at.Case {
		c := good
		c.Input.Evidence = at.Without(good.Input.Evidence, part)
		return c
	}
	add(at.MissingField, "no signature", `part "signature" is missing`, without(tpm.PartSignature))
	add(at.MissingField, "no public area of the attestation key", "level: vendor-signed, and fresh is demanded: the attestation key's public area is not given; swversion: not shown", without(tpm.PartAKPublic))
	add(at.MissingField, "no certificates", "level: module-claimed, and fresh is demanded: no certificate; identity: not shown; vendor: not shown; hwmodel: not shown", without(tpm.PartAKCerts))
	twice := good
	twice.Input.Evidence = &attest.Evidence{Format: tpm.Format, Parts: append(slices.Clone(good.Input.Evidence.Parts), good.Input.Evidence.Parts[0])}
	add(at.RepeatedField, "a part twice", `part "attest" stands twice`, twice)
}
