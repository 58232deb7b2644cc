package main

import (
	"crypto"
	"crypto/x509"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// fileSigner admits the public half as every other key is admitted.
func fileSigner(path string, public crypto.PublicKey, sign func([]byte) ([]byte, error)) (*signer, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, cli.Usage(strict.Errorf(path, "%v", err))
	}
	admitted, err := keys.ParseSPKI(der)
	if err != nil {
		return nil, cli.Usage(strict.Errorf(path, "%v", err))
	}
	return &signer{public: admitted, sign: sign, close: func() {}}, nil
}

// makeKey is how to make a key file of a kind.
func makeKey(kind keys.Algorithm, path string) string {
	if kind == keys.P256 {
		return "make one with\nopenssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " + path
	}
	return "make one with\nopenssl genpkey -algorithm ed25519 -out " + path
}
