//go:build cgo && linux

package sealed

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testkryoptic"
	"github.com/fleetctl/fleetctl/internal/testtpm"
	"github.com/fleetctl/fleetctl/internal/token"
	"github.com/fleetctl/fleetctl/internal/tpmdevice"
)

const pin, soPIN = "pin-of-a-token", "12345678"

type agreer interface {
	Agree(alg string, id, peer []byte) ([]byte, error)
}

// opensBy seals to a new key in a token, and has the token open it.
func opensBy(t *testing.T, tok *hsm.Token, by agreer, alg keys.Algorithm, purposes ...token.Setting) {
	t.Helper()
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	made, err := tok.Generate(token.KeySpec{Algorithm: string(alg), ID: id, Label: "agreement", Attributes: append([]token.Setting{
		{Name: token.Token, Value: true}, {Name: token.Private, Value: true}, {Name: token.Sensitive, Value: true}, {Name: token.Extractable, Value: false},
		{Name: token.Sign, Value: false},
	}, purposes...)})
	if err != nil {
		t.Fatal(err)
	}
	pub := must(must(keys.ParseAs(alg, made.SPKI)).ECDH())
	s := must(New(rand.Reader))
	sealed := must(seal(pub, []byte("for this HSM"), s.encode()))
	if len(sealed) != sizeOf(alg) {
		t.Errorf("%s: %d bytes; the file takes %d", alg, len(sealed), sizeOf(alg))
	}
	asked := 0
	e := &exchanger{alg, pub, func(peer []byte) ([]byte, error) { asked++; return by.Agree(string(alg), id, peer) }}
	text, err := open(e, []byte("for this HSM"), sealed)
	if err != nil || asked != 1 {
		t.Fatalf("%s: asked %d times: %v", alg, asked, err)
	}
	if got := must(parseSecrets(text)); *got != *s {
		t.Errorf("%s: other secrets came out", alg)
	}
	if _, err := open(e, []byte("for another"), sealed); err == nil {
		t.Errorf("%s: opened for another", alg)
	}
}

func opened(t *testing.T, m *hsm.Module, label string) *hsm.Token {
	t.Helper()
	tok := must(m.Token(hsm.Selector{Label: label}))
	t.Cleanup(func() { tok.Close() })
	return tok
}

var derives = []token.Setting{{Name: token.Derive, Value: true}, {Name: token.Decrypt, Value: false}}

func software(t *testing.T, path string, o hsm.Options) *hsm.Token {
	t.Helper()
	m, err := hsm.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if _, err := m.InitToken(hsm.Init{Label: "sealed", SOPIN: []byte(soPIN), UserPIN: []byte(pin)}); err != nil {
		t.Fatal(err)
	}
	tok := opened(t, m, "sealed")
	if err := tok.Login([]byte(pin)); err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestSecretsAreOpenedByASoftHSMToken(t *testing.T) {
	const path = "/usr/lib/softhsm/libsofthsm2.so"
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("SoftHSM is not installed, and CI must have it")
		}
		t.Skip("SoftHSM is not installed")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tokens"), 0o700), os.WriteFile(conf, []byte("directories.tokendir = "+dir+"/tokens\nobjectstore.backend = file\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	tok := software(t, path, hsm.Options{})
	opensBy(t, tok, tok, keys.ECDHP256, derives...)
	opensBy(t, tok, tok, keys.X25519, derives...)
}

func TestSecretsAreOpenedByAKryopticToken(t *testing.T) {
	tok := software(t, testkryoptic.Module(t), hsm.Options{InitArgs: filepath.Join(t.TempDir(), "kryoptic.sql")})
	opensBy(t, tok, tok, keys.ECDHP256, derives...)
}

func TestSecretsAreOpenedByATPM(t *testing.T) {
	dir := t.TempDir()
	tpm := testtpm.NewMaker(t, dir).Start("sealed")
	store := testtpm.NewStore(t, dir, testtpm.Token{TPM: tpm, Label: "sealed", UserPIN: pin, SOPIN: soPIN})
	for _, v := range store.Env {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	m, err := hsm.Open(store.Module, hsm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	tok := opened(t, m, "sealed")
	by := tpmdevice.WithAgreement(context.Background(), tok, tpmdevice.Source{TCTI: tpm.TCTI, Store: store.File, Label: "sealed"})
	if err := by.Login([]byte(pin)); err != nil {
		t.Fatal(err)
	}
	// A key of a TPM that agrees is one that decrypts: it has no DERIVE.
	opensBy(t, tok, by, keys.ECDHP256, token.Setting{Name: token.Decrypt, Value: true})
}
