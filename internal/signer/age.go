package signer

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ed25519"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	ageHeader = "age-encryption.org/v1\n"

	maxKeyFile = 16 << 10

	// leastPassphrase is the shortest passphrase of a new key file, in bytes: a shorter one
	// could be guessed in spite of scrypt.
	leastPassphrase = 12
)

// isAge says whether data is a file of age, plain or armored.
func isAge(data []byte) bool {
	return bytes.HasPrefix(data, []byte(ageHeader)) || bytes.HasPrefix(data, []byte(armor.Header))
}

// decryptKey opens a key file that age encrypted with a passphrase.
func decryptKey(a *cli.App, path, source string, data []byte) ([]byte, error) {
	pin, _, err := secret(a, uriSource(source), "passphrase of the key file "+path)
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	id, err := age.NewScryptIdentity(string(pin))
	if err != nil {
		return nil, cli.Usage(strict.Errorf(path, "its passphrase: %v", err))
	}
	var in io.Reader = bytes.NewReader(data)
	if bytes.HasPrefix(data, []byte(armor.Header)) {
		in = armor.NewReader(in)
	}
	plain, err := age.Decrypt(in, id)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, strict.Errorf(path, "the passphrase does not open it").
			WithHint("or it is encrypted to a recipient's key instead of a passphrase, which is not taken here")
	case err != nil:
		return nil, cli.Usage(strict.Errorf(path, "is damaged: %v", err))
	}
	key, err := io.ReadAll(io.LimitReader(plain, maxKeyFile))
	if err != nil {
		clear(key)
		return nil, cli.Usage(strict.Errorf(path, "is damaged: %v", err))
	}
	return key, nil
}

// NewAgeKey generates an Ed25519 key and writes it encrypted with a passphrase.
func NewAgeKey(a *cli.App, path, source string) (*keys.Public, error) {
	pin, err := NewSecret(a, uriSource(source), "passphrase of the new key file "+path)
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	if len(pin) < leastPassphrase {
		return nil, cli.Usagef("several words chosen by chance are long and easy to keep", "the passphrase has %d bytes; it has to have %d at least", len(pin), leastPassphrase)
	}
	pub, priv, err := ed25519.GenerateKey(a.Random)
	if err != nil {
		return nil, err
	}
	public, err := keys.FromEd25519(pub)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(der)
	defer clear(text)
	to, err := age.NewScryptRecipient(string(pin))
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	w, err := age.Encrypt(&b, to)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, err
	}
	return public, cli.Exists(durable.Create(path, []byte(b.String()), 0o600), path)
}
