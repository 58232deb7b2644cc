package bundle

import (
	"bytes"
	"fmt"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// BundleFormat is the first field of a validation bundle.
const BundleFormat = "fleetctl validation-bundle v1"

// MaxBundle bounds a bundle's file, in bytes: it is a log's leaf, and logs of
// tiles hold leaves of at most 2^16-1 bytes (C2SP tlog-tiles).
const MaxBundle = 1<<16 - 1

// Bundle is a validation bundle: an HSM hands it to a device, and it is what is
// logged. A bundle from ParseBundle is well-formed and agrees with itself, but no
// signature in it is verified: that is for Verify. Its fields must not be changed.
type Bundle struct {
	KeySet            *KeySet // the artifact; nil where it is a notice
	Notice            *Notice // the artifact if it is a notice, which only ParseAny reads; else nil
	Statements        []Signed
	Countersignatures []Countersignature
	// Transcript names the countersignature's record in the ceremony's transcript,
	// so that the log's leaf commits to every record and signature up to it. It is
	// nil for a notice, which no ceremony makes.
	Transcript *Head

	file string
	raw  []byte
	is   about // of its artifact, which is hashed once
}

func (b *Bundle) about() about { return b.is }

// Named is the same bundle with another file name for errors.
func (b *Bundle) Named(file string) *Bundle {
	named := *b
	named.file = file
	return &named
}

type bundleFile struct {
	Format            string                 `strict:"format"`
	Artifact          []byte                 `strict:"artifact,base64"`
	Statements        []signedFile           `strict:"statements"`
	Countersignatures []countersignatureFile `strict:"countersignatures"`
	Transcript        *Head                  `strict:"transcript,optional"`
}

type signedFile struct {
	Key      [32]byte      `strict:"key,base64"`
	JSON     []byte        `strict:"json,base64"`
	Addition *additionFile `strict:"addition,optional"`
}

type countersignatureFile struct {
	Key       []byte `strict:"key,base64"`
	Form      string `strict:"form"`
	Signature []byte `strict:"signature,base64"`
}

// ParseBundle reads a validation bundle of at most MaxBundle bytes. It refuses a
// bundle any part of which is malformed or contradicts another. It checks no
// signature. file names the bundle in errors. A bundle whose artifact is a
// retirement or a void brings no keys and is refused too: ParseAny reads it.
func ParseBundle(file string, data []byte) (*Bundle, error) {
	return parseBundle(file, data, false)
}

// ParseAny is ParseBundle for callers that know what a retirement or a void means.
// If the artifact is one of these, Notice is set and KeySet is nil.
func ParseAny(file string, data []byte) (*Bundle, error) {
	return parseBundle(file, data, true)
}

func parseBundle(file string, data []byte, notices bool) (*Bundle, error) {
	var f bundleFile
	d, err := open(file, data, MaxBundle, BundleFormat, &f)
	if err != nil {
		return nil, err
	}
	b := &Bundle{file: file, Transcript: f.Transcript}
	if format := FormatOf(f.Artifact); format == RetirementFormat || format == VoidFormat {
		if !notices {
			return nil, strict.Errorf(file, "its artifact is a %q, which brings no keys; a bundle of a fleet's keys is wanted", format)
		}
		if b.Notice, err = ParseNotice(file+" artifact", f.Artifact); err != nil {
			return nil, err
		}
		b.is = b.Notice.about()
	} else {
		if b.KeySet, err = parseKeySet(file+" artifact", f.Artifact); err != nil {
			return nil, err
		}
		b.is = b.KeySet.about()
	}
	b.Statements = d.statements(f.Statements, "statements")
	for i, s := range b.Statements {
		if err := isAbout(s.Statement, b.about()); err != nil {
			d.failf(d.at("statements", i), "statements[%d] %v", i, err)
		}
	}
	d.additions(b.Statements)
	b.Countersignatures = d.countersignatures(f.Countersignatures, len(f.Statements))
	d.transcript(b)
	if err := d.errs.Err(); err != nil {
		return nil, err
	}
	b.raw = bytes.Clone(data)
	return b, nil
}

// Artifact is the exact bytes of the artifact, a key set or a notice.
func (b *Bundle) Artifact() []byte {
	if b.Notice != nil {
		return b.Notice.Raw()
	}
	return b.KeySet.Raw()
}

// Raw is the file as it was read, which is the log's leaf. It must not be changed.
func (b *Bundle) Raw() []byte { return b.raw }

// Assemble makes a bundle of an artifact's exact bytes, statements in any
// order and countersignatures, and reads back what it wrote. transcript is the
// countersignature's record; nil for a notice.
func Assemble(artifact []byte, statements []Signed, countersignatures []Countersignature, transcript *Head) (*Bundle, error) {
	return ParseAny("", encodeBundle(artifact, statements, countersignatures, transcript))
}

func encodeBundle(artifact []byte, statements []Signed, countersignatures []Countersignature, transcript *Head) []byte {
	f := bundleFile{Format: BundleFormat, Artifact: artifact, Transcript: transcript}
	for _, s := range sorted(statements) {
		f.Statements = append(f.Statements, signedFile{s.Key, s.Statement.filed(), s.Addition.file()})
	}
	for _, c := range countersignatures {
		f.Countersignatures = append(f.Countersignatures, countersignatureFile{c.Key.SPKI(), c.Form, c.Signature})
	}
	return strict.EncodeJSON(&f)
}

// isAbout says whether a statement is about this artifact.
func isAbout(s *Statement, a about) error {
	switch {
	case s.Namespace != a.namespace:
		return fmt.Errorf("is about namespace %s, the artifact's is %s", s.Namespace, a.namespace)
	case s.Epoch != a.epoch:
		return fmt.Errorf("is about epoch %d, the artifact is epoch %d", s.Epoch, a.epoch)
	case s.Digest != a.digest:
		return fmt.Errorf("is about digest %x, the artifact's is %x", s.Digest, a.digest)
	}
	return nil
}

// transcript demands that a fleet's bundle names a record of the transcript, and
// that a notice's bundle names none. What people signed up to that record existed
// when the bundle was logged.
func (d *document) transcript(b *Bundle) {
	switch {
	case b.Notice != nil && b.Transcript != nil:
		d.failf(d.at("transcript"), "transcript stands in the bundle of a %s, which no ceremony makes", b.Notice.Format)
	case b.Notice == nil && b.Transcript == nil:
		d.failf(d.root(), "transcript is missing: without it nothing shows that people signed before the bundle was logged")
	case b.Transcript != nil && (b.Transcript.N == 0 || b.Transcript.Hash == [32]byte{}):
		d.failf(d.at("transcript"), "transcript names no record: records count from 1, and 32 zero bytes are no record's hash")
	}
}

// statements reads a list of statements with their keys, which are admitted, all
// different, and in the order of their bytes.
func (d *document) statements(list []signedFile, path string) []Signed {
	out := make([]Signed, 0, len(list))
	for i, f := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if i > 0 {
			switch c := bytes.Compare(list[i-1].Key[:], f.Key[:]); {
			case c == 0:
				d.failf(d.at(path, i, "key"), "%s.key is that of the statement before", at)
			case c > 0:
				d.failf(d.at(path, i, "key"), "%s.key comes before that of the statement before; they are sorted by raw key", at)
			}
		}
		s, err := parseSigned(d.file+" "+at, f)
		if err != nil {
			d.errs.Add(err)
			continue
		}
		out = append(out, s)
	}
	return out
}

