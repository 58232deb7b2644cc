package ceremony

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// judgeAttributes checks a key's attributes against its role's policy. An attribute
// that the policy requires must be readable and right; one that it wants only if
// supported may be unreadable, but not readable and wrong.
func judgeAttributes(role *Role, k *Key) error {
	if err := judgeReadings(role, k.Attributes.Private, k.Intent.ID, nil); err != nil {
		return err
	}
	if err := readable("public", k.Attributes.Public, role.Algorithm, k.Intent.ID); err != nil {
		return err
	}
	return k.readAs(k.Attributes.Public)
}

// readAs demands that the public key among the public half's attributes, if the token
// gave it, is the key that was generated. Otherwise another object was read, and
// perhaps the attempts were made on that one.
func (k *Key) readAs(list []Attribute) error {
	value := func(name string) []byte {
		r := reading(list, name)
		if r == nil || r.Code != "" {
			return nil
		}
		b, err := hex.DecodeString(r.Value)
		if err != nil {
			return []byte{} // no key has this value
		}
		return b
	}
	point, n, e := value("EC_POINT"), value("MODULUS"), value("PUBLIC_EXPONENT")
	var read *keys.Public
	var err error
	raw, alg := value("VALUE"), k.Intent.Algorithm
	switch rsa := alg == keys.RSA3072; {
	case raw != nil && alg.IsMLDSA():
		read, err = keys.FromMLDSA(alg, raw)
	case raw != nil && alg.IsMLKEM():
		read, err = keys.FromMLKEM(raw)
	case alg.IsMLDSA() || alg.IsMLKEM():
		return nil
	case point != nil && !rsa:
		read, err = keys.FromPoint(k.Intent.Algorithm, point)
	case n != nil && e != nil && rsa:
		read, err = keys.FromRSA(n, e)
	default:
		return nil
	}
	if err != nil || !bytes.Equal(read.SPKI(), k.Outcome.PublicKey) {
		return fmt.Errorf("the public half that was read back is not the key that was generated")
	}
	return nil
}

// readable demands that no attribute was read twice, and that ID, CLASS and KEY_TYPE
// are those of this half of the intent's key.
func readable(half string, list []Attribute, alg keys.Algorithm, id []byte) error {
	for i, r := range list {
		if slices.ContainsFunc(list[:i], func(o Attribute) bool { return o.Name == r.Name }) {
			return fmt.Errorf("%s was read twice", r.Name)
		}
	}
	if r := reading(list, "ID"); r == nil || r.Value != hex.EncodeToString(id) {
		return fmt.Errorf("the %s half was read back without the CKA_ID of the intent", half)
	}
	for _, e := range []struct {
		name string
		want []string
	}{{"CLASS", []string{halfClass[half]}}, {"KEY_TYPE", keyTypes[alg]}, {"PARAMETER_SET", parameterSets[alg]}} {
		if r := reading(list, e.name); r != nil && r.Code == "" && !slices.Contains(e.want, r.Value) {
			return fmt.Errorf("the %s half has %s %q, that of such a key is %q", half, e.name, r.Value, strings.Join(e.want, " or "))
		}
	}
	return nil
}

// The CKO_ values of the halves, the CKK_ values of the algorithms (PKCS#11 3.0, of
// ML-DSA and ML-KEM 3.2) and the CKP_ values of their parameter sets, recorded as a CK_ULONG of 8 bytes in hex.
var (
	halfClass = map[string]string{"private": "0000000000000003", "public": "0000000000000002"}
	keyTypes  = map[keys.Algorithm][]string{
		keys.Ed25519: {"0000000000000040"}, keys.P256: {"0000000000000003"}, keys.P384: {"0000000000000003"},
		keys.RSA3072: {"0000000000000000"}, keys.ECDHP256: {"0000000000000003"},
		keys.MLDSA44: {"000000000000004a"}, keys.MLDSA65: {"000000000000004a"}, keys.MLDSA87: {"000000000000004a"}, keys.MLKEM768: {"0000000000000049"},
		keys.X25519: {"0000000000000041", "0000000000000040"}, // SoftHSM generates and reports it as CKK_EC_EDWARDS
	}
	parameterSets = map[keys.Algorithm][]string{
		keys.MLDSA44: {"0000000000000001"}, keys.MLDSA65: {"0000000000000002"}, keys.MLDSA87: {"0000000000000003"}, keys.MLKEM768: {"0000000000000002"},
	}
)

