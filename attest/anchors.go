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

// Anchor is a key that a verifier pins. It counts only for its formats.
type Anchor struct {
	Vendor      string     `strict:"vendor,token"`
	Name        string     `strict:"name"`
	Operator    string     `strict:"operator,optional"` // who runs the CA, if not the vendor, as for a TPM's attestation CA
	Formats     []string   `strict:"formats,token"`
	SPKI        [32]byte   `strict:"spki_sha256,hex"`             // SHA-256 of the key's SubjectPublicKeyInfo
	Certificate []byte     `strict:"certificate,base64,optional"` // DER, for evidence that comes without it; only its name and key count
	Key         []byte     `strict:"key,base64,optional"`         // SubjectPublicKeyInfo, if there is no certificate
	Origin      string     `strict:"origin"`                      // where the vendor publishes it
	Check       string     `strict:"check"`                       // how a person checks it
	Confirmed   string     `strict:"confirmed,optional"`          // who compared it, with what and when; empty: nobody has
	NotAfter    *time.Time `strict:"not_after,optional"`

	cert *x509.Certificate
	key  crypto.PublicKey
}

// PublicKey is the pinned key, nil if only its digest is known.
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
	Format  string   `strict:"format"`
	Anchors []Anchor `strict:"anchors"`
}

//go:embed anchors.yaml
var shipped []byte

// Shipped is the project's list of vendors' roots, with the origin of each. Nobody
// has compared them with their origin for the reader, who has to do that for each
// one that he pins.
func Shipped() []byte { return slices.Clone(shipped) }

// ParseAnchors reads an anchors file (SPEC section 23.2).
func ParseAnchors(file string, data []byte) (*Anchors, error) {
	f := &anchorsFile{}
	root, err := strict.DecodeFormat(file, data, strict.MaxYAML, anchorsFormat, f)
	if err != nil {
		return nil, err
	}
	a, err := AnchorsIn(file, f.Anchors, root.Get("anchors").LineOf)
	if err != nil {
		return nil, err
	}
	a.Digest = sha256.Sum256(data)
	return a, nil
}

// AnchorsIn checks anchors that were read from a list in another file, such as a
// policy. line gives the lines of the list and of its items. The caller sets
// Digest.
func AnchorsIn(file string, list []Anchor, line func(path ...any) int) (*Anchors, error) {
	a := &Anchors{File: file}
	var faults strict.Errors
	if n := len(list); n == 0 || n > maxAnchors {
		return nil, strict.At(file, line(), "%d anchors; there are 1 to %d", n, maxAnchors)
	}
	for i, anchor := range list {
		if msg := anchor.load(); msg != "" {
			faults.Add(strict.At(file, line(i), "anchor %q: %s", strict.Clip(anchor.Name), msg))
		}
		if slices.ContainsFunc(a.list, func(b Anchor) bool { return b.SPKI == anchor.SPKI && b.Vendor == anchor.Vendor }) {
			faults.Add(strict.At(file, line(i), "anchor %q: this key stands twice", strict.Clip(anchor.Name)))
		}
		a.list = append(a.list, anchor)
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return a, nil
}

// load checks an anchor and reads its key. It gives what is wrong, or "".
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

// NewAnchors checks anchors that don't come from a file.
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

// For gives the anchors that are pinned for a format.
func (a *Anchors) For(format string) (list []*Anchor) {
	for i := range a.list {
		if slices.Contains(a.list[i].Formats, format) {
			list = append(list, &a.list[i])
		}
	}
	return list
}

// Find gives the anchor that is pinned for a format with this SubjectPublicKeyInfo,
// or nil. The caller checks that it is Valid.
func (a *Anchors) Find(format string, spki []byte) *Anchor {
	for _, x := range a.For(format) {
		if x.SPKI == sha256.Sum256(spki) {
			return x
		}
	}
	return nil
}
