package sealed

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

const role = "sealing"

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// fleet has a session key and one that agrees on each of three HSMs in memory.
func fleet(t testing.TB, alg keys.Algorithm, o testfleet.Options) (*testfleet.Fleet, *bundle.Bundle) {
	t.Helper()
	o.Roles = []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: role, Algorithm: alg}}
	f := testfleet.New(t, o)
	b, err := bundle.ParseBundle("bundle", f.Files[ceremony.BundleFile])
	if err != nil {
		t.Fatal(err)
	}
	return f, b
}

// agreeing is an HSM's half, by its token in memory.
func agreeing(t testing.TB, f *testfleet.Fleet, b *bundle.Bundle, hsm string) func([]byte) ([]byte, error) {
	t.Helper()
	for _, k := range b.KeySet.Keys {
		if k.HSM != hsm || k.Role != role {
			continue
		}
		for _, tok := range f.Tokens {
			objects, _ := tok.Objects()
			for _, o := range objects {
				if s := tok.Key(o.ID); s != nil && bytes.Equal(s.Public.SPKI(), k.SPKI) {
					return func(peer []byte) ([]byte, error) { return tok.Agree(string(k.Algorithm), o.ID, peer) }
				}
			}
		}
	}
	t.Fatalf("no token has the key of %s", hsm)
	return nil
}

func TestEachHSMOpensTheSameSecretsAndNobodyElseDoes(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.ECDHP256, keys.X25519} {
		f, b := fleet(t, alg, testfleet.Options{Name: "sealed " + string(alg)})
		s := must(New(rand.Reader))
		file := must(Seal(b, role, s))
		for _, secret := range [][]byte{s.Seed[:], s.ServerKey[:]} {
			if bytes.Contains(file, secret) {
				t.Error("the file has a secret")
			}
		}
		p := must(ParseFile("secrets.json", file))
		for _, hsm := range b.KeySet.HSMs() {
			got, err := p.Open(b, role, hsm, agreeing(t, f, b, hsm))
			if err != nil || *got != *s || got.Digest() != s.Digest() {
				t.Errorf("%s, %s: %v", alg, hsm, err)
			}
			other := map[string]string{"hsm-1": "hsm-2", "hsm-2": "hsm-3", "hsm-3": "hsm-1"}[hsm]
			if _, err := p.Open(b, role, hsm, agreeing(t, f, b, other)); err == nil {
				t.Errorf("%s opens what is sealed for %s", other, hsm)
			}
		}
		if again := must(New(rand.Reader)); again.Digest() == s.Digest() || *again == *s {
			t.Error("secrets are drawn twice")
		}
		s.Clear()
		if s.Seed != [len(s.Seed)]byte{} || s.ServerKey != [len(s.ServerKey)]byte{} {
			t.Error("cleared secrets are there")
		}
	}
}

// remade is the file with something else in it.
func remade(t *testing.T, file []byte, change func(*File)) []byte {
	t.Helper()
	f := must(ParseFile("secrets.json", file))
	change(f)
	return encode(f)
}

