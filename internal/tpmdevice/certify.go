//go:build cgo && unix

package tpmdevice

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/tpm"
)

// Question is what a TPM is asked.
type Question struct {
	ID       []byte // CKA_ID of the key
	SPKI     []byte // that it must be, DER
	Identity string // of the TPM
	Nonce    [32]byte
}

// Collect has the TPM attest a key that tpm2-pkcs11 made in it. pin is the user's,
// which opens what the module keeps; it stays the caller's, and nothing that it
// opens is kept.
func Collect(ctx context.Context, s Source, token Token, pin []byte, q Question) (e *attest.Evidence, err error) {
	certs, err := attest.ParseCertificates(s.AK)
	if err != nil {
		return nil, fmt.Errorf("the attestation key's certificates: %w", err)
	}
	d, err := open(ctx, s.TCTI)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	ak, der, flushed, err := attestationKey(d)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, flushed()) }()
	if !bytes.Equal(der, certs[0].RawSubjectPublicKeyInfo) {
		return nil, errors.New("the attestation key's certificate is of another TPM's key, or this one's endorsement hierarchy was cleared since: enrol it again (fleetctl attestation tpm)")
	}
	ek, err := ekChain(d, s.EK, q.Identity)
	if err != nil {
		return nil, err
	}
	err = withKey(d, s, token, q.ID, pin, func(key *loadedKey) error {
		if der, _, err := spki(key.public); err != nil {
			return err
		} else if !bytes.Equal(der, q.SPKI) {
			return errors.New("the key that the token has under this CKA_ID is another")
		}
		r, err := tpm2.Certify{
			ObjectHandle: key.as(key.proof()), SignHandle: ak.as(tpm2.PasswordAuth(nil)),
			QualifyingData: tpm2.TPM2BData{Buffer: q.Nonce[:]}, InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
		}.Execute(d)
		if err != nil {
			return fmt.Errorf("the TPM doesn't attest the key: %w", err)
		}
		e = &attest.Evidence{Format: tpm.Format, Parts: []attest.Part{
			{Name: tpm.PartAttest, Data: r.CertifyInfo.Bytes()}, {Name: tpm.PartSignature, Data: tpm2.Marshal(r.Signature)},
			{Name: tpm.PartPublic, Data: tpm2.Marshal(key.public)},
			{Name: tpm.PartAKPublic, Data: tpm2.Marshal(ak.public)}, {Name: tpm.PartAKCerts, Data: s.AK},
		}}
		if ek != nil {
			e.Parts = append(e.Parts, attest.Part{Name: tpm.PartEKCerts, Data: ek})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// ekChain is the certificate of the endorsement key that the identity is of, as
// the TPM has it, and what its operator has above it. nil: the TPM has none.
func ekChain(t transport.TPM, above []byte, id string) ([]byte, error) {
	list, err := ekCertificates(t)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if c != nil && identity(c.RawSubjectPublicKeyInfo) == id {
			return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), above...), nil
		}
		if c != nil {
			err = fmt.Errorf("this is the TPM %s, and %s is wanted", identity(c.RawSubjectPublicKeyInfo), id)
		}
	}
	return nil, err
}
