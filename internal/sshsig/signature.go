package sshsig

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	magic   = "SSHSIG"
	version = 1
	begin   = "-----BEGIN SSH SIGNATURE-----\n"
	end     = "-----END SSH SIGNATURE-----\n"
	width   = 70 // of ssh-keygen's base64 lines
)

// Signature is a well-formed signature. Only Verify shows who made it, and over
// what.
type Signature struct {
	key       *Key
	namespace string
	hash      string // sha256 or sha512
	blob      []byte // the signature proper, with its type

	ed      []byte   // an Ed25519 signature's 64 bytes
	pq      []byte   // an ML-DSA-44 signature's bytes, of a hybrid signature beside ed
	r, s    *big.Int // an ECDSA signature
	flags   byte     // what a FIDO2 device says of the moment it signed
	counter uint32
}

// Key is the key that the signature names. The caller has to know whose it is, and
// whether it may sign here.
func (s *Signature) Key() *Key { return s.key }

// Namespace is what the signature says it was made for.
func (s *Signature) Namespace() string { return s.namespace }

// Parse reads a .sig file exactly as ssh-keygen -Y sign writes it. The file's
// name is for the error alone.
//
// ssh-keygen -Y verify takes other line lengths and text behind the signature
// as well. We don't: Parse and Armor give the same bytes back, so a package
// that holds a signature holds nothing beside it.
func Parse(file string, armored []byte) (*Signature, error) {
	blob, err := dearmor(armored)
	if err != nil {
		return nil, strict.Errorf(file, "%v", err).
			WithHint("hand over the .sig file byte for byte as ssh-keygen -Y sign wrote it")
	}
	s, err := parse(blob)
	if err != nil {
		return nil, strict.Errorf(file, "%v", err).
			WithHint("sign again with an allowed key: ssh-keygen -Y sign -n <namespace> -f <key> <file>")
	}
	return s, nil
}

func dearmor(armored []byte) ([]byte, error) {
	if len(armored) > maxInput {
		return nil, fmt.Errorf("has %d bytes; an SSH signature has at most %d", len(armored), maxInput)
	}
	if bytes.ContainsRune(armored, '\r') {
		return nil, errors.New("has carriage returns; ssh-keygen ends lines with a newline alone")
	}
	body, ok := strings.CutPrefix(string(armored), begin)
	if !ok {
		return nil, errors.New("is no SSH signature: its first line is not " + strings.TrimSpace(begin))
	}
	if body, ok = strings.CutSuffix(body, end); !ok {
		return nil, errors.New("does not end with the line " + strings.TrimSpace(end))
	}
	if strings.Contains(body, "-----") {
		return nil, errors.New("holds more than one signature, or text beside it")
	}
	blob, err := strict.ParseBase64(strings.ReplaceAll(body, "\n", ""))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(armor(blob), armored) {
		return nil, fmt.Errorf("does not break its lines after %d characters as ssh-keygen does", width)
	}
	return blob, nil
}

// Slow says whether the key of an armoured signature is on P-384, for which
// there is no fast code: verifying takes several times as long as with any other
// key. For bytes that are no signature, the result means nothing.
func Slow(armored []byte) bool {
	const at = len(magic) + 4 + 4 + 4 // magic, version, lengths of the key and of its type
	body, ok := bytes.CutPrefix(armored, []byte(begin))
	line, _, _ := bytes.Cut(body[:min(len(body), width-width%4)], []byte("\n")) // base64 in whole groups
	blob := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Decode(blob, line)
	return ok && err == nil && n > at && bytes.HasPrefix(blob[at:n], []byte("ecdsa-sha2-nistp384"))
}

func armor(blob []byte) []byte {
	text := base64.StdEncoding.EncodeToString(blob)
	out := []byte(begin)
	for len(text) > 0 {
		n := min(width, len(text))
		out = append(append(out, text[:n]...), '\n')
		text = text[n:]
	}
	return append(out, end...)
}

func parse(blob []byte) (*Signature, error) {
	r := &reader{rest: blob}
	if string(r.take(uint64(len(magic)), "magic")) != magic {
		return nil, errors.New("is no SSH signature: " + magic + " is not its start")
	}
	if v := r.uint32("version"); r.err == nil && v != version {
		return nil, fmt.Errorf("is of version %d; version %d is allowed", v, version)
	}
	key := r.string("public key")
	s := &Signature{namespace: r.text("namespace")}
	if reserved := r.string("reserved field"); r.err == nil && len(reserved) > 0 {
		return nil, errors.New("has a reserved field that is not empty")
	}
	if s.hash = string(r.string("hash's name")); r.err == nil && s.hash != "sha256" && s.hash != "sha512" {
		return nil, errors.New("names a hash other than sha256 and sha512")
	}
	s.blob = bytes.Clone(r.string("signature"))
	if err := r.done(); err != nil {
		return nil, err
	}
	var err error
	if s.key, err = ParseBlob(key); err != nil {
		return nil, fmt.Errorf("its key %w", err)
	}
	if err := s.parseNumbers(); err != nil {
		return nil, fmt.Errorf("its inner signature %w", err)
	}
	return s, nil
}

// parseNumbers reads the signature proper. Its type is the key's: OpenSSH
// knows another for browsers (webauthn-…), which signs a web page's account of
// the message.
func (s *Signature) parseNumbers() error {
	r := &reader{rest: s.blob}
	if typ := r.text("type"); r.err == nil && typ != s.key.typ {
		return fmt.Errorf("is of type %s and its key of type %s", typ, s.key.typ)
	}
	numbers := r.string("numbers")
	if s.key.kind.device {
		s.flags, s.counter = r.byte("flags"), r.uint32("counter")
	}
	if err := r.done(); err != nil {
		return err
	}
	if s.key.kind.hybrid {
		return s.parseHybrid(numbers)
	}
	if s.key.kind.curve == nil {
		if s.ed = numbers; len(s.ed) != 64 {
			return fmt.Errorf("has %d bytes; an Ed25519 signature has 64", len(s.ed))
		}
		return nil
	}
	r = &reader{rest: numbers}
	s.r, s.s = r.mpint("R"), r.mpint("S")
	return r.done()
}

// Armor is the signature as a .sig file has it, the bytes that Parse took.
func (s *Signature) Armor() []byte {
	return armor(encode(s.key.blob, s.namespace, s.hash, s.blob))
}

func encode(key []byte, namespace, hash string, blob []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte(magic), version)
	b = appendString(b, key)
	b = appendString(b, namespace)
	b = appendString(b, "") // reserved
	b = appendString(b, hash)
	return appendString(b, blob)
}
