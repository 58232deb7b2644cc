package securosys

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/attesttest"
)

// sample is Securosys' request as its publisher wraps it.
type sample struct {
	CSR       string   `json:"csr"`
	XML       []byte   `json:"attestationData"`
	Signature string   `json:"attestationSignature"`
	Chain     []string `json:"attestationCertChain"`
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func (s *sample) evidence() *attest.Evidence {
	return evidence(s.XML, []byte(s.Signature), []byte(strings.Join(s.Chain, "\n")))
}

func evidence(xml, sig, chain []byte) *attest.Evidence {
	return &attest.Evidence{Format: Format, Parts: []attest.Part{
		{Name: PartStatement, Data: xml}, {Name: PartSignature, Data: sig}, {Name: PartChain, Data: chain}}}
}

// realSample gives Securosys' sample, and the anchors that come with the program.
func realSample(t testing.TB) (*sample, *attest.Anchors) {
	t.Helper()
	s := &sample{}
	readJSON(t, "testdata/request.json", s)
	anchors, err := attest.ParseAnchors("anchors.yaml", attest.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	return s, anchors
}

func TestARealPrimusStatementVerifiesAsItsPublisherExpects(t *testing.T) {
	s, anchors := realSample(t)
	var want struct {
		Valid       bool   `json:"valid"`
		Vendor      string `json:"hsmVendor"`
		Serial      string `json:"hsmSerialNumber"`
		Origin      string `json:"keyOrigin"`
		Exportable  bool   `json:"keyExportable"`
		Fingerprint string `json:"attestedPublicKeyFingerprint"`
	}
	readJSON(t, "testdata/expected.json", &want)
	c, err := attest.Check(Verifier{}, attest.Input{Evidence: s.evidence(), Anchors: anchors, At: attesttest.At})
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(c.Key.SPKI)
	var pairs []string
	for _, b := range digest {
		pairs = append(pairs, hex.EncodeToString([]byte{b}))
	}
	if !want.Valid || c.Platform.Vendor != want.Vendor || c.Platform.Serial != want.Serial || c.Platform.Identity != want.Serial ||
		c.Details[0].Value != want.Origin || (c.Key.Extractable == attest.True) != want.Exportable || strings.Join(pairs, ":") != want.Fingerprint {
		t.Errorf("got %+v, the publisher expects %+v", c, want)
	}
	block, err := x509.ParseCertificateRequest(pemBytes(t, s.CSR))
	if err != nil {
		t.Fatal(err)
	}
	if list := attest.Judge(c, attesttest.Kept(attest.Anchored, block.RawSubjectPublicKeyInfo, "18386101")); len(list) != 0 {
		t.Errorf("the sample's key in its own certificate request is not shown to be kept: %v", list)
	}
	if made := time.Date(2025, 10, 18, 20, 19, 33, 0, time.UTC); !c.Made.Equal(made) || len(c.Unknown) > 0 || len(c.Quirks) > 0 {
		t.Errorf("made %v, unknown %v, quirks %v", c.Made, c.Unknown, c.Quirks)
	}
}

func pemBytes(t testing.TB, text string) []byte {
	t.Helper()
	body := strings.Split(strings.TrimSpace(text), "\n")
	b, err := base64.StdEncoding.DecodeString(strings.Join(body[1:len(body)-1], ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAKeyOnACurveHasNoSizeAndMayHaveAPolicy(t *testing.T) {
	// The shape is that of Securosys' documentation for an Ed25519 key; the policy
	// is an access rule that isn't understood.
	s, err := parseStatement([]byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<private_key creation=\"generated\">\n\t<label>k</label>\n\t<create_time>2024-08-14T18:02:50Z</create_time>\n" +
		"\t<attest_time>2024-08-14T18:02:59Z</attest_time>\n\t<key_use_count>1</key_use_count>\n\t<algorithm>ED</algorithm>\n\t<algorithm_oid>1.3.101.112</algorithm_oid>\n" +
		"\t<public_key>MCowBQYDK2VwAyEA/GpVPSJzhsGgH4mGLxRK3h1XFh9t90hwn7NKf8RKCNA=</public_key>\n\t<derivation_value type=\"ADA/SLIP-10\">5B89</derivation_value>\n" +
		"\t<attributes>\n\t\t<sign>true</sign>\n\t</attributes>\n\t<policy>\n\t\t<rule_use>\n\t\t\t<token name=\"Token1\">\n\t\t\t\t<timelock>0</timelock>\n\t\t\t</token>\n\t\t</rule_use>\n\t</policy>\n</private_key>\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Unknown, []string{"derivation_value", "policy"}) || s.Attributes["sign"] != attest.True || s.Attributes["extractable"] != attest.NotShown {
		t.Errorf("got %+v", s)
	}
	c := s.claims(&attest.Path{}, "1")
	if problems := attest.Judge(c, attest.Demand{Least: attest.VendorSigned, SPKI: s.SPKI}); len(problems) != 1 || problems[0].Name != "understood" {
		t.Errorf("a policy that isn't understood fails every demand, and got %v", problems)
	}
}

func sign(t testing.TB, key *rsa.PrivateKey, pss bool, xml []byte) []byte {
	t.Helper()
	h := sha256.Sum256(xml)
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, h[:])
	if pss {
		sig, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, h[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func FuzzStatement(f *testing.F) {
	s, anchors := realSample(f)
	f.Add(s.XML, []byte(s.Signature))
	f.Add([]byte(`<private_key creation="x"><a><b>c</b></a></private_key>`), []byte{1})
	chain := []byte(strings.Join(s.Chain, "\n"))
	f.Fuzz(func(t *testing.T, xml, sig []byte) {
		if st, err := parseStatement(xml); (err == nil) == (st == nil) {
			t.Errorf("a statement and an error, or neither: %v, %v", st, err)
		}
		in := attest.Input{Evidence: evidence(xml, sig, chain), Anchors: anchors, At: attesttest.At}
		if _, err := attest.Check(Verifier{}, in); err == nil && !bytes.Equal(xml, s.XML) {
			t.Errorf("another statement than the real one verifies: %q", xml)
		}
	})
}
