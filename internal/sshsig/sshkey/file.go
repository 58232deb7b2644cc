// Package sshkey signs as ssh-keygen -Y sign does, with keys in OpenSSH's
// files and in ssh-agent, FIDO2 keys among the latter. It stands apart from
// package sshsig because x/crypto/ssh and the agent's socket bring the network
// along, which whoever only verifies shall not have.
package sshkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ed25519"
	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ErrPassphrase is the error of a passphrase that doesn't open the file: ask again.
var ErrPassphrase = errors.New("the passphrase does not open the key file")

const (
	pemType  = "OPENSSH PRIVATE KEY"
	keyMagic = "openssh-key-v1\x00"
	maxFile  = 16384 // bytes; a file with an allowed key has about 500
)

// container is the outside of a key file (OpenSSH's file PROTOCOL.key), which
// can be read without the passphrase.
type container struct {
	Cipher, KDF, KDFOptions string
	Count                   uint32
	Public                  []byte
	Rest                    []byte `ssh:"rest"`
}

// File is a private key from a file.
type File struct {
	key    *sshsig.Key
	signer ssh.Signer
	raw    any
}

// Open reads an OpenSSH private key from a file that nobody but its owner can
// read. Only for an encrypted key that may sign is passphrase called; Open
// overwrites what it gives. If it may be asked again, the error is
// ErrPassphrase.
func Open(path string, passphrase func() ([]byte, error)) (*File, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, maxFile+1)
	defer clear(data)
	n, err := io.ReadFull(f, data)
	if err == nil {
		return nil, strict.Errorf(path, "is longer than %d bytes: no private key of an allowed kind", maxFile)
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	return parse(path, data[:n], passphrase)
}

func parse(path string, data []byte, passphrase func() ([]byte, error)) (*File, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != pemType || len(bytes.TrimSpace(rest)) > 0 || !bytes.HasPrefix(data, []byte("-----BEGIN ")) {
		return nil, strict.Errorf(path, "is no OpenSSH private key").
			WithHint("give the file that ssh-keygen made beside the .pub file; a key in an older format is rewritten by\nssh-keygen -p -f %s", path)
	}
	defer clear(block.Bytes)
	var c container
	wire, ok := bytes.CutPrefix(block.Bytes, []byte(keyMagic))
	if !ok || ssh.Unmarshal(wire, &c) != nil || c.Count != 1 {
		return nil, strict.Errorf(path, "is a damaged OpenSSH private key").WithHint("see what ssh-keygen -y -f %s says", path)
	}
	key, err := sshsig.ParseBlob(c.Public)
	if err != nil {
		return nil, strict.Errorf(path, "holds a key that %v", err)
	}
	if strings.HasPrefix(key.Type(), "sk-") {
		return nil, strict.Errorf(path, "is the handle of a FIDO2 key, which signs through ssh-agent").WithHint("ssh-add %s", path)
	}
	if key.Hybrid() {
		return nil, strict.Errorf(path, "holds a key of type %s, which OpenSSH alone signs with so far", key.Type()).
			WithHint("sign with ssh-keygen -Y sign, and hand over the .sig file: it is verified here")
	}
	raw, err := decrypt(path, data, c.Cipher, passphrase)
	if err != nil {
		return nil, err
	}
	file := &File{key: key, raw: raw}
	file.signer, err = ssh.NewSignerFromKey(raw)
	if err != nil || !bytes.Equal(file.signer.PublicKey().Marshal(), c.Public) {
		file.Close()
		return nil, strict.Errorf(path, "holds a private key and the public key of another").WithHint("restore the file from its backup")
	}
	return file, nil
}

// decrypt asks for the passphrase only if it can decrypt the key with it.
func decrypt(path string, data []byte, cipher string, passphrase func() ([]byte, error)) (raw any, err error) {
	hint := fmt.Sprintf("let ssh-agent have it: ssh-add %s\nor encrypt it in the usual way: ssh-keygen -p -Z aes256-ctr -a 24 -f %s", path, path)
	switch cipher {
	case "none":
		raw, err = ssh.ParseRawPrivateKey(data)
	case "aes256-ctr", "aes256-cbc":
		if passphrase == nil {
			return nil, strict.Errorf(path, "is encrypted, and there is nobody to ask for its passphrase").WithHint("let ssh-agent have it: ssh-add %s", path)
		}
		var secret []byte
		secret, err = passphrase()
		defer clear(secret)
		if err != nil {
			return nil, err
		}
		if len(secret) == 0 { // which bcrypt refuses in words of its own
			return nil, fmt.Errorf("%s: %w", path, ErrPassphrase)
		}
		raw, err = ssh.ParseRawPrivateKeyWithPassphrase(data, secret)
	default:
		return nil, strict.Errorf(path, "is encrypted with %q; aes256-ctr and aes256-cbc are read here", cipher).WithHint("%s", hint)
	}
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, fmt.Errorf("%s: %w", path, ErrPassphrase)
	}
	if err != nil {
		return nil, strict.Errorf(path, "can't be opened: %v", err).WithHint("%s", hint)
	}
	return raw, nil
}

// Key is the public key.
func (f *File) Key() *sshsig.Key { return f.key }

// Sign makes a verified signature.
func (f *File) Sign(namespace string, message []byte) (*sshsig.Signature, error) {
	return sshsig.SignWith(f.key, namespace, message, func(signed []byte) ([]byte, error) {
		if f.signer == nil {
			return nil, errors.New("the key file was closed; open it again to sign")
		}
		sig, err := f.signer.Sign(rand.Reader, signed)
		if err != nil {
			return nil, fmt.Errorf("can't sign with %s: %w", f.key.Fingerprint(), err)
		}
		return ssh.Marshal(sig), nil
	})
}

// Close overwrites the private key, after which it signs no more. Copies that
// Go's and x/crypto's code made while reading and signing stay until their
// memory is used again: so much only a key in ssh-agent or a device avoids.
func (f *File) Close() {
	f.signer = nil
	switch k := f.raw.(type) {
	case *ed25519.PrivateKey:
		clear(*k)
	case *ecdsa.PrivateKey:
		clear(k.D.Bits()) //nolint:staticcheck // deprecated for computing with it
	}
}

var _ sshsig.Signer = (*File)(nil)
