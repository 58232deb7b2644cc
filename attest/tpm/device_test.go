package tpm_test

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
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/tpm"
)

// device is a TPM in software: an attestation key that signs whatever it is
// told, with a certificate under a root. go-tpm writes its structures, so that
// the reader doesn't judge its own writer.
type device struct {
	t               testing.TB
	ak              crypto.Signer
	area            []byte // the AK's public area
	hierarchy       uint32
	root, mid, cert *at.Cert
	id              string
}

var (
	akAttrs  = tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, Restricted: true, SignEncrypt: true}
	keyAttrs = tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, SignEncrypt: true}
	nonce    = []byte("a nonce of thirty-two bytes, ok!")
)

const rhEndorsement, rhOwner = 0x4000000b, 0x40000001

func newDevice(t testing.TB) *device {
	ek := sha256.Sum256(at.SPKI(t, at.P256(t).Public()))
	d := &device{t: t, hierarchy: rhEndorsement, id: hex.EncodeToString(ek[:])}
	d.root = at.Issue(t, "AK root", nil, at.P256(t))
	d.mid = at.Issue(t, "AK authority", d.root, at.P256(t))
	return d.enrol(at.P256(t), akAttrs)
}

// enrol gives the device an AK and its certificate.
func (d *device) enrol(ak crypto.Signer, attrs tpm2.TPMAObject, alter ...func(*x509.Certificate)) *device {
	d.ak, d.area = ak, area(d.t, ak.Public(), attrs)
	d.cert = at.Issue(d.t, "", d.mid, ak, append([]func(*x509.Certificate){at.Leaf, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "AK", SerialNumber: d.id}
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}}
		c.ExtraExtensions = []pkix.Extension{san(d.t, "id:49424D00", "swtpm", "id:20191023")}
	}}, alter...)...)
	return d
}

// san is the critical subjectAltName of a TPM's certificate: maker, model, version.
func san(t testing.TB, values ...string) pkix.Extension {
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

// area is the public area of a key.
func area(t testing.TB, pub crypto.PublicKey, attrs tpm2.TPMAObject) []byte {
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

// name is that of a key with this public area.
func name(area []byte) []byte {
	h := sha256.Sum256(area)
	return append([]byte{0, 0x0b}, h[:]...)
}

// statement is what the device says of the key with this public area.
func (d *device) statement(key []byte, alter ...func(*tpm2.TPMSAttest)) []byte {
	parent := binary.BigEndian.AppendUint32(nil, d.hierarchy)
	a := tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestCertify,
		QualifiedSigner: tpm2.TPM2BName{Buffer: name(append(parent, name(d.area)...))},
		ExtraData:       tpm2.TPM2BData{Buffer: nonce}, ClockInfo: tpm2.TPMSClockInfo{Clock: 7, ResetCount: 2, Safe: true},
		FirmwareVersion: 0x0001_0002_0003_0004,
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{
			Name: tpm2.TPM2BName{Buffer: name(key)}, QualifiedName: tpm2.TPM2BName{Buffer: name([]byte("parent"))},
		}),
	}
	for _, f := range alter {
		f(&a)
	}
	return tpm2.Marshal(a)
}

// sign signs a statement with the AK.
func (d *device) sign(statement []byte) []byte { return signature(d.t, d.ak, statement, crypto.SHA256) }

func signature(t testing.TB, key crypto.Signer, statement []byte, h crypto.Hash) []byte {
	id, digest := tpm2.TPMAlgSHA256, sha256.New()
	if h == crypto.SHA1 {
		id, digest = tpm2.TPMAlgSHA1, sha1.New()
	}
	digest.Write(statement)
	s := tpm2.TPMTSignature{}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		r, v, err := ecdsa.Sign(rand.Reader, k, digest.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		s.SigAlg = tpm2.TPMAlgECDSA
		s.Signature = tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{Hash: id, SignatureR: tpm2.TPM2BECCParameter{Buffer: r.Bytes()}, SignatureS: tpm2.TPM2BECCParameter{Buffer: v.Bytes()}})
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

// evidence is all parts, of a statement that the device signs.
func (d *device) evidence(key, statement []byte) *attest.Evidence {
	return &attest.Evidence{Format: tpm.Format, Parts: []attest.Part{
		{Name: tpm.PartAttest, Data: statement}, {Name: tpm.PartSignature, Data: d.sign(statement)}, {Name: tpm.PartPublic, Data: key},
		{Name: tpm.PartAKPublic, Data: d.area}, {Name: tpm.PartAKCerts, Data: at.DER(d.cert.Certificate, d.mid.Certificate)},
	}}
}

// attested is a case about a key, which the device's root pins.
func (d *device) attested(pub crypto.PublicKey, attrs tpm2.TPMAObject, alter ...func(*tpm2.TPMSAttest)) at.Case {
	key := area(d.t, pub, attrs)
	return d.about(pub, d.evidence(key, d.statement(key, alter...)))
}

// about is a case with this evidence, of which everything is demanded that a
// device can show.
func (d *device) about(pub crypto.PublicKey, e *attest.Evidence) at.Case {
	demand := at.Kept(attest.Fresh, at.SPKI(d.t, pub), d.id)
	demand.SignOnly, demand.Vendors, demand.Models, demand.LeastFirmware = true, []string{"IBM"}, []string{"swtpm"}, "1.2.3.4"
	return at.Case{
		Input:  attest.Input{Evidence: e, Anchors: at.Pin(d.t, tpm.Format, d.root.Certificate), At: at.At, Nonce: nonce},
		Demand: demand,
	}
}

// with is a case with one part replaced.
func with(c at.Case, part string, data []byte) at.Case {
	c.Input.Evidence = at.Replaced(c.Input.Evidence, part, data)
	return c
}