// judgeReadings checks the private half's attributes against a role's policy. Those
// that the attempts in relaxed have set must read as the contrary.
func judgeReadings(role *Role, list []Attribute, id []byte, relaxed []string) error {
	if err := readable("private", list, role.Algorithm, id); err != nil {
		return err
	}
	for _, e := range role.Expect() {
		set := slices.ContainsFunc(relaxed, func(name string) bool { return relaxes[name] == e.Name })
		want := e.Want != set
		r := reading(list, e.Name)
		switch {
		case r == nil || r.Code != "":
			if e.Required {
				return fmt.Errorf("%s can't be read (%s), and the plan requires it", e.Name, codeOf(r))
			}
		case r.Value != strconv.FormatBool(want) && set:
			return fmt.Errorf("%s is %q, though it was set to %t", e.Name, r.Value, want)
		case r.Value != strconv.FormatBool(want):
			return fmt.Errorf("%s is %q, the plan says %t", e.Name, r.Value, want)
		}
	}
	return nil
}

func codeOf(r *Attribute) string {
	if r == nil {
		return "not asked for"
	}
	return r.Code
}

// reading finds an attribute by its name; nil if it was not read.
func reading(list []Attribute, name string) *Attribute {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// NotShown are the attributes that the role wants only if supported, and that could
// not be read.
func (k *Key) NotShown(role *Role) []string {
	var list []string
	for _, e := range role.Expect() {
		if r := reading(k.Attributes.Private, e.Name); !e.Required && (r == nil || r.Code != "") {
			list = append(list, e.Name)
		}
	}
	return list
}

// PossessionText is the text by whose signature, or answer, a new key shows that its
// HSM holds it. It names all that the answer is for, so that it counts nowhere else.
func (a *Account) PossessionText(k *Key) []byte {
	plan, key, nonce := a.Plan.Digest(), sha256.Sum256(k.Outcome.PublicKey), k.Nonce() // as slices, fmt writes them at once
	return fmt.Appendf(nil, "fleetctl proof-of-possession v1\n%s\n%s\n%x\n%s\n%s\n%x\n%x\n",
		a.Plan.Mode, a.Open.Ceremony, plan[:], percent(a.Plan.HSM(k.HSM).Serial), k.Role, key[:], nonce[:])
}

// percent writes a serial as one token: each byte but letters, digits, ".", "_" and
// "-" becomes % and two hex digits.
func percent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Tally says in words how many attempts were refused, for the people who watch.
func (c *NegativeTest) Tally() string {
	text := tally(c.Attempts, "attempts to take the key out")
	if c.Relaxed != nil {
		text += fmt.Sprintf("; %s tolerated, and set back; %s", strings.Join(c.Relaxed.Names, ", "), tally(c.Relaxed.Attempts, "made again"))
	}
	return text
}

func tally(list []Attempt, what string) string {
	if slices.ContainsFunc(list, func(a Attempt) bool { return a.Name == token.TrySign }) {
		what = strings.Replace(what, "take the key out", "take the key out or misuse it", 1)
	}
	refused, impossible := 0, 0
	for _, a := range list {
		switch {
		case a.Unstaged:
			impossible++
		case a.Code != "CKR_OK":
			refused++
		}
	}
	text := fmt.Sprintf("%d of %d %s refused", refused, len(list), what)
	if impossible > 0 {
		text += fmt.Sprintf(", %d impossible on this token", impossible)
	}
	return text
}

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
		token.Decrypt: true, token.Unwrap: true, token.SignRecover: true, token.Decapsulate: true,
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

// throughKEM is the policy of a key that agrees by ML-KEM: it decapsulates, and derives
// nothing.
func throughKEM(list []Expect) []Expect {
	for i := range list {
		if list[i].Name == token.Derive {
			list[i].Want = false
		}
	}
	return append(list, Expect{token.Decapsulate, true, true})
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
	if r.Algorithm.IsMLKEM() {
		r.expect = throughKEM(r.expect)
	}
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
