//go:build cgo && unix

package hsm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// What may be asked for. LOCAL, NEVER_EXTRACTABLE and ALWAYS_SENSITIVE are the
// token's own to set.
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
	"WRAP_WITH_TRUSTED":   pkcs11.CKA_WRAP_WITH_TRUSTED,
	"ALWAYS_AUTHENTICATE": pkcs11.CKA_ALWAYS_AUTHENTICATE,
}

// essential attributes must be asked for, since tokens differ in what they
// assume, and are never left out.
var essential = []string{token.Token, token.Private, token.Sensitive, token.Extractable}

// maxOptional bounds the negotiation, which may try every choice of them.
const maxOptional = 8

func checkSpec(spec token.KeySpec) error {
	if len(spec.ID) == 0 {
		return errors.New("has no CKA_ID, by which alone it could be found again")
	}
	if err := checkText(spec.Label); err != nil {
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
	// VERIFY is not asked for. Signatures are checked in software, and
	// tpm2-pkcs11 takes it for the same bit as DECRYPT of the private half,
	// which is asked to be false; a template that contradicts itself costs it
	// room in the TPM that it never gets back.
	if name == keys.X25519 {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_DERIVE, true))
	}
	if w.params != nil {
		return append(template, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, w.params))
	}
	return append(template,
		pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, rsaBits),
		pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, rsaExponent))
}
