// Package signer opens the keys of people and parties, in files, in ssh-agent and in tokens,
// and has PINs and passphrases entered.
package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ed25519"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/hsm/uri"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Key is a private key, which may be in a token or in ssh-agent.
type Key struct {
	Public *keys.Public
	Sign   func(as keys.Context, message []byte) ([]byte, error)
	Close  func()

	token *hsm.Token // where it is, if in one; logged in
}

// For signs for one use.
func (k *Key) For(as keys.Context) func(message []byte) ([]byte, error) {
	return func(message []byte) ([]byte, error) { return k.Sign(as, message) }
}

// always signs whatever it is for, as all kinds of keys but ML-DSA do: the text says it.
func always(sign func([]byte) ([]byte, error)) func(keys.Context, []byte) ([]byte, error) {
	return func(_ keys.Context, message []byte) ([]byte, error) { return sign(message) }
}

// Help is the help of a flag that takes a party's key.
const Help = "a `key`: pkcs11:token=…;id=%01?module-path=/…&pin-source=file:/…, agent:FILE.pub for the ssh-ed25519 key in ssh-agent with that public half, or the path of a PKCS#8 PEM file that only its owner reads, best encrypted by age: see fleetctl thirdparty keygen"

// Open opens the key that a reference names; a file must hold an Ed25519 key.
func Open(a *cli.App, ref string) (*Key, error) { return OpenOf(a, ref, keys.Ed25519) }

// anyMLDSA is every parameter set, where a file says by itself of which its key is.
const anyMLDSA keys.Algorithm = "ml-dsa"

// OpenPostQuantum opens the ML-DSA key that a reference names, in a token or in a file,
// beside another key, which stays open. In the same token it is one login for both: a
// token logs a program in, not a key.
func OpenPostQuantum(a *cli.App, ref string, beside *Key) (*Key, error) {
	k, err := openBeside(a, ref, anyMLDSA, beside)
	if err != nil {
		return nil, err
	}
	if !k.Public.Algorithm().IsMLDSA() {
		k.Close()
		return nil, cli.Usagef("", "the post-quantum key is %s; it is one of ML-DSA", k.Public.Algorithm())
	}
	return k, nil
}

// isToken says whether a reference names a key in a token.
func isToken(ref string) bool { return len(ref) >= 7 && strings.EqualFold(ref[:7], "pkcs11:") }

// InToken refuses a reference to an operator's key that isn't in a token.
func InToken(ref string) error {
	if !isToken(ref) {
		return cli.Usagef("give it as pkcs11:token=…;id=…?module-path=…", "the operator's key has to be in an HSM")
	}
	return nil
}

// OpenOf opens the key that a reference names; a file must hold a key of this kind.
func OpenOf(a *cli.App, ref string, kind keys.Algorithm) (*Key, error) {
	return openBeside(a, ref, kind, nil)
}

func openBeside(a *cli.App, ref string, kind keys.Algorithm, beside *Key) (*Key, error) {
	if isToken(ref) {
		return openTokenKey(a, ref, beside)
	}
	if pub, ok := strings.CutPrefix(ref, agentRef); ok {
		return openAgentKey(pub, kind)
	}
	return openKeyFile(a, ref, kind)
}

func openTokenKey(a *cli.App, ref string, beside *Key) (*Key, error) {
	u, err := uri.Parse(ref)
	if err != nil {
		return nil, cli.Usage(err)
	}
	if u.ModulePath == "" || len(u.ID) == 0 {
		return nil, cli.Usagef("such as pkcs11:token=operator;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so", "a key's URI needs module-path and id")
	}
	m, err := hsm.Open(u.ModulePath, Options(a, ""))
	if err != nil {
		return nil, err
	}
	t, err := m.Token(hsm.Select(u))
	m.Close()
	if err != nil {
		return nil, err
	}
	open, err := beside.in(t)
	if err != nil || open {
		t.Close()
	}
	if err != nil {
		return nil, err
	}
	if open {
		return tokenKey(beside.token, u, func() {})
	}
	if err = Unlock(a, t, uriSource(u.PINSource), "token "+u.Token+u.Serial); err == nil {
		var k *Key
		if k, err = tokenKey(t, u, func() { t.Close() }); err == nil {
			return k, nil
		}
	}
	t.Close()
	return nil, err
}

