package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// fileSigner admits the public half as every other key is admitted.
func fileSigner(path string, public crypto.PublicKey, sign func([]byte) ([]byte, error)) (*signer, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, usage(strict.Errorf(path, "%v", err))
	}
	admitted, err := keys.ParseSPKI(der)
	if err != nil {
		return nil, usage(strict.Errorf(path, "%v", err))
	}
	return &signer{public: admitted, sign: sign, close: func() {}}, nil
}

// signP256 signs in the one form that internal/keys verifies, the lower S. The
// signature follows from key and message (RFC 6979), so that to sign again is
// to have the same.
func signP256(k *ecdsa.PrivateKey, msg []byte) ([]byte, error) {
	der, err := k.Sign(nil, keys.Digest(keys.P256, msg), crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	raw := make([]byte, 64)
	rs.R.FillBytes(raw[:32])
	rs.S.FillBytes(raw[32:])
	return keys.SignatureFromRaw(keys.P256, raw)
}

// makeKey is how to make a key file of a kind.
func makeKey(kind keys.Algorithm, path string) string {
	if kind == keys.P256 {
		return "make one with\nopenssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " + path
	}
	return "make one with\nopenssl genpkey -algorithm ed25519 -out " + path
}
