package smartcardhsm

import (
	"bytes"
	"fmt"
)

// request is what the device wrote when it made a key pair: a certificate request,
// signed by the new key, and both signed by the device.
type request struct {
	Holder     string // the key's name, which the host chose
	Device     string // the device that signed the whole
	Extensions [][]byte
	key        *key
	spki       []byte
	body       []byte
	inner      []byte // the new key's signature over the body
	signed     []byte // what the device's signature is over
	outer      []byte
}

// parseRequest reads an authenticated request, as in the device's file EF CExx.
func parseRequest(in []byte) (*request, error) {
	const what = "request"
	f, err := only(in, tagRequest, what)
	if err != nil {
		return nil, err
	}
	outer, err := sequence(f.value, what, wanted{tagCertificate, false}, wanted{tagIssuer, false}, wanted{tagSignature, false})
	if err != nil {
		return nil, err
	}
	inner, err := sequence(outer[tagCertificate].value, what, wanted{tagBody, false}, wanted{tagSignature, false})
	if err != nil {
		return nil, err
	}
	b, err := sequence(inner[tagBody].value, what, wanted{tagProfile, false}, wanted{tagIssuer, true}, wanted{tagKey, false},
		wanted{tagHolder, false}, wanted{tagExtensions, true})
	if err != nil {
		return nil, err
	}
	if err := checkProfile(b, what); err != nil {
		return nil, err
	}
	r := &request{body: inner[tagBody].whole, inner: inner[tagSignature].value, outer: outer[tagSignature].value}
	r.signed = append(bytes.Clone(outer[tagCertificate].whole), outer[tagIssuer].whole...)
	if r.key, err = parseKey(b[tagKey].value, nil, what+": key"); err != nil {
		return nil, err
	}
	if r.spki, err = r.key.spki(); err != nil {
		return nil, fmt.Errorf("%s: key: %w", what, err)
	}
	if r.Holder, err = reference(b[tagHolder].value); err != nil {
		return nil, fmt.Errorf("%s: holder: %w", what, err)
	}
	if r.Device, err = reference(outer[tagIssuer].value); err != nil {
		return nil, fmt.Errorf("%s: device: %w", what, err)
	}
	for rest := b[tagExtensions].value; len(rest) > 0; {
		var e field
		if e, rest, err = next(rest); err != nil {
			return nil, fmt.Errorf("%s: extensions: %w", what, err)
		}
		if len(r.Extensions) == 8 {
			return nil, fmt.Errorf("%s: more than 8 extensions", what)
		}
		r.Extensions = append(r.Extensions, e.whole)
	}
	return r, nil
}
