package tpm_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
)

// FuzzParts changes one part at a time: what is accepted shows what the good
// evidence shows, and nothing panics.
func FuzzParts(f *testing.F) {
	d := tpmtest.New(f)
	key := at.P256(f)
	good := d.Attested(key.Public(), tpmtest.KeyAttrs)
	want, err := attest.Check(tpm.Verifier{}, good.Input)
	if err != nil {
		f.Fatal(err)
	}
	for i, p := range good.Input.Evidence.Parts {
		f.Add(i, p.Data)
	}
	f.Fuzz(func(t *testing.T, part int, data []byte) {
		parts := tpm.Verifier{}.Parts()
		name := parts[uint(part)%uint(len(parts))].Name
		c := tpmtest.With(good, name, data)
		claims, err := attest.Check(tpm.Verifier{}, c.Input)
		if err != nil || len(attest.Judge(claims, c.Demand)) > 0 {
			return
		}
		claims.Evidence = want.Evidence
		// A chain may have its root beside it, which changes nothing.
		if !reflect.DeepEqual(claims, want) {
			t.Errorf("%s is taken as %x and shows %+v", name, data, claims)
		}
	})
}

// FuzzAgainstGoTPM signs whatever comes as a statement about whatever comes as a
// public area: what is taken, go-tpm reads the same way and writes again.
func FuzzAgainstGoTPM(f *testing.F) {
	d := tpmtest.New(f)
	key := tpmtest.Area(f, at.P256(f).Public(), tpmtest.KeyAttrs)
	f.Add(d.Statement(key), key)
	rsa := tpmtest.Area(f, at.RSA(f, 2048).Public(), tpmtest.KeyAttrs)
	f.Add(d.Statement(rsa), rsa)
	f.Add([]byte(nil), key)
	f.Add([]byte(nil), rsa)
	f.Fuzz(func(t *testing.T, statement, key []byte) {
		if len(statement) == 0 {
			statement = d.Statement(key)
		}
		in := attest.Input{Evidence: d.Evidence(key, statement), At: at.At}
		claims, err := attest.Check(tpm.Verifier{}, in)
		if err != nil {
			return
		}
		a, err := tpm2.Unmarshal[tpm2.TPMSAttest](statement)
		if err != nil || !bytes.Equal(tpm2.Marshal(a), statement) || !bytes.Equal(a.ExtraData.Buffer, claims.Nonce) {
			t.Errorf("go-tpm reads another statement: %v %+v", err, a)
		}
		if len(key) > 2 && int(key[0])<<8+int(key[1]) == len(key)-2 {
			key = key[2:]
		}
		p, err := tpm2.Unmarshal[tpm2.TPMTPublic](key)
		if err != nil || !bytes.Equal(tpm2.Marshal(p), key) {
			t.Fatalf("go-tpm reads another public area: %v %+v", err, p)
		}
		o := p.ObjectAttributes
		if k := claims.Key; attest.Of(o.SensitiveDataOrigin) != k.Local || attest.Of(!o.FixedTPM || !o.FixedParent) != k.Extractable || attest.Of(o.SignEncrypt) != k.Purpose.Sign {
			t.Errorf("go-tpm reads the attributes %+v, and the claims are %+v", o, k)
		}
	})
}
