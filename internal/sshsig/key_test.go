package sshsig_test

import (
	"crypto/elliptic"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sktest"
)

func TestAdmittedKeysAreThoseOfTheList(t *testing.T) {
	for name, k := range sound(t) {
		for _, comment := range []string{"", " ", " officer one", " ssh-rsa  x\ty"} {
			key, err := sshsig.ParsePublicKey(k.line() + comment)
			if err != nil {
				t.Fatalf("%s%q: %v", name, comment, err)
			}
			theirs, err := ssh.ParsePublicKey(k.blob)
			if err != nil {
				t.Fatal(err)
			}
			if key.Fingerprint() != ssh.FingerprintSHA256(theirs) || key.Type() != theirs.Type() || key.String() != k.line() || string(key.Blob()) != string(k.blob) {
				t.Errorf("%s: %s %s %s", name, key.Type(), key.Fingerprint(), key)
			}
		}
	}
}

func TestKeysThatAreNotAdmitted(t *testing.T) {
	const allowed = "; allowed are ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ssh-mldsa44-ed25519@openssh.com and the FIDO2 types sk-ssh-ed25519, sk-ecdsa"
	const none, options = "is no OpenSSH public key; a .pub file has one", "has options before its type; a .pub file has none"
	ed, p256 := softEd25519(t), softECDSA(t, elliptic.P256(), ssh.KeyAlgoECDSA256)
	line := func(blob []byte) string { return (&soft{blob: blob}).line() }
	base64 := strings.Fields(ed.line())[1]
	point := func(f func(p []byte) []byte) string {
		var k struct {
			Type, Curve string
			Point       []byte
		}
		if err := ssh.Unmarshal(p256.blob, &k); err != nil {
			t.Fatal(err)
		}
		k.Point = f(k.Point)
		return line(ssh.Marshal(k))
	}
	onCurve := func(name string) string {
		return line(ssh.Marshal(struct{ Type, Curve, Point string }{"ecdsa-sha2-nistp256", name, string(p256.blob[len(p256.blob)-65:])}))
	}
	const noPoint = "is no uncompressed point of its curve"
	for name, c := range map[string]struct{ line, want string }{
		"nothing":            {"", none},
		"a word":             {"ssh-ed25519", none},
		"words":              {"my public key", none},
		"no base64":          {"ssh-ed25519 x", "is not canonical base64 (standard alphabet, padded)"},
		"two lines":          {ed.line() + "\n" + ed.line(), "is more than one line"},
		"a newline":          {ed.line() + "\n", "is more than one line"},
		"a carriage return":  {ed.line() + "\r", "is more than one line"},
		"a long line":        {ed.line() + strings.Repeat(" ", 8192), "is longer than 8192 bytes"},
		"a space before":     {" " + ed.line(), options},
		"two spaces":         {strings.Replace(ed.line(), " ", "  ", 1), none},
		"a tab":              {strings.Replace(ed.line(), " ", "\t", 1), none},
		"options":            {"restrict " + ed.line(), options},
		"a command":          {`command="x y" ` + ed.line(), options},
		"a CA":               {"cert-authority " + ed.line(), options},
		"a known host":       {"example.org " + ed.line(), options},
		"unpadded":           {"ssh-ed25519 " + strings.TrimRight(p256.line()[len("ecdsa-sha2-nistp256 "):], "="), "is not canonical base64 (standard alphabet, padded)"},
		"RSA":                {softRSA(t).line(), "is of type ssh-rsa" + allowed},
		"DSA":                {"ssh-dss AAAAB3NzaC1kc3MA", "is of type ssh-dss" + allowed},
		"P-521":              {softECDSA(t, elliptic.P521(), ssh.KeyAlgoECDSA521).line(), "is of type ecdsa-sha2-nistp521" + allowed},
		"a certificate":      {certified(t, ed).line(), "is a certificate, by which somebody else says whose it is; give the key itself"},
		"a type in escapes":  {"\x1b[2J AAAA", "is of a type that has no name"},
		"another type ahead": {"ecdsa-sha2-nistp256 " + base64, "says that it is of type ecdsa-sha2-nistp256 and is of type ssh-ed25519"},
		"RSA inside":         {"ssh-ed25519 " + strings.Fields(softRSA(t).line())[1], "is of type ssh-rsa" + allowed},
		"small order":        {smallOrder().line(), "is an Ed25519 key of small order: anyone can sign for it"},
		"no point":           {line(typed("ssh-ed25519", append([]byte{2}, make([]byte, 31)...))), "is no point of Ed25519's curve"},
		"31 bytes":           {line(typed("ssh-ed25519", make([]byte, 31))), "has 31 bytes, an Ed25519 key has 32"},
		"a byte more":        {line(append(ed.blob[:len(ed.blob):len(ed.blob)], 0)), "has 1 bytes too many"},
		"a byte less":        {line(ed.blob[:len(ed.blob)-1]), "ends within its point"},
		"another curve":      {onCurve("nistp384"), "is of type ecdsa-sha2-nistp256 and on another curve"},
		"no curve":           {onCurve(""), "is of type ecdsa-sha2-nistp256 and on another curve"},
		"off the curve":      {point(func(p []byte) []byte { p[64] ^= 1; return p }), noPoint},
		"compressed":         {point(func(p []byte) []byte { return append([]byte{2 + p[64]&1}, p[1:33]...) }), noPoint},
		"hybrid":             {point(func(p []byte) []byte { p[0] = 6 + p[64]&1; return p }), noPoint},
		"infinity":           {point(func([]byte) []byte { return []byte{0} }), noPoint},
		"an empty point":     {point(func([]byte) []byte { return nil }), noPoint},
	} {
		k, err := sshsig.ParsePublicKey(c.line)
		if k != nil || err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
	}
}

