package auditlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// rekorPayloadType is the payload type of an envelope with a validation bundle.
const rekorPayloadType = "application/vnd.fleetctl.bundle.v1+json"

// envelope is a DSSE envelope (secure-systems-lab/dsse, v1.0.0) with exactly
// one signature.
type envelope struct {
	raw, payload, signature []byte
}

type envelopeFile struct {
	PayloadType string         `strict:"payloadType"`
	Payload     []byte         `strict:"payload,base64"`
	Signatures  []envelopeSign `strict:"signatures"`
}

type envelopeSign struct {
	Sig []byte `strict:"sig,base64"`
}

// RekorMessage is what a submitter signs for a payload: DSSE's
// pre-authentication encoding, which covers the payload's type.
func RekorMessage(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(rekorPayloadType), rekorPayloadType, len(payload), payload)
}

// NewRekorEnvelope wraps a payload and a submitter's signature over its
// [RekorMessage].
func NewRekorEnvelope(payload, signature []byte) []byte {
	return strict.EncodeLine(&envelopeFile{rekorPayloadType, payload, []envelopeSign{{signature}}})
}

// parseEnvelope takes an envelope in the one form that NewRekorEnvelope
// writes: Rekor v1 logs the digest of its exact bytes.
func parseEnvelope(raw []byte) (*envelope, error) {
	f := &envelopeFile{}
	if err := strict.DecodeJSON("", raw, maxRekor, f); err != nil {
		return nil, fmt.Errorf("can't be read: %v", firstFault(err))
	}
	switch {
	case f.PayloadType != rekorPayloadType:
		return nil, fmt.Errorf("has the payload type %q, a bundle's is %q", strict.Clip(f.PayloadType), rekorPayloadType)
	case len(f.Signatures) != 1:
		return nil, fmt.Errorf("has %d signatures, not 1", len(f.Signatures))
	case !bytes.Equal(strict.EncodeLine(f), raw):
		return nil, errors.New("is not in the one form that fleetctl writes")
	}
	return &envelope{raw, f.Payload, f.Signatures[0].Sig}, nil
}

// CheckRekorEnvelope says whether raw is an envelope of exactly this payload,
// signed by the submitter's key.
func CheckRekorEnvelope(raw, payload []byte, submitter *PublicKey) error {
	e, err := parseEnvelope(raw)
	if err != nil {
		return fmt.Errorf("the DSSE envelope %w", err)
	}
	if !bytes.Equal(e.payload, payload) {
		return errors.New("the DSSE envelope holds another bundle")
	}
	return e.verify(submitter)
}

func (e *envelope) verify(submitter *keys.Public) error {
	return submitter.Verify(keys.ForRekor, RekorMessage(e.payload), e.signature)
}

// RekorBody is the leaf that a log of the given version stores for an envelope
// under a submitter's key. It is derived from our own bytes and compared byte for
// byte with what the log says. If the log's body were parsed instead, somebody
// else's entry could pass for ours (GHSA-whqx-f9j3-ch6m).
//
// Both versions' leaves are canonical JSON (RFC 8785) with members in order;
// base64 and hex need no escapes.
func RekorBody(version int, raw []byte, submitter *PublicKey) ([]byte, error) {
	e, err := parseEnvelope(raw)
	if err != nil {
		return nil, fmt.Errorf("the DSSE envelope %w", err)
	}
	return e.body(version, submitter), nil
}

func (e *envelope) body(version int, submitter *keys.Public) []byte {
	b64 := base64.StdEncoding.EncodeToString
	if version == RekorV1 {
		verifier := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: submitter.SPKI()})
		return fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":"%x"},`+
			`"payloadHash":{"algorithm":"sha256","value":"%x"},"signatures":[{"signature":"%s","verifier":"%s"}]}}`,
			sha256.Sum256(e.raw), sha256.Sum256(e.payload), b64(e.signature), b64(verifier))
	}
	message := sha256.Sum256(RekorMessage(e.payload))
	return fmt.Appendf(nil, `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"%s"},`+
		`"signature":{"content":"%s","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"%s"}}}}}}`,
		b64(message[:]), b64(e.signature), b64(submitter.SPKI()))
}

// OpenRekorEnvelope gives what an envelope holds. It verifies nothing.
func OpenRekorEnvelope(raw []byte) (payload, signature []byte, err error) {
	e, err := parseEnvelope(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("the DSSE envelope %w", err)
	}
	return e.payload, e.signature, nil
}
