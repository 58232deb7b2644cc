package ceremony

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// judgeAttributes holds a key's attributes against its role's policy. One that
// is required and can't be read fails; one that is only wanted where supported
// may be unreadable, but never readable and wrong.
func judgeAttributes(role *Role, id []byte, c *Attributes) error {
	if err := judgeReadings(role, c.Private, id, nil); err != nil {
		return err
	}
	return readable("public", c.Public, id)
}

// readable demands that each reading is one thing, and that they are of the
// intent's key.
func readable(half string, list []Attribute, id []byte) error {
	for _, r := range list {
		if r.Value != "" && r.Code != "" {
			return fmt.Errorf("%s has a value and a return code", r.Name)
		}
	}
	r, err := reading(list, "ID")
	if err != nil {
		return err
	}
	if r == nil || r.Value != hex.EncodeToString(id) {
		return fmt.Errorf("the %s half was read back without the CKA_ID of the intent", half)
	}
	return nil
}

// judgeReadings holds the private half's attributes against a role's policy.
// What the attempts named in relaxed have set must read as the contrary.
func judgeReadings(role *Role, list []Attribute, id []byte, relaxed []string) error {
	if err := readable("private", list, id); err != nil {
		return err
	}
	for _, e := range role.Expect() {
		set := slices.ContainsFunc(relaxed, func(name string) bool { return relaxes[name] == e.Name })
		want := e.Want != set
		r, err := reading(list, e.Name)
		switch {
		case err != nil:
			return err
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

// reading finds the one reading of a name.
func reading(list []Attribute, name string) (found *Attribute, err error) {
	for i := range list {
		if list[i].Name != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%s was read twice", name)
		}
		found = &list[i]
	}
	return found, nil
}

// NotShown are the attributes wanted where supported that couldn't be read.
func (k *Key) NotShown(role *Role) []string {
	var list []string
	for _, e := range role.Expect() {
		if r, _ := reading(k.Attributes.Private, e.Name); !e.Required && (r == nil || r.Code != "") {
			list = append(list, e.Name)
		}
	}
	return list
}