// parseSigned reads a statement, and the key and the addition beside it.
func parseSigned(file string, f signedFile) (Signed, error) {
	if err := keys.AdmitEd25519(f.Key[:]); err != nil {
		return Signed{}, strict.Errorf(file, "key %v", err)
	}
	s, err := parseStatement(file+".json", f.JSON)
	if err != nil {
		return Signed{}, err
	}
	// key_id isn't signed, but it must not contradict the key beside it.
	if err := s.checkKeyID(f.Key); err != nil {
		return Signed{}, strict.Errorf(file, "%v", err)
	}
	add, err := f.Addition.parse()
	if err != nil {
		return Signed{}, strict.Errorf(file, "%v", err)
	}
	return Signed{Key: f.Key, Statement: s, Addition: add}, nil
}

// additions refuses a key that added a signature to two statements: it is one party's.
func (d *document) additions(list []Signed) {
	seen := map[string]bool{}
	for i, s := range list {
		if s.Addition == nil {
			continue
		}
		spki := string(s.Addition.Key.SPKI())
		if seen[spki] {
			d.failf(d.at("statements", i), "statements[%d].addition has the key of another statement's", i)
		}
		seen[spki] = true
	}
}

func (d *document) countersignatures(list []countersignatureFile, statements int) []Countersignature {
	out := make([]Countersignature, 0, len(list))
	seen := map[string]bool{}
	for i, f := range list {
		fail := func(field, format string, args ...any) {
			d.failf(d.at("countersignatures", i, field), "countersignatures[%d].%s %s", i, field, fmt.Sprintf(format, args...))
		}
		p, err := keys.ParseSPKI(f.Key)
		switch {
		case err != nil:
			fail("key", "%v", err)
			continue
		case !p.Algorithm().CanSign():
			fail("key", "is of kind %s, which can't sign", p.Algorithm())
			continue
		case seen[string(f.Key)]:
			fail("key", "has countersigned already")
		}
		seen[string(f.Key)] = true
		if f.Form != FormBound && f.Form != FormSignature {
			fail("form", "is %q; %s and %s are allowed", f.Form, FormBound, FormSignature)
		} else if f.Form == FormSignature && statements != 1 {
			fail("form", "is %s, which is over exactly one statement; there are %d", FormSignature, statements)
		}
		if most := p.Algorithm().MaxSignature(); len(f.Signature) > most {
			fail("signature", "has %d bytes; one of %s has at most %d", len(f.Signature), p.Algorithm(), most)
		}
		out = append(out, Countersignature{Key: p, Form: f.Form, Signature: f.Signature})
	}
	return out
}
