package bundle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// MaxStatement bounds a statement's JSON, in bytes. With the longest namespace, a
// statement as served has about 1,100.
const MaxStatement = 4 << 10

// Statement is what a third party signs about one epoch, as Cloudflare's
// auditor does (cloudflare/plexi at 0108f7d, plexi_core/src/lib.rs,
// SignatureResponse). The signature is pure Ed25519 (RFC 8032) over Message;
// Only KeyID isn't signed.
type Statement struct {
	Ciphersuite uint32 // Protobuf or Bincode; the JSON's "version" is an older name for it
	Namespace   string
	Timestamp   uint64 // milliseconds since the Unix epoch, by the signer's clock
	Epoch       uint64
	Digest      [32]byte // SHA-256 of the artifact
	Signature   [64]byte
	KeyID       *uint8 // last byte of the public key, as a hint; nil if not given

	raw []byte
}

// statementFile is the JSON of GET /namespaces/{ns}/audits/{epoch}, members in
// the order in which plexi's service writes them.
type statementFile struct {
	Version     *uint32  `strict:"version,optional"`
	Ciphersuite *uint32  `strict:"ciphersuite,optional"`
	Namespace   string   `strict:"namespace,token"`
	Timestamp   uint64   `strict:"timestamp"`
	Epoch       uint64   `strict:"epoch"`
	Digest      [32]byte `strict:"digest,hex"`
	Signature   [64]byte `strict:"signature,hex"`
	KeyID       *uint8   `strict:"key_id,optional"`
	Message     []byte   `strict:"serialized_message,optional,null,hex"`
}

