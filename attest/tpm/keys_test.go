package tpm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
)

func judge(t *testing.T, c at.Case) (*attest.Claims, []attest.Problem) {
	t.Helper()
	claims, err := attest.Check(tpm.Verifier{}, c.Input)
	if err != nil {
		t.Fatal(err)
	}
	return claims, attest.Judge(claims, c.Demand)
}

func TestKeysOfEachKindAreTaken(t *testing.T) {
	d := tpmtest.New(t)
	for name, key := range map[string]crypto.Signer{"P-256": at.P256(t), "P-384": at.P384(t), "RSA-3072": at.RSA(t, 3072)} {
		claims, problems := judge(t, d.Attested(key.Public(), tpmtest.KeyAttrs))
		if len(problems) > 0 || claims.Level != attest.Fresh || !bytes.Equal(claims.Key.SPKI, at.SPKI(t, key.Public())) {
			t.Errorf("%s: %v %+v", name, problems, claims)
		}
		// As a TPM2B_PUBLIC it is the same.
		area := tpmtest.Area(t, key.Public(), tpmtest.KeyAttrs)
		c := tpmtest.With(d.Attested(key.Public(), tpmtest.KeyAttrs), tpm.PartPublic, tpm2.Marshal(tpm2.TPM2BData{Buffer: area}))
		if _, problems := judge(t, c); len(problems) > 0 {
			t.Errorf("%s, with its length: %v", name, problems)
		}
	}
	for _, ak := range []crypto.Signer{at.P384(t), at.RSA(t, 2048)} {
		d.Enrol(ak, tpmtest.AKAttrs)
		if _, problems := judge(t, d.Attested(at.P256(t).Public(), tpmtest.KeyAttrs)); len(problems) > 0 {
			t.Errorf("attestation key %T: %v", ak, problems)
		}
	}
	// RSA-PSS, as a key without a scheme of its own may be used.
	ak := d.AK.(*rsa.PrivateKey)
	key := at.P256(t)
	c := d.Attested(key.Public(), tpmtest.KeyAttrs)
	h := sha256.Sum256(c.Input.Evidence.Part(tpm.PartAttest))
	pss, err := rsa.SignPSS(zeros{}, ak, crypto.SHA256, h[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	sig := tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgRSAPSS, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgRSAPSS, &tpm2.TPMSSignatureRSA{Hash: tpm2.TPMAlgSHA256, Sig: tpm2.TPM2BPublicKeyRSA{Buffer: pss}})}
	if _, problems := judge(t, tpmtest.With(c, tpm.PartSignature, tpm2.Marshal(sig))); len(problems) > 0 {
		t.Errorf("RSA-PSS: %v", problems)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestTheClaimsAreTheDevices(t *testing.T) {
	d := tpmtest.New(t)
	key := at.P256(t)
	c := d.Attested(key.Public(), tpmtest.KeyAttrs)
	claims, _ := judge(t, c)
	want := attest.Platform{Vendor: "IBM", Model: "swtpm", Identity: d.ID, Firmware: "1.2.3.4"}
	if claims.Platform != want || claims.Key.Identifier != hex.EncodeToString(tpmtest.Name(tpmtest.Area(t, key.Public(), tpmtest.KeyAttrs))) || !claims.Until.Equal(d.Cert.NotAfter) || claims.Anchor.Operator != "test operator" {
		t.Errorf("%+v", claims)
	}
	// Only the challenger is convinced by an activation: its key alone is no more
	// than the module's word, with a public area or without.
	for _, parts := range [][]string{{tpm.PartAKCerts}, {tpm.PartAKCerts, tpm.PartAKPublic}} {
		e := c.Input.Evidence
		for _, p := range parts {
			e = at.Without(e, p)
		}
		if len(parts) > 1 {
			e = at.Replaced(e, tpm.PartAKKey, at.SPKI(t, d.AK.Public()))
		}
		claims, err := attest.Check(tpm.Verifier{}, attest.Input{Evidence: e, Anchors: c.Input.Anchors, At: at.At, Nonce: tpmtest.Nonce})
		if err != nil || claims.Level != attest.ModuleClaimed || claims.Platform.Identity != "" {
			t.Errorf("without %v: %+v %v", parts, claims, err)
		}
	}
}

func TestTheEndorsementKeysCertificateIsOfTheTPMThatTheAuthorityNamed(t *testing.T) {
	d := tpmtest.New(t)
	ek := at.P256(t)
	id := sha256.Sum256(at.SPKI(t, ek.Public()))
	root := at.Issue(t, "maker", nil, at.P256(t))
	issue := func(key *ecdsa.PrivateKey, alter ...func(*x509.Certificate)) *x509.Certificate {
		return at.Issue(t, "", root, key, append([]func(*x509.Certificate){at.Leaf, func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}}
			c.ExtraExtensions = append(c.ExtraExtensions, tpmtest.SAN(t, "id:53544D20", "ST33", "id:1"))
		}}, alter...)...).Certificate
	}
	key := at.P256(t)
	unnamed := d.Attested(key.Public(), tpmtest.KeyAttrs)
	d.ID = hex.EncodeToString(id[:])
	d.Enrol(d.AK, tpmtest.AKAttrs)
	c := d.Attested(key.Public(), tpmtest.KeyAttrs)
	with := func(c at.Case, cert *x509.Certificate, anchors ...attest.Anchor) attest.Input {
		c.Input.Evidence = at.Replaced(c.Input.Evidence, tpm.PartEKCerts, cert.Raw)
		pinned, err := attest.NewAnchors(append(c.Input.Anchors.All(), anchors...)...)
		if err != nil {
			t.Fatal(err)
		}
		c.Input.Anchors = pinned
		return c.Input
	}
	maker := at.Pin(t, tpm.EKFormat, root.Certificate).All()[0]
	if claims, err := attest.Check(tpm.Verifier{}, with(c, issue(ek), maker)); err != nil || claims.Platform.Vendor != "STM" || claims.Platform.Model != "ST33" || claims.Level != attest.Fresh {
		t.Errorf("a pinned maker: %+v %v", claims, err)
	}
	if claims, err := attest.Check(tpm.Verifier{}, with(c, issue(ek))); err != nil || claims.Platform.Vendor != "IBM" {
		t.Errorf("a maker that nobody pinned changes nothing: %+v %v", claims, err)
	}
	for want, in := range map[string]attest.Input{
		"the endorsement key is another than":           with(unnamed, issue(ek), maker),
		"is another than the attestation key's":         with(c, issue(at.P256(t)), maker),
		"does not say that it is of an endorsement key": with(c, issue(ek, func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }), maker),
		"ek-certificates: not 1 to 8 certificates":      with(c, &x509.Certificate{Raw: []byte{1}}, maker),
		"names no endorsement key": func() attest.Input {
			d.ID = ""
			d.Enrol(d.AK, tpmtest.AKAttrs)
			return with(d.Attested(key.Public(), tpmtest.KeyAttrs), issue(ek), maker)
		}(),
	} {
		if claims, err := attest.Check(tpm.Verifier{}, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %+v %v", want, claims, err)
		}
	}
}
