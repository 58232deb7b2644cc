//go:build cgo && unix

package tpmdevice

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/tpm"
)

// Request asks an authority to certify the attestation key of a TPM. above is PEM:
// what stands above the endorsement key's certificate or, where the TPM doesn't
// have that one, the certificate too, first.
func Request(ctx context.Context, tcti string, above []byte) (e *attest.Evidence, err error) {
	d, err := open(ctx, tcti)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	chain, err := requestChain(d, above)
	if err != nil {
		return nil, err
	}
	certs, err := attest.ParseCertificates(chain)
	if err != nil {
		return nil, fmt.Errorf("the endorsement key's certificates: %w", err)
	}
	which, area, err := ekArea(certs[0])
	if err != nil {
		return nil, err
	}
	ek, done, err := endorsement(d, which)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	if name, err := tpm2.ObjectName(area); err != nil || !bytes.Equal(name.Buffer, ek.name.Buffer) {
		return nil, errors.Join(errors.New("the certificate is of another endorsement key than this TPM's"), err)
	}
	ak, der, flushed, err := attestationKey(d)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, flushed()) }()
	if _, name, err := akArea(der); err != nil || !bytes.Equal(name.Buffer, ak.name.Buffer) {
		return nil, errors.Join(errors.New("this TPM writes its keys in a form that isn't taken"), err)
	}
	return enrolment(requestFormat, chain, der), nil
}

// requestChain is the endorsement key's certificates: the TPM's own, if it has one.
func requestChain(t transport.TPM, above []byte) ([]byte, error) {
	list, err := ekCertificates(t)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if c != nil && !bytes.Contains(above, bytes.TrimSpace(encodePEM(c.Raw))) {
			return append(encodePEM(c.Raw), above...), nil
		}
		if c != nil {
			return above, nil
		}
	}
	if len(above) == 0 {
		return nil, errors.New("the TPM has no certificate of its endorsement key: get it from its maker, and give it with --ek-certificates")
	}
	return above, nil
}

func encodePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// ekArea is the public area of the endorsement key that a certificate is of. It
// follows from its key and the template: what a request says isn't needed.
func ekArea(cert *x509.Certificate) (which int, area *tpm2.TPMTPublic, err error) {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() == 2048 && key.E == 65537 {
			area := tpm2.RSAEKTemplate
			area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()})
			return 0, &area, nil
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			area := tpm2.ECCEKTemplate
			area.Unique, err = unique(key)
			return 1, &area, err
		}
	}
	return 0, nil, errors.New("the endorsement key is neither RSA of 2048 bits nor on P-256, and others are not taken")
}

func unique(key *ecdsa.PublicKey) (u tpm2.TPMUPublicID, err error) {
	point, err := key.Bytes() // 4, x, y
	if err != nil {
		return u, err
	}
	half := len(point) / 2
	return tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: point[1 : 1+half]}, Y: tpm2.TPM2BECCParameter{Buffer: point[1+half:]},
	}), nil
}

// akArea is the public area of an attestation key, which follows from its key.
func akArea(spki []byte) (*ecdsa.PublicKey, *tpm2.TPM2BName, error) {
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, nil, errors.New("the attestation key is not on P-256")
	}
	area := akTemplate
	if area.Unique, err = unique(key); err != nil {
		return nil, nil, err
	}
	name, err := tpm2.ObjectName(&area)
	return key, name, err
}

// Enrolment is what a request shows, for people.
type Enrolment struct {
	Identity string
	Anchor   string // the maker's, as it is pinned
}

// requested judges a request: the endorsement key's certificate stands under a
// maker that is pinned.
func requested(request *attest.Evidence, anchors *attest.Anchors, at time.Time, trustOnFirstUse bool) (r *wish, err error) {
	parts, err := enrolmentParts(request, requestFormat)
	if err != nil {
		return nil, err
	}
	certs, err := attest.ParseCertificates(parts[0])
	if err != nil {
		return nil, fmt.Errorf("the endorsement key's certificates: %w", err)
	}
	r = &wish{ek: certs[0], about: Enrolment{Identity: identity(certs[0].RawSubjectPublicKeyInfo)}}
	if !slices.ContainsFunc(r.ek.UnknownExtKeyUsage, ekuEK.Equal) {
		return nil, fmt.Errorf("the first certificate does not say that it is of an endorsement key (extended key usage %v)", ekuEK)
	}
	path, err := attest.Chain{Format: tpm.EKFormat, Certs: certs, Critical: []asn1.ObjectIdentifier{extSAN}}.Verify(anchors, at)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the endorsement key's certificates: %w", err)
	case path.Anchor == nil:
		return nil, fmt.Errorf("nothing says that this is a TPM: %s: pin its maker's root for %s in the anchors file", path.Why, tpm.EKFormat)
	case path.Anchor.Confirmed == "" && !trustOnFirstUse:
		return nil, fmt.Errorf("nobody confirmed the anchor %q: %s", path.Anchor.Name, path.Anchor.Check)
	}
	r.about.Anchor = path.Anchor.Name
	if r.which, r.ekArea, err = ekArea(r.ek); err != nil {
		return nil, err
	}
	r.ak, r.akName, err = akArea(parts[1])
	return r, err
}

