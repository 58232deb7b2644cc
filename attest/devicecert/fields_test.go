package devicecert

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/devicecert/certtest"
)

var arc = asn1.ObjectIdentifier{1, 2, 3}

func certificate(t *testing.T, name pkix.Name, fields ...pkix.Extension) *x509.Certificate {
	t.Helper()
	k := certtest.EC(t, "key")
	c, err := x509.ParseCertificate(certtest.Cert{Subject: name, Issuer: name, SPKI: k.SPKI, Extensions: fields}.Sign(t, k))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAFieldHasExactlyItsForm(t *testing.T) {
	text := func(f *Fields) error { _, err := f.Text(1, "label", 4); return err }
	number := func(f *Fields) error { _, err := f.Uint(1, "number", 300); return err }
	bytes := func(f *Fields) error { _, err := f.Octets(1, "version", 2); return err }
	plain := func(f *Fields) error { _, err := f.Plain(1, "version", 2); return err }
	for name, c := range map[string]struct {
		value []byte
		read  func(*Fields) error
		want  string
	}{
		"a number":                    {[]byte{2, 2, 1, 44}, number, ""},
		"a number with zeros":         {[]byte{2, 4, 0, 0, 1, 44}, number, ""},
		"a number too large":          {[]byte{2, 2, 1, 45}, number, "at most 300 is possible"},
		"a number beyond 64 bits":     {append([]byte{2, 9, 1}, make([]byte, 8)...), number, "at most 300 is possible"},
		"a number of ten bytes":       {append([]byte{2, 10, 0}, make([]byte, 9)...), number, "a number of 10 bytes"},
		"a number of no bytes":        {[]byte{2, 0}, number, "a number of 0 bytes"},
		"a negative number":           {[]byte{2, 1, 0xff}, number, "is negative"},
		"a text":                      {[]byte{12, 4, 'a', 0xc3, 0xa4, 'b'}, text, ""},
		"an empty text":               {[]byte{12, 0}, text, ""},
		"a text too long":             {[]byte{12, 5, 'a', 'b', 'c', 'd', 'e'}, text, "is no text of at most 4 bytes"},
		"a text with a control":       {[]byte{12, 1, 27}, text, "is no text"},
		"a text that isn't UTF-8":     {[]byte{12, 1, 0xff}, text, "is no text"},
		"a text of another type":      {[]byte{19, 1, 'a'}, text, "is of the wrong type"},
		"a text of a context's type":  {[]byte{0x8c, 1, 'a'}, text, "is of the wrong type"},
		"a text in parts":             {[]byte{0x2c, 3, 12, 1, 'a'}, text, "is of the wrong type"},
		"two bytes":                   {[]byte{4, 2, 1, 2}, bytes, ""},
		"three bytes":                 {[]byte{4, 3, 1, 2, 3}, bytes, "has 3 bytes, and must have 2"},
		"one plain byte":              {[]byte{4}, plain, "has 1 bytes, and must have 2"},
		"nothing where a text should": {nil, text, "can't be read"},
	} {
		err := c.read(Read(certificate(t, certtest.Name("x"), certtest.Ext("1.2.3", 1, c.value)), arc))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// What nobody asked for is listed: a field of the arc that wasn't read, one below
// it, and one that stands elsewhere.
func TestWhatIsNotReadIsListed(t *testing.T) {
	f := Read(certificate(t, certtest.Name("x"), certtest.CA(), certtest.Ext("1.2.3", 1, []byte{1}), certtest.Ext("1.2.3", 2, []byte{1}),
		certtest.Ext("1.2.3.2", 1, []byte{1}), certtest.Ext("1.2", 9, []byte{1})), arc)
	if _, err := f.Plain(1, "first", 1); err != nil {
		t.Fatal(err)
	}
	if got := f.Unknown(); !slices.Equal(got, []string{"1.2.3.2", "1.2.3.2.1", "1.2.9"}) {
		t.Errorf("got %q", got)
	}
}

func TestACertificateHasOneCommonName(t *testing.T) {
	two := pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "a"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "b"}}}
	for _, c := range []struct {
		name pkix.Name
		want string
	}{{certtest.Name("a"), "a"}, {two, ""}, {pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: ""}}}, ""}, {pkix.Name{Organization: []string{"a"}}, ""}} {
		got, err := CommonName(certificate(t, c.name))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: got %q, %v", c.name, got, err)
		}
	}
}
