//go:build cgo && unix

package tpmdevice

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Where a TPM keeps the certificates of its endorsement keys, and where the keys
// are, if somebody made them persistent (TCG EK Credential Profile 2.5, 2.2.1.4).
var endorsementKeys = []struct {
	index, handle tpm2.TPMHandle
	template      tpm2.TPMTPublic
}{
	{0x01c00002, 0x81010001, tpm2.RSAEKTemplate},
	{0x01c0000a, 0x81010002, tpm2.ECCEKTemplate},
}

// akTemplate is the attestation key that is taken: restricted, on P-256, in the
// endorsement hierarchy. A TPM makes the same key of it each time.
var akTemplate = tpm2.TPMTPublic{
	Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, Restricted: true, SignEncrypt: true},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		CurveID: tpm2.TPMECCNistP256,
		Scheme:  tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
	}),
}

// primary makes a key of the endorsement hierarchy. Whoever makes it flushes.
func primary(t transport.TPM, template tpm2.TPMTPublic) (*object, error) {
	r, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(t)
	switch {
	case errors.Is(err, tpm2.TPMRCBadAuth), errors.Is(err, tpm2.TPMRCAuthFail):
		return nil, fmt.Errorf("the TPM's endorsement hierarchy has a password, and this program takes one that has none: %w", err)
	case err != nil:
		return nil, fmt.Errorf("a key of the endorsement hierarchy: %w", err)
	}
	public, err := r.OutPublic.Contents()
	if err != nil {
		return nil, err
	}
	return &object{r.ObjectHandle, r.Name, public}, nil
}

// attestationKey makes the TPM's attestation key, which is the same each time, and
// gives its SubjectPublicKeyInfo. done takes it out of the TPM again.
func attestationKey(t transport.TPM) (ak *object, der []byte, done func() error, err error) {
	if ak, err = primary(t, akTemplate); err != nil {
		return nil, nil, nil, err
	}
	if der, _, err = spki(ak.public); err != nil {
		return nil, nil, nil, errors.Join(err, flush(t, ak))
	}
	return ak, der, func() error { return flush(t, ak) }, nil
}

// spki is a public area's key as everybody else writes it.
func spki(public *tpm2.TPMTPublic) ([]byte, crypto.PublicKey, error) {
	key, err := tpm2.Pub(*public)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	return der, key, err
}

// identity is the attestation identity of a TPM.
func identity(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// readNV reads an index of the TPM's memory that anybody may read.
func readNV(t transport.TPM, index tpm2.TPMHandle) ([]byte, error) {
	public, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t)
	if err != nil {
		return nil, err
	}
	about, err := public.NVPublic.Contents()
	if err != nil {
		return nil, err
	}
	var data []byte
	for len(data) < int(about.DataSize) {
		r, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: public.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: public.NVName},
			Size:       min(about.DataSize-uint16(len(data)), 512), Offset: uint16(len(data)),
		}.Execute(t)
		if err != nil {
			return nil, err
		}
		if len(r.Data.Buffer) == 0 {
			return nil, errors.New("the TPM gives less than it says that there is")
		}
		data = append(data, r.Data.Buffer...)
	}
	return data, nil
}

// ekCertificates are those that the TPM has of its endorsement keys: in the order
// of endorsementKeys, nil where it has none.
func ekCertificates(t transport.TPM) ([]*x509.Certificate, error) {
	list := make([]*x509.Certificate, len(endorsementKeys))
	for i, k := range endorsementKeys {
		data, err := readNV(t, k.index)
		if errors.Is(err, tpm2.TPMRCHandle) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the endorsement key's certificate (NV index %#x): %w", k.index, err)
		}
		var der asn1.RawValue // some makers pad the index
		if _, err := asn1.Unmarshal(data, &der); err != nil {
			return nil, fmt.Errorf("the endorsement key's certificate (NV index %#x): %w", k.index, err)
		}
		if list[i], err = x509.ParseCertificate(der.FullBytes); err != nil {
			return nil, fmt.Errorf("the endorsement key's certificate (NV index %#x): %w", k.index, err)
		}
	}
	return list, nil
}

// endorsement finds the endorsement key of a template: the persistent one, if it
// is that, else it is made anew, which for RSA takes a TPM seconds.
func endorsement(t transport.TPM, which int) (ek *object, done func() error, err error) {
	k := endorsementKeys[which]
	if ek, err := persistent(t, k.handle); err == nil && sameTemplate(ek.public, k.template) {
		return ek, func() error { return nil }, nil
	}
	if ek, err = primary(t, k.template); err != nil {
		return nil, nil, err
	}
	return ek, func() error { return flush(t, ek) }, nil
}

func sameTemplate(have *tpm2.TPMTPublic, want tpm2.TPMTPublic) bool {
	return have.Type == want.Type && have.ObjectAttributes == want.ObjectAttributes && bytes.Equal(have.AuthPolicy.Buffer, want.AuthPolicy.Buffer)
}
