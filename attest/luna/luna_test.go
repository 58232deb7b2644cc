package luna

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
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

func evidence(raw []byte) *attest.Evidence {
	return &attest.Evidence{Format: Format, Parts: []attest.Part{{Name: PartConfirmation, Data: raw}}}
}

func shipped(t testing.TB) *attest.Anchors {
	t.Helper()
	a, err := attest.ParseAnchors("anchors.yaml", attest.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// samples: the confirmation of a P-256 key, and the certificate request made with it.
func samples(t *testing.T) []at.Sample {
	block, _ := pem.Decode(file(t, "ecc-test.csr"))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	d := at.Kept(attest.Anchored, csr.RawSubjectPublicKeyInfo, "521174")
	d.Sign, d.Vendors = true, []string{"thales"}
	return []at.Sample{{
		Name: "Luna 521174, a P-256 key", Level: attest.Anchored,
		Case: at.Case{Input: attest.Input{Evidence: evidence(file(t, "ecc-pkc.p7b")), Anchors: shipped(t), At: at.At}, Demand: d},
		Claims: func(t *testing.T, c *attest.Claims) {
			if c.Key.Identifier != "43000000ae000002d6f30700" || !slices.Equal(c.Quirks, []string{QuirkUnsignedInteger, attest.QuirkNoBasicConstraints}) {
				t.Errorf("%s, quirks %q", c.Key.Identifier, c.Quirks)
			}
			// Two fields of the certificate above aren't explained anywhere.
			if len(c.Unknown) != 2 || c.Unknown[0].What != "extension 1.3.6.1.4.1.12383.2.6" || c.Unknown[1].What != "extension 1.3.6.1.4.1.12383.2.7" {
				t.Errorf("%v", c.Unknown)
			}
		},
	}}
}

var serial = []byte{0xd6, 0xf3, 7, 0}

// bag is a confirmation under a root of the test's own, and what may be wrong with it.
type bag struct {
	purposes   []int
	fields     []pkix.Extension // of the key's certificate
	object     string
	device     string
	deviceHSM  []byte
	rootKey    string
	plain      int // this certificate doesn't say that it is an authority; 0: the root alone
	mangle     func([]byte) []byte
	mangleRoot func([]byte) []byte // the signature of the certificate below the root
	more       int                 // a further purpose of the key's certificate
	foreign    bool                // its purpose is of another arc
	order      []int
	edit       func([]byte) []byte // of the finished bag
	certs      func([][]byte) []byte
}

func good() bag {
	return bag{purposes: chains[1], fields: []pkix.Extension{certtest.Ext(arc.String(), extSerial, serial)},
		object: "43000000ae000002d6f30700", device: "521174", rootKey: "root"}
}

// older is the chain of RSA keys' confirmations.
func older() bag {
	b := good()
	b.purposes, b.device, b.deviceHSM = chains[0], "Luna K7-521174", serial
	b.fields = append(b.fields, certtest.Ext(arc.String(), extFirmware, []byte{0x54, 0, 7, 0}))
	return b
}

func purpose(list ...int) pkix.Extension {
	var ids []asn1.ObjectIdentifier
	for _, n := range list {
		ids = append(ids, append(slices.Clone(purposes), n))
	}
	der, err := asn1.Marshal(ids)
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: der}
}

var signs = pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 7, 0x80}}

