package auditlog

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Limits of what is read. An ML-DSA-44 cosignature takes 3.3 kB in base64, so 64
// of them fit.
const (
	MaxText       = 256 << 10 // bytes of a checkpoint, a proof or a policy
	MaxSignatures = 64        // signature lines of a checkpoint
	maxName       = 255       // bytes of a key's name: tlog-cosignature has one byte for its length
)

// signaturePrefix starts every signature line: em dash (U+2014) and space.
const signaturePrefix = "— "

// Signature is a signature line of a signed note (C2SP signed-note), as read:
// nothing about it has been verified.
type Signature struct {
	Name    string // of the key that is said to have signed
	KeyHash uint32 // first four bytes of the line's base64, big-endian
	Raw     []byte // the bytes that follow

	line int
}

// String gives the line, without its LF.
func (s Signature) String() string {
	raw := binary.BigEndian.AppendUint32(nil, s.KeyHash)
	return signaturePrefix + s.Name + " " + base64.StdEncoding.EncodeToString(append(raw, s.Raw...))
}

// newLines starts a signed note: UTF-8 without control characters but LF.
func newLines(file string, data []byte) (*strict.Lines, error) {
	if len(data) > MaxText {
		return nil, strict.Errorf(file, "has %d bytes, %d are allowed", len(data), MaxText)
	}
	line := 1
	for _, b := range data {
		switch {
		case b == '\n':
			line++
		case b < 0x20 && b != '\r': // strict.Lines has its own words for CR
			return nil, strict.At(file, line, "has the control character %q", b)
		}
	}
	l := strict.NewLines(file, data)
	return l, l.Err()
}

// readSignatures takes the signature lines, at least one, up to the end.
func readSignatures(l *strict.Lines) []Signature {
	var list []Signature
	for l.More() {
		if len(list) == MaxSignatures {
			l.Next()
			l.Failf("has more signatures than the %d allowed", MaxSignatures)
			return nil
		}
		s, err := parseSignature(l.After(signaturePrefix))
		l.Check(err)
		s.line = l.Line()
		list = append(list, s)
	}
	if len(list) == 0 {
		l.Next() // says that a line is missing
	}
	return list
}

func parseSignature(s string) (Signature, error) {
	name, b64, ok := strings.Cut(s, " ")
	if !ok {
		return Signature{}, errors.New("is no signature line: — <name> <base64>")
	}
	if err := checkName(name); err != nil {
		return Signature{}, err
	}
	raw, err := strict.ParseBase64(b64)
	if err != nil {
		return Signature{}, fmt.Errorf("the signature %w", err)
	}
	if len(raw) < 5 {
		return Signature{}, fmt.Errorf("the signature has %d bytes, a key hash alone has 4", len(raw))
	}
	return Signature{Name: name, KeyHash: binary.BigEndian.Uint32(raw), Raw: raw[4:]}, nil
}

// checkName says whether name can be a key's (signed-note, "Format").
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the key's name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the key's name has %d bytes, %d are allowed", len(name), maxName)
	case !utf8.ValidString(name):
		return errors.New("the key's name is not UTF-8")
	}
	for _, r := range name {
		if r == '+' || r < 0x20 || unicode.IsSpace(r) {
			return fmt.Errorf("the key's name has %q; spaces, plus and control characters are not allowed", r)
		}
	}
	return nil
}
