package client

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// keySize is the size of the key that encrypts a device's backup.
const keySize = 32

// NewKey draws a device's key. It never leaves the device but sealed.
func NewKey(random io.Reader) ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("no randomness: %w", err)
	}
	return key, nil
}

// The sealed key: a version, a nonce, AES-256-GCM over the key.
const (
	sealedVersion = 1
	sealedNonce   = 12
)

// SealedSize is the size of what Seal gives.
const SealedSize = 1 + sealedNonce + keySize + 16

var errSealed = errors.New("the sealed key that the nodes gave isn't the one that was registered for this account and fleet")

// Seal seals a device's key under a secret of 32 bytes or more that nobody else has:
// OPAQUE's export key, or what a passkey gives. What names purpose, account and fleet;
// the same ones open it.
func Seal(random io.Reader, secret, key []byte, what ...string) ([]byte, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("a device's key has %d bytes, not %d", keySize, len(key))
	}
	gcm, err := sealing(secret, what)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 1+sealedNonce)
	head[0] = sealedVersion
	if _, err := io.ReadFull(random, head[1:]); err != nil {
		return nil, fmt.Errorf("no randomness: %w", err)
	}
	return gcm.Seal(head, head[1:], key, head[:1]), nil
}

// Unseal opens what Seal has sealed, or gives nothing.
func Unseal(secret, sealed []byte, what ...string) ([]byte, error) {
	if len(sealed) != SealedSize || sealed[0] != sealedVersion {
		return nil, errSealed
	}
	gcm, err := sealing(secret, what)
	if err != nil {
		return nil, err
	}
	key, err := gcm.Open(nil, sealed[1:1+sealedNonce], sealed[1+sealedNonce:], sealed[:1])
	if err != nil {
		return nil, errSealed
	}
	return key, nil
}

// sealing derives the sealing's own key, bound to what it is for.
func sealing(secret []byte, what []string) (cipher.AEAD, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("a secret of %d bytes seals nothing; it has 32 at least", len(secret))
	}
	if len(what) == 0 {
		return nil, errors.New("a sealing without a purpose could be opened for another one")
	}
	info := []byte("fleetctl-drill/1 sealed key")
	for _, w := range what {
		info = append(binary.BigEndian.AppendUint16(info, uint16(len(w))), w...)
	}
	key, err := hkdf.Key(sha512.New, secret, nil, string(info), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
