package attest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
)

// chain is a root, an authority below it and a leaf.
func chain(t *testing.T, alter ...func(*x509.Certificate)) (root, mid, leaf *at.Cert) {
	root = at.Issue(t, "root", nil, at.P256(t))
	mid = at.Issue(t, "mid", root, at.P256(t), alter...)
	return root, mid, at.Issue(t, "leaf", mid, at.P256(t), at.Leaf)
}

func certs(list ...*at.Cert) (all []*x509.Certificate) {
	for _, c := range list {
		all = append(all, c.Certificate)
	}
	return all
}

func TestAChainStandsUnderAPinnedKeyOrUnderNone(t *testing.T) {
	root, mid, leaf := chain(t)
	pinned := at.Pin(t, "f", root.Certificate)
	for name, list := range map[string][]*at.Cert{"with the root": {leaf, mid, root}, "without": {leaf, mid}} {
		p, err := attest.Chain{Format: "f", Certs: certs(list...)}.Verify(pinned, at.At)
		if err != nil || p.Level() != attest.Anchored || p.Anchor.Name != "root" || len(p.Certs) != 3 || !p.Until.Equal(leaf.NotAfter) {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
	// Another format's anchors don't count, nor a root with the pinned one's name.
	p, err := attest.Chain{Format: "g", Certs: certs(leaf, mid, root)}.Verify(pinned, at.At)
	if err != nil || p.Level() != attest.VendorSigned || !strings.Contains(p.Why, "no key that is pinned for g issued CN=root") {
		t.Errorf("another format: %+v %v", p, err)
	}
	other, _, _ := chain(t)
	for name, list := range map[string][]*at.Cert{"its root": {leaf, mid, root}, "its last": {leaf, mid}} {
		p, err = attest.Chain{Format: "f", Certs: certs(list...)}.Verify(at.Pin(t, "f", other.Certificate), at.At)
		if err != nil || p.Level() != attest.VendorSigned || !strings.Contains(p.Why, `CN=root has the name of the pinned "root", but another key`) {
			t.Errorf("look-alike by %s: %+v %v", name, p, err)
		}
	}
	// The key of an authority in the middle, or of the leaf, can be what is pinned.
	for _, c := range []*at.Cert{mid, leaf} {
		if p, err := (attest.Chain{Format: "f", Certs: certs(leaf, mid, root)}.Verify(at.Pin(t, "f", c.Certificate), at.At)); err != nil || p.Anchor == nil || p.Anchor.SPKI != sha256.Sum256(c.RawSubjectPublicKeyInfo) {
			t.Errorf("%s pinned: %+v %v", c.Subject, p, err)
		}
	}
}

func TestAChainThatDoesNotFitIsRefused(t *testing.T) {
	root, mid, leaf := chain(t)
	other, _, _ := chain(t)
	forged := *leaf.Certificate
	forged.Signature = bytes.Repeat([]byte{1}, len(forged.Signature))
	_, small, underSmall := chain(t, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	deep := at.Issue(t, "deep", underSmall, at.P256(t), at.Leaf)
	noCA := at.Issue(t, "no ca", root, at.P256(t), at.Leaf)
	noSign := at.Issue(t, "no sign", root, at.P256(t), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	critical := at.Issue(t, "critical", root, at.P256(t), func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
	})
	short := at.Issue(t, "short", root, at.RSA(t, 1024))
	names := at.Issue(t, "names", root, at.P256(t), func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"x.example"}
	})
	below := func(c *at.Cert) []*x509.Certificate { return certs(at.Issue(t, "below", c, at.P256(t), at.Leaf), c) }
	authority := at.Issue(t, "authority", small, at.P256(t))
	for _, c := range []struct {
		name string
		list []*x509.Certificate
		time time.Time
		want string
	}{
		{"none", nil, at.At, "0 certificates"},
		{"too many", slices.Repeat(certs(leaf), 9), at.At, "9 certificates; it has 1 to 8"},
		{"twice", certs(leaf, mid, mid), at.At, "it stands twice in the chain"},
		{"reordered", certs(mid, leaf, root), at.At, "the chain is out of order, or belongs to something else"},
		{"another's root", append(certs(leaf, mid), other.Certificate), at.At, "the signature does not verify"},
		{"forged", append([]*x509.Certificate{&forged}, mid.Certificate), at.At, "the signature does not verify"},
		{"too deep", certs(at.Issue(t, "end", authority, at.P256(t), at.Leaf), authority, small), at.At, "allows 0 authorities below it, and there are 1"},
		{"a leaf that issues", certs(deep, underSmall, small), at.At, "the issuer is no certification authority"},
		{"no authority", below(noCA), at.At, "the issuer is no certification authority"},
		{"no cert sign", below(noSign), at.At, "key usage does not let it sign"},
		{"critical", below(critical), at.At, "the critical extension 1.2.3 is not understood"},
		{"short", below(short), at.At, "an RSA key of 1024 bits"},
		{"names", below(names), at.At, "it has name constraints"},
		{"too early", certs(leaf, mid, root), at.At.AddDate(-2, 0, 0), "is valid from 2025-11-21T10:00:00Z to 2027-11-21T10:00:00Z, not at 2024-11-21T10:00:00Z"},
		{"too late", certs(leaf, mid), at.At.AddDate(2, 0, 0), "certificate 0 (CN=leaf) is valid from"},
	} {
		p, err := attest.Chain{Format: "f", Certs: c.list}.Verify(at.Pin(t, "f", root.Certificate), c.time)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v %v, want %q", c.name, p, err, c.want)
		}
	}
	if _, err := (attest.Chain{Format: "f", Certs: below(critical), Critical: []asn1.ObjectIdentifier{{1, 2, 3}}}.Verify(&attest.Anchors{}, at.At)); err != nil {
		t.Errorf("a critical extension that the format judges: %v", err)
	}
}

