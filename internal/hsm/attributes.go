//go:build cgo && unix

package hsm

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// attributeNames are the attributes that this package reads or writes.
var attributeNames = map[uint]string{
	pkcs11.CKA_CLASS:               "CLASS",
	pkcs11.CKA_TOKEN:               token.Token,
	pkcs11.CKA_PRIVATE:             token.Private,
	pkcs11.CKA_LABEL:               "LABEL",
	pkcs11.CKA_VALUE:               "VALUE",
	pkcs11.CKA_TRUSTED:             "TRUSTED",
	pkcs11.CKA_KEY_TYPE:            "KEY_TYPE",
	pkcs11.CKA_ID:                  "ID",
	pkcs11.CKA_SENSITIVE:           token.Sensitive,
	pkcs11.CKA_ENCRYPT:             "ENCRYPT",
	pkcs11.CKA_DECRYPT:             token.Decrypt,
	pkcs11.CKA_WRAP:                "WRAP",
	pkcs11.CKA_UNWRAP:              token.Unwrap,
	pkcs11.CKA_SIGN:                token.Sign,
	pkcs11.CKA_SIGN_RECOVER:        token.SignRecover,
	pkcs11.CKA_VERIFY:              "VERIFY",
	pkcs11.CKA_VERIFY_RECOVER:      "VERIFY_RECOVER",
	pkcs11.CKA_DERIVE:              token.Derive,
	pkcs11.CKA_MODULUS:             "MODULUS",
	pkcs11.CKA_PUBLIC_EXPONENT:     "PUBLIC_EXPONENT",
	pkcs11.CKA_PRIVATE_EXPONENT:    "PRIVATE_EXPONENT",
	pkcs11.CKA_PRIME_1:             "PRIME_1",
	pkcs11.CKA_PRIME_2:             "PRIME_2",
	pkcs11.CKA_EXPONENT_1:          "EXPONENT_1",
	pkcs11.CKA_EXPONENT_2:          "EXPONENT_2",
	pkcs11.CKA_COEFFICIENT:         "COEFFICIENT",
	pkcs11.CKA_EXTRACTABLE:         token.Extractable,
	pkcs11.CKA_LOCAL:               token.Local,
	pkcs11.CKA_NEVER_EXTRACTABLE:   token.NeverExtractable,
	pkcs11.CKA_ALWAYS_SENSITIVE:    token.AlwaysSensitive,
	pkcs11.CKA_KEY_GEN_MECHANISM:   "KEY_GEN_MECHANISM",
	pkcs11.CKA_MODIFIABLE:          token.Modifiable,
	pkcs11.CKA_COPYABLE:            token.Copyable,
	pkcs11.CKA_DESTROYABLE:         token.Destroyable,
	pkcs11.CKA_EC_PARAMS:           "EC_PARAMS",
	pkcs11.CKA_EC_POINT:            "EC_POINT",
	pkcs11.CKA_ALWAYS_AUTHENTICATE: "ALWAYS_AUTHENTICATE",
	pkcs11.CKA_WRAP_WITH_TRUSTED:   "WRAP_WITH_TRUSTED",
	ckaParameterSet:                "PARAMETER_SET",
	ckaSeed:                        "SEED",
	ckaEncapsulate:                 "ENCAPSULATE",
	ckaDecapsulate:                 token.Decapsulate,
}

