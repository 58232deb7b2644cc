package attest_test

import (
	"bytes"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
)

func FuzzEvidence(f *testing.F) {
	f.Add(evidence("a", "1", "b", "22").Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := attest.ParseEvidence("e", data); err == nil && !bytes.Equal(e.Encode(), data) {
			t.Errorf("%q is written anew as %q", data, e.Encode())
		}
	})
}

func FuzzAnchors(f *testing.F) {
	f.Add(attest.Shipped())
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := attest.ParseAnchors("a", data)
		if err != nil {
			return
		}
		for _, x := range a.All() {
			if len(x.Formats) == 0 || x.SPKI == [32]byte{} || x.Origin == "" {
				t.Errorf("an anchor that pins nothing: %+v", x)
			}
		}
	})
}

func FuzzCertificates(f *testing.F) {
	a, err := attest.ParseAnchors("a", attest.Shipped())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a.All()[0].Certificate)
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := attest.ParseCertificates(data)
		if err == nil && (len(list) == 0 || len(list) > attest.MaxChain) {
			t.Errorf("%d certificates", len(list))
		}
	})
}

func FuzzLevel(f *testing.F) {
	f.Add("anchored")
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := attest.ParseLevel(s); err == nil && (l.String() != s || l < attest.None || l > attest.Fresh) {
			t.Errorf("%q is read as %v", s, l)
		}
	})
}
