package attest_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
)

// echo is a verifier that gives the claims it has.
type echo struct {
	format string
	claims attest.Claims
	err    error
}

func (e echo) Format() string { return e.format }
func (e echo) Parts() []attest.PartRule {
	return []attest.PartRule{{Name: "a", Max: 8, What: "the quote"}, {Name: "b", Max: attest.MaxEvidence, Optional: true}}
}
func (e echo) Verify(attest.Input) (*attest.Claims, error) {
	c := e.claims
	return &c, e.err
}

func evidence(parts ...string) *attest.Evidence {
	e := &attest.Evidence{Format: "f"}
	for i := 0; i < len(parts); i += 2 {
		e.Parts = append(e.Parts, attest.Part{Name: parts[i], Data: []byte(parts[i+1])})
	}
	return e
}

func TestCheckComparesTheNonce(t *testing.T) {
	anchor := &attest.Anchor{Name: "x"}
	for _, c := range []struct {
		level         attest.Level
		anchor        *attest.Anchor
		asked, signed string
		want          attest.Level
		err           string
	}{
		{attest.Anchored, anchor, "n", "n", attest.Fresh, ""},
		{attest.Anchored, anchor, "", "n", attest.Anchored, ""},
		{attest.Anchored, anchor, "n", "", attest.Anchored, ""},
		{attest.VendorSigned, nil, "n", "n", attest.VendorSigned, ""},
		{attest.ModuleClaimed, nil, "n", "n", attest.ModuleClaimed, ""},
		{attest.Anchored, anchor, "n", "m", 0, "stale: the evidence answers the nonce 6d, and 6e was asked"},
		{attest.VendorSigned, nil, "n", "nn", 0, "stale"},
		{attest.Fresh, anchor, "", "", 0, `the level "fresh", which only Check may give`},
		{0, nil, "", "", 0, `the level "no level"`},
		{attest.None, nil, "", "", 0, `the level "none"`},
		{attest.Anchored, nil, "", "", 0, "its anchor doesn't fit"},
		{attest.VendorSigned, anchor, "", "", 0, "its anchor doesn't fit"},
	} {
		v := echo{format: "f", claims: attest.Claims{Level: c.level, Anchor: c.anchor, Nonce: []byte(c.signed), Key: attest.Key{SPKI: []byte("k")}}}
		in := attest.Input{Evidence: evidence("a", "1"), At: at.At, Nonce: []byte(c.asked)}
		got, err := attest.Check(v, in)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: %+v %v", c, got, err)
			}
		case err != nil || got.Level != c.want || got.Format != "f" || got.Evidence != in.Evidence.Digest():
			t.Errorf("%+v: %+v %v", c, got, err)
		}
	}
	if _, err := attest.Check(echo{format: "f", claims: attest.Claims{Level: attest.VendorSigned}}, attest.Input{Evidence: evidence("a", "1"), At: at.At}); err == nil || !strings.Contains(err.Error(), "no public key") {
		t.Errorf("claims without a key: %v", err)
	}
	wrong := errors.New("wrong")
	if _, err := attest.Check(echo{format: "f", err: wrong}, attest.Input{Evidence: evidence("a", "1"), At: at.At}); !errors.Is(err, wrong) {
		t.Errorf("a verifier's error: %v", err)
	}
}

func TestCheckHoldsTheInputToItsBounds(t *testing.T) {
	many := &attest.Evidence{Format: "f"}
	for i := range 17 {
		many.Parts = append(many.Parts, attest.Part{Name: fmt.Sprint(i), Data: []byte("x")})
	}
	for want, in := range map[string]attest.Input{
		"no time was given":                    {Evidence: evidence("a", "1"), At: time.Time{}},
		"of another format":                    {At: at.At},
		"0 parts":                              {Evidence: evidence(), At: at.At},
		"17 parts":                             {Evidence: many, At: at.At},
		`part "c" is not one of this format's`: {Evidence: evidence("a", "1", "c", "1"), At: at.At},
		`part "a" has 9 bytes; at most 8 are read`: {Evidence: evidence("a", "123456789"), At: at.At},
		`part "a" is missing: the quote`:           {Evidence: evidence("b", "1"), At: at.At},
		`part "a" stands twice`:                    {Evidence: evidence("a", "1", "a", "1"), At: at.At},
		`part "a" is empty`:                        {Evidence: evidence("a", ""), At: at.At},
		`part " "`:                                 {Evidence: evidence(" ", "1"), At: at.At},
		"262145 bytes of evidence":                 {Evidence: evidence("a", "1", "b", strings.Repeat("x", attest.MaxEvidence)), At: at.At},
	} {
		if c, err := attest.Check(echo{format: "f"}, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %+v %v", want, c, err)
		}
	}
}