// in says whether a key is in a token, and has it unlocked.
func (k *Key) in(t *hsm.Token) (bool, error) {
	if k == nil || k.token == nil {
		return false, nil
	}
	mine, err := k.token.Info()
	if err != nil {
		return false, err
	}
	other, err := t.Info()
	return mine.Module == other.Module && mine.Slot == other.Slot, err
}

// tokenKey is the key of a token that is logged in.
func tokenKey(t *hsm.Token, u *uri.URI, done func()) (*Key, error) {
	// The URI doesn't say which kind of key it is, so try each.
	for _, alg := range keys.Algorithms {
		spki, err := t.PublicKey(string(alg), u.ID)
		if err != nil {
			continue
		}
		public, err := keys.ParseSPKI(spki)
		if err != nil {
			return nil, err
		}
		return &Key{
			Public: public,
			Sign:   func(as keys.Context, msg []byte) ([]byte, error) { return t.Sign(string(alg), u.ID, as, msg) },
			Close:  done,
			token:  t,
		}, nil
	}
	return nil, strict.Errorf("", "the token has no key of a kind we use under id %x", u.ID)
}

// openKeyFile reads a PKCS#8 PEM file (RFC 5208, RFC 7468) with a key of this kind, Ed25519
// ECDSA P-256 or ML-DSA, plain or encrypted by age with a passphrase. The source of the passphrase
// may follow the path as in a PKCS#11 URI: key.age?pin-source=file:PATH, a relative one from the folder in
// which the command runs.
func openKeyFile(a *cli.App, ref string, kind keys.Algorithm) (*Key, error) {
	path, source, _ := strings.Cut(ref, "?pin-source=")
	info, err := os.Stat(path)
	if err != nil {
		return nil, cli.Usage(cli.Missing(err))
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, cli.Usage(strict.Errorf(path, "is a private key that others can read (mode %04o)", info.Mode().Perm()).WithHint("chmod 600 %s", path))
	}
	if info.Size() > maxKeyFile {
		return nil, cli.Usage(strict.Errorf(path, "has %d bytes; a key file has at most %d", info.Size(), maxKeyFile))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	if isAge(data) {
		plain, err := decryptKey(a, path, source, data)
		if err != nil {
			return nil, err
		}
		defer clear(plain)
		data = plain
	} else if source != "" {
		return nil, cli.Usage(strict.Errorf(path, "is not encrypted, so there is no passphrase to be had from %s", source))
	}
	return parseKeyFile(path, data, kind)
}

func parseKeyFile(path string, data []byte, kind keys.Algorithm) (*Key, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, cli.Usage(strict.Errorf(path, "is no PKCS#8 PEM private key").WithHint("%s", HowToMake(kind, path)))
	}
	switch k, ours, err := keys.ParseMLDSA(block.Bytes); {
	case err != nil:
		return nil, cli.Usage(strict.Errorf(path, "%v", err).WithHint("%s", HowToMake(kind, path)))
	case ours && (k.Public().Algorithm() == kind || kind == anyMLDSA):
		return &Key{Public: k.Public(), Sign: k.Sign, Close: func() {}}, nil
	case ours:
		return nil, anotherKind(path, kind)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, cli.Usage(strict.Errorf(path, "is no PKCS#8 private key"))
	}
	switch k := key.(type) {
	case ed25519.PrivateKey:
		if kind == keys.Ed25519 {
			return fileSigner(path, k.Public(), func(msg []byte) ([]byte, error) { return ed25519.Sign(k, msg), nil })
		}
	case *ecdsa.PrivateKey:
		if kind == keys.P256 && k.Curve == elliptic.P256() {
			return fileSigner(path, k.Public(), func(msg []byte) ([]byte, error) { return keys.SignP256(k, msg) })
		}
	}
	return nil, anotherKind(path, kind)
}

