// Package tpmtest has a TPM in software that signs whatever it is told, with a
// certificate under a root of the test's own: evidence that is wrong in one thing
// and validly signed. For tests alone.
package tpmtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/tpm"
)

// Device is a TPM in software: an attestation key that signs whatever it is
// told, with a certificate under a root. go-tpm writes its structures, so that
// the reader doesn't judge its own writer.
type Device struct {
	T               testing.TB
	AK              crypto.Signer
	Area            []byte // the AK's public area
	Hierarchy       uint32
	Root, Mid, Cert *at.Cert
	ID              string // the attestation identity: the endorsement key's digest
}

// The attributes of an attestation key and of a key that it certifies, and the
// nonce that is asked with.
var (
	AKAttrs  = tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, Restricted: true, SignEncrypt: true}
	KeyAttrs = tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, SignEncrypt: true}
	Nonce    = []byte("a nonce of thirty-two bytes, ok!")
)

// The hierarchies.
const rhEndorsement, RHOwner = 0x4000000b, 0x40000001

// New is a TPM with an attestation key that a root of its own certified.
func New(t testing.TB) *Device { return Named(t, rand.Text()) }

// Named is one whose keys follow from its name, and what it signs with them: asked
// the same it answers the same.
func Named(t testing.TB, name string) *Device {
	ek := sha256.Sum256(at.SPKI(t, at.Named(t, name+" endorsement").Public()))
	d := &Device{T: t, Hierarchy: rhEndorsement, ID: hex.EncodeToString(ek[:])}
	d.Root = at.Issue(t, "AK root", nil, at.Named(t, name+" root"))
	d.Mid = at.Issue(t, "AK authority", d.Root, at.Named(t, name+" authority"))
	return d.Enrol(at.Named(t, name+" attestation"), AKAttrs)
}

// Enrol gives the device an AK and its certificate.
func (d *Device) Enrol(ak crypto.Signer, attrs tpm2.TPMAObject, alter ...func(*x509.Certificate)) *Device {
	d.AK, d.Area = ak, Area(d.T, ak.Public(), attrs)
	d.Cert = at.Issue(d.T, "", d.Mid, ak, append([]func(*x509.Certificate){at.Leaf, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "AK", SerialNumber: d.ID}
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}}
		c.ExtraExtensions = []pkix.Extension{SAN(d.T, "id:49424D00", "swtpm", "id:20191023")}
	}}, alter...)...)
	return d
}

// SAN is the critical subjectAltName of a TPM's certificate: maker, model, version.
func SAN(t testing.TB, values ...string) pkix.Extension {
	var name pkix.RDNSequence
	for i, s := range values {
		name = append(name, []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, i%3 + 1}, Value: s}})
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	der, err = asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: der}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: der}
}

// Area is the public area of a key.
func Area(t testing.TB, pub crypto.PublicKey, attrs tpm2.TPMAObject) []byte {
	p := tpm2.TPMTPublic{NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attrs}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		curve := map[elliptic.Curve]tpm2.TPMECCCurve{elliptic.P256(): tpm2.TPMECCNistP256, elliptic.P384(): tpm2.TPMECCNistP384}[k.Curve]
		b, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		n := (len(b) - 1) / 2
		p.Type = tpm2.TPMAlgECC
		p.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: curve})
		p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: b[1 : 1+n]}, Y: tpm2.TPM2BECCParameter{Buffer: b[1+n:]}})
	case *rsa.PublicKey:
		p.Type = tpm2.TPMAlgRSA
		p.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{KeyBits: tpm2.TPMKeyBits(k.N.BitLen())})
		p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: k.N.Bytes()})
	}
	return tpm2.Marshal(p)
}

// Name is that of a key with this public area.
func Name(area []byte) []byte {
	h := sha256.Sum256(area)
	return append([]byte{0, 0x0b}, h[:]...)
}

