// Package sealed keeps what the nodes of a reference fleet have in common and no
// device may know, as a file in which it is encrypted to each HSM's agreement key: by
// HPKE (RFC 9180), opened by the HSM's half of the key agreement and by nothing else.
//
// It is a reference, not a vault: once opened, the secrets are in the host's memory. In
// a vault the code that uses them runs in the HSM too.
package sealed

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// Secrets are the same on every node of a fleet: whichever is the leader answers.
type Secrets struct {
	// Seed gives the records of accounts that don't exist, and nothing else.
	Seed [opaque.SeedSize]byte
	// ServerKey is the private key of OPAQUE's key exchange.
	ServerKey [opaque.ServerKeySize]byte
}

const (
	// version is the first byte of what is sealed.
	version    = 1
	secretSize = 1 + opaque.SeedSize + opaque.ServerKeySize
	tagSize    = 16 // of AES-256-GCM
)

// New draws a fleet's secrets.
func New(random io.Reader) (*Secrets, error) {
	s := &Secrets{}
	if _, err := io.ReadFull(random, s.Seed[:]); err != nil {
		return nil, err
	}
	key, err := opaque.NewServerKey(random)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	if copy(s.ServerKey[:], key) != len(key) || len(key) != len(s.ServerKey) {
		return nil, fmt.Errorf("a server's key has %d bytes; this one has %d", len(s.ServerKey), len(key))
	}
	return s, nil
}

// Clear overwrites the secrets.
func (s *Secrets) Clear() {
	clear(s.Seed[:])
	clear(s.ServerKey[:])
}

func (s *Secrets) encode() []byte {
	out := append(make([]byte, 0, secretSize), version)
	return append(append(out, s.Seed[:]...), s.ServerKey[:]...)
}

func parseSecrets(b []byte) (*Secrets, error) {
	if len(b) != secretSize || b[0] != version {
		return nil, errors.New("what was sealed is in another form than is known: use the fleetctl that sealed it")
	}
	s := &Secrets{}
	copy(s.Seed[:], b[1:])
	copy(s.ServerKey[:], b[1+opaque.SeedSize:])
	if s.Seed == ([opaque.SeedSize]byte{}) || s.ServerKey == ([opaque.ServerKeySize]byte{}) {
		return nil, errors.New("what was sealed is zero, and no secret")
	}
	return s, nil
}

// Digest names the secrets without telling them, which their randomness allows. It
// stands in the first entry of the fleet's log, so that every node has the same.
func (s *Secrets) Digest() [sha256.Size]byte {
	return sha256.Sum256(append([]byte("fleetctl fleet-secrets digest v1\n"), s.encode()...))
}

// infoFor says for whom secrets are sealed: HPKE's info. What was sealed for one fleet,
// epoch, bundle or HSM opens for no other.
func infoFor(set *bundle.KeySet, digest [sha256.Size]byte, hsm string) []byte {
	out := []byte("fleetctl fleet-secrets v1")
	for _, s := range []string{set.Mode, set.Namespace, set.Fleet, hsm} {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(s))), s...)
	}
	return append(binary.BigEndian.AppendUint64(out, set.Epoch), digest[:]...)
}

// agreement is an HSM's agreement key in the bundle.
func agreement(set *bundle.KeySet, role, hsm string) (*bundle.FleetKey, *ecdh.PublicKey, error) {
	for i, k := range set.Keys {
		if k.HSM != hsm || k.Role != role {
			continue
		}
		pub, err := k.Public.ECDH()
		if err != nil {
			return nil, nil, fmt.Errorf("hsm %s, role %s: %w; secrets are sealed to keys that agree so: the bundle has the roles %v", hsm, role, err, set.Roles())
		}
		return &set.Keys[i], pub, nil
	}
	return nil, nil, fmt.Errorf("the bundle has no key of hsm %s for role %s: it has the hsms %v and the roles %v", hsm, role, set.HSMs(), set.Roles())
}

// exchanger has an HSM do the key agreement of HPKE.
type exchanger struct {
	alg   keys.Algorithm
	pub   *ecdh.PublicKey
	agree func(peer []byte) ([]byte, error)
}

func (e *exchanger) PublicKey() *ecdh.PublicKey { return e.pub }
func (e *exchanger) Curve() ecdh.Curve          { return e.pub.Curve() }

// ECDH gives the peer to the HSM in the encoding of [keys.Peer].
func (e *exchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	raw := peer.Bytes()
	if e.alg == keys.ECDHP256 {
		raw = append([]byte{2 + raw[len(raw)-1]&1}, raw[1:33]...)
	}
	if _, err := keys.ParsePeer(e.alg, raw); err != nil {
		return nil, fmt.Errorf("the key that was sealed with %w", err)
	}
	secret, err := e.agree(raw)
	if err != nil {
		return nil, fmt.Errorf("the HSM doesn't agree: %w", err)
	}
	return secret, nil
}

// sizeOf is the size of what is sealed to a key of a kind.
func sizeOf(alg keys.Algorithm) int {
	switch alg {
	case keys.ECDHP256:
		return 65 + secretSize + tagSize
	case keys.X25519:
		return 32 + secretSize + tagSize
	}
	return 0
}

func seal(pub *ecdh.PublicKey, info, text []byte) ([]byte, error) {
	k, err := hpke.NewDHKEMPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return hpke.Seal(k, hpke.HKDFSHA256(), hpke.AES256GCM(), info, text)
}

func open(e *exchanger, info, sealed []byte) ([]byte, error) {
	k, err := hpke.NewDHKEMPrivateKey(e)
	if err != nil {
		return nil, err
	}
	return hpke.Open(k, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
}