func TestAQuirkIsTakenByNameAloneAndReported(t *testing.T) {
	root := at.Issue(t, "root", nil, at.P256(t))
	for _, c := range []struct {
		quirk string
		mid   *at.Cert
	}{
		{attest.QuirkShortRSA, at.Issue(t, "m", root, at.RSA(t, 1024))},
		{attest.QuirkNoBasicConstraints, at.Issue(t, "m", root, at.P256(t), func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = false, false })},
		{attest.QuirkNoCertSign, at.Issue(t, "m", root, at.P256(t), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })},
	} {
		list := certs(at.Issue(t, "leaf", c.mid, at.P256(t), at.Leaf), c.mid, root)
		if p, err := (attest.Chain{Format: "f", Certs: list}.Verify(&attest.Anchors{}, at.At)); err == nil {
			t.Errorf("%s without its name: %+v", c.quirk, p)
		}
		p, err := attest.Chain{Format: "f", Certs: list, Quirks: []string{c.quirk}}.Verify(&attest.Anchors{}, at.At)
		if err != nil || !slices.Equal(p.Quirks, []string{c.quirk}) {
			t.Errorf("%s: %+v %v", c.quirk, p, err)
		}
		claims := &attest.Claims{Quirks: []string{"first"}}
		if p.Into(claims); !slices.Equal(claims.Quirks, []string{"first", c.quirk}) || claims.Level != attest.VendorSigned {
			t.Errorf("claims: %+v", claims)
		}
	}
	// A signature that only the format's own reader takes.
	_, mid, leaf := chain(t)
	odd := *leaf.Certificate
	odd.Signature = append([]byte{0}, odd.Signature...)
	own := func(*x509.Certificate, *x509.Certificate) (string, error) { return "odd-signature", nil }
	if p, err := (attest.Chain{Format: "f", Certs: []*x509.Certificate{&odd, mid.Certificate}, Quirks: []string{"odd-signature"}, Signature: own}.Verify(&attest.Anchors{}, at.At)); err != nil || !slices.Equal(p.Quirks, []string{"odd-signature"}) {
		t.Errorf("own reader: %+v %v", p, err)
	}
	if p, err := (attest.Chain{Format: "f", Certs: []*x509.Certificate{&odd, mid.Certificate}, Signature: own}.Verify(&attest.Anchors{}, at.At)); err == nil {
		t.Errorf("a quirk that isn't the format's: %+v", p)
	}
}

func TestCertificatesAreReadAsPEMOrDER(t *testing.T) {
	root, mid, leaf := chain(t)
	der := at.DER(leaf.Certificate, mid.Certificate, root.Certificate)
	var text []byte
	for _, c := range certs(leaf, mid, root) {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	for name, data := range map[string][]byte{"DER": der, "PEM": text} {
		if list, err := attest.ParseCertificates(data); err != nil || len(list) != 3 || !list[1].Equal(mid.Certificate) {
			t.Errorf("%s: %v %v", name, list, err)
		}
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "trailing": append(slices.Clone(der), 0), "text behind": append(slices.Clone(text), "x\n"...), "text before": append([]byte("x\n"), text...),
		"text between": bytes.Replace(text, []byte("-----END CERTIFICATE-----\n"), []byte("-----END CERTIFICATE-----\nx\n"), 1),
		"a key":        pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: at.SPKI(t, root.PublicKey)}),
		"nine":         bytes.Repeat(root.Raw, 9), "a length bomb": {0x30, 0x84, 0xff, 0xff, 0xff, 0xff},
	} {
		if list, err := attest.ParseCertificates(data); err == nil {
			t.Errorf("%s: %v", name, list)
		}
	}
}
