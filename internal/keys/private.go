package keys

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"strings"
)

// Private finds a private key in a file, wherever in it and in whichever format: OpenSSH's,
// PEM, DER, PKCS#12, Java's, PuTTY's, age's, minisign's, signify's, a note's (C2SP
// signed-note), a JWK's. It says in words which, and at which byte; what is empty if there
// is none. It finds keys that somebody left by mistake, not those that somebody hides.
func Private(data []byte) (what string, at int) {
	if i := privatePEM(data); i >= 0 {
		return "a private key in PEM", i
	}
	for _, m := range privateMarks {
		if i := bytes.Index(data, []byte(m.text)); i >= 0 && (!m.first || i == 0) {
			return m.what, i
		}
	}
	if i := bytes.Index(data, []byte("untrusted comment: ")); i == 0 {
		if line, _, _ := bytes.Cut(data, []byte("\n")); bytes.Contains(line, []byte("secret key")) {
			return "a secret key of minisign or signify", 0
		}
	}
	if i := bytes.Index(data, []byte(`"kty"`)); i >= 0 && jwkPrivate(data) {
		return "a private JWK", i
	}
	if i := wrappedPEM(data); i >= 0 {
		return "a private key in PEM, in base64", i
	}
	if what := privateDER(data); what != "" {
		return what, 0
	}
	return "", 0
}

// privateMarks are texts that stand in private keys and nowhere else.
var privateMarks = []struct {
	text, what string
	first      bool // at the beginning of the file
}{
	{"age-encryption.org/", "a file that age encrypted", true},
	{"AGE-SECRET-KEY-", "a key of age", false},
	{"AGE-PLUGIN-", "a key of age", false},
	{"PuTTY-User-Key-File-", "a private key of PuTTY", false},
	{"PRIVATE+KEY+", "a private key that signs notes", false},
	{"openssh-key-v1\x00", "a private key of OpenSSH", false},
	{"b3BlbnNzaC1rZXktdjEA", "a private key of OpenSSH, in base64", false},
	{"\xfe\xed\xfe\xed", "a key store of Java", true},
}

func privatePEM(data []byte) int {
	at := 0
	for line := range bytes.Lines(data) {
		text := bytes.TrimSpace(line)
		if bytes.HasPrefix(text, []byte("-----BEGIN ")) && (bytes.Contains(text, []byte("PRIVATE KEY")) || bytes.Contains(text, []byte("AGE ENCRYPTED FILE"))) {
			return at
		}
		at += len(line)
	}
	return jsonPEM(data)
}

// jsonPEM finds a private key in PEM that stands on a line with other text, as in JSON.
func jsonPEM(data []byte) int {
	const begin = "-----BEGIN "
	for from := 0; ; from += len(begin) {
		i := bytes.Index(data[from:], []byte(begin))
		if i < 0 {
			return -1
		}
		from += i
		rest := data[from+len(begin):]
		name, _, ok := bytes.Cut(rest[:min(len(rest), 40)], []byte("-----"))
		if ok && bytes.Contains(name, []byte("PRIVATE KEY")) {
			return from
		}
	}
}

// jwkPrivate says whether a JWK has its private part: a member d or k with a value.
func jwkPrivate(data []byte) bool {
	text := strings.Join(strings.Fields(string(data)), "")
	return strings.Contains(text, `"d":"`) || strings.Contains(text, `"kty":"oct"`) && strings.Contains(text, `"k":"`)
}

// wrappedPEM finds base64 that begins as a private key in PEM does; -1 without one.
func wrappedPEM(data []byte) int {
	const begin = "LS0tLS1CRUdJTi" // -----BEGIN
	for from := 0; ; from++ {
		i := bytes.Index(data[from:], []byte(begin))
		if i < 0 {
			return -1
		}
		from += i
		head := data[from:min(len(data), from+60)]
		text, _ := base64.StdEncoding.DecodeString(string(head[:len(head)/4*4]))
		if bytes.Contains(text, []byte("PRIVATE KEY")) {
			return from
		}
	}
}

// privateDER says what a file in DER is, if it is a private key; empty if not.
func privateDER(data []byte) string {
	if len(data) < 8 || data[0] != 0x30 {
		return ""
	}
	if _, err := x509.ParsePKCS8PrivateKey(data); err == nil || isMLDSAPrivate(data) {
		return "a private key in PKCS#8"
	}
	if _, err := x509.ParseECPrivateKey(data); err == nil {
		return "a private key in DER"
	}
	if _, err := x509.ParsePKCS1PrivateKey(data); err == nil {
		return "a private key in PKCS#1"
	}
	head := data[:min(len(data), 64)]
	switch {
	case bytes.Contains(head[:8], []byte{2, 1, 3}) && bytes.Contains(head, []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07")):
		return "a key store, PKCS#12"
	case bytes.Contains(head[:min(len(head), 24)], []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d")):
		return "an encrypted private key, PKCS#8"
	}
	return ""
}
