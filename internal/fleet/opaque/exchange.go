package opaque

import (
	"fmt"

	"github.com/cloudflare/circl/oprf"
)

// exchange is the Diffie-Hellman of 3DH over encoded keys (RFC 9807, 6.4.1).
type exchange interface {
	size() int // of a public key
	derive(seed []byte) (private, public []byte, err error)
	public(private []byte) ([]byte, error)
	shared(private, public []byte) ([]byte, error)
	admit(what string, public []byte) error
}

// groupExchange is 3DH in the OPRF's own group (6.4.1.1, 6.4.1.2).
type groupExchange struct{ oprf oprf.Suite }

func (x groupExchange) size() int { return int(x.oprf.Group().Params().CompressedElementLength) }

func (x groupExchange) derive(seed []byte) (private, public []byte, err error) {
	k, err := oprf.DeriveKey(x.oprf, oprf.BaseMode, seed, []byte("OPAQUE-DeriveDiffieHellmanKeyPair"))
	if err != nil {
		return nil, nil, err
	}
	if private, err = k.MarshalBinary(); err != nil {
		return nil, nil, err
	}
	if public, err = k.Public().MarshalBinary(); err != nil {
		return nil, nil, err
	}
	return private, public, nil
}

func (x groupExchange) public(private []byte) ([]byte, error) {
	k := new(oprf.PrivateKey)
	if err := k.UnmarshalBinary(x.oprf, private); err != nil {
		return nil, fmt.Errorf("a private key of %d bytes is no scalar of the group other than zero", len(private))
	}
	return k.Public().MarshalBinary()
}

func (x groupExchange) shared(private, public []byte) ([]byte, error) {
	e, err := decodeElement(x.oprf.Group(), "the peer's public key", public)
	if err != nil {
		return nil, err
	}
	k := x.oprf.Group().NewScalar()
	if err := k.UnmarshalBinary(private); err != nil { // not zero: derived, or admitted by public
		return nil, err
	}
	return x.oprf.Group().NewElement().Mul(e, k).MarshalBinaryCompress()
}

func (x groupExchange) admit(what string, public []byte) error {
	_, err := decodeElement(x.oprf.Group(), what, public)
	return err
}