// Statement is what the device says of the key with this public area.
func (d *Device) Statement(key []byte, alter ...func(*tpm2.TPMSAttest)) []byte {
	parent := binary.BigEndian.AppendUint32(nil, d.Hierarchy)
	a := tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestCertify,
		QualifiedSigner: tpm2.TPM2BName{Buffer: Name(append(parent, Name(d.Area)...))},
		ExtraData:       tpm2.TPM2BData{Buffer: Nonce}, ClockInfo: tpm2.TPMSClockInfo{Clock: 7, ResetCount: 2, Safe: true},
		FirmwareVersion: 0x0001_0002_0003_0004,
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{
			Name: tpm2.TPM2BName{Buffer: Name(key)}, QualifiedName: tpm2.TPM2BName{Buffer: Name([]byte("parent"))},
		}),
	}
	for _, f := range alter {
		f(&a)
	}
	return tpm2.Marshal(a)
}

// Sign signs a statement with the AK.
func (d *Device) Sign(statement []byte) []byte { return Signature(d.T, d.AK, statement, crypto.SHA256) }

// Signature is a TPMT_SIGNATURE of a statement.
func Signature(t testing.TB, key crypto.Signer, statement []byte, h crypto.Hash) []byte {
	id, digest := tpm2.TPMAlgSHA256, sha256.New()
	if h == crypto.SHA1 {
		id, digest = tpm2.TPMAlgSHA1, sha1.New()
	}
	digest.Write(statement)
	s := tpm2.TPMTSignature{}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		der, err := k.Sign(nil, digest.Sum(nil), h)
		if err != nil {
			t.Fatal(err)
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &rs); err != nil {
			t.Fatal(err)
		}
		s.SigAlg = tpm2.TPMAlgECDSA
		s.Signature = tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{Hash: id, SignatureR: tpm2.TPM2BECCParameter{Buffer: rs.R.Bytes()}, SignatureS: tpm2.TPM2BECCParameter{Buffer: rs.S.Bytes()}})
	case *rsa.PrivateKey:
		b, err := rsa.SignPKCS1v15(nil, k, h, digest.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		s.SigAlg = tpm2.TPMAlgRSASSA
		s.Signature = tpm2.NewTPMUSignature(tpm2.TPMAlgRSASSA, &tpm2.TPMSSignatureRSA{Hash: id, Sig: tpm2.TPM2BPublicKeyRSA{Buffer: b}})
	}
	return tpm2.Marshal(s)
}

// Evidence is all parts, of a statement that the device signs.
func (d *Device) Evidence(key, statement []byte) *attest.Evidence {
	return &attest.Evidence{Format: tpm.Format, Parts: []attest.Part{
		{Name: tpm.PartAttest, Data: statement}, {Name: tpm.PartSignature, Data: d.Sign(statement)}, {Name: tpm.PartPublic, Data: key},
		{Name: tpm.PartAKPublic, Data: d.Area}, {Name: tpm.PartAKCerts, Data: at.DER(d.Cert.Certificate, d.Mid.Certificate)},
	}}
}

// Attested is a case about a key, which the device's root pins.
func (d *Device) Attested(pub crypto.PublicKey, attrs tpm2.TPMAObject, alter ...func(*tpm2.TPMSAttest)) at.Case {
	key := Area(d.T, pub, attrs)
	return d.About(pub, d.Evidence(key, d.Statement(key, alter...)))
}

// About is a case with this evidence, of which everything is demanded that a
// device can show.
func (d *Device) About(pub crypto.PublicKey, e *attest.Evidence) at.Case {
	demand := at.Kept(attest.Fresh, at.SPKI(d.T, pub), d.ID)
	demand.SignOnly, demand.Vendors, demand.Models, demand.LeastFirmware = true, []string{"IBM"}, []string{"swtpm"}, "1.2.3.4"
	return at.Case{
		Input:  attest.Input{Evidence: e, Anchors: at.Pin(d.T, tpm.Format, d.Root.Certificate), At: at.At, Nonce: Nonce},
		Demand: demand,
	}
}

// With is a case with one part replaced.
func With(c at.Case, part string, data []byte) at.Case {
	c.Input.Evidence = at.Replaced(c.Input.Evidence, part, data)
	return c
}