func (b bag) evidence(t testing.TB) *attest.Evidence {
	t.Helper()
	n := len(b.purposes)
	names := []string{b.object, b.device, "Origin", "Maker", "Root"}
	keys := []*certtest.Key{certtest.EC(t, "key"), certtest.P384(t, "device"), certtest.P384(t, "origin"), certtest.P384(t, "maker"), certtest.P384(t, b.rootKey)}
	if n == 3 {
		names, keys = []string{b.object, b.device, "Root"}, []*certtest.Key{keys[0], keys[1], keys[4]}
	}
	var ders [][]byte
	for i, p := range b.purposes {
		above := min(i+1, n-1)
		c := certtest.Cert{Serial: int64(i), Subject: certtest.Name(names[i]), Issuer: certtest.Name(names[above]), SPKI: keys[i].SPKI, Extensions: []pkix.Extension{purpose(p)}}
		switch {
		case i == 0:
			if b.more != 0 {
				c.Extensions[0] = purpose(p, b.more)
			}
			if b.foreign {
				c.Extensions[0].Value = bytes.Replace(c.Extensions[0].Value, []byte{0xe0, 0x5f}, []byte{0xe0, 0x5e}, 1)
			}
			c.Extensions, c.MangleSignature = append(c.Extensions, append(slices.Clone(b.fields), signs)...), b.mangle
		case i < n-1:
			if c.MangleSignature = b.mangleRoot; i != n-2 {
				c.MangleSignature = nil
			}
			if b.plain != i {
				c.Extensions = append(c.Extensions, certtest.CA())
			} else {
				c.Extensions = append(c.Extensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 0}})
			}
			if i == 1 && b.deviceHSM != nil {
				c.Extensions = append(c.Extensions, certtest.Ext(arc.String(), extSerial, b.deviceHSM))
			}
		}
		ders = append(ders, c.Sign(t, keys[above]))
	}
	if b.order != nil {
		var ordered [][]byte
		for _, i := range b.order {
			ordered = append(ordered, ders[i])
		}
		ders = ordered
	}
	certs := bytes.Join(ders, nil)
	if b.certs != nil {
		certs = b.certs(ders)
	}
	raw := pkcs7(t, nil, certs, nil)
	if b.edit != nil {
		raw = b.edit(raw)
	}
	return evidence(raw)
}

