package session

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// Key is a session key in an HSM: TLS has it sign, and never sees it.
type Key struct {
	public *keys.Public
	key    crypto.PublicKey
	sign   func(message []byte) ([]byte, error)
}

// NewKey is the key with this SubjectPublicKeyInfo. sign has the token sign a whole
// message in the form that internal/keys verifies, as hsm.Token does.
func NewKey(spki []byte, sign func(message []byte) ([]byte, error)) (*Key, error) {
	p, err := keys.ParseSPKI(spki)
	if err != nil {
		return nil, fmt.Errorf("the session key %w", err)
	}
	if _, ok := schemes[p.Algorithm()]; !ok {
		return nil, fmt.Errorf("the session key is of kind %s, which signs no TLS handshake", p.Algorithm())
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, err
	}
	return &Key{p, pub, sign}, nil
}

// SPKI is the public key's DER SubjectPublicKeyInfo.
func (k *Key) SPKI() []byte { return k.public.SPKI() }

// Public is for crypto.Signer.
func (k *Key) Public() crypto.PublicKey { return k.key }

// Sign refuses: tokens are given messages, of which they or we make the digest, and
// TLS asks for that by SignMessage.
func (k *Key) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("an HSM's session key signs messages, not digests")
}

// SignMessage has the token sign. It refuses a digest or a scheme that is not the one
// in which the token signs.
func (k *Key) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if want := schemes[k.public.Algorithm()].hash; opts.HashFunc() != want {
		return nil, fmt.Errorf("an %s key signs over %s, and %s is wanted", k.public.Algorithm(), want, opts.HashFunc())
	}
	sig, err := k.sign(message)
	if err != nil {
		return nil, fmt.Errorf("the HSM doesn't sign: %w", err)
	}
	return sig, nil
}

// schemes are how each kind of key signs in TLS.
var schemes = map[keys.Algorithm]struct {
	tls  tls.SignatureScheme
	cert x509.SignatureAlgorithm
	hash crypto.Hash
}{
	keys.Ed25519: {tls.Ed25519, x509.PureEd25519, 0},
	keys.P256:    {tls.ECDSAWithP256AndSHA256, x509.ECDSAWithSHA256, crypto.SHA256},
	keys.P384:    {tls.ECDSAWithP384AndSHA384, x509.ECDSAWithSHA384, crypto.SHA384},
	keys.RSA3072: {tls.PSSWithSHA256, x509.SHA256WithRSAPSS, crypto.SHA256},
}

// certificate has the key sign a certificate for itself. That it verifies shows that
// the token has the private half, before anybody connects.
func (k *Key) certificate(node string) (tls.Certificate, error) {
	how := schemes[k.public.Algorithm()]
	// Nobody reads its fields. RFC 5280, section 4.1.2.5, has this end for "none".
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: node}, SignatureAlgorithm: how.cert,
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(nil, template, template, k.key, k)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("node %s: its session key gives no certificate: %w", node, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k, Leaf: leaf, SupportedSignatureAlgorithms: []tls.SignatureScheme{how.tls}}, nil
}
