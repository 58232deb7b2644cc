package passkey

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/client"
)

func sample() *Record {
	return &Record{Format: format, Account: "drill.a", User: make([]byte, userSize), Credential: make([]byte, 16), PublicKey: make([]byte, 77), Salt: make([]byte, saltSize), Sealed: make([]byte, client.SealedSize)}
}

func TestARecordHasOneForm(t *testing.T) {
	if _, err := ParseRecord("r", sample().Raw()); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*Record){
		"format": func(r *Record) { r.Format = "other" }, "account": func(r *Record) { r.Account = "alice" }, "user": func(r *Record) { r.User = r.User[1:] }, "credential": func(r *Record) { r.Credential = r.Credential[1:] },
		"public-key": func(r *Record) { r.PublicKey = nil }, "salt": func(r *Record) { r.Salt = append(r.Salt, 0) }, "sealed": func(r *Record) { r.Sealed = r.Sealed[1:] },
	} {
		r := sample()
		spoil(r)
		if _, err := ParseRecord("r", r.Raw()); err == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
	raw := string(sample().Raw())
	for what, text := range map[string]string{"nothing": "", "a space": raw + " ", "a field": strings.Replace(raw, `"account"`, `"more": 1, "account"`, 1), "twice": raw + raw, "too long": raw + strings.Repeat(" ", maxRecord)} {
		if _, err := ParseRecord("r", []byte(text)); err == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(sample().Raw())
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRecord("r", data)
		if (r == nil) != (err != nil) {
			t.Fatalf("%v with %v", r, err)
		}
		if err == nil && (!bytes.Equal(r.Raw(), data) || r.check() != nil) {
			t.Error("it is written otherwise")
		}
	})
}
