package attest_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"crypto/sha256"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
)

func TestTheShippedAnchorsAreReadAndNobodyConfirmedThem(t *testing.T) {
	a, err := attest.ParseAnchors("anchors.yaml", attest.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	if len(a.For("yubikey-piv")) == 0 || len(a.For("no-format")) != 0 {
		t.Errorf("%+v", a.All())
	}
	for _, x := range a.All() {
		if x.Confirmed != "" {
			t.Errorf("%s says that %q: what is shipped was confirmed by nobody who uses it", x.Name, x.Confirmed)
		}
	}
}

// anchorText is a file with one anchor.
func anchorText(t *testing.T, c *at.Cert, lines ...string) string {
	return fmt.Sprintf("format: fleetctl anchors v1\nanchors:\n  - vendor: v\n    name: nn\n    formats: [f]\n    spki_sha256: %x\n    origin: o\n    check: c\n%s",
		sha256.Sum256(at.SPKI(t, c.PublicKey)), strings.Join(lines, ""))
}

func TestAnAnchorsFileIsReadStrictly(t *testing.T) {
	root := at.Issue(t, "root", nil, at.P256(t))
	other := at.Issue(t, "root", nil, at.P256(t))
	b64 := base64.StdEncoding.EncodeToString
	cert, key := "    certificate: "+b64(root.Raw)+"\n", "    key: "+b64(at.SPKI(t, root.PublicKey))+"\n"
	for name, c := range map[string]struct {
		text string
		key  bool
	}{
		"a digest alone": {anchorText(t, root), false}, "a certificate": {anchorText(t, root, cert), true}, "a key": {anchorText(t, root, key), true},
		"everything": {anchorText(t, root, cert, "    operator: somebody\n    confirmed: by olga, against the page, 2026-11-21\n    not_after: 2030-01-01T00:00:00Z\n"), true},
	} {
		a, err := attest.ParseAnchors("a.yaml", []byte(c.text))
		if err != nil || len(a.All()) != 1 || (a.All()[0].PublicKey() != nil) != c.key || a.Find("f", root.RawSubjectPublicKeyInfo) == nil || a.Find("g", root.RawSubjectPublicKeyInfo) != nil {
			t.Errorf("%s: %+v %v", name, a, err)
		}
	}
	twice := anchorText(t, root) + strings.SplitAfter(anchorText(t, root), "anchors:\n")[1]
	for want, text := range map[string]string{
		"one of them is enough":                anchorText(t, root, cert, key),
		"spki_sha256 is not that of the key":   anchorText(t, other, cert),
		"a.yaml:3: anchor \"nn\": certificate": anchorText(t, root, "    certificate: AAAA\n"),
		"a.yaml:3: anchor \"nn\": key":         anchorText(t, root, "    key: AAAA\n"),
		"stands twice":                         twice,
		"a.yaml:9":                             anchorText(t, root, "    trusted: true\n"),
		"0 anchors; there are 1 to 256":        "format: fleetctl anchors v1\nanchors: []\n",
		"it names no format":                   strings.Replace(anchorText(t, root), "[f]", "[]", 1),
		"a.yaml:1":                             strings.Replace(anchorText(t, root), "v1", "v2", 1),
		"origin":                               strings.Replace(anchorText(t, root), "    origin: o\n", "", 1),
		"anchor \"nn\": check: ":               strings.Replace(anchorText(t, root), "check: c", `check: "a\u200bb"`, 1),
	} {
		if a, err := attest.ParseAnchors("a.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %+v %v", want, a, err)
		}
	}
}

func TestAnAnchorEndsWhenItsFileSays(t *testing.T) {
	// Dates of the anchor's own certificate don't count: it is a key.
	root, mid, leaf := chain(t)
	list := certs(leaf, mid, root)
	for _, c := range []struct {
		until string
		ok    bool
	}{{"2026-11-21T10:00:00Z", true}, {"2026-11-21T09:59:59Z", false}} {
		a, err := attest.ParseAnchors("a.yaml", []byte(anchorText(t, root, "    not_after: "+c.until+"\n")))
		if err != nil {
			t.Fatal(err)
		}
		p, err := attest.Chain{Format: "f", Certs: list}.Verify(a, at.At)
		if (err == nil) != c.ok || err == nil && !p.Until.Equal(at.At) || err != nil && !strings.Contains(err.Error(), `the anchor "nn" is pinned until`) {
			t.Errorf("%s: %+v %v", c.until, p, err)
		}
	}
}
