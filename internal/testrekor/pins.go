package testrekor

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"strconv"
	"strings"
)

// SubmitterKey is a submitter's public key as policies pin it.
func SubmitterKey(name string) string {
	der, err := x509.MarshalPKIXPublicKey(Submitter(name).Public())
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// Pins is a verifier's policy with a Rekor log and a submitter called ops; more
// are further lines of the submitter.
func Pins(policy []byte, log *Log, submitter, more string) []byte {
	block := "rekor:\n  logs:\n    - name: rekor-1\n      version: " + strconv.Itoa(log.Version) + "\n      origin: " + log.Host +
		"\n      confirmed: by telephone\n      key: |\n        " + strings.ReplaceAll(strings.TrimSpace(log.PEM()), "\n", "\n        ") +
		"\n  submitters:\n    - name: ops\n      confirmed: by telephone\n      key: " + SubmitterKey(submitter) + "\n" + more
	return bytes.Replace(policy, []byte("\nclaims:\n"), []byte("\n"+block+"\nclaims:\n  rekor.included: proven\n"), 1)
}
