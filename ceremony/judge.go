package ceremony

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// judgeAttributes holds a key's attributes against its role's policy. One that
// is required and can't be read fails; one that is only wanted where supported
// may be unreadable, but never readable and wrong.
func judgeAttributes(role *Role, k *Key) error {
	if err := judgeReadings(role, k.Attributes.Private, k.Intent.ID, nil); err != nil {
		return err
	}
	if err := readable("public", k.Attributes.Public, role.Algorithm, k.Intent.ID); err != nil {
		return err
	}
	return k.readAs(k.Attributes.Public)
}

// readAs demands that what was read of the public half, where it was, is the key
// that was generated: else another object was looked at, and maybe attacked.
func (k *Key) readAs(list []Attribute) error {
	value := func(name string) []byte {
		r := reading(list, name)
		if r == nil || r.Code != "" {
			return nil
		}
		b, err := hex.DecodeString(r.Value)
		if err != nil {
			return []byte{} // no key's
		}
		return b
	}
	point, n, e := value("EC_POINT"), value("MODULUS"), value("PUBLIC_EXPONENT")
	var read *keys.Public
	var err error
	switch rsa := k.Intent.Algorithm == keys.RSA3072; {
	case point != nil && !rsa:
		read, err = keys.FromPoint(k.Intent.Algorithm, point)
	case n != nil && e != nil && rsa:
		read, err = keys.FromRSA(n, e)
	default:
		return nil
	}
	if err != nil || !bytes.Equal(read.SPKI(), k.Outcome.PublicKey) {
		return fmt.Errorf("the public half was read back as another key than was generated")
	}
	return nil
}

// readable demands that nothing was read twice, and that what was read is the half
// of the intent's key.
func readable(half string, list []Attribute, alg keys.Algorithm, id []byte) error {
	for i, r := range list {
		if slices.ContainsFunc(list[:i], func(o Attribute) bool { return o.Name == r.Name }) {
			return fmt.Errorf("%s was read twice", r.Name)
		}
	}
	if r := reading(list, "ID"); r == nil || r.Value != hex.EncodeToString(id) {
		return fmt.Errorf("the %s half was read back without the CKA_ID of the intent", half)
	}
	for _, e := range [][2]string{{"CLASS", halfClass[half]}, {"KEY_TYPE", keyTypes[alg]}} {
		if r := reading(list, e[0]); r != nil && r.Code == "" && r.Value != e[1] {
			return fmt.Errorf("the %s half has %s %q, that of such a key is %q", half, e[0], r.Value, e[1])
		}
	}
	return nil
}

// CKO_PRIVATE_KEY and CKO_PUBLIC_KEY, and the CKK_ of each algorithm, as a CK_ULONG
// is recorded.
var (
	halfClass = map[string]string{"private": "0000000000000003", "public": "0000000000000002"}
	keyTypes  = map[keys.Algorithm]string{
		keys.Ed25519: "0000000000000040", keys.X25519: "0000000000000041", keys.P256: "0000000000000003",
		keys.P384: "0000000000000003", keys.RSA3072: "0000000000000000",
	}
)

// judgeReadings holds the private half's attributes against a role's policy.
// What the attempts named in relaxed have set must read as the contrary.
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

// reading finds the reading of a name.
func reading(list []Attribute, name string) *Attribute {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// NotShown are the attributes wanted where supported that couldn't be read.
func (k *Key) NotShown(role *Role) []string {
	var list []string
	for _, e := range role.Expect() {
		if r := reading(k.Attributes.Private, e.Name); !e.Required && (r == nil || r.Code != "") {
			list = append(list, e.Name)
		}
	}
	return list
}