type wish struct {
	about  Enrolment
	ek     *x509.Certificate
	which  int
	ekArea *tpm2.TPMTPublic
	ak     *ecdsa.PublicKey
	akName *tpm2.TPM2BName
}

var (
	ekuEK  = asn1.ObjectIdentifier{2, 23, 133, 8, 1}
	ekuAK  = asn1.ObjectIdentifier{2, 23, 133, 8, 3}
	extSAN = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// Challenge asks what only the TPM of this endorsement key, with this attestation
// key in it, can answer. expected is what the authority keeps to compare; it isn't
// secret, and has to be the authority's own.
func Challenge(random io.Reader, request *attest.Evidence, anchors *attest.Anchors, at time.Time, trustOnFirstUse bool) (challenge, expected *attest.Evidence, about Enrolment, err error) {
	r, err := requested(request, anchors, at, trustOnFirstUse)
	if err != nil {
		return nil, nil, about, err
	}
	secret := make([]byte, 32)
	if _, err := io.ReadFull(random, secret); err != nil {
		return nil, nil, about, err
	}
	defer clear(secret)
	to, err := tpm2.ImportEncapsulationKey(r.ekArea)
	if err != nil {
		return nil, nil, about, err
	}
	object, encrypted, err := tpm2.CreateCredential(random, to, r.akName.Buffer, secret)
	if err != nil {
		return nil, nil, about, err
	}
	digest, answer := request.Digest(), sha256.Sum256(secret)
	return enrolment(challengeFormat, []byte(kinds[r.which]), object, encrypted), enrolment(expectedFormat, digest[:], answer[:]), r.about, nil
}

// Answer has the TPM open a challenge.
func Answer(ctx context.Context, tcti string, challenge *attest.Evidence) (e *attest.Evidence, err error) {
	parts, err := enrolmentParts(challenge, challengeFormat)
	if err != nil {
		return nil, err
	}
	which := slices.Index(kinds, string(parts[0]))
	if which < 0 {
		return nil, errors.New("the challenge is for an endorsement key of no kind that is taken")
	}
	d, err := open(ctx, tcti)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	ek, done, err := endorsement(d, which)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	ak, _, flushed, err := attestationKey(d)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, flushed()) }()
	byPolicy := tpm2.Policy(tpm2.TPMAlgSHA256, 16, tpm2.PolicyCallback(func(t transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
		_, err := tpm2.PolicySecret{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)}, PolicySession: session, NonceTPM: nonce}.Execute(t)
		return err
	}))
	r, err := tpm2.ActivateCredential{
		ActivateHandle: ak.as(tpm2.PasswordAuth(nil)), KeyHandle: ek.as(byPolicy),
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: parts[1]}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: parts[2]},
	}.Execute(d)
	if err != nil {
		return nil, fmt.Errorf("this TPM can't open the challenge: it was made for another one, or for another attestation key: %w", err)
	}
	return enrolment(answerFormat, r.CertInfo.Buffer), nil
}

// answered says whether an answer is the one that was expected for a request.
func answered(request, expected, answer *attest.Evidence) error {
	want, err := enrolmentParts(expected, expectedFormat)
	if err != nil {
		return err
	}
	got, err := enrolmentParts(answer, answerFormat)
	if err != nil {
		return err
	}
	digest, sum := request.Digest(), sha256.Sum256(got[0])
	switch {
	case !bytes.Equal(want[0], digest[:]):
		return errors.New("the challenge was made for another request")
	case subtle.ConstantTimeCompare(want[1], sum[:]) != 1:
		return errors.New("the answer is wrong: nothing shows that the attestation key is in this TPM")
	}
	return nil
}
