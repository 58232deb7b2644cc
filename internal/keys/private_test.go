package keys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// TestAPrivateKeyIsFoundInEveryFormatAndWhereverItIs: each is found, alone and behind other
// text where the format allows it, and no public half is.
func TestAPrivateKeyIsFoundInEveryFormatAndWhereverItIs(t *testing.T) {
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, spki := must(x509.MarshalPKCS8PrivateKey(ec)), must(x509.MarshalPKIXPublicKey(&ec.PublicKey))
	armour := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	for name, data := range map[string][]byte{
		"PEM": armour, "PKCS#8 in DER": pkcs8, "SEC 1 in DER": must(x509.MarshalECPrivateKey(ec)), "PKCS#1 in DER": x509.MarshalPKCS1PrivateKey(rs),
		"PEM in JSON":         []byte(`{"a":"` + strings.ReplaceAll(string(armour), "\n", `\n`) + `"}`),
		"PEM in base64":       []byte(`{"a":"` + base64.StdEncoding.EncodeToString(armour) + `"}`),
		"OpenSSH":             []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n"),
		"OpenSSH, its base64": []byte("x b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"),
		"OpenPGP":             []byte("-----BEGIN PGP PRIVATE KEY BLOCK-----\n"),
		"encrypted PEM":       []byte("Bag Attributes\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
		"PuTTY":               []byte("PuTTY-User-Key-File-3: ssh-ed25519\n"),
		"age":                 []byte("# created\nAGE-SECRET-KEY-1QQ\n"), "age's plugin": []byte("AGE-PLUGIN-YUBIKEY-1QQ\n"),
		"age, encrypted": []byte("age-encryption.org/v1\n"),
		"age, armoured":  []byte("-----BEGIN AGE ENCRYPTED FILE-----\n"),
		"a note's":       []byte("PRIVATE+KEY+log.example+01234567+AAAA"),
		"minisign":       []byte("untrusted comment: minisign encrypted secret key\nRW\n"),
		"signify":        []byte("untrusted comment: signify secret key\nRW\n"),
		"JWK":            []byte(`{"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"}`), "a JWK that is shared": []byte(`{"kty":"oct","k":"AA"}`),
		"PKCS#12":           append([]byte("\x30\x82\x01\x00\x02\x01\x03\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"), make([]byte, 40)...),
		"PKCS#8, encrypted": append([]byte("\x30\x81\xf0\x30\x5f\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d"), make([]byte, 40)...),
		"Java's":            []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02"),
	} {
		if what, _ := keys.Private(data); what == "" {
			t.Errorf("%s is not found", name)
		}
	}
	behind := append(bytes.Repeat([]byte("x\n"), 10000), armour...)
	if what, at := keys.Private(behind); what != "a private key in PEM" || at != 20000 {
		t.Errorf("behind 20,000 bytes: %q at %d", what, at)
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("the private key stays in its HSM\n"), "SPKI": spki,
		"a public key in PEM":   pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
		"the same in base64":    []byte(base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))),
		"a public JWK":          []byte(`{"kty":"OKP","x":"AA"}`),
		"minisign's public key": []byte("untrusted comment: minisign public key\nRW\n"),
		"half a line":           []byte("-----BEGIN "), "a short sequence": {0x30, 0},
	} {
		if what, at := keys.Private(data); what != "" {
			t.Errorf("%s is taken for %s at %d", name, what, at)
		}
	}
}

// Whatever is looked at, what is found lies in it.
func FuzzPrivate(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n"))
	f.Add([]byte("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t"))
	f.Add([]byte("0\x82\x02\x01\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if what, at := keys.Private(data); at < 0 || at > len(data) || what == "" && at != 0 {
			t.Fatalf("%q at %d of %d", what, at, len(data))
		}
	})
}
