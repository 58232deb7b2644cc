package sshsig

import (
	"errors"
	"fmt"
)

// Signer is a private key that stays where it is.
type Signer interface {
	Key() *Key
	Sign(namespace string, message []byte) (*Signature, error)
}

// SignWith makes a signature by a function that signs bytes with the key and
// gives the signature in SSH's encoding, type first. It makes what ssh-keygen
// -Y sign makes, with SHA-512, and verifies it before anybody gets it: a
// faulty agent or device is found out at once, not at the audit.
func SignWith(key *Key, namespace string, message []byte, sign func(signed []byte) ([]byte, error)) (*Signature, error) {
	if key == nil {
		return nil, errors.New("there is no admitted key to sign with")
	}
	if err := checkText(namespace); err != nil {
		return nil, fmt.Errorf("the namespace %w", err)
	}
	const hash = "sha512"
	blob, err := sign(toBeSigned(namespace, hash, message))
	if err != nil {
		return nil, err
	}
	s, err := parse(encode(key.blob, namespace, hash, blob))
	if err != nil {
		return nil, fmt.Errorf("what the key %s made is no signature we take: %w", key.Fingerprint(), err)
	}
	if err := s.Verify(namespace, message); err != nil {
		return nil, fmt.Errorf("what the key %s made was not taken: %w", key.Fingerprint(), err)
	}
	return s, nil
}