// NewStatement is a statement yet to be signed; timestamp in milliseconds.
func NewStatement(ciphersuite uint32, namespace string, timestamp, epoch uint64, digest [32]byte) (*Statement, error) {
	s := &Statement{Ciphersuite: ciphersuite, Namespace: namespace, Timestamp: timestamp, Epoch: epoch, Digest: digest}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// check checks that every reader of ours would accept the statement's fields.
func (s *Statement) check() error {
	if s.Ciphersuite != Protobuf && s.Ciphersuite != Bincode {
		return fmt.Errorf("ciphersuite is %d; known are %d (protobuf) and %d (bincode)", s.Ciphersuite, Protobuf, Bincode)
	}
	if err := strict.CheckToken(s.Namespace); err != nil {
		return fmt.Errorf("namespace %w", err)
	}
	if s.Timestamp > strict.MaxInt {
		return fmt.Errorf("timestamp %d is above 2^53-1", s.Timestamp)
	}
	if s.Epoch == 0 || s.Epoch > strict.MaxInt {
		return fmt.Errorf("epoch %d is not between 1 and 2^53-1", s.Epoch)
	}
	return nil
}

// ParseStatement reads a statement that lies in a file. It checks no
// signature. file names it in errors.
func ParseStatement(file string, data []byte) (*Statement, error) {
	s, err := parseStatement(file, data)
	if err == nil {
		s.raw = bytes.Clone(data)
	}
	return s, err
}

// parseStatement is ParseStatement of data that nobody else has: it is kept.
func parseStatement(file string, data []byte) (*Statement, error) {
	var f statementFile
	d, err := open(file, data, MaxStatement, "", &f)
	if err != nil {
		return nil, err
	}
	return f.statement(d, data)
}

// ParseServed is ParseStatement for the answer of a live service, which may have
// fields that we don't know, and any white space around it. Encode writes the
// statement without these, with the same signature.
func ParseServed(file string, data []byte) (*Statement, error) {
	n, err := strict.ParseJSON(file, data, MaxStatement)
	if err != nil {
		return nil, err
	}
	n.Fields = slices.DeleteFunc(n.Fields, func(f strict.Field) bool { return !lookalike(f.Name) })
	var f statementFile
	if err := strict.Decode(file, n, &f); err != nil {
		return nil, err
	}
	return f.statement(&document{file: file, tree: n}, bytes.Clone(data))
}

// lookalike says whether a name differs from one of our members only in case.
// Such a member isn't ignored: a reader that doesn't tell case apart would take
// "Epoch" for the epoch.
func lookalike(name string) bool {
	for _, known := range []string{"version", "ciphersuite", "namespace", "timestamp", "epoch", "digest", "signature", "key_id", "serialized_message"} {
		if strings.EqualFold(name, known) {
			return true
		}
	}
	return false
}

func (f *statementFile) statement(d *document, data []byte) (*Statement, error) {
	suite := f.Ciphersuite
	switch {
	case f.Version == nil && f.Ciphersuite == nil:
		d.failf(d.root(), "version and ciphersuite are both missing; one is needed")
		return nil, d.errs
	case suite == nil:
		suite = f.Version
	case f.Version != nil && *f.Version != *suite:
		d.failf(d.at("version"), "version is %d but ciphersuite is %d; they name the same thing", *f.Version, *suite)
		return nil, d.errs
	}
	s := &Statement{
		Ciphersuite: *suite, Namespace: f.Namespace, Timestamp: f.Timestamp, Epoch: f.Epoch,
		Digest: f.Digest, Signature: f.Signature, KeyID: f.KeyID, raw: data,
	}
	if err := s.check(); err != nil {
		d.failf(d.root(), "%v", err)
	} else if f.Message != nil && !bytes.Equal(f.Message, s.Message()) {
		// serialized_message isn't signed, and whoever reads it instead of the
		// other fields would read another statement.
		d.failf(d.at("serialized_message"), "serialized_message is not what the other fields give")
	}
	if err := d.errs.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// Raw is the JSON as it was read or, for a statement made in memory, as Encode
// writes it. It must not be changed.
func (s *Statement) Raw() []byte {
	if s.raw == nil {
		return s.Encode(s.Signature)
	}
	return s.raw
}

// filed is the statement's JSON as our own files hold it: the bytes as read, or
// where these have what only a live service's answer may have, the same statement
// without it.
func (s *Statement) filed() []byte {
	if s.raw != nil {
		if _, err := ParseStatement("", s.raw); err == nil {
			return s.raw
		}
	}
	return s.Encode(s.Signature)
}

// checkKeyID checks that the hint doesn't contradict the key beside the statement.
func (s *Statement) checkKeyID(key [32]byte) error {
	if s.KeyID != nil && *s.KeyID != key[31] {
		return fmt.Errorf("key_id is %d, but the key's last byte is %d", *s.KeyID, key[31])
	}
	return nil
}

// Time is the Timestamp, which the signer states by its own clock.
func (s *Statement) Time() time.Time { return time.UnixMilli(int64(s.Timestamp)).UTC() }

// Verify checks the statement's signature by an admitted key.
func (s *Statement) Verify(key [32]byte) error { return s.VerifyOnce(key, nil) }

// VerifyOnce is Verify, but doesn't verify a signature again that seen knows.
func (s *Statement) VerifyOnce(key [32]byte, seen *Seen) error {
	if err := s.check(); err != nil {
		return err // an unknown ciphersuite has no message to verify
	}
	return seen.VerifyEd25519(key[:], s.Message(), s.Signature[:])
}

// Encode writes the statement with this signature as plexi's service serves it: on
// one line, without white space.
func (s *Statement) Encode(signature [64]byte) []byte {
	return strict.EncodeLine(&statementFile{
		Version: &s.Ciphersuite, Ciphersuite: &s.Ciphersuite, Namespace: s.Namespace, Timestamp: s.Timestamp, Epoch: s.Epoch,
		Digest: s.Digest, Signature: signature, KeyID: s.KeyID, Message: s.Message(),
	})
}

// Seal takes the signature that the third party's key made over Message, verifies
// it, and gives the statement as it is served, read back.
func (s *Statement) Seal(key [32]byte, signature []byte) (*Statement, error) {
	if err := keys.AdmitEd25519(key[:]); err != nil {
		return nil, fmt.Errorf("the third party's key %w", err)
	}
	if len(signature) != 64 {
		return nil, fmt.Errorf("the signature has %d bytes, an Ed25519 signature has 64", len(signature))
	}
	signed := *s
	signed.Signature, signed.KeyID = [64]byte(signature), &key[31]
	if err := signed.Verify(key); err != nil {
		return nil, err
	}
	return ParseStatement("", signed.Encode(signed.Signature))
}
