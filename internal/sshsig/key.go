// Package sshsig reads OpenSSH public keys as fleetctl admits them.
package sshsig

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ed25519"
	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// Key is an admitted OpenSSH public key.
type Key struct{ pub ssh.PublicKey }

// allowed are the key types people may sign with. Certificates would let
// someone else say who they are; RSA and DSA are left out.
var allowed = map[string]bool{
	ssh.KeyAlgoED25519:    true,
	ssh.KeyAlgoSKED25519:  true,
	ssh.KeyAlgoSKECDSA256: true,
	ssh.KeyAlgoECDSA256:   true,
	ssh.KeyAlgoECDSA384:   true,
}

// ParsePublicKey reads one line of a .pub file: type, base64, comment.
func ParsePublicKey(line string) (*Key, error) {
	if strings.ContainsAny(line, "\r\n") {
		return nil, errors.New("is more than one line")
	}
	pub, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(rest) > 0 {
		return nil, errors.New("is no OpenSSH public key")
	}
	if len(options) > 0 || !strings.HasPrefix(line, pub.Type()+" ") {
		return nil, errors.New("has options before its type")
	}
	if !allowed[pub.Type()] {
		return nil, fmt.Errorf("is of type %s; allowed are ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384 and the FIDO2 types sk-ssh-ed25519, sk-ecdsa", pub.Type())
	}
	if c, ok := pub.(ssh.CryptoPublicKey); ok {
		if k, ok := c.CryptoPublicKey().(ed25519.PublicKey); ok {
			if err := keys.AdmitEd25519(k); err != nil {
				return nil, err
			}
		}
	}
	return &Key{pub: pub}, nil
}

// Fingerprint is the key's SHA256:… as OpenSSH prints it.
func (k *Key) Fingerprint() string { return ssh.FingerprintSHA256(k.pub) }

// Type is the key's OpenSSH type.
func (k *Key) Type() string { return k.pub.Type() }