func anotherKind(path string, kind keys.Algorithm) error {
	return cli.Usage(strict.Errorf(path, "is no %s key; a file's key is of that kind here, other kinds are taken from HSMs", kind).WithHint("%s", HowToMake(kind, path)))
}

// KeyTypeFlag is the flag that says of which kind a log's or a witness's key file is.
func KeyTypeFlag(c *cobra.Command, kind *string) {
	c.Flags().StringVar(kind, "key-type", string(keys.Ed25519), "of which `kind` a key in a file is: ed25519, or ml-dsa-44, which signs post-quantum; a token says it itself")
}

// LogKeyKind is the kind that a --key-type names.
func LogKeyKind(name string) (keys.Algorithm, error) {
	if kind := keys.Algorithm(name); kind == keys.Ed25519 || kind == keys.MLDSA44 {
		return kind, nil
	}
	return "", cli.Usagef("", "--key-type is %q; logs and witnesses sign with ed25519 or ml-dsa-44", name)
}

// MakeFile makes the key file of a kind that a reference names, if it doesn't exist yet. It
// makes no encrypted file: thirdparty keygen does, which asks for the passphrase twice.
func MakeFile(a *cli.App, ref string, kind keys.Algorithm) error {
	if isToken(ref) {
		return nil
	}
	path, _, encrypted := strings.Cut(ref, "?pin-source=")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if encrypted {
		return cli.Usage(strict.Errorf(path, "no such file or directory").WithHint("an encrypted key is made with\nfleetctl thirdparty keygen --key %s", path))
	}
	return newKeyFile(a, path, kind)
}

// newKeyFile generates a key and writes it to a file that only its owner can read.
func newKeyFile(a *cli.App, path string, kind keys.Algorithm) error {
	der, err := generate(a, kind)
	if err != nil {
		return err
	}
	err = durable.Create(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), fs.FileMode(0o600))
	clear(der)
	return cli.Exists(err, path)
}

// generate makes an Ed25519 or an ML-DSA key, as PKCS#8.
func generate(a *cli.App, kind keys.Algorithm) ([]byte, error) {
	if !kind.IsMLDSA() {
		_, key, err := ed25519.GenerateKey(a.Random)
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKCS8PrivateKey(key)
	}
	seed := make([]byte, 32)
	defer clear(seed)
	if _, err := io.ReadFull(a.Random, seed); err != nil {
		return nil, err
	}
	key, err := keys.NewMLDSA(kind, seed)
	if err != nil {
		return nil, err
	}
	return key.PKCS8(), nil
}

// fileSigner makes a Key, whose public half must be admitted like every other key.
func fileSigner(path string, public crypto.PublicKey, sign func([]byte) ([]byte, error)) (*Key, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, cli.Usage(strict.Errorf(path, "%v", err))
	}
	admitted, err := keys.ParseSPKI(der)
	if err != nil {
		return nil, cli.Usage(strict.Errorf(path, "%v", err))
	}
	return &Key{Public: admitted, Sign: always(sign), Close: func() {}}, nil
}

// HowToMake is the hint that says how to make a key file of a kind.
func HowToMake(kind keys.Algorithm, path string) string {
	switch {
	case kind == keys.P256:
		return "make one with\nopenssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " + path
	case kind == anyMLDSA:
		return HowToMake(keys.MLDSA65, path)
	case kind.IsMLDSA():
		return "make one with OpenSSL 3.5 or newer:\nopenssl genpkey -algorithm " + string(kind) + " -provparam ml-dsa.output_formats=seed-only -out " + path
	}
	return "make one with\nopenssl genpkey -algorithm ed25519 -out " + path
}
