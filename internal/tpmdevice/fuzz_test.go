//go:build cgo && linux

package tpmdevice

import (
	"bytes"
	"crypto/rand"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/tpm"
)

func FuzzParseTCTI(f *testing.F) {
	for _, s := range []string{"device:/dev/tpmrm0", "swtpm:path=/run/tpm", "swtpm:host=127.0.0.1,port=2321", "tabrmd:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseTCTI(s)
		switch {
		case err != nil && a != address{}:
			t.Errorf("%q: %v and %v", s, a, err)
		case err != nil:
		case a.Network == "tcp":
			if _, _, err := net.SplitHostPort(a.Path); err != nil {
				t.Errorf("%q: %v", s, err)
			}
		case !filepath.IsAbs(a.Path):
			t.Errorf("%q: %v is no absolute path", s, a)
		}
	})
}

// FuzzEnrolment gives an authority whatever a stranger calls a request.
func FuzzEnrolment(f *testing.F) {
	root := at.Issue(f, "maker", nil, at.P256(f))
	key := at.P256(f)
	good := enrolment(requestFormat, at.DER(root.Certificate), at.SPKI(f, key.Public())).Encode()
	f.Add(good)
	f.Add(bytes.ReplaceAll(good, []byte("ak-key"), []byte("ak-kex")))
	f.Add(enrolment(answerFormat, []byte("answer")).Encode())
	makers := at.Pin(f, tpm.EKFormat, root.Certificate)
	f.Fuzz(func(t *testing.T, data []byte) {
		request, err := attest.ParseEvidence("request", data)
		if err != nil {
			return
		}
		if _, _, _, err := Challenge(rand.Reader, request, makers, time.Now(), true); err == nil {
			t.Error("a request without a maker's certificate was taken")
		}
	})
}
