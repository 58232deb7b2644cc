package luna

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/devicecert/certtest"
)

// Each part of the message has its one form; nothing is skipped.
func TestABagHoldsCertificatesAlone(t *testing.T) {
	good := pkcs7(t, nil, []byte{0x30, 0}, nil)
	if got, err := parseBag(good); err != nil || !bytes.Equal(got, []byte{0x30, 0}) {
		t.Fatalf("%x, %v", got, err)
	}
	swap := func(old, new []byte) []byte {
		if !bytes.Contains(good, old) {
			t.Fatalf("%x has no %x", good, old)
		}
		return bytes.Replace(good, old, new, 1)
	}
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"another type of message":        {swap([]byte{1, 7, 2, 0xa0}, []byte{1, 7, 3, 0xa0}), "not signed data"},
		"the inside under another tag":   {swap([]byte{1, 7, 2, 0xa0}, []byte{1, 7, 2, 0xa1}), "holds no signed data"},
		"the inside of another class":    {swap([]byte{1, 7, 2, 0xa0}, []byte{1, 7, 2, 0x60}), "holds no signed data"},
		"the inside not in parts":        {swap([]byte{1, 7, 2, 0xa0}, []byte{1, 7, 2, 0x80}), "holds no signed data"},
		"the inside no sequence":         {swap([]byte{0x30, 24, 2, 1, 1}, []byte{0x31, 24, 2, 1, 1}), "is not a SEQUENCE"},
		"another version":                {swap([]byte{2, 1, 1, 0x31}, []byte{2, 1, 3, 0x31}), "isn't of version 1"},
		"a digest algorithm":             {swap([]byte{2, 1, 1, 0x31}, []byte{2, 1, 1, 0x30}), "signers of its own"},
		"a content of another type":      {swap([]byte{1, 7, 1, 0xa0}, []byte{1, 7, 6, 0xa0}), "isn't plain data"},
		"certificates under another tag": {swap([]byte{0xa0, 2, 0x30, 0}, []byte{0xa1, 2, 0x30, 0}), "holds no certificates"},
		"certificates of another class":  {swap([]byte{0xa0, 2, 0x30, 0}, []byte{0x60, 2, 0x30, 0}), "holds no certificates"},
		"certificates not in parts":      {swap([]byte{0xa0, 2, 0x30, 0}, []byte{0x80, 2, 0x30, 0}), "holds no certificates"},
		"no signers' place":              {without(good), "does not have the 5 parts"},
		"a revocation list":              {with(good, []byte{0xa1, 0}), "does not have the 5 parts"},
		"nothing":                        {nil, "it is not a PKCS#7 message"},
	} {
		if _, err := parseBag(c.raw); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// without takes the last part, an empty SET, away; with adds a part behind it. Of
// the small message above each of the three lengths is one byte.
func without(raw []byte) []byte { return resized(raw[:len(raw)-2], -2) }

func with(raw, part []byte) []byte {
	return resized(append(bytes.Clone(raw), part...), len(part))
}

func resized(raw []byte, by int) []byte {
	raw = bytes.Clone(raw)
	for _, at := range []int{1, 14, 16} {
		raw[at] = byte(int(raw[at]) + by)
	}
	return raw
}

// A signature of another algorithm, or under another kind of key, isn't tried.
func TestOnlyECDSASignaturesAreReadWithoutTheirZero(t *testing.T) {
	parse := func(k *certtest.Key) *x509.Certificate {
		c, err := x509.ParseCertificate(certtest.Cert{Subject: certtest.Name("x"), Issuer: certtest.Name("x"), SPKI: k.SPKI}.Sign(t, k))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ec, rsa := parse(certtest.P384(t, "key")), parse(certtest.RSA(t, "key"))
	if got := unsignedInteger(ec, ec); got != QuirkUnsignedInteger {
		t.Errorf("a good signature doesn't verify: %q", got)
	}
	named := *ec // an ECDSA signature that calls itself RSA's
	named.SignatureAlgorithm = x509.SHA384WithRSA
	for _, pair := range [][2]*x509.Certificate{{rsa, ec}, {ec, rsa}, {rsa, rsa}, {&named, ec}} {
		if got := unsignedInteger(pair[0], pair[1]); got != "" {
			t.Errorf("%v under %v: %q", pair[0].SignatureAlgorithm, pair[1].PublicKeyAlgorithm, got)
		}
	}
}
