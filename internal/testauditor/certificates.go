package testauditor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files are the paths of what server and client show each other.
type Files struct {
	CA                    string // vouches for both
	Client, ClientKey     string
	Server, ServerKey     string
	Stranger, StrangerKey string // a certificate of another authority
}

// certificates makes an authority, a server's certificate and a client's, and a
// stranger's.
func certificates(dir string) (*tls.Config, Files, error) {
	f := Files{
		CA: filepath.Join(dir, "ca.pem"), Client: filepath.Join(dir, "client.pem"), ClientKey: filepath.Join(dir, "client.key"),
		Server: filepath.Join(dir, "server.pem"), ServerKey: filepath.Join(dir, "server.key"),
		Stranger: filepath.Join(dir, "stranger.pem"), StrangerKey: filepath.Join(dir, "stranger.key"),
	}
	ca, err := issue(nil, "authority", f.CA, "")
	if err != nil {
		return nil, f, err
	}
	other, err := issue(nil, "another authority", filepath.Join(dir, "other-ca.pem"), "")
	if err != nil {
		return nil, f, err
	}
	for _, x := range []struct {
		by              *authority
		name, cert, key string
	}{{ca, "127.0.0.1", f.Server, f.ServerKey}, {ca, "operator.example", f.Client, f.ClientKey}, {other, "stranger.example", f.Stranger, f.StrangerKey}} {
		if _, err := issue(x.by, x.name, x.cert, x.key); err != nil {
			return nil, f, err
		}
	}
	pair, err := tls.LoadX509KeyPair(f.Server, f.ServerKey)
	if err != nil {
		return nil, f, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, f, nil
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue writes a certificate, and its key where a file is named for that.
func issue(by *authority, name, certFile, keyFile string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true, IsCA: by == nil,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if by == nil {
		c.KeyUsage |= x509.KeyUsageCertSign
		by = &authority{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	if keyFile != "" {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			return nil, err
		}
	}
	return &authority{cert, key}, nil
}
