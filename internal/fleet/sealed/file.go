package sealed

import (
	"crypto/sha256"
	"fmt"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Format is the first field of the file.
const Format = "fleetctl fleet-secrets v1"

// MaxFile bounds the file, in bytes.
const MaxFile = 128 << 10

// File is a fleet's sealed secrets.
type File struct {
	Format    string            `strict:"format"`
	Mode      string            `strict:"mode"`
	Namespace string            `strict:"namespace,token"`
	Fleet     string            `strict:"fleet,token"`
	Epoch     uint64            `strict:"epoch"`
	Bundle    [sha256.Size]byte `strict:"bundle,hex"` // SHA-256 of the bundle's file
	Sealed    []Sealed          `strict:"sealed"`

	name string
}

// Sealed are the secrets for one HSM: what HPKE calls enc, and the ciphertext.
type Sealed struct {
	HSM       string         `strict:"hsm,token"`
	Algorithm keys.Algorithm `strict:"algorithm"`
	Secrets   []byte         `strict:"secrets,base64"`
}

// Seal seals secrets to the agreement key that each HSM of a bundle has for a role, and
// gives the file. The bundle is one that the caller has verified.
func Seal(b *bundle.Bundle, role string, s *Secrets) ([]byte, error) {
	if b.KeySet == nil {
		return nil, fmt.Errorf("the bundle brings no keys to seal secrets to")
	}
	set := b.KeySet
	f := &File{Format: Format, Mode: set.Mode, Namespace: set.Namespace, Fleet: set.Fleet, Epoch: set.Epoch, Bundle: sha256.Sum256(b.Raw())}
	text := s.encode()
	defer clear(text)
	for _, hsm := range set.HSMs() {
		k, pub, err := agreement(set, role, hsm)
		if err != nil {
			return nil, err
		}
		sealed, err := seal(pub, infoFor(set, f.Bundle, hsm), text)
		if err != nil {
			return nil, fmt.Errorf("hsm %s: %w", hsm, err)
		}
		f.Sealed = append(f.Sealed, Sealed{hsm, k.Algorithm, sealed})
	}
	out := encode(f)
	_, err := ParseFile("sealed secrets", out)
	return out, err
}

func encode(f *File) []byte { return strict.EncodeJSON(f) }

// ParseFile reads the file of at most MaxFile bytes, in the one form in which it is
// written. name is for errors.
func ParseFile(name string, data []byte) (*File, error) {
	n, err := strict.ParseJSON(name, data, MaxFile)
	if err != nil {
		return nil, err
	}
	if err := strict.Format(name, n, Format); err != nil {
		return nil, err
	}
	f := &File{name: name}
	if err := strict.Decode(name, n, f); err != nil {
		return nil, err
	}
	if string(encode(f)) != string(data) {
		return nil, strict.Errorf(name, "is not in the form in which it is written")
	}
	if f.Epoch == 0 || len(f.Sealed) == 0 || f.Bundle == ([sha256.Size]byte{}) {
		return nil, strict.Errorf(name, "is of epoch 0, of no bundle, or sealed to nobody")
	}
	seen := map[string]bool{}
	for _, s := range f.Sealed {
		switch want := sizeOf(s.Algorithm); {
		case seen[s.HSM]:
			return nil, strict.Errorf(name, "has two secrets for hsm %s", s.HSM)
		case want == 0:
			return nil, strict.Errorf(name, "hsm %s: a key of kind %.40q can't open anything", s.HSM, s.Algorithm)
		case len(s.Secrets) != want:
			return nil, strict.Errorf(name, "hsm %s: the secrets have %d bytes; sealed to a key of kind %s they have %d", s.HSM, len(s.Secrets), s.Algorithm, want)
		}
		seen[s.HSM] = true
	}
	return f, nil
}

// Open has an HSM open its secrets. agree is the HSM's half of the key agreement by its
// key of the role, with a peer in the encoding of [keys.Peer].
func (f *File) Open(b *bundle.Bundle, role, hsm string, agree func(peer []byte) ([]byte, error)) (*Secrets, error) {
	set := b.KeySet
	if set == nil {
		return nil, strict.Errorf(f.name, "can't be opened with a bundle that brings no keys")
	}
	digest := sha256.Sum256(b.Raw())
	if f.Mode != set.Mode || f.Namespace != set.Namespace || f.Fleet != set.Fleet || f.Epoch != set.Epoch || f.Bundle != digest {
		return nil, strict.Errorf(f.name, "is sealed for fleet %s, epoch %d, bundle %x; this node is of fleet %s, epoch %d, bundle %x", f.Fleet, f.Epoch, f.Bundle, set.Fleet, set.Epoch, digest).
			WithHint("Take the file that was made for this bundle.")
	}
	k, pub, err := agreement(set, role, hsm)
	if err != nil {
		return nil, err
	}
	for _, s := range f.Sealed {
		switch {
		case s.HSM != hsm:
			continue
		case s.Algorithm != k.Algorithm:
			return nil, strict.Errorf(f.name, "is sealed for hsm %s to a key of kind %s, and its key is of kind %s", hsm, s.Algorithm, k.Algorithm)
		}
		text, err := open(&exchanger{k.Algorithm, pub, agree}, infoFor(set, digest, hsm), s.Secrets)
		if err != nil {
			return nil, strict.Errorf(f.name, "hsm %s can't open it: %v", hsm, err).Because(err).
				WithHint("It is opened by the HSM's own key of role %s alone, and not once it was changed.", role)
		}
		defer clear(text)
		return parseSecrets(text)
	}
	return nil, strict.Errorf(f.name, "has nothing for hsm %s", hsm)
}
