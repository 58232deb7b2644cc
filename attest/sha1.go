package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"errors"
)

// checkSHA1 verifies a certificate's signature over SHA-1, which crypto/x509
// refuses, for old devices whose format tolerates QuirkSHA1.
func checkSHA1(child, parent *x509.Certificate) error {
	h := sha1.Sum(child.RawTBSCertificate)
	switch key := parent.PublicKey.(type) {
	case *rsa.PublicKey:
		if child.SignatureAlgorithm == x509.SHA1WithRSA {
			return rsa.VerifyPKCS1v15(key, crypto.SHA1, h[:], child.Signature)
		}
	case *ecdsa.PublicKey:
		if child.SignatureAlgorithm == x509.ECDSAWithSHA1 && ecdsa.VerifyASN1(key, h[:], child.Signature) {
			return nil
		}
	}
	return errors.New("the signature does not verify")
}
