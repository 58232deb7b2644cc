package sshsig_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"golang.org/x/crypto/ed25519"
	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
)

const (
	hybrid      = "ssh-mldsa44-ed25519@openssh.com"
	hybridLabel = "COMPSIG-MLDSA44-Ed25519-SHA512"
	pqHalf      = "its ML-DSA-44 half: " + doesNotVerify
	edHalf      = "its Ed25519 half: " + doesNotVerify
)

func openssh(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/openssh/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opened is a signature that OpenSSH made, as x/crypto/ssh takes an envelope apart.
func opened(t testing.TB, name string) *envelope {
	t.Helper()
	lines := strings.Split(string(openssh(t, name)), "\n")
	blob, err := base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-2], ""))
	e := new(envelope)
	if err != nil || ssh.Unmarshal(blob, e) != nil {
		t.Fatalf("%s is no envelope (%v)", name, err)
	}
	return e
}

// softHybrid is a hybrid key of the tests' own, whose halves sign what half says: each
// may be given other text, or another context, than OpenSSH gives it.
func softHybrid(t testing.TB, half func(text []byte, context string) ([]byte, string, []byte)) *soft {
	t.Helper()
	pq, err := mldsa.GenerateKey(mldsa.MLDSA44())
	if err != nil {
		t.Fatal(err)
	}
	pub, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &soft{typed(hybrid, slices.Concat(pq.PublicKey().Bytes(), pub)), func(signed []byte) ([]byte, error) {
		sum := sha512.Sum512(signed)
		text := append([]byte("CompositeAlgorithmSignatures2025"+hybridLabel+"\x00"), sum[:]...)
		pqText, context, edText := text, hybridLabel, text
		if half != nil {
			pqText, context, edText = half(text, hybridLabel)
		}
		sig, err := pq.Sign(nil, pqText, &mldsa.Options{Context: context})
		return typed(hybrid, append(sig, ed25519.Sign(ed, edText)...)), err
	}}
}

func TestWeTakeHybridSignaturesThatOpenSSHMade(t *testing.T) {
	prints := map[string]string{
		"one": "SHA256:cN6Ou2HuvUnGIYsDLgftuCFUohWT6wwg4jO4JrcfA/k", "two": "SHA256:fFJTfFjwUcW3CUrvGJaH4DPpDx9d/yJS3emEPKZ3+ag",
	}
	for _, name := range []string{"one", "one-sha256", "two"} {
		armored := openssh(t, name+".sig")
		if got := judge(armored, plan, message); got != "ok" {
			t.Fatalf("%s: %s", name, got)
		}
		line := strings.TrimSuffix(string(openssh(t, name[:3]+".pub")), "\n")
		k, err := sshsig.ParsePublicKey(line)
		s, err2 := sshsig.Parse("", armored)
		if err != nil || err2 != nil || !s.Key().Equal(k) || !bytes.Equal(s.Armor(), armored) || k.Fingerprint() != prints[name[:3]] || k.Type() != hybrid {
			t.Errorf("%s: %v, %v, %s", name, err, err2, k.Fingerprint())
		}
		if _, plain := k.Ed25519(); plain {
			t.Error("a hybrid key passes for an Ed25519 key")
		}
	}
}