// The attributes that are read back from each half, in this order.
var (
	privateReadings = []uint{
		pkcs11.CKA_CLASS, pkcs11.CKA_KEY_TYPE, pkcs11.CKA_ID, pkcs11.CKA_LABEL, pkcs11.CKA_KEY_GEN_MECHANISM,
		pkcs11.CKA_TOKEN, pkcs11.CKA_PRIVATE, pkcs11.CKA_SENSITIVE, pkcs11.CKA_EXTRACTABLE,
		pkcs11.CKA_NEVER_EXTRACTABLE, pkcs11.CKA_ALWAYS_SENSITIVE, pkcs11.CKA_LOCAL,
		pkcs11.CKA_MODIFIABLE, pkcs11.CKA_COPYABLE, pkcs11.CKA_DESTROYABLE,
		pkcs11.CKA_SIGN, pkcs11.CKA_SIGN_RECOVER, pkcs11.CKA_DECRYPT, pkcs11.CKA_UNWRAP, pkcs11.CKA_DERIVE,
		pkcs11.CKA_WRAP_WITH_TRUSTED, pkcs11.CKA_ALWAYS_AUTHENTICATE,
	}
	publicReadings = []uint{
		pkcs11.CKA_CLASS, pkcs11.CKA_KEY_TYPE, pkcs11.CKA_ID, pkcs11.CKA_LABEL, pkcs11.CKA_KEY_GEN_MECHANISM,
		pkcs11.CKA_TOKEN, pkcs11.CKA_PRIVATE, pkcs11.CKA_LOCAL, pkcs11.CKA_TRUSTED,
		pkcs11.CKA_MODIFIABLE, pkcs11.CKA_COPYABLE, pkcs11.CKA_DESTROYABLE,
		pkcs11.CKA_VERIFY, pkcs11.CKA_VERIFY_RECOVER, pkcs11.CKA_ENCRYPT, pkcs11.CKA_WRAP, pkcs11.CKA_DERIVE,
		pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT, pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT,
	}
	// Of ML-DSA and ML-KEM keys besides. Of the private half never its VALUE.
	moreReadings = map[uint]map[string][]uint{
		ckkMLDSA: {privateHalf: {ckaParameterSet}, publicHalf: {ckaParameterSet, pkcs11.CKA_VALUE}},
		ckkMLKEM: {privateHalf: {ckaParameterSet, ckaDecapsulate}, publicHalf: {ckaParameterSet, ckaEncapsulate, pkcs11.CKA_VALUE}},
	}
)

// Attributes reads the attributes of both halves of a key pair back, each by itself: its
// value, or the return code in its place. If the device or the session fails, it returns
// an error. Numbers are eight bytes, big-endian, in hex; bytes are hex.
func (t *Token) Attributes(id []byte) (private, public []token.Reading, err error) {
	if err := t.use(); err != nil {
		return nil, nil, err
	}
	defer t.mu.Unlock()
	if private, err = t.readings(privateHalf, id, privateReadings); err != nil {
		return nil, nil, t.wrap(err)
	}
	if public, err = t.readings(publicHalf, id, publicReadings); err != nil {
		return nil, nil, t.wrap(err)
	}
	return private, public, nil
}

func (t *Token) readings(half string, id []byte, types []uint) ([]token.Reading, error) {
	h, err := t.half(half, id)
	if err != nil {
		return nil, err
	}
	keyType, err := t.number(h, pkcs11.CKA_KEY_TYPE)
	if err != nil && lost(Code(err)) {
		return nil, err
	}
	if err == nil {
		types = slices.Concat(types, moreReadings[keyType][half])
	}
	list := make([]token.Reading, len(types))
	for i, typ := range types {
		list[i].Name = attributeNames[typ]
		value, err := t.attribute(t.session, h, typ)
		if err != nil {
			if lost(Code(err)) {
				return nil, err
			}
			list[i].Code = Code(err)
			continue
		}
		list[i].Value = reading(typ, value)
	}
	return list, nil
}

func reading(typ uint, value []byte) string {
	switch typ {
	case pkcs11.CKA_ID, pkcs11.CKA_LABEL, pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT, pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT, pkcs11.CKA_VALUE:
		return hex.EncodeToString(value)
	case pkcs11.CKA_CLASS, pkcs11.CKA_KEY_TYPE, pkcs11.CKA_KEY_GEN_MECHANISM, ckaParameterSet:
		if n, ok := ulong(value); ok {
			return fmt.Sprintf("%016x", n)
		}
		return hex.EncodeToString(value)
	}
	// A boolean is one byte, 0 or 1; anything else is shown, not interpreted.
	switch {
	case len(value) == 1 && value[0] == 0:
		return "false"
	case len(value) == 1 && value[0] == 1:
		return "true"
	}
	return hex.EncodeToString(value)
}

