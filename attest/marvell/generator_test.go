package marvell

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/devicecert/certtest"
)

type attr struct {
	kind  uint32
	value []byte
}

// forged is an attestation that the generator signs, and what may be wrong with it.
type forged struct {
	public, private []attr
	layout          layout
	edit            func([]byte) []byte // of what is signed, before it is
	bare            bool                // sign the digest without naming the hash
	wrap            func([]byte) []byte
}

func pair(t testing.TB, key *certtest.Key) forged {
	point, err := key.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(key.SPKI)
	half := func(class, secret byte) []attr {
		return []attr{{attrClass, []byte{class}}, {attrKeyType, []byte{typeEC}}, {attrSensitive, []byte{secret}}, {attrExtractable, []byte{1 - secret}},
			{attrLocal, []byte{1}}, {attrNeverExtractable, []byte{secret}}, {attrAlwaysSensitive, []byte{secret}}, {attrSign, []byte{secret}},
			{attrDecrypt, []byte{0}}, {attrWrap, []byte{0}}, {attrUnwrap, []byte{0}}, {attrDerive, []byte{0}},
			{attrPublic, point}, {attrBits, []byte{0, 0, 1, 0x9f}}, {attrDigest, digest[:]}}
	}
	return forged{public: half(classPublic, 0), private: half(classPrivate, 1), layout: firmware3}
}

// with replaces attributes of the private half, or takes one away.
func (b forged) with(kind uint32, value ...byte) forged {
	b.private = replace(b.private, kind, value)
	return b
}

// both replaces attributes of both halves.
func (b forged) bothWith(kind uint32, value ...byte) forged {
	b.public = replace(b.public, kind, value)
	return b.with(kind, value...)
}

func replace(list []attr, kind uint32, value []byte) []attr {
	list = slices.Clone(list)
	for i := range list {
		if list[i].kind == kind {
			if list[i].value = value; value == nil {
				return slices.Delete(list, i, i+1)
			}
			return list
		}
	}
	return append(list, attr{kind, value})
}

func objectBytes(handle uint32, list []attr) []byte {
	var body []byte
	for _, a := range list {
		body = append(be(body, a.kind, uint32(len(a.value))), a.value...)
	}
	return append(be(nil, handle, uint32(len(list)), uint32(len(body))), body...)
}

func be(b []byte, list ...uint32) []byte {
	for _, n := range list {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

func (b forged) bytes(t testing.TB) []byte {
	t.Helper()
	var signed []byte
	switch b.layout {
	case firmware2:
		signed = append(bytes.Repeat([]byte{7}, oldHeader), objectBytes(9, b.private)...)
	default:
		first, second := objectBytes(8, b.public), objectBytes(9, b.private)
		info := []byte{0, 1, 0, 3, 0, 8, 0, 0}
		binary.BigEndian.PutUint16(info[6:], uint16(8+len(first)))
		attested := slices.Concat(info, first, second)
		signed = append(be(nil, 0, 3, uint32(headerLen+16+len(attested)+sigLen), uint32(len(attested)), 0, 8, 0, 9), attested...)
	}
	if b.edit != nil {
		signed = b.edit(signed)
	}
	h := sha256.Sum256(signed)
	hash := crypto.SHA256
	if b.bare {
		hash = 0
	}
	sig, err := rsa.SignPKCS1v15(rand.Reader, certtest.RSA(t, "partition").Signer.(*rsa.PrivateKey), hash, h[:])
	if err != nil {
		t.Fatal(err)
	}
	signed = append(signed, sig...)
	if b.wrap != nil {
		return b.wrap(signed)
	}
	return pack(signed)
}

func pack(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// bundle is the six certificates, and what may be wrong with them.
type bundle struct {
	makerRoot, ownerRoot, ownerPartition, ownerCard string
	mangle                                          func([]byte) []byte // the signature of the manufacturer's partition certificate
	order                                           []int
}

func goodBundle() bundle {
	return bundle{"maker root", "owner root", "partition", "card", nil, []int{0, 1, 2, 3, 4, 5}}
}

func (b bundle) pem(t testing.TB) []byte {
	root, owner := certtest.RSA(t, b.makerRoot), certtest.EC(t, b.ownerRoot)
	card, partition := certtest.RSA(t, "card"), certtest.RSA(t, "partition")
	const cardName, partName = "HSM:5.2G1-ICM1, for FIPS mode", "HSM:5.2G1-ICM1:PARTN:1, for FIPS mode"
	certs := [][]byte{
		certtest.Cert{Version: 1, Subject: certtest.Name("localca"), Issuer: certtest.Name("localca"), SPKI: root.SPKI}.Sign(t, root),
		certtest.Cert{Version: 1, Subject: certtest.Name(cardName), Issuer: certtest.Name("localca"), SPKI: card.SPKI}.Sign(t, root),
		certtest.Cert{Subject: certtest.Name(partName), Issuer: certtest.Name(cardName), SPKI: partition.SPKI, MangleSignature: b.mangle}.Sign(t, card),
		ownerRoot(t, b.ownerRoot),
		certtest.Cert{Subject: certtest.Name(cardName), Issuer: certtest.Name("Owner Root"), SPKI: certtest.RSA(t, b.ownerCard).SPKI}.Sign(t, owner),
		certtest.Cert{Subject: certtest.Name(partName), Issuer: certtest.Name("Owner Root"), SPKI: certtest.RSA(t, b.ownerPartition).SPKI}.Sign(t, owner),
	}
	var ordered [][]byte
	for _, i := range b.order {
		ordered = append(ordered, certs[i])
	}
	return certtest.PEM(ordered...)
}

func ownerRoot(t testing.TB, key string) []byte {
	c := certtest.Cert{Subject: certtest.Name("Owner Root"), Issuer: certtest.Name("Owner Root"), SPKI: certtest.EC(t, key).SPKI}
	c.Extensions = append(c.Extensions, certtest.CA())
	return c.Sign(t, certtest.EC(t, key))
}

func makerRoot(t testing.TB) []byte {
	k := certtest.RSA(t, "maker root")
	return certtest.Cert{Version: 1, Subject: certtest.Name("localca"), Issuer: certtest.Name("localca"), SPKI: k.SPKI}.Sign(t, k)
}

// both pins the roots of manufacturer and owner.
func both(t testing.TB, maker, owner []byte) *attest.Anchors {
	return pinned(t, map[string][][]byte{vendor: {maker}, "google": {owner}})
}

func pinned(t testing.TB, byVendor map[string][][]byte) *attest.Anchors {
	t.Helper()
	var list []attest.Anchor
	for vendor, certs := range byVendor {
		for _, der := range certs {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, attest.Anchor{Vendor: vendor, Name: c.Subject.CommonName, Formats: []string{Format},
				SPKI: sha256.Sum256(c.RawSubjectPublicKeyInfo), Certificate: der, Origin: "made by the test", Check: "none: it is a test's"})
		}
	}
	a, err := attest.NewAnchors(list...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func partitionID(t testing.TB) string {
	id := sha256.Sum256(certtest.RSA(t, "partition").SPKI)
	return hex.EncodeToString(id[:])
}
