package ceremony

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Expect is the value that a plan demands of one attribute of a private key.
type Expect struct {
	Name     string
	Want     bool
	Required bool // false: only if the token supports the attribute
}

// always are the attributes that no plan may relax: without any one of them, the HSM
// doesn't even claim that the key stays in it.
var always = []Expect{
	{token.Sensitive, true, true},
	{token.Extractable, false, true},
	{token.NeverExtractable, true, true},
	{token.AlwaysSensitive, true, true},
	{token.Local, true, true},
}

// fixed are the usual attributes that a plan can't change either: every fleet key is a
// private token object with a single use.
var fixed = map[keys.Use]map[string]bool{
	keys.Sign: {token.Token: true, token.Private: true, token.Sign: true, token.Derive: true},
	keys.Agree: {
		token.Token: true, token.Private: true, token.Sign: true, token.Derive: true,
		token.Decrypt: true, token.Unwrap: true, token.SignRecover: true,
	},
}

// readOnly attributes are set by the token and may not be in a template (PKCS#11 2.40,
// 4.9).
var readOnly = map[string]bool{token.NeverExtractable: true, token.AlwaysSensitive: true, token.Local: true}

// usual are the values of attributes that a plan doesn't name. DESTROYABLE is true so
// that the program can destroy a key that failed a check, or at an abort.
func usual(use keys.Use) []Expect {
	return []Expect{
		{token.Token, true, true},
		{token.Private, true, true},
		{token.Sign, use == keys.Sign, true},
		{token.Derive, use == keys.Agree, true},
		{token.Decrypt, false, true},
		{token.Unwrap, false, true},
		{token.Modifiable, false, true},
		{token.SignRecover, false, false},
		{token.Copyable, false, false},
		{token.Destroyable, true, false},
	}
}

// Expect is the role's attribute policy: the usual attributes changed by the plan's
// own, in a fixed order.
func (r *Role) Expect() []Expect { return r.expect }

// Own are the attributes that the plan names, in its order.
func (r *Role) Own() []Expect { return r.own }

// Template is the template for C_GenerateKeyPair, and which of its attributes may be
// left out if the token doesn't know them.
func (r *Role) Template() (settings []Setting, optional []string) {
	settings = make([]Setting, 0, len(r.expect))
	for _, e := range r.expect {
		if readOnly[e.Name] {
			continue
		}
		settings = append(settings, Setting{Name: e.Name, Value: e.Want})
		if !e.Required {
			optional = append(optional, e.Name)
		}
	}
	return settings, optional
}

// readAttributes merges the plan's attributes, such as `COPYABLE: required
// false`, into the usual ones.
func (r *Role) readAttributes(file string, attributes *strict.Node, faults *strict.Errors) {
	r.expect = append(append([]Expect(nil), always...), usual(r.Use)...)
	if attributes == nil {
		return
	}
	if attributes.Kind != strict.Object {
		faults.Add(strict.At(file, attributes.Line, "role %q: attributes is %s, not a list of NAME: required true", r.Name, attributes.Kind))
		return
	}
	for _, f := range attributes.Fields {
		e, err := parseExpect(f.Name, f.Value)
		if err == nil {
			r.own = append(r.own, e)
			err = r.merge(e)
		}
		if err != nil {
			faults.Add(strict.At(file, f.Line, "role %q: attribute %s %v", r.Name, f.Name, err))
		}
	}
}

func (r *Role) merge(e Expect) error {
	for _, a := range always {
		if a.Name == e.Name && a != e {
			return fmt.Errorf("must be %q in every plan", a)
		}
	}
	for i := range r.expect {
		if r.expect[i].Name == e.Name {
			if fixed[r.Use][e.Name] && r.expect[i] != e {
				return fmt.Errorf("must be %q in every plan", r.expect[i])
			}
			r.expect[i] = e
			return nil
		}
	}
	return fmt.Errorf("is not known here; known are %s", strings.Join(r.names(), ", "))
}

// AgreementTPM is the way of a key that tpm2-pkcs11 made to agree. That module has
// no ECDH and makes no key with DERIVE; one with DECRYPT and without SIGN the TPM
// itself agrees with.
const AgreementTPM = "tpm2-ecdh-zgen"

// throughTPM is the role as such a module makes its key.
func (r *Role) throughTPM() *Role {
	in := *r
	in.tpm, in.expect = true, slices.Clone(r.expect)
	for i := range in.expect {
		switch e := &in.expect[i]; e.Name {
		case token.Derive:
			e.Want = false
		case token.Decrypt:
			e.Want = true
		}
	}
	return &in
}

func (r *Role) names() []string {
	var list []string
	for _, e := range r.expect {
		list = append(list, e.Name)
	}
	return list
}

func parseExpect(name string, n *strict.Node) (Expect, error) {
	e := Expect{Name: name}
	need, value, _ := strings.Cut(n.Text, " ")
	switch {
	case n.Kind != strict.String || need != "required" && need != "if-supported" || value != "true" && value != "false":
		return e, fmt.Errorf(`must be "required true", "required false", "if-supported true" or "if-supported false"`)
	default:
		e.Required, e.Want = need == "required", value == "true"
		return e, nil
	}
}

func (e Expect) String() string {
	need := "if-supported"
	if e.Required {
		need = "required"
	}
	return fmt.Sprintf("%s %t", need, e.Want)
}

// SigningRole is a role with the usual attributes, for keys that are generated
// outside of a ceremony: an operator's, a third party's, a log's.
func SigningRole(alg Algorithm) *Role {
	r := &Role{Name: "signing", Use: keys.Sign, Algorithm: alg}
	r.readAttributes("", nil, nil)
	return r
}
