package luna

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

var (
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
)

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue
}

// parseBag takes the certificates out of a PKCS#7 message. It refuses a message
// with anything else, which would go unread: a content, a signer, a digest
// algorithm, a revocation list.
func parseBag(raw []byte) ([]byte, error) {
	var outer contentInfo
	rest, err := asn1.Unmarshal(raw, &outer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is not a PKCS#7 message in DER: %w", err)
	case len(rest) > 0:
		return nil, fmt.Errorf("%d bytes stand behind the PKCS#7 message", len(rest))
	case !outer.Type.Equal(oidSignedData):
		return nil, fmt.Errorf("it is a PKCS#7 message of type %v, not signed data", outer.Type)
	case outer.Content.Class != asn1.ClassContextSpecific || outer.Content.Tag != 0 || !outer.Content.IsCompound:
		return nil, errors.New("the PKCS#7 message holds no signed data")
	}
	fields, err := elements(outer.Content.Bytes, 5)
	if err != nil {
		return nil, err
	}
	var version int
	var content struct{ Type asn1.ObjectIdentifier }
	if rest, err := asn1.Unmarshal(fields[0].FullBytes, &version); err != nil || len(rest) > 0 || version != 1 {
		return nil, errors.New("the PKCS#7 message isn't of version 1")
	}
	if rest, err := asn1.Unmarshal(fields[2].FullBytes, &content); err != nil || len(rest) > 0 || !content.Type.Equal(oidData) {
		return nil, errors.New("the PKCS#7 message has a content that isn't plain data")
	}
	if inner, err := elements(fields[2].FullBytes, 1); err != nil || len(inner) != 1 {
		return nil, errors.New("the PKCS#7 message has a content; a confirmation has only certificates")
	}
	for _, i := range []int{1, 4} {
		if f := fields[i]; f.Class != asn1.ClassUniversal || f.Tag != asn1.TagSet || len(f.Bytes) > 0 {
			return nil, errors.New("the PKCS#7 message has signers of its own; a confirmation has only certificates")
		}
	}
	if f := fields[3]; f.Class != asn1.ClassContextSpecific || f.Tag != 0 || !f.IsCompound {
		return nil, errors.New("the PKCS#7 message holds no certificates")
	}
	return fields[3].Bytes, nil
}

// elements are the n elements of a SEQUENCE.
func elements(raw []byte, n int) ([]asn1.RawValue, error) {
	var seq asn1.RawValue
	if rest, err := asn1.Unmarshal(raw, &seq); err != nil || len(rest) > 0 || seq.Class != asn1.ClassUniversal || seq.Tag != asn1.TagSequence {
		return nil, errors.New("the PKCS#7 message's content is not a SEQUENCE")
	}
	var list []asn1.RawValue
	for rest := seq.Bytes; len(rest) > 0; {
		var v asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &v); err != nil {
			return nil, fmt.Errorf("the PKCS#7 message's content can't be read: %w", err)
		}
		list = append(list, v)
	}
	if len(list) != n {
		return nil, fmt.Errorf("the PKCS#7 message does not have the %d parts of one with only certificates", n)
	}
	return list, nil
}
