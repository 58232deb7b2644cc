// Package devicecert reads the extensions of their own that vendors put into the
// certificates with which their devices attest a key. Each must stand once and have
// exactly its form, and one that nobody reads is reported.
//
// It knows only their forms. The vendors' packages know what a field means, and
// which certificate may stand where.
package devicecert

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Fields are a certificate's extensions below one vendor's object identifier (arc),
// by their last number.
type Fields struct {
	arc   string
	byNum map[int][]byte
	read  map[int]bool
	other []string
}

// standard are the extensions of RFC 5280 that say nothing about a device.
// crypto/x509 reads them; a package that depends on one looks at the certificate.
var standard = []string{
	"2.5.29.14", // subject key identifier
	"2.5.29.15", // key usage
	"2.5.29.19", // basic constraints
	"2.5.29.35", // authority key identifier
}

// Read gives the certificate's extensions below arc. Any other extension, except
// the standard ones, counts as not understood. crypto/x509 has refused a
// certificate with the same extension twice when it parsed it.
func Read(c *x509.Certificate, arc asn1.ObjectIdentifier) *Fields {
	f := &Fields{arc: arc.String(), byNum: map[int][]byte{}, read: map[int]bool{}}
	for _, e := range c.Extensions {
		id := e.Id.String()
		switch {
		case len(e.Id) == len(arc)+1 && slices.Equal(e.Id[:len(arc)], arc):
			f.byNum[e.Id[len(arc)]] = e.Value
		case slices.Contains(standard, id):
		default:
			f.other = append(f.other, id)
		}
	}
	return f
}

// Has says whether the certificate has the field.
func (f *Fields) Has(num int) bool { _, ok := f.byNum[num]; return ok }

// Raw gives a field's bytes as they stand in the extension, for a field that isn't
// DER.
func (f *Fields) Raw(num int, name string) ([]byte, error) {
	v, ok := f.byNum[num]
	if !ok {
		return nil, fmt.Errorf("the certificate lacks the %s (extension %s.%d)", name, f.arc, num)
	}
	f.read[num] = true
	return v, nil
}

// Unknown lists the extensions that nobody has read, which were so not understood.
func (f *Fields) Unknown() []string {
	list := slices.Clone(f.other)
	for num := range f.byNum {
		if !f.read[num] {
			list = append(list, f.arc+"."+strconv.Itoa(num))
		}
	}
	slices.Sort(list)
	return list
}

func (f *Fields) der(num int, name string, tag int) ([]byte, error) {
	v, err := f.Raw(num, name)
	if err != nil {
		return nil, err
	}
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(v, &raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the %s (extension %s.%d) can't be read: %w", name, f.arc, num, err)
	case len(rest) > 0:
		return nil, fmt.Errorf("the %s (extension %s.%d) has %d bytes behind its value", name, f.arc, num, len(rest))
	case raw.Class != asn1.ClassUniversal || raw.Tag != tag || raw.IsCompound:
		return nil, fmt.Errorf("the %s (extension %s.%d) is of the wrong type", name, f.arc, num)
	}
	return raw.Bytes, nil
}

// Uint reads an INTEGER from 0 to most. It accepts more leading zeros than DER
// allows, because some devices always write four bytes.
func (f *Fields) Uint(num int, name string, most uint64) (uint64, error) {
	b, err := f.der(num, name, asn1.TagInteger)
	if err != nil {
		return 0, err
	}
	n := new(big.Int).SetBytes(b)
	switch {
	case len(b) == 0 || len(b) > 9:
		return 0, fmt.Errorf("the %s (extension %s.%d) is a number of %d bytes", name, f.arc, num, len(b))
	case b[0]&0x80 != 0:
		return 0, fmt.Errorf("the %s (extension %s.%d) is negative", name, f.arc, num)
	case !n.IsUint64() || n.Uint64() > most:
		return 0, fmt.Errorf("the %s (extension %s.%d) is %s: at most %d is possible", name, f.arc, num, n, most)
	}
	return n.Uint64(), nil
}

// Bits reads a BIT STRING of exactly size bytes without unused bits, the first
// byte the most significant.
func (f *Fields) Bits(num int, name string, size int) (uint64, error) {
	b, err := f.der(num, name, asn1.TagBitString)
	if err != nil {
		return 0, err
	}
	if len(b) != size+1 || b[0] != 0 {
		return 0, fmt.Errorf("the %s (extension %s.%d) isn't a string of %d whole bytes", name, f.arc, num, size)
	}
	return new(big.Int).SetBytes(b[1:]).Uint64(), nil
}

// Octets reads an OCTET STRING of exactly size bytes.
func (f *Fields) Octets(num int, name string, size int) ([]byte, error) {
	b, err := f.der(num, name, asn1.TagOctetString)
	if err != nil {
		return nil, err
	}
	return b, f.length(num, name, b, size)
}

// Plain reads a field of exactly size bytes that isn't DER.
func (f *Fields) Plain(num int, name string, size int) ([]byte, error) {
	b, err := f.Raw(num, name)
	if err != nil {
		return nil, err
	}
	return b, f.length(num, name, b, size)
}

func (f *Fields) length(num int, name string, b []byte, size int) error {
	if len(b) != size {
		return fmt.Errorf("the %s (extension %s.%d) has %d bytes, and must have %d", name, f.arc, num, len(b), size)
	}
	return nil
}

// Text reads a UTF8String, which may be empty.
func (f *Fields) Text(num int, name string, most int) (string, error) {
	b, err := f.der(num, name, asn1.TagUTF8String)
	if err != nil {
		return "", err
	}
	if len(b) > most || !utf8.Valid(b) || bytes.ContainsFunc(b, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return "", fmt.Errorf("the %s (extension %s.%d) is no text of at most %d bytes", name, f.arc, num, most)
	}
	return string(b), nil
}

// errNoName is the error of a subject with no common name, or several.
var errNoName = errors.New("the certificate's subject has no common name, or more than one")

// CommonName is the only common name of a certificate's subject. Of several,
// crypto/x509 would take the last without a word.
func CommonName(c *x509.Certificate) (string, error) {
	found := ""
	for _, n := range c.Subject.Names {
		if n.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			s, ok := n.Value.(string)
			if !ok || found != "" || s == "" {
				return "", errNoName
			}
			found = s
		}
	}
	if found == "" {
		return "", errNoName
	}
	return found, nil
}