// An sk key's point is judged like any other.
func TestDevicesKeysAreAdmittedAsStrictly(t *testing.T) {
	small := string(append([]byte{1}, make([]byte, 31)...))
	blob := ssh.Marshal(struct{ Type, Point, App string }{sktest.Ed25519, small, "ssh:"})
	if k, err := sshsig.ParseBlob(blob); k != nil || err == nil || err.Error() != "is an Ed25519 key of small order: anyone can sign for it" {
		t.Error(err)
	}
	if k, err := sshsig.ParseBlob(ssh.Marshal(struct{ Type, Curve, Point, App string }{sktest.P256, "nistp256", "\x00", "ssh:"})); k != nil || err == nil {
		t.Error("the point at infinity")
	}
	// x/crypto/ssh has no opinion on either, so it isn't asked.
	if _, err := ssh.ParsePublicKey(blob); err != nil {
		t.Errorf("x/crypto/ssh refuses a small order now: %v", err)
	}
}

func TestEqual(t *testing.T) {
	parse := func(b []byte) *sshsig.Key {
		k, err := sshsig.ParseBlob(b)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	a, d := softEd25519(t), device(t, sktest.Ed25519, "ssh:one")
	other := append([]byte(nil), d.Blob()...)
	copy(other[len(other)-3:], "two")
	if !parse(a.blob).Equal(parse(a.blob)) || parse(a.blob).Equal(parse(d.Blob())) || parse(d.Blob()).Equal(parse(other)) {
		t.Error("Equal is wrong")
	}
	if parse(a.blob).Equal(nil) || (*sshsig.Key)(nil).Equal(nil) {
		t.Error("no key equals none")
	}
}

// Whoever verifies gets no network and no x/crypto/ssh by this package.
// crypto/x509, which internal/keys needs for SPKI, names net's types.
func TestThePackageBringsNoNetwork(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{.ImportPath}} {{join .Imports " "}}{{end}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		seen++
		for _, p := range strings.Fields(l) {
			if p == "net" || strings.HasPrefix(p, "net/") || p == "os/exec" || p == "syscall" || strings.HasPrefix(p, "golang.org/x/crypto/ssh") {
				t.Errorf("%s: %s", strings.Fields(l)[0], p)
			}
		}
	}
	if seen < 3 || !strings.Contains(string(out), "internal/sshsig ") {
		t.Errorf("only %d packages seen:\n%s", seen, out)
	}
}
