package signer

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
)

// KeyFlag reads name=KEY. KEY is base64, a file with base64, or the OpenSSH .pub file of
// an Ed25519 key.
func KeyFlag(flag, s string) (name string, key []byte, err error) {
	name, text, ok := strings.Cut(s, "=")
	if !ok {
		return "", nil, cli.Usagef("", "--%s %q is not name=key", flag, s)
	}
	if data, err := os.ReadFile(text); err == nil {
		text = strings.TrimSpace(string(data))
	}
	if strings.HasPrefix(text, "ssh-ed25519 ") {
		k, err := sshsig.ParsePublicKey(text)
		if err != nil {
			return "", nil, cli.Usagef("", "--%s %s: %v", flag, name, err)
		}
		raw, _ := k.Ed25519()
		public, err := keys.FromEd25519(raw)
		if err != nil {
			return "", nil, cli.Usagef("", "--%s %s: %v", flag, name, err)
		}
		return name, public.SPKI(), nil
	}
	key, err = base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", nil, cli.Usagef("", "--%s %s: %q is neither a file nor base64", flag, name, text)
	}
	return name, key, nil
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
