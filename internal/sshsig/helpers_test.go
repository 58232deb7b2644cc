package sshsig_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ed25519"
	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const plan = "fleetctl-plan"

var message = []byte("the plan's bytes\n")

// envelope is an SSHSIG as x/crypto/ssh encodes it, not we, so that what the
// tests build doesn't hang on what they test.
type envelope struct {
	Magic     [6]byte
	Version   uint32
	Key       []byte
	Namespace string
	Reserved  string
	Hash      string
	Sig       []byte
	Rest      []byte `ssh:"rest"`
}

func (e *envelope) armor() []byte { return armor(ssh.Marshal(e)) }

func armor(blob []byte) []byte {
	out := "-----BEGIN SSH SIGNATURE-----"
	for i, c := range base64.StdEncoding.EncodeToString(blob) {
		if i%70 == 0 {
			out += "\n"
		}
		out += string(c)
	}
	return []byte(out + "\n-----END SSH SIGNATURE-----\n")
}

// signed is what a key signs for the envelope.
func (e *envelope) signed(message []byte) []byte {
	h := sha512.New()
	switch e.Hash {
	case "sha256":
		h = sha256.New()
	case "sha1":
		h = sha1.New()
	}
	h.Write(message)
	return ssh.Marshal(struct {
		Magic                     [6]byte
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{e.Magic, e.Namespace, e.Reserved, e.Hash, h.Sum(nil)})
}

// soft is a key with which the tests sign whatever they like.
type soft struct {
	blob []byte
	sign func(signed []byte) ([]byte, error)
}

func (k *soft) line() string {
	var typ struct {
		Type string
		Rest []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(k.blob, &typ) != nil {
		return "?"
	}
	return typ.Type + " " + base64.StdEncoding.EncodeToString(k.blob)
}

// seal makes an envelope; change may be nil, and comes before signing.
func (k *soft) seal(t testing.TB, change func(*envelope)) *envelope {
	t.Helper()
	e := &envelope{Magic: [6]byte([]byte("SSHSIG")), Version: 1, Key: k.blob, Namespace: plan, Hash: "sha512"}
	if change != nil {
		change(e)
	}
	sig, err := k.sign(e.signed(message))
	if err != nil {
		t.Fatal(err)
	}
	e.Sig = sig
	return e
}

func fromPrivate(t testing.TB, key crypto.Signer, algorithm string) *soft {
	t.Helper()
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &soft{s.PublicKey().Marshal(), func(b []byte) ([]byte, error) {
		sig, err := s.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, b, algorithm)
		if err != nil {
			return nil, err
		}
		return ssh.Marshal(sig), nil
	}}
}

func softEd25519(t testing.TB) *soft {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return fromPrivate(t, k, ssh.KeyAlgoED25519)
}

func softECDSA(t testing.TB, curve elliptic.Curve, algorithm string) *soft {
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return fromPrivate(t, k, algorithm)
}

func softRSA(t testing.TB) *soft {
	k, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	return fromPrivate(t, k, ssh.KeyAlgoRSASHA512)
}

// judge is Parse and Verify, as one word or the error's text.
func judge(armored []byte, namespace string, message []byte) string {
	s, err := sshsig.Parse("", armored)
	if err != nil {
		if s != nil {
			return "an error and a signature"
		}
		var e *strict.Error
		if !errors.As(err, &e) || e.Hint == "" {
			return fmt.Sprintf("%v, and not what to do next", err)
		}
		return err.Error()
	}
	if err := s.Verify(namespace, message); err != nil {
		return err.Error()
	}
	return "ok"
}

// tool is a program of OpenSSH's.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing; CI needs it: apt-get install openssh-client", name)
		}
		t.Skipf("no %s here: apt-get install openssh-client", name)
	}
	return path
}

func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