// Who has one of the two private keys makes that half of a signature, and no more.
func TestOneHalfOfAHybridSignatureIsNone(t *testing.T) {
	other := func(text []byte, context string) ([]byte, string, []byte) { return append(text, 0), context, text }
	for name, c := range map[string]struct {
		want string
		half func([]byte, string) ([]byte, string, []byte)
	}{
		"both":                 {"ok", nil},
		"ML-DSA over other":    {pqHalf, other},
		"Ed25519 over other":   {edHalf, func(text []byte, context string) ([]byte, string, []byte) { return text, context, append(text, 0) }},
		"ML-DSA in no context": {pqHalf, func(text []byte, _ string) ([]byte, string, []byte) { return text, "", text }},
		"ML-DSA in another":    {pqHalf, func(text []byte, _ string) ([]byte, string, []byte) { return text, "fleetctl", text }},
		"Ed25519 over the SSHSIG itself": {edHalf, func(text []byte, context string) ([]byte, string, []byte) {
			return text, context, text[len(text)-64:]
		}},
	} {
		if got := judge(softHybrid(t, c.half).seal(t, nil).armor(), plan, message); got != c.want {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}

// The halves of two keys' signatures don't make one, whichever key stands above them.
func TestHalvesOfTwoHybridKeysAreNoSignature(t *testing.T) {
	one, two := opened(t, "one.sig"), opened(t, "two.sig")
	const ed = 64
	swap := func(a, b []byte) []byte { return slices.Concat(a[:len(a)-ed], b[len(b)-ed:]) }
	const keyEd = 32
	mixed := slices.Concat(one.Key[:len(one.Key)-keyEd], two.Key[len(two.Key)-keyEd:])
	for name, c := range map[string]struct {
		key, sig []byte
		want     string
	}{
		"one's key":                  {one.Key, swap(one.Sig, two.Sig), edHalf},
		"two's key":                  {two.Key, swap(one.Sig, two.Sig), pqHalf},
		"a key of both, one's":       {mixed, one.Sig, edHalf},
		"one's key, two's signature": {one.Key, two.Sig, pqHalf},
	} {
		e := *one
		e.Key, e.Sig = c.key, c.sig
		if got := judge(e.armor(), plan, message); got != c.want {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}

func TestEachByteOfAHybridSignatureCounts(t *testing.T) {
	e := opened(t, "one.sig")
	blob := ssh.Marshal(e)
	for i := 0; i < len(blob); i += 7 {
		blob[i] ^= 1
		if judge(armor(blob), plan, message) == "ok" {
			t.Errorf("byte %d may be another", i)
		}
		blob[i] ^= 1
	}
	if got := judge(armor(blob), plan, message); got != "ok" {
		t.Error(got)
	}
}

// A hybrid key is the same key as each that has one of its halves: nobody gets a
// second voice by it.
func TestAHybridKeyIsEachOfItsHalves(t *testing.T) {
	k, err := sshsig.ParseBlob(opened(t, "one.sig").Key)
	if err != nil {
		t.Fatal(err)
	}
	blob := k.Blob()
	half, err := sshsig.ParseBlob(typed("ssh-ed25519", blob[len(blob)-32:]))
	if err != nil {
		t.Fatal(err)
	}
	points := k.Points()
	if len(points) != 2 || !slices.Contains(points, half.Points()[0]) || !slices.Contains(points, keys.MLDSA44Point(blob[len(blob)-32-mldsa.MLDSA44PublicKeySize:len(blob)-32])) {
		t.Errorf("%d points", len(points))
	}
}

func TestHybridKeysThatAreNotAdmitted(t *testing.T) {
	raw := opened(t, "one.sig").Key[4+len(hybrid)+4:]
	for name, c := range map[string]struct {
		blob []byte
		want string
	}{
		"a byte less":         {typed(hybrid, raw[1:]), "has 1343 bytes, a key of type " + hybrid + " has 1344"},
		"ML-DSA alone":        {typed(hybrid, raw[:len(raw)-32]), "has 1312 bytes, a key of type " + hybrid + " has 1344"},
		"a point of no order": {typed(hybrid, append(bytes.Clone(raw[:len(raw)-32]), append([]byte{1}, make([]byte, 31)...)...)), "has a half that is an Ed25519 key of small order: anyone can sign for it"},
		"ML-DSA for anyone":   {typed(hybrid, slices.Concat(raw[:32], make([]byte, mldsa.MLDSA44PublicKeySize-32), raw[len(raw)-32:])), "has a half that is a key of ml-dsa-44 with a t1 of small numbers: anyone can sign for it"},
		"without the domain":  {typed("ssh-mldsa44-ed25519", raw), "is of type ssh-mldsa44-ed25519; allowed are ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, " + hybrid + " and the FIDO2 types sk-ssh-ed25519, sk-ecdsa"},
		"a certificate":       {typed("ssh-mldsa44-ed25519-cert-v01@openssh.com", raw), "is a certificate, by which somebody else says whose it is; give the key itself"},
	} {
		if k, err := sshsig.ParseBlob(c.blob); k != nil || err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
	}
}
