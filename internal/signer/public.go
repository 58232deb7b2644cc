package signer

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// KeyFlag reads name=KEY. KEY is base64, a file with base64 or PEM, or the OpenSSH .pub
// file of an Ed25519 key. The name may be empty.
func KeyFlag(flag, s string) (name string, key []byte, err error) {
	name, text, ok := strings.Cut(s, "=")
	if !ok {
		return "", nil, cli.Usagef("", "--%s %q is not name=key", flag, strict.Clip(s))
	}
	data, err := cli.ReadWhole(text)
	var refused *strict.Error
	switch {
	case err == nil:
		text = strings.TrimSpace(string(data))
	case errors.As(err, &refused): // there is such a file, and it is no public key's
		return "", nil, cli.Usage(err)
	}
	if key, err = publicKey(text); err != nil {
		return "", nil, cli.Usagef("", "--%s: %v", strings.TrimSpace(flag+" "+name), err)
	}
	return name, key, nil
}

// publicKey is the SubjectPublicKeyInfo, or what else base64 holds, of a key's text.
func publicKey(text string) ([]byte, error) {
	if cli.IsPrivate([]byte(text)) {
		return nil, errors.New("is a private key, given as an argument, which others on this machine can read")
	}
	if block, rest := pem.Decode([]byte(text)); block != nil && block.Type == "PUBLIC KEY" && len(bytes.TrimSpace(rest)) == 0 {
		return block.Bytes, nil
	}
	if strings.HasPrefix(text, "ssh-ed25519 ") {
		k, err := sshsig.ParsePublicKey(text)
		if err != nil {
			return nil, err
		}
		raw, _ := k.Ed25519()
		public, err := keys.FromEd25519(raw)
		if err != nil {
			return nil, err
		}
		return public.SPKI(), nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%q is neither a file nor a public key in base64, PEM or OpenSSH's form", strict.Clip(text))
	}
	return key, nil
}

// RawEd25519 reads an Ed25519 key: 32 raw bytes, or a SubjectPublicKeyInfo.
func RawEd25519(b []byte) (raw [32]byte, err error) {
	if len(b) == len(raw) {
		return [32]byte(b), nil
	}
	k, err := keys.ParseSPKI(b)
	if err != nil {
		return raw, err
	}
	p, ok := k.Ed25519()
	if !ok {
		return raw, fmt.Errorf("is %s, a third party signs with Ed25519", k.Algorithm())
	}
	return [32]byte(p), nil
}
