//go:build cgo && unix

package tpmdevice

import (
	"fmt"

	"github.com/fleetctl/fleetctl/attest"
)

// What an enrolment hands from one side to the other is a file of named parts, as
// an attestation is (SPEC section 23.1), of these formats.
const (
	requestFormat   = "tpm2-enrolment-request"
	challengeFormat = "tpm2-enrolment-challenge"
	expectedFormat  = "tpm2-enrolment-expected"
	answerFormat    = "tpm2-enrolment-answer"
)

var enrolmentFiles = map[string][]string{
	requestFormat:   {"ek-certificates", "ak-key"},
	challengeFormat: {"ek", "credential", "secret"},
	expectedFormat:  {"request", "answer"},
	answerFormat:    {"answer"},
}

// kinds of endorsement keys, in the order of endorsementKeys.
var kinds = []string{"rsa", "ecc"}

func enrolment(format string, parts ...[]byte) *attest.Evidence {
	e := &attest.Evidence{Format: format}
	for i, name := range enrolmentFiles[format] {
		e.Parts = append(e.Parts, attest.Part{Name: name, Data: parts[i]})
	}
	return e
}

// enrolmentParts are a file's parts, in their order; there are no others.
func enrolmentParts(e *attest.Evidence, format string) (parts [][]byte, err error) {
	if e.Format != format {
		return nil, fmt.Errorf("this is a %s, and a %s is wanted", e.Format, format)
	}
	names := enrolmentFiles[format]
	for _, name := range names {
		if e.Part(name) == nil {
			return nil, fmt.Errorf("%s: the part %q is missing", format, name)
		}
		parts = append(parts, e.Part(name))
	}
	if len(e.Parts) != len(names) {
		return nil, fmt.Errorf("%s: it has parts that are none of it", format)
	}
	return parts, nil
}

// Identity is the attestation identity of the TPM that a request is of, as the
// request says: nobody has judged it.
func Identity(request *attest.Evidence) (string, error) {
	parts, err := enrolmentParts(request, requestFormat)
	if err != nil {
		return "", err
	}
	certs, err := attest.ParseCertificates(parts[0])
	if err != nil {
		return "", err
	}
	return identity(certs[0].RawSubjectPublicKeyInfo), nil
}
