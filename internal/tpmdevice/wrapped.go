//go:build cgo && unix

package tpmdevice

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/fleetctl/fleetctl/internal/hsm"
)

// Token is what is needed of a token of tpm2-pkcs11.
type Token interface {
	VendorAttributes(id []byte, types ...uint) ([][]byte, error)
}

// The attributes of tpm2-pkcs11 (its pkcs11.h, 1.9): what TPM2_Load takes, and the
// key's authorisation value, encrypted.
const (
	attributeAuth    = 0x8f000001
	attributePublic  = 0x8f000002
	attributePrivate = 0x8f000003
)

// loadedKey is a key of tpm2-pkcs11 that is in the TPM now.
type loadedKey struct {
	*object
	parent *object
	auth   []byte
}

// proof authorises the key's use.
func (k *loadedKey) proof() tpm2.Session { return proof(k.parent, k.auth, false) }

// withKey loads a key, for as long as do takes, as the module does before it signs.
func withKey(t transport.TPM, s Source, token Token, id, pin []byte, do func(*loadedKey) error) (err error) {
	blobs, err := token.VendorAttributes(id, attributeAuth, attributePublic, attributePrivate)
	if err != nil {
		return err
	}
	if len(blobs[1]) == 0 || len(blobs[2]) == 0 {
		return errors.New("the token has no TPM's key blobs, so that its module is not tpm2-pkcs11")
	}
	sealed, err := hsm.SealedTPM(s.Store, s.Label)
	if err != nil {
		return err
	}
	parent, err := parentOf(t, sealed.Parent)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Store, err)
	}
	auth, err := unwrap(t, parent, &sealed, pin, blobs[0])
	if err != nil {
		return fmt.Errorf("the key's authorisation: %w", err)
	}
	defer clear(auth)
	key, err := load(t, parent, sealed.ParentAuth, blobs[1], blobs[2])
	if err != nil {
		return fmt.Errorf("the key can't be loaded: %w", err)
	}
	defer func() { err = errors.Join(err, flush(t, key)) }()
	return do(&loadedKey{key, parent, auth})
}

// esysTR is the handle at the head of what tpm2-tss keeps of a persistent key, as
// tpm2_ptool writes it and as the module does.
var esysTR = regexp.MustCompile(`esys-tr["']?\s*:\s*(?:!!str\s+)?["']?([0-9a-fA-F]{8})`)

func parentOf(t transport.TPM, config string) (*object, error) {
	m := esysTR.FindStringSubmatch(config)
	if m == nil {
		return nil, errors.New("the token's keys stand under a key that isn't persistent, which is not taken: make the store with tpm2_ptool init, without --transient-parent")
	}
	handle, err := strconv.ParseUint(m[1], 16, 32)
	if err != nil {
		return nil, err
	}
	return persistent(t, tpm2.TPMHandle(handle))
}

// unwrap opens a key's authorisation value: the TPM unseals, for the PIN, the key
// that encrypts it.
func unwrap(t transport.TPM, parent *object, sealed *hsm.SealedKey, pin, encrypted []byte) (auth []byte, err error) {
	if len(encrypted) == 0 {
		return nil, nil // the key has none
	}
	seal, err := load(t, parent, sealed.ParentAuth, sealed.Public, sealed.Private)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, flush(t, seal)) }()
	pinAuth := sealAuth(pin, sealed.Salt)
	defer clear(pinAuth)
	r, err := tpm2.Unseal{ItemHandle: seal.as(proof(parent, pinAuth, true))}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("the PIN doesn't open it: %w", err)
	}
	defer clear(r.OutData.Buffer)
	key := make([]byte, hex.DecodedLen(len(r.OutData.Buffer)))
	defer clear(key)
	if _, err := hex.Decode(key, r.OutData.Buffer); err != nil {
		return nil, errors.New("what the TPM unseals is no key")
	}
	return decrypt(key, encrypted)
}

// sealAuth is what the module makes of a PIN: half of the digest, in hex.
func sealAuth(pin, salt []byte) []byte {
	salted := append(append(make([]byte, 0, len(pin)+len(salt)), pin...), salt...)
	defer clear(salted)
	sum := sha256.Sum256(salted)
	defer clear(sum[:])
	return hex.AppendEncode(nil, sum[:16])
}

// decrypt opens IV:TAG:CIPHERTEXT, each in hex, by AES-GCM.
func decrypt(key, encrypted []byte) ([]byte, error) {
	var fields [3][]byte
	parts := bytes.Split(encrypted, []byte(":"))
	if len(parts) != len(fields) {
		return nil, errors.New("the module keeps it in another form than is known")
	}
	for i, p := range parts {
		fields[i] = make([]byte, hex.DecodedLen(len(p)))
		if _, err := hex.Decode(fields[i], p); err != nil {
			return nil, errors.New("the module keeps it in another form than is known")
		}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errors.New("what the TPM unseals is no key")
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	if len(fields[0]) != gcm.NonceSize() {
		return nil, errors.New("the module keeps it in another form than is known")
	}
	auth, err := gcm.Open(nil, fields[0], append(fields[2], fields[1]...), nil)
	if err != nil {
		return nil, errors.New("it is not of this token: another store or another label is meant")
	}
	return auth, nil
}