// pkcs7 is a bag of certificates; content and signers stand where none belong.
func pkcs7(t testing.TB, content, certs, signers []byte) []byte {
	t.Helper()
	seq := func(class, tag int, parts ...[]byte) []byte {
		b, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: bytes.Join(parts, nil)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	oid := func(id asn1.ObjectIdentifier) []byte { b, _ := asn1.Marshal(id); return b }
	inner := seq(0, asn1.TagSequence, []byte{2, 1, 1}, seq(0, asn1.TagSet), seq(0, asn1.TagSequence, oid(oidData), content), seq(2, 0, certs), seq(0, asn1.TagSet, signers))
	return seq(0, asn1.TagSequence, oid(oidSignedData), seq(2, 0, inner))
}

// unpadded writes a signature as Luna HSMs do, so that s, with its first bit set,
// lacks its zero byte. Of s and its opposite both are right and one is large.
func unpadded(sig []byte) []byte {
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &v); err != nil {
		panic(err)
	}
	if v.S.BitLen() != 384 {
		v.S.Sub(elliptic.P384().Params().N, v.S)
	}
	r, _ := asn1.Marshal(v.R)
	body := append(r, append([]byte{2, 48}, v.S.FillBytes(make([]byte, 48))...)...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

func testAnchors(t testing.TB) *attest.Anchors {
	k := certtest.P384(t, "root")
	c, err := x509.ParseCertificate(certtest.Cert{Subject: certtest.Name("Root"), Issuer: certtest.Name("Root"), SPKI: k.SPKI}.Sign(t, k))
	if err != nil {
		t.Fatal(err)
	}
	return at.Pin(t, Format, c)
}

func TestLunaPKC(t *testing.T) {
	at.Run(t, at.Suite{Verifier: Verifier{}, Device: "Thales Luna", Samples: samples(t), Hostile: hostile(t), Without: map[string]string{
		at.Imported:   "an HSM makes no confirmation for a key that was imported, says Thales",
		at.Exportable: "an HSM makes no confirmation for a key that can be exported, says Thales",
		at.GzipBomb:   "nothing in it is packed",
		at.Stale:      "the format has no room for a nonce",
	}})
}

func hostile(t *testing.T) (list []at.Hostile) {
	key, anchors := certtest.EC(t, "key").SPKI, testAnchors(t)
	const id = "521174"
	caseOf := func(b bag, spki []byte, identity string) at.Case {
		d := at.Kept(attest.Anchored, spki, identity)
		d.Sign, d.Understood = true, true
		return at.Case{Input: attest.Input{Evidence: b.evidence(t), Anchors: anchors, At: at.At}, Demand: d}
	}
	alter := func(f func(*bag)) bag { b := good(); f(&b); return b }
	old := func(f func(*bag)) bag { b := older(); f(&b); return b }
	field := func(num int, value ...byte) pkix.Extension { return certtest.Ext(arc.String(), num, value) }
	quirk := alter(func(b *bag) { b.mangle = unpadded })
	for _, c := range []struct {
		kind, name string
		bag        bag
		spki       []byte
		identity   string
		want       string
		twin       bag
	}{
		{at.SubstitutedKey, "another key", good(), certtest.EC(t, "other").SPKI, id, "spki: the evidence is of another key", good()},
		{at.WrongIdentity, "another HSM", good(), key, "521175", "identity: the evidence is of device 521174, and 521175 is demanded", good()},
		{at.WrongIdentity, "the HSM above is another", alter(func(b *bag) { b.device = "521175" }), key, id, `confirmed for the HSM 521174, by the HSM "521175"`, good()},
		{at.WrongIdentity, "the device above is another", old(func(b *bag) { b.deviceHSM = []byte{1, 0, 0, 0} }), key, id, "confirmed for the HSM 521174, by the HSM 1", older()},
		{at.WrongIdentity, "the device above is named for another", old(func(b *bag) { b.device = "Luna K7-1521174" }), key, id, `by the HSM 521174 ("Luna K7-1521174")`, older()},
		{at.WrongIdentity, "an object of another HSM", alter(func(b *bag) { b.object = "43000000ae000002d7f30700" }), key, id, "which isn't an object of the HSM 521174", good()},
		{at.LookAlikeRoot, "a root of the same name", alter(func(b *bag) { b.rootKey = "look-alike" }), key, id, `CN=Root has the name of the pinned "Root", but another key`, good()},
		{at.ReorderedChain, "a reordered chain", old(func(b *bag) { b.order = []int{0, 2, 1, 3, 4} }), key, id, "the certificates' purposes are [13 8 12 7 1]", older()},
		{at.ReorderedChain, "a certificate in another's place", alter(func(b *bag) { b.purposes = []int{13, 14, 14} }), key, id, "the certificates' purposes are [13 14 14]", good()},
		{at.ReorderedChain, "a device's certificate as a key's", alter(func(b *bag) { b.purposes = []int{15, 15, 14} }), key, id, "the certificates' purposes are [15 15 14]", good()},
		{at.BadSignature, "a bad signature", alter(func(b *bag) {
			b.mangle = func(s []byte) []byte { s[len(s)-1] ^= 1; return s }
		}), key, id, "the signature does not verify", good()},
		{at.BadSignature, "a bad signature without its zero", alter(func(b *bag) {
			b.mangle = func(s []byte) []byte { s = unpadded(s); s[len(s)-1] ^= 1; return s }
		}), key, id, "the signature does not verify", quirk},
		{at.BadSignature, "a signature without its zero above the key", alter(func(b *bag) { b.mangleRoot = unpadded }), key, id, "the signature does not verify", good()},
		{at.BadSignature, "a number with a zero too many", alter(func(b *bag) {
			b.mangle = func(s []byte) []byte { return zeros(s, 2) }
		}), key, id, "the signature does not verify", quirk},
		{at.MissingField, "no serial number", alter(func(b *bag) { b.fields = nil }), key, id, "lacks the HSM's serial number", good()},
		{at.MissingField, "no serial number above", old(func(b *bag) { b.deviceHSM = nil }), key, id, "the device's certificate: the certificate lacks the HSM's serial number", older()},
		{at.MissingField, "no root", alter(func(b *bag) { b.order = []int{0, 1} }), key, id, "the certificates' purposes are [13 15]", good()},
		{at.MissingField, "the key's certificate alone", alter(func(b *bag) { b.order = []int{0} }), key, id, "the certificates' purposes are [13]", good()},
		{at.RepeatedField, "a serial number twice", alter(func(b *bag) { b.fields = append(b.fields, field(extSerial, 1, 0, 0, 0)) }), key, id, "duplicate extension with OID", good()},
		{at.RepeatedField, "a certificate twice", alter(func(b *bag) { b.order = []int{0, 1, 1, 2} }), key, id, "the certificates' purposes are [13 15 15 14]", good()},
		{at.TrailingBytes, "bytes behind the serial number", alter(func(b *bag) { b.fields = []pkix.Extension{field(extSerial, 0xd6, 0xf3, 7, 0, 0)} }), key, id, "has 5 bytes, and must have 4", good()},
		{at.TrailingBytes, "bytes behind the bag", alter(func(b *bag) { b.edit = func(r []byte) []byte { return append(r, 0) } }), key, id, "1 bytes stand behind the PKCS#7 message", good()},
		{at.TrailingBytes, "bytes behind the certificates", alter(func(b *bag) {
			b.certs = func(d [][]byte) []byte { return append(bytes.Join(d, nil), 5, 0) }
		}), key, id, "not certificates", good()},
		{at.TrailingBytes, "bytes behind the signature's numbers", alter(func(b *bag) {
			b.mangle = func(s []byte) []byte { return append(unpadded(s), 0) }
		}), key, id, "the signature does not verify", quirk},
		{at.LengthBomb, "a bag of more bytes than there are", alter(func(b *bag) {
			b.edit = func(r []byte) []byte { return append([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, r[4:]...) }
		}), key, id, "it is not a PKCS#7 message in DER", good()},
		{at.LengthBomb, "a certificate of more bytes than there are", alter(func(b *bag) {
			b.certs = func(d [][]byte) []byte { return append(bytes.Join(d, nil), 0x30, 0x84, 0x7f, 0xff, 0xff, 0xff) }
		}), key, id, "not 1 to 8 certificates", good()},
		{at.LengthBomb, "more certificates than a chain has", alter(func(b *bag) { b.order = []int{0, 1, 2, 0, 1, 2, 0, 1, 2} }), key, id, "not 1 to 8 certificates", good()},
		{at.Other, "two purposes", alter(func(b *bag) { b.purposes, b.more = chains[1], purposeOriginEC }), key, id, "certificate 0 has not exactly one purpose", good()},
		{at.Other, "a purpose of another arc", alter(func(b *bag) { b.foreign = true }), key, id, "certificate 0 has not exactly one purpose", good()},
		{at.Other, "an HSM that is no authority", alter(func(b *bag) { b.plain = 1 }), key, id, "the issuer is no certification authority", good()},
		{at.Other, "serial number 0", alter(func(b *bag) { b.fields = []pkix.Extension{field(extSerial, 0, 0, 0, 0)} }), key, id, "the HSM's serial number is 0", good()},
		{at.Other, "an unknown field", alter(func(b *bag) { b.fields = append(b.fields, field(99, 1)) }), key, id, "extension 1.3.6.1.4.1.12383.2.99 was not understood", good()},
		{at.Other, "signers beside the certificates", alter(func(b *bag) {
			b.edit = func([]byte) []byte { return pkcs7(t, nil, nil, []byte{0x30, 0}) }
		}), key, id, "the PKCS#7 message has signers of its own", good()},
		{at.Other, "a content beside the certificates", alter(func(b *bag) {
			b.edit = func([]byte) []byte { return pkcs7(t, []byte{4, 1, 'x'}, nil, nil) }
		}), key, id, "has a content", good()},
	} {
		list = append(list, at.Hostile{Kind: c.kind, Name: c.name, Case: caseOf(c.bag, c.spki, c.identity), Want: c.want, Twin: caseOf(c.twin, key, id)})
	}
	return list
}

// zeros puts n zero bytes before the second number of a signature.
func zeros(sig []byte, n int) []byte {
	var v struct{ R, S asn1.RawValue }
	if _, err := asn1.Unmarshal(sig, &v); err != nil {
		panic(err)
	}
	s := append(make([]byte, n), bytes.TrimLeft(v.S.Bytes, "\x00")...)
	body := slices.Concat(v.R.FullBytes, []byte{2, byte(len(s))}, s)
	return append([]byte{0x30, byte(len(body))}, body...)
}

// A quirk that is met is named, and only then.
func TestASignatureWithoutItsZeroIsReported(t *testing.T) {
	b := good()
	for _, mangle := range []func([]byte) []byte{nil, unpadded} {
		b.mangle = mangle
		c, err := attest.Check(Verifier{}, attest.Input{Evidence: b.evidence(t), Anchors: testAnchors(t), At: at.At})
		if err != nil || slices.Contains(c.Quirks, QuirkUnsignedInteger) != (mangle != nil) {
			t.Errorf("%v, %v", c, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(file(f, "ecc-pkc.p7b"))
	f.Add(good().evidence(f).Parts[0].Data)
	f.Add(older().evidence(f).Parts[0].Data)
	anchors := shipped(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if bag, err := parseBag(raw); err == nil && len(bag) >= len(raw) {
			t.Error("more comes out of the bag than is in it")
		}
		claims, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(raw), Anchors: anchors, At: at.At})
		if err == nil && (claims.Platform.Identity == "" || len(claims.Key.SPKI) == 0) {
			t.Error("a confirmation without HSM or key is taken")
		}
	})
}
