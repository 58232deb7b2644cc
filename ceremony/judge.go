package ceremony

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/fleetctl/fleetctl/internal/token"
)

// judgeAttributes holds a key's attributes against its role's policy. One that
// is required and can't be read fails; one that is only wanted where supported
// may be unreadable, but never readable and wrong.
func judgeAttributes(role *Role, id []byte, c *Attributes) error {
	for _, r := range slices.Concat(c.Private, c.Public) {
		if r.Value != "" && r.Code != "" {
			return fmt.Errorf("%s has a value and a return code", r.Name)
		}
	}
	for _, half := range []struct {
		name string
		list []Attribute
	}{{"private", c.Private}, {"public", c.Public}} {
		r, err := reading(half.list, "ID")
		if err != nil {
			return err
		}
		if r == nil || r.Value != hex.EncodeToString(id) {
			return fmt.Errorf("the %s half was read back without the CKA_ID of the intent", half.name)
		}
	}
	for _, e := range role.Expect() {
		r, err := reading(c.Private, e.Name)
		switch {
		case err != nil:
			return err
		case r == nil || r.Code != "":
			if e.Required {
				return fmt.Errorf("%s can't be read (%s), and the plan requires it", e.Name, codeOf(r))
			}
		case r.Value != strconv.FormatBool(e.Want):
			return fmt.Errorf("%s is %q, the plan says %t", e.Name, r.Value, e.Want)
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

// Return codes by which a token may refuse (PKCS#11 2.40, section 5.1). A code
// that isn't listed, such as CKR_DEVICE_ERROR, is no refusal: who knows what
// the token did.
var (
	refusesRead = []string{
		"CKR_ATTRIBUTE_SENSITIVE", "CKR_ATTRIBUTE_TYPE_INVALID", "CKR_KEY_UNEXTRACTABLE",
	}
	refusesWrap = []string{
		"CKR_KEY_UNEXTRACTABLE", "CKR_KEY_NOT_WRAPPABLE", "CKR_KEY_FUNCTION_NOT_PERMITTED",
		"CKR_FUNCTION_NOT_SUPPORTED", "CKR_MECHANISM_INVALID", "CKR_ATTRIBUTE_SENSITIVE",
		"CKR_ACTION_PROHIBITED",
	}
	refusesChange = []string{
		"CKR_ACTION_PROHIBITED", "CKR_ATTRIBUTE_READ_ONLY", "CKR_TEMPLATE_INCONSISTENT",
		"CKR_FUNCTION_NOT_SUPPORTED", "CKR_ATTRIBUTE_SENSITIVE", "CKR_KEY_UNEXTRACTABLE",
		"CKR_KEY_FUNCTION_NOT_PERMITTED",
	}
	cantStage = []string{
		"CKR_MECHANISM_INVALID", "CKR_FUNCTION_NOT_SUPPORTED", "CKR_ATTRIBUTE_TYPE_INVALID",
		"CKR_TEMPLATE_INCONSISTENT", "CKR_ATTRIBUTE_VALUE_INVALID", "CKR_KEY_SIZE_RANGE",
		"CKR_SESSION_READ_ONLY", "CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_MECHANISM_PARAM_INVALID",
		"CKR_WRAPPING_KEY_HANDLE_INVALID", "CKR_WRAPPING_KEY_SIZE_RANGE", "CKR_WRAPPING_KEY_TYPE_INCONSISTENT",
	}
)

// attempts are the tries that every key must have withstood, in this order.
var attempts = []struct {
	name    string
	refused []string
	must    bool // has to be staged: every token can
}{
	{token.TryExport, refusesRead, true},
	{token.TryWrapKW, refusesWrap, false},
	{token.TryWrapKWP, refusesWrap, false},
	{token.TryWrapCBC, refusesWrap, false},
	{token.TryCopyExtractable, refusesChange, true},
	{token.TryCopyInsensitive, refusesChange, true},
	{token.TryRelaxExtractable, refusesChange, true},
	{token.TryRelaxSensitive, refusesChange, true},
}

// judgeAttempts demands every try, each refused with a code that means refusal.
func judgeAttempts(list []Attempt) error {
	if len(list) != len(attempts) {
		return fmt.Errorf("%d attempts to take the key out, %d are demanded", len(list), len(attempts))
	}
	for i, t := range list {
		want := attempts[i]
		switch {
		case t.Name != want.name:
			return fmt.Errorf("attempt %d is %q, %q is demanded", i+1, t.Name, want.name)
		case t.Unstaged && t.Code == "CKR_FUNCTION_NOT_SUPPORTED" && want.name != token.TryExport:
			// A token without the function can't be made to do it.
		case t.Unstaged && want.must:
			return fmt.Errorf("attempt %s could not be made (%s), and every token must withstand it", t.Name, t.Code)
		case t.Unstaged && !slices.Contains(cantStage, t.Code):
			return fmt.Errorf("attempt %s could not be made: %s", t.Name, t.Code)
		case t.Unstaged:
		case t.Code == "CKR_OK":
			return fmt.Errorf("attempt %s succeeded: the key can leave its HSM", t.Name)
		case !slices.Contains(want.refused, t.Code):
			return fmt.Errorf("attempt %s ended with %s, which is no refusal", t.Name, t.Code)
		}
	}
	return nil
}

// Refused counts the attempts that the token refused, leaving out those that
// it had no means for.
func (k *Key) Refused() int {
	n := 0
	for _, t := range k.Attempts {
		if !t.Unstaged {
			n++
		}
	}
	return n
}
