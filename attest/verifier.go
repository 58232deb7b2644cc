package attest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Verifier reads one format. It is pure: it uses no files, network, clock or
// randomness. For any input it needs at most 50 ms and 32 MiB.
type Verifier interface {
	// Format is the format's name, a token: "tpm2-certify".
	Format() string
	// Parts are the parts of the format's evidence.
	Parts() []PartRule
	// Verify checks every signature and reads what is signed. It gives claims with
	// the level ModuleClaimed, or that of the chain (Path.Level): VendorSigned or
	// Anchored. It returns an error if anything is malformed or a signature is
	// wrong. It sets Claims.Nonce, which Check compares; Check also sets Format and
	// Evidence. Before it calls Verify, Check checks that all parts are there and
	// within their limits.
	Verify(in Input) (*Claims, error)
}

// PartRule is a part of a format's evidence.
type PartRule struct {
	Name     string
	Optional bool
	Max      int    // bytes
	What     string // for people: what it has, and which of the vendor's tools writes it
}

// Input is what a verifier judges, and by what.
type Input struct {
	Evidence *Evidence
	Anchors  *Anchors  // nil: nothing is pinned, so no level above VendorSigned is reached
	At       time.Time // when the evidence was made, or is judged: never the zero time
	Nonce    []byte    // the challenge that the device was given; nil if none was
}

// Check checks the input's limits, calls the verifier, and compares the nonce.
// Evidence with another nonce is refused as stale. Evidence with this nonce is
// Fresh, if it is Anchored.
func Check(v Verifier, in Input) (*Claims, error) {
	fail := func(format string, args ...any) error { return fmt.Errorf(v.Format()+": "+format, args...) }
	if err := keys.CheckNow(in.At); err != nil {
		return nil, fail("%w", err)
	}
	if in.Evidence == nil || in.Evidence.Format != v.Format() {
		return nil, fail("the evidence is of another format")
	}
	if in.Anchors == nil {
		in.Anchors = &Anchors{}
	}
	if err := checkParts(v.Parts(), in.Evidence); err != nil {
		return nil, fail("%w", err)
	}
	c, err := v.Verify(in)
	if err != nil {
		return nil, fail("%w", err)
	}
	c.Format, c.Evidence = v.Format(), in.Evidence.Digest()
	switch {
	case c.Level < ModuleClaimed || c.Level > Anchored:
		return nil, fail("the verifier gave the level %q, which only Check may give", c.Level)
	case (c.Level == Anchored) != (c.Anchor != nil):
		return nil, fail("the verifier gave the level %q, to which its anchor doesn't fit", c.Level)
	case len(c.Key.SPKI) == 0:
		return nil, fail("the evidence shows no public key")
	}
	if len(in.Nonce) > 0 && len(c.Nonce) > 0 {
		if !bytes.Equal(in.Nonce, c.Nonce) {
			return nil, fail("stale: the evidence answers the nonce %s, and %s was asked", clipHex(c.Nonce), clipHex(in.Nonce))
		}
		if c.Level == Anchored {
			c.Level = Fresh
		}
	}
	return c, nil
}

func clipHex(b []byte) string { return strict.Clip(hex.EncodeToString(b)) }

func checkParts(rules []PartRule, e *Evidence) error {
	if err := e.check(""); err != nil {
		return err
	}
	for _, p := range e.Parts {
		i := slices.IndexFunc(rules, func(r PartRule) bool { return r.Name == p.Name })
		if i < 0 {
			return fmt.Errorf("part %q is not one of this format's, which are %s", p.Name, partNames(rules))
		}
		if len(p.Data) > rules[i].Max {
			return fmt.Errorf("part %q has %d bytes; at most %d are read", p.Name, len(p.Data), rules[i].Max)
		}
	}
	for _, r := range rules {
		if !r.Optional && e.Part(r.Name) == nil {
			return fmt.Errorf("part %q is missing: %s", r.Name, r.What)
		}
	}
	return nil
}

func partNames(rules []PartRule) string {
	var list []string
	for _, r := range rules {
		list = append(list, r.Name)
	}
	return fmt.Sprintf("%q", list)
}

// Registry finds a format's verifier. Whoever decides which formats count makes one
// with their verifiers; attest/formats has one with all.
type Registry struct{ list []Verifier }

// NewRegistry takes verifiers, one for each format.
func NewRegistry(list ...Verifier) (*Registry, error) {
	r := &Registry{}
	for _, v := range list {
		if err := strict.CheckToken(v.Format()); err != nil {
			return nil, fmt.Errorf("format %q: %w", v.Format(), err)
		}
		if _, err := r.Find(v.Format()); err == nil {
			return nil, fmt.Errorf("two verifiers for format %q", v.Format())
		}
		r.list = append(r.list, v)
	}
	slices.SortFunc(r.list, func(a, b Verifier) int { return bytes.Compare([]byte(a.Format()), []byte(b.Format())) })
	return r, nil
}

// ErrFormat is the error of evidence in a format that the registry has no verifier
// for.
var ErrFormat = errors.New("no verifier for this format")

// Find gives a format's verifier.
func (r *Registry) Find(format string) (Verifier, error) {
	for _, v := range r.list {
		if v.Format() == format {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%q: %w: there are %q", strict.Clip(format), ErrFormat, r.Formats())
}

// Formats are the names, sorted.
func (r *Registry) Formats() (list []string) {
	for _, v := range r.list {
		list = append(list, v.Format())
	}
	return list
}

// Check calls the package's Check with the verifier of the evidence's format.
func (r *Registry) Check(in Input) (*Claims, error) {
	if in.Evidence == nil {
		return nil, errors.New("no evidence was given")
	}
	v, err := r.Find(in.Evidence.Format)
	if err != nil {
		return nil, err
	}
	return Check(v, in)
}

// CheckParts checks that evidence has the parts of its format, within their limits.
// It doesn't look into them.
func (r *Registry) CheckParts(e *Evidence) error {
	v, err := r.Find(e.Format)
	if err != nil {
		return err
	}
	return checkParts(v.Parts(), e)
}

// Nonce is the challenge that a ceremony gives a device: the SHA-256 of four lines
// that name the intent, the key and the device (SPEC section 23.3). Fresh then
// means that the token held the key after these were known, not that it generated
// the key after that.
func Nonce(intent, spki [32]byte, identity string) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "fleetctl attestation nonce v1\n%x\n%x\n%s\n", intent, spki, identity))
}