// settable are the attributes that a template may have. The token itself sets LOCAL,
// NEVER_EXTRACTABLE and ALWAYS_SENSITIVE.
var settable = map[string]uint{
	token.Token:           pkcs11.CKA_TOKEN,
	token.Private:         pkcs11.CKA_PRIVATE,
	token.Sensitive:       pkcs11.CKA_SENSITIVE,
	token.Extractable:     pkcs11.CKA_EXTRACTABLE,
	token.Modifiable:      pkcs11.CKA_MODIFIABLE,
	token.Copyable:        pkcs11.CKA_COPYABLE,
	token.Destroyable:     pkcs11.CKA_DESTROYABLE,
	token.Sign:            pkcs11.CKA_SIGN,
	token.SignRecover:     pkcs11.CKA_SIGN_RECOVER,
	token.Decrypt:         pkcs11.CKA_DECRYPT,
	token.Unwrap:          pkcs11.CKA_UNWRAP,
	token.Derive:          pkcs11.CKA_DERIVE,
	token.Decapsulate:     ckaDecapsulate,
	"WRAP_WITH_TRUSTED":   pkcs11.CKA_WRAP_WITH_TRUSTED,
	"ALWAYS_AUTHENTICATE": pkcs11.CKA_ALWAYS_AUTHENTICATE,
}

// essential attributes must be in every template, since tokens differ in their defaults.
var essential = []string{token.Token, token.Private, token.Sensitive, token.Extractable}

// maxOptional is how many attributes may be optional. Generate may try every subset.
const maxOptional = 8

func checkSpec(spec token.KeySpec) error {
	if len(spec.ID) == 0 {
		return errors.New("has no CKA_ID, by which alone it could be found again")
	}
	if err := token.CheckText(spec.Label); err != nil {
		return fmt.Errorf("label: %w", err)
	}
	asked := make(map[string]bool)
	for _, s := range spec.Attributes {
		if _, ok := settable[s.Name]; !ok {
			return fmt.Errorf("%s can't be asked for: the token sets it itself, or it is unknown", s.Name)
		}
		if asked[s.Name] {
			return fmt.Errorf("%s is given twice", s.Name)
		}
		asked[s.Name] = true
		if s.Name == token.Token && !s.Value {
			return errors.New("TOKEN is false, so that it would be gone with the session")
		}
	}
	for _, name := range essential {
		if !asked[name] {
			return fmt.Errorf("%s is not given; tokens differ in what they assume", name)
		}
		if slices.Contains(spec.Optional, name) {
			return fmt.Errorf("%s can't be optional", name)
		}
	}
	for i, name := range spec.Optional {
		if !asked[name] || slices.Contains(spec.Optional[:i], name) {
			return fmt.Errorf("%s is optional, but not given or named twice", name)
		}
	}
	if len(spec.Optional) > maxOptional {
		return fmt.Errorf("has %d optional attributes, %d are allowed", len(spec.Optional), maxOptional)
	}
	return nil
}

func privateTemplate(w way, spec token.KeySpec, without []string) []*pkcs11.Attribute {
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, w.keyType),
		pkcs11.NewAttribute(pkcs11.CKA_ID, spec.ID),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, spec.Label),
	}
	for _, s := range spec.Attributes {
		if !slices.Contains(without, s.Name) {
			template = append(template, pkcs11.NewAttribute(settable[s.Name], s.Value))
		}
	}
	return template
}

func publicTemplate(name keys.Algorithm, w way, spec token.KeySpec) []*pkcs11.Attribute {
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, w.keyType),
		pkcs11.NewAttribute(pkcs11.CKA_ID, spec.ID),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, spec.Label),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
	}
	// Without VERIFY: signatures are verified in software, and for tpm2-pkcs11 VERIFY
	// means the same TPM attribute as DECRYPT of the private half, which is false. For a
	// template that contradicts itself, tpm2-pkcs11 loses memory of the TPM.
	if name.Use() == keys.Agree && slices.Contains(spec.Attributes, token.Setting{Name: token.Derive, Value: true}) {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_DERIVE, true))
	}
	if name.IsMLKEM() {
		template = append(template, pkcs11.NewAttribute(ckaEncapsulate, true))
	}
	if set := algorithms[name].set; set != 0 {
		return append(template, pkcs11.NewAttribute(ckaParameterSet, set))
	}
	if w.params != nil {
		return append(template, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, w.params))
	}
	return append(template,
		pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, rsaBits),
		pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, rsaExponent))
}
