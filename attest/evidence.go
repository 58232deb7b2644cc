package attest

import (
	"crypto/sha256"

	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	evidenceFormat = "fleetctl attestation v1"

	// MaxEvidence is how many bytes all parts of a piece of evidence may have together.
	MaxEvidence = 256 << 10
	// MaxEvidenceFile is how many bytes the file with all parts may have.
	MaxEvidenceFile = 512 << 10
	maxParts        = 16
)

// Evidence is what a device gave, unchanged: a list of parts, with the names that
// the format's verifier gives them.
type Evidence struct {
	Format string // as a Verifier names it
	Parts  []Part
}

// Part is one file of a piece of evidence.
type Part struct {
	Name string
	Data []byte
}

type evidenceFile struct {
	Format string     `strict:"format"`
	Device string     `strict:"evidence,token"`
	Parts  []partText `strict:"parts"`
}

type partText struct {
	Name string `strict:"name,token"`
	Data []byte `strict:"data,base64"`
}

// Part gives the data of the part with this name, nil if there is none.
func (e *Evidence) Part(name string) []byte {
	for _, p := range e.Parts {
		if p.Name == name {
			return p.Data
		}
	}
	return nil
}

// Encode writes a file with all parts, in its only form (SPEC section 23.1).
func (e *Evidence) Encode() []byte {
	f := &evidenceFile{Format: evidenceFormat, Device: e.Format}
	for _, p := range e.Parts {
		f.Parts = append(f.Parts, partText(p))
	}
	return strict.EncodeJSON(f)
}

// Digest is the SHA-256 of Encode, by which claims name their evidence.
func (e *Evidence) Digest() [32]byte { return sha256.Sum256(e.Encode()) }

// ParseEvidence reads exactly what Encode writes.
func ParseEvidence(file string, data []byte) (*Evidence, error) {
	f := &evidenceFile{}
	if err := strict.DecodeJSON(file, data, MaxEvidenceFile, f); err != nil {
		return nil, err
	}
	if f.Format != evidenceFormat {
		return nil, strict.Errorf(file, "the format is %q, not %q", strict.Clip(f.Format), evidenceFormat)
	}
	e := &Evidence{Format: f.Device}
	for _, p := range f.Parts {
		e.Parts = append(e.Parts, Part(p))
	}
	if err := e.check(file); err != nil {
		return nil, err
	}
	if string(e.Encode()) != string(data) {
		return nil, strict.Errorf(file, "an attestation's file has only one form, and this is another (SPEC section 23.1)")
	}
	return e, nil
}

// check checks the number, names and sizes of the parts.
func (e *Evidence) check(file string) error {
	sum, seen := 0, map[string]bool{}
	if len(e.Parts) == 0 || len(e.Parts) > maxParts {
		return strict.Errorf(file, "%d parts; evidence has 1 to %d", len(e.Parts), maxParts)
	}
	for _, p := range e.Parts {
		switch err := strict.CheckToken(p.Name); {
		case err != nil:
			return strict.Errorf(file, "part %q: %v", strict.Clip(p.Name), err)
		case seen[p.Name]:
			return strict.Errorf(file, "part %q stands twice", p.Name)
		case len(p.Data) == 0:
			return strict.Errorf(file, "part %q is empty", p.Name)
		}
		seen[p.Name] = true
		sum += len(p.Data)
	}
	if sum > MaxEvidence {
		return strict.Errorf(file, "%d bytes of evidence; at most %d are read", sum, MaxEvidence)
	}
	return nil
}
