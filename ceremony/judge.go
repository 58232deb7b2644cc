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
	case alg.IsMLDSA():
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
// ML-DSA 3.2) and the CKP_ values of ML-DSA's parameter sets, recorded as a CK_ULONG of 8 bytes in hex.
var (
	halfClass = map[string]string{"private": "0000000000000003", "public": "0000000000000002"}
	keyTypes  = map[keys.Algorithm][]string{
		keys.Ed25519: {"0000000000000040"}, keys.P256: {"0000000000000003"}, keys.P384: {"0000000000000003"},
		keys.RSA3072: {"0000000000000000"}, keys.ECDHP256: {"0000000000000003"},
		keys.MLDSA44: {"000000000000004a"}, keys.MLDSA65: {"000000000000004a"}, keys.MLDSA87: {"000000000000004a"},
		keys.X25519: {"0000000000000041", "0000000000000040"}, // SoftHSM generates and reports it as CKK_EC_EDWARDS
	}
	parameterSets = map[keys.Algorithm][]string{
		keys.MLDSA44: {"0000000000000001"}, keys.MLDSA65: {"0000000000000002"}, keys.MLDSA87: {"0000000000000003"},
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