func TestARegistryHasOneVerifierForAFormat(t *testing.T) {
	r, err := attest.NewRegistry(echo{format: "g"}, echo{format: "f", claims: attest.Claims{Level: attest.VendorSigned, Key: attest.Key{SPKI: []byte("k")}}})
	if err != nil || !slices.Equal(r.Formats(), []string{"f", "g"}) {
		t.Fatalf("%v %v", r, err)
	}
	if c, err := r.Check(attest.Input{Evidence: evidence("a", "1"), At: at.At}); err != nil || c.Format != "f" {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := r.Check(attest.Input{Evidence: &attest.Evidence{Format: "h"}, At: at.At}); !errors.Is(err, attest.ErrFormat) {
		t.Errorf("a format that nobody reads: %v", err)
	}
	if err := r.CheckParts(evidence("a", "1")); err != nil {
		t.Errorf("parts as they should be: %v", err)
	}
	for _, e := range []*attest.Evidence{evidence("b", "1"), {Format: "h"}} {
		if err := r.CheckParts(e); err == nil {
			t.Errorf("%+v was taken", e)
		}
	}
	if _, err := r.Check(attest.Input{At: at.At}); err == nil {
		t.Error("no evidence was taken")
	}
	for _, list := range [][]attest.Verifier{{echo{format: "f"}, echo{format: "f"}}, {echo{format: "a b"}}} {
		if _, err := attest.NewRegistry(list...); err == nil {
			t.Errorf("%v was taken", list)
		}
	}
}

func TestEvidenceHasOneForm(t *testing.T) {
	e := evidence("a", "1", "b", "22")
	data := e.Encode()
	got, err := attest.ParseEvidence("e.json", data)
	if err != nil || got.Digest() != e.Digest() || string(got.Part("b")) != "22" || got.Part("c") != nil {
		t.Fatalf("%+v %v", got, err)
	}
	for name, bad := range map[string][]byte{
		"trailing": append(slices.Clone(data), ' '), "another format": bytes.Replace(data, []byte("attestation v1"), []byte("attestation v2"), 1),
		"a part twice": bytes.Replace(data, []byte(`"b"`), []byte(`"a"`), 1), "no parts": []byte(`{"format":"fleetctl attestation v1","evidence":"f","parts":[]}`),
		"another spelling": bytes.Replace(data, []byte("  "), []byte(" "), 1), "an unknown member": bytes.Replace(data, []byte(`"name"`), []byte(`"nom"`), 1),
	} {
		if got, err := attest.ParseEvidence("e.json", bad); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTheNonceNamesWhatItIsAbout(t *testing.T) {
	a, b := [32]byte{1}, [32]byte{2}
	seen := map[[32]byte]bool{}
	for _, n := range [][32]byte{attest.Nonce(a, b, "x"), attest.Nonce(b, a, "x"), attest.Nonce(a, b, "y"), attest.Nonce(a, b, "")} {
		seen[n] = true
	}
	// printf 'fleetctl attestation nonce v1\n%s\n%s\nx\n' 01000… 02000… | sha256sum
	if got := fmt.Sprintf("%x", attest.Nonce(a, b, "x")); len(seen) != 4 || got != nonceExample {
		t.Errorf("%d different, %s", len(seen), got)
	}
}

const nonceExample = "100b833f55b159affe0fcfa4baa57e06a2d3d460becec184c1228df317bfe488"
