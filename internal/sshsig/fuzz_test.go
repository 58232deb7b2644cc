package sshsig_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// FuzzParse: no panic; what parses armors to the same bytes; what verifies, so
// it does for x/crypto/ssh.
func FuzzParse(f *testing.F) {
	list, err := testvectors.All("signature")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range list {
		armored, err := c.File("signature")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(armored, false)
		lines := strings.Split(string(armored), "\n")
		if blob, err := base64.StdEncoding.DecodeString(strings.Join(lines[min(1, len(lines)):max(1, len(lines)-2)], "")); err == nil {
			f.Add(blob, true) // so that the fuzzer needn't know base64
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, wrap bool) {
		if wrap {
			b = armor(b)
		}
		s, err := sshsig.Parse("x", b)
		if err != nil {
			if s != nil {
				t.Fatal("an error and a signature")
			}
			return
		}
		if !bytes.Equal(s.Armor(), b) {
			t.Fatalf("%q\nis armored as\n%q", b, s.Armor())
		}
		if s.Verify(s.Namespace(), message) == nil {
			theirs(t, s, b)
		}
	})
}

func theirs(t *testing.T, s *sshsig.Signature, armored []byte) {
	lines := strings.Split(string(armored), "\n")
	blob, err := base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-2], ""))
	if err != nil {
		t.Fatal(err)
	}
	var e envelope
	var sig ssh.Signature
	if s.Key().Type() == hybrid {
		return // which x/crypto/ssh doesn't know
	}
	key, err := ssh.ParsePublicKey(s.Key().Blob())
	if err != nil || ssh.Unmarshal(blob, &e) != nil || ssh.Unmarshal(e.Sig, &sig) != nil || key.Verify(e.signed(message), &sig) != nil {
		t.Fatalf("x/crypto/ssh doesn't verify %q", armored)
	}
}

// FuzzParsePublicKey: no panic; what is admitted reads back as itself, and
// x/crypto/ssh finds the same key.
func FuzzParsePublicKey(f *testing.F) {
	for _, k := range sound(f) {
		f.Add(k.line() + " comment")
		f.Add("restrict " + k.line())
	}
	f.Add(softRSA(f).line())
	f.Add(smallOrder().line())
	f.Fuzz(func(t *testing.T, line string) {
		k, err := sshsig.ParsePublicKey(line)
		if err != nil {
			if k != nil {
				t.Fatal("an error and a key")
			}
			return
		}
		again, err := sshsig.ParsePublicKey(k.String())
		if err != nil || !again.Equal(k) || !strings.HasPrefix(line, k.String()) {
			t.Fatalf("%q reads back as %q: %v", line, k, err)
		}
		if k.Type() == hybrid {
			return // which x/crypto/ssh doesn't know
		}
		theirs, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 || ssh.FingerprintSHA256(theirs) != k.Fingerprint() || theirs.Type() != k.Type() {
			t.Fatalf("x/crypto/ssh finds another key in %q: %v", line, err)
		}
	})
}
