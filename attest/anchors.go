package attest

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	anchorsFormat = "fleetctl anchors v1"
	maxAnchors    = 256
)

// Anchor is a key that a verifier pins. It counts for the formats that it is
// pinned for alone.
type Anchor struct {
	Vendor      string
	Name        string
	Operator    string // who runs the CA, where that is not the vendor; a TPM's attestation CA has one
	Formats     []string
	SPKI        [32]byte // SHA-256 of the key's SubjectPublicKeyInfo
	Certificate []byte   // DER, where evidence comes without it; only its name and key count
	Key         []byte   // SPKI, where there is no certificate
	Origin      string   // where the vendor publishes it
	Check       string   // how a person checks it
	Confirmed   string   // who compared it with what, and when; empty: nobody has
	NotAfter    *time.Time

	cert *x509.Certificate
	key  crypto.PublicKey
}

// PublicKey is the pinned key, nil where only its digest is known.
func (a *Anchor) PublicKey() crypto.PublicKey { return a.key }

// Valid says whether the anchor counts at a time.
func (a *Anchor) Valid(at time.Time) bool { return a.NotAfter == nil || !at.After(*a.NotAfter) }

// Anchors are what a verifier pins. The zero value pins nothing.
type Anchors struct {
	File   string
	Digest [32]byte // SHA-256 of the file
	list   []Anchor
}

type anchorsFile struct {
	Format  string       `strict:"format"`
	Anchors []anchorText `strict:"anchors"`
}

type anchorText struct {
	Vendor      string     `strict:"vendor,token"`
	Name        string     `strict:"name"`
	Operator    string     `strict:"operator,optional"`
	Formats     []string   `strict:"formats,token"`
	SPKI        [32]byte   `strict:"spki_sha256,hex"`
	Certificate []byte     `strict:"certificate,base64,optional"`
	Key         []byte     `strict:"key,base64,optional"`
	Origin      string     `strict:"origin"`
	Check       string     `strict:"check"`
	Confirmed   string     `strict:"confirmed,optional"`
	NotAfter    *time.Time `strict:"not_after,optional"`
}

//go:embed anchors.yaml
var shipped []byte

// Shipped is the project's list of vendors' roots, with where each comes from.
// Nobody has compared them for the reader: they are there to be chosen from.
func Shipped() []byte { return slices.Clone(shipped) }

// ParseAnchors reads an anchors file (SPEC section 23.2).
func ParseAnchors(file string, data []byte) (*Anchors, error) {
	f := &anchorsFile{}
	root, err := strict.DecodeFormat(file, data, strict.MaxYAML, anchorsFormat, f)
	if err != nil {
		return nil, err
	}
	a := &Anchors{File: file, Digest: sha256.Sum256(data)}
	var faults strict.Errors
	if n := len(f.Anchors); n == 0 || n > maxAnchors {
		return nil, strict.Errorf(file, "%d anchors; a file has 1 to %d", n, maxAnchors)
	}
	for i, t := range f.Anchors {
		line := root.Get("anchors").Items[i].Line
		anchor := Anchor{
			Vendor: t.Vendor, Name: t.Name, Operator: t.Operator, Formats: t.Formats, SPKI: t.SPKI, Certificate: t.Certificate,
			Key: t.Key, Origin: t.Origin, Check: t.Check, Confirmed: t.Confirmed, NotAfter: t.NotAfter,
		}
		if msg := anchor.load(); msg != "" {
			faults.Add(strict.At(file, line, "anchor %q: %s", strict.Clip(t.Name), msg))
		}
		if slices.ContainsFunc(a.list, func(b Anchor) bool { return b.SPKI == anchor.SPKI && b.Vendor == anchor.Vendor }) {
			faults.Add(strict.At(file, line, "anchor %q: this key stands twice", strict.Clip(t.Name)))
		}
		a.list = append(a.list, anchor)
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return a, nil
}

// load checks an anchor and reads its key; it says what is wrong.
func (a *Anchor) load() string {
	for what, s := range map[string]string{"name": a.Name, "operator": a.Operator, "origin": a.Origin, "check": a.Check, "confirmed": a.Confirmed} {
		if s != "" {
			if err := strict.CheckText(s, 500); err != nil {
				return what + ": " + err.Error()
			}
		}
	}
	spki := a.Key
	switch {
	case len(a.Formats) == 0:
		return "it names no format that it counts for"
	case a.SPKI == [32]byte{}:
		return "it names no key"
	case a.Certificate != nil && a.Key != nil:
		return "certificate and key are both given; one of them is enough"
	case a.Certificate != nil:
		cert, err := x509.ParseCertificate(a.Certificate)
		if err != nil {
			return "certificate: " + err.Error()
		}
		a.cert, a.key, spki = cert, cert.PublicKey, cert.RawSubjectPublicKeyInfo
	case a.Key != nil:
		key, err := x509.ParsePKIXPublicKey(a.Key)
		if err != nil {
			return "key: " + err.Error()
		}
		a.key = key
	}
	if spki != nil && sha256.Sum256(spki) != a.SPKI {
		return "spki_sha256 is not that of the key given with it"
	}
	return ""
}

// NewAnchors is for callers that have anchors from elsewhere than a file.
func NewAnchors(list ...Anchor) (*Anchors, error) {
	a := &Anchors{list: slices.Clone(list)}
	for i := range a.list {
		if msg := a.list[i].load(); msg != "" {
			return nil, strict.Errorf("", "anchor %q: %s", strict.Clip(a.list[i].Name), msg)
		}
	}
	return a, nil
}

// All are the anchors, in the file's order.
func (a *Anchors) All() []Anchor { return slices.Clone(a.list) }

// For are the anchors pinned for a format.
func (a *Anchors) For(format string) (list []*Anchor) {
	for i := range a.list {
		if slices.Contains(a.list[i].Formats, format) {
			list = append(list, &a.list[i])
		}
	}
	return list
}

// Find is the anchor pinned for a format with this SubjectPublicKeyInfo, nil
// where there is none. It has to be Valid too.
func (a *Anchors) Find(format string, spki []byte) *Anchor {
	for _, x := range a.For(format) {
		if x.SPKI == sha256.Sum256(spki) {
			return x
		}
	}
	return nil
}