func TestSecretsOfAnotherFleetEpochOrHSMAreRefused(t *testing.T) {
	f, b := fleet(t, keys.ECDHP256, testfleet.Options{Name: "one"})
	_, other := fleet(t, keys.ECDHP256, testfleet.Options{Name: "another"})
	_, next := fleet(t, keys.ECDHP256, testfleet.Options{Name: "next", After: f})
	file := must(Seal(b, role, must(New(rand.Reader))))
	open := func(file []byte, b *bundle.Bundle, role, hsm string, agree func([]byte) ([]byte, error)) error {
		p, err := ParseFile("secrets.json", file)
		if err == nil {
			_, err = p.Open(b, role, hsm, agree)
		}
		return err
	}
	one := agreeing(t, f, b, "hsm-1")
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"another fleet":  {open(file, other, role, "hsm-1", one), "is sealed for fleet"},
		"the next epoch": {open(file, next, role, "hsm-1", one), "is sealed for fleet"},
		"another role":   {open(file, b, "session", "hsm-1", one), "can't agree on a secret"},
		"no such HSM":    {open(file, b, role, "hsm-9", one), "has no key of hsm hsm-9"},
		"swapped HSMs": {open(remade(t, file, func(f *File) {
			f.Sealed[0].Secrets, f.Sealed[1].Secrets = f.Sealed[1].Secrets, f.Sealed[0].Secrets
		}), b, role, "hsm-1", one), "can't open it"},
		"an HSM's left out":                    {open(remade(t, file, func(f *File) { f.Sealed = f.Sealed[1:] }), b, role, "hsm-1", one), "has nothing for hsm hsm-1"},
		"a byte is changed":                    {open(remade(t, file, func(f *File) { f.Sealed[0].Secrets[100] ^= 1 }), b, role, "hsm-1", one), "can't open it"},
		"a point is changed":                   {open(remade(t, file, func(f *File) { f.Sealed[0].Secrets[64] ^= 1 }), b, role, "hsm-1", one), "can't open it"},
		"an HSM that fails":                    {open(file, b, role, "hsm-1", func([]byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF }), "the HSM doesn't agree"},
		"an HSM that agrees on something else": {open(file, b, role, "hsm-1", func([]byte) ([]byte, error) { return make([]byte, 32), nil }), "can't open it"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v; it should say %q", name, c.err, c.says)
		}
	}
	if err := open(file, b, role, "hsm-1", func([]byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF }); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the HSM's own error is lost: %v", err)
	}
	if _, err := Seal(b, "session", must(New(rand.Reader))); err == nil {
		t.Error("secrets are sealed to a key that signs")
	}
	// Info is part of what is sealed: the file's own words count for nothing.
	moved := remade(t, must(Seal(other, role, must(New(rand.Reader)))), func(x *File) {
		g := must(ParseFile("", file))
		x.Fleet, x.Namespace, x.Bundle, x.Epoch = g.Fleet, g.Namespace, g.Bundle, g.Epoch
	})
	if err := open(moved, b, role, "hsm-1", one); err == nil {
		t.Error("secrets of another fleet, relabelled, are opened")
	}
}

func TestAFileThatIsNotOneIsRefused(t *testing.T) {
	_, b := fleet(t, keys.ECDHP256, testfleet.Options{Name: "files"})
	file := must(Seal(b, role, must(New(rand.Reader))))
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"another format":   {bytes.Replace(file, []byte("v1"), []byte("v2"), 1), "format"},
		"spaces":           {append([]byte(" "), file...), "form in which it is written"},
		"no epoch":         {remade(t, file, func(f *File) { f.Epoch = 0 }), "epoch 0"},
		"no bundle":        {remade(t, file, func(f *File) { f.Bundle = [32]byte{} }), "of no bundle"},
		"nobody":           {remade(t, file, func(f *File) { f.Sealed = nil }), "sealed to nobody"},
		"one HSM twice":    {remade(t, file, func(f *File) { f.Sealed[1].HSM = f.Sealed[0].HSM }), "two secrets"},
		"a key that signs": {remade(t, file, func(f *File) { f.Sealed[0].Algorithm = keys.P256 }), "can't open anything"},
		"too short":        {remade(t, file, func(f *File) { f.Sealed[0].Secrets = f.Sealed[0].Secrets[1:] }), "have"},
		"too large":        {bytes.Repeat([]byte("x"), MaxFile+1), "bytes"},
	} {
		if _, err := ParseFile("secrets.json", c.data); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; it should say %q", name, err, c.says)
		}
	}
	for _, text := range [][]byte{nil, make([]byte, secretSize), append([]byte{2}, make([]byte, secretSize-1)...), append([]byte{1}, make([]byte, secretSize-1)...)} {
		if s, err := parseSecrets(text); err == nil {
			t.Errorf("%x are secrets: %v", text, s)
		}
	}
}

func FuzzFile(f *testing.F) {
	_, b := fleet(f, keys.ECDHP256, testfleet.Options{Name: "fuzzed"})
	f.Add(must(Seal(b, role, must(New(rand.Reader)))))
	f.Add([]byte(`{"format": "fleetctl fleet-secrets v1"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseFile("secrets.json", data)
		if err != nil {
			return
		}
		if !bytes.Equal(encode(p), data) {
			t.Error("what was read is written otherwise")
		}
	})
}
