package ceremony

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

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
	refusesSign = []string{
		"CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_KEY_TYPE_INCONSISTENT", "CKR_MECHANISM_INVALID", "CKR_FUNCTION_NOT_SUPPORTED",
	}
	// Tokens have no code of one meaning for a point that is none, and some say
	// that they failed. That they work is shown by the agreement that follows.
	refusesPoint = []string{
		"CKR_MECHANISM_PARAM_INVALID", "CKR_PUBLIC_KEY_INVALID", "CKR_DOMAIN_PARAMS_INVALID", "CKR_DATA_INVALID", "CKR_ARGUMENTS_BAD",
		"CKR_KEY_SIZE_RANGE", "CKR_KEY_INDIGESTIBLE", "CKR_FUNCTION_FAILED", "CKR_GENERAL_ERROR", "CKR_DEVICE_ERROR",
	}
	refusesChange = []string{
		"CKR_ACTION_PROHIBITED", "CKR_ATTRIBUTE_READ_ONLY", "CKR_TEMPLATE_INCONSISTENT",
		"CKR_FUNCTION_NOT_SUPPORTED", "CKR_ATTRIBUTE_SENSITIVE", "CKR_KEY_UNEXTRACTABLE",
		"CKR_KEY_FUNCTION_NOT_PERMITTED",
	}
)

type attemptRule struct {
	name    string
	call    string // that decides it
	refused []string
	means   string // what it means that it succeeded
}

// attempts are the tries that every key of a role must have withstood, in this
// order. Those to wrap take a mechanism and a key to wrap with, and a token may have
// neither: they alone may be unstaged.
func (r *Role) attempts() []attemptRule {
	return slices.Concat(r.madeAgain(), relaxing)
}

// madeAgain are those of them that are made once more on a key that was made weaker:
// the rest are those that made it so.
func (r *Role) madeAgain() []attemptRule {
	switch {
	case r.Use == keys.Sign:
		return takesOut
	case r.tpm:
		return slices.Concat(takesOut, misusesOfTPM)
	}
	return slices.Concat(takesOut, misuses)
}

const leaves = "the key can leave its HSM"

var (
	takesOut = []attemptRule{
		{token.TryExport, token.CallGet, refusesRead, leaves},
		{token.TryWrapKW, token.CallWrap, refusesWrap, leaves},
		{token.TryWrapKWP, token.CallWrap, refusesWrap, leaves},
		{token.TryWrapCBC, token.CallWrap, refusesWrap, leaves},
		{token.TryCopyExtractable, token.CallCopy, refusesChange, leaves},
		{token.TryCopyInsensitive, token.CallCopy, refusesChange, leaves},
	}
	misuses = []attemptRule{
		{token.TrySign, token.CallSignInit, refusesSign, "the key signs, and is there to agree"},
		{token.TryAgreeInvalid, token.CallDerive, refusesPoint, "the secrets that it gives for such points tell the key"},
	}
	// The module's own word on a key that agrees by the TPM is that something failed:
	// the TPM, whose word it is, is asked itself.
	misusesOfTPM = []attemptRule{
		{token.TrySign, token.CallTPMSign, []string{token.TPMKey, token.TPMAttributes}, misuses[0].means},
		{token.TryAgreeInvalid, token.CallTPMAgree, []string{token.TPMPoint}, misuses[1].means},
	}
	relaxing = []attemptRule{
		{token.TryRelaxExtractable, token.CallSet, refusesChange, leaves},
		{token.TryRelaxSensitive, token.CallSet, refusesChange, leaves},
	}
)

// rulesOf are those of an attempt of that name: of some, a module decides or a TPM.
func rulesOf(name string) []attemptRule {
	return slices.DeleteFunc(slices.Concat(takesOut, misuses, misusesOfTPM, relaxing), func(r attemptRule) bool { return r.name != name })
}

// decides says whether a call may have decided an attempt: the first that can, or
// another without which it isn't made.
func (r *attemptRule) decides(t Attempt) bool {
	switch {
	case t.Call == r.call:
		return true
	case r.call == token.CallWrap:
		return t.Call == token.CallGenerate && t.Unstaged
	}
	return r.call == token.CallSignInit && t.Call == token.CallSign
}

// cantStage are the codes with which an attempt may be unstaged, by the call that
// said so.
var cantStage = map[string][]string{token.CallWrap: token.UnstagedWrap, token.CallGenerate: token.UnstagedGenerate}

// wraps are the attempts that take a wrapping key.
var wraps = []string{token.TryWrapKW, token.TryWrapKWP, token.TryWrapCBC}

const (
	codeOK       = "CKR_OK"
	notPermitted = "CKR_KEY_FUNCTION_NOT_PERMITTED"
)

// judgeRefusals holds what was tried on a key against what its HSM's plan
// tolerates.
func (a *Account) judgeRefusals(k *Key) error {
	names, err := a.Plan.Weakened(k.HSM, k.Role, k.Attempts)
	switch {
	case err != nil || len(names) == 0:
		return err
	case k.Relaxed == nil:
		return fmt.Errorf("attempt %s succeeded, which the plan tolerates, and nothing was tried again after it", names[0])
	}
	return judgeRelaxed(a.Plan.RoleIn(k.HSM, k.Role), k.Intent.ID, k.Relaxed)
}

// judgeRelaxed demands of a key that let itself be made weaker that nothing came
// of it: all else read as planned, every attempt failed again, and it is back as
// it was.
func judgeRelaxed(role *Role, id []byte, r *Relaxed) error {
	if err := judgeReadings(role, r.While, id, r.Names); err != nil {
		return fmt.Errorf("made weaker: %w", err)
	}
	if _, err := judgeAttempts(r.Attempts, role.madeAgain(), nil); err != nil {
		return fmt.Errorf("made weaker: %w", err)
	}
	for _, t := range r.Attempts {
		// That there was no key to wrap with is not enough, one could be brought:
		// the token has to lack the function or the mechanism.
		if t.Unstaged && (t.Call == token.CallGenerate || !slices.Contains(refusesWrap, t.Code)) {
			return fmt.Errorf("made weaker: attempt %s could not be made (%s: %s); here the token itself has to refuse", t.Name, t.Call, t.Code)
		}
		// Nor that the key that was there may not wrap: the public half may not,
		// and a token can say so before it looks at what is to be wrapped.
		if t.Code == notPermitted && slices.Contains(wraps, t.Name) {
			return fmt.Errorf("made weaker: attempt %s ended with %s, which may be about the wrapping key; here the token itself has to refuse", t.Name, t.Code)
		}
	}
	if len(r.Restored) != len(r.Names) {
		return fmt.Errorf("made weaker: %d of %d attributes were set back", len(r.Restored), len(r.Names))
	}
	for i, t := range r.Restored {
		if t.Name != r.Names[i] || t.Code != codeOK || t.Unstaged {
			return fmt.Errorf("made weaker by %s: it was not set back (%s: %s)", r.Names[i], t.Name, t.Code)
		}
	}
	if err := judgeReadings(role, r.After, id, nil); err != nil {
		return fmt.Errorf("set back: %w", err)
	}
	return nil
}

// Weakened are the attempts that made a key of an HSM weaker, which its plan
// tolerates. An error says which other attempt wasn't refused as it must be.
func (p *Plan) Weakened(hsm, role string, list []Attempt) ([]string, error) {
	return judgeAttempts(list, p.RoleIn(hsm, role).attempts(), p.HSM(hsm).Tolerates)
}

// succeeded are the attempts that did.
func succeeded(list []Attempt) (names []string) {
	for _, t := range list {
		if t.Code == codeOK && !t.Unstaged {
			names = append(names, t.Name)
		}
	}
	return names
}

// judgeAttempts demands every try of a list, each refused with a code that means
// refusal but for what is tolerated. relaxed are those that did succeed.
func judgeAttempts(list []Attempt, demanded []attemptRule, tolerated []string) (relaxed []string, err error) {
	if len(list) != len(demanded) {
		return nil, fmt.Errorf("%d attempts to take the key out, %d are demanded", len(list), len(demanded))
	}
	for i, t := range list {
		want := demanded[i]
		if t.Name == want.name && t.Code == codeOK && !t.Unstaged && slices.Contains(tolerated, t.Name) {
			continue
		}
		if err := t.judge(i, want); err != nil {
			return nil, err
		}
	}
	return succeeded(list), nil
}

func (t Attempt) judge(i int, want attemptRule) error {
	switch {
	case t.Name != want.name:
		return fmt.Errorf("attempt %d is %q, %q is demanded", i+1, t.Name, want.name)
	case t.Unstaged && want.call != token.CallWrap:
		return fmt.Errorf("attempt %s could not be made (%s), and every token must withstand it", t.Name, t.Code)
	case t.Unstaged && !slices.Contains(cantStage[t.Call], t.Code):
		return fmt.Errorf("attempt %s could not be made: %s: %s", t.Name, t.Call, t.Code)
	case t.Unstaged:
	case t.Code == codeOK || t.Code == token.TPMSuccess:
		return fmt.Errorf("attempt %s succeeded: %s", t.Name, want.means)
	case !want.decides(t):
		return fmt.Errorf("attempt %s was decided by %s, and by the plan %s decides it", t.Name, t.Call, want.call)
	case !slices.Contains(want.refused, t.Code):
		return fmt.Errorf("attempt %s ended with %s, which is no refusal", t.Name, t.Code)
	}
	return nil
}

// Refused counts the attempts that the token refused, leaving out those that
// it had no means for.
func (k *Key) Refused() int {
	n := 0
	list := k.Attempts
	if k.Relaxed != nil {
		list = slices.Concat(list, k.Relaxed.Attempts)
	}
	for _, t := range list {
		if !t.Unstaged && t.Code != codeOK {
			n++
		}
	}
	return n
}

// Tolerable are the attempts on a key that may be tolerated: by a plan in one of
// its HSMs, and by whoever judges what came of it. Only these: that such an
// attribute can be set is a matter of a module's books, and whether the key comes
// out then can be tried.
var Tolerable = []string{token.TryRelaxExtractable, token.TryRelaxSensitive}

// relaxes says which attribute they change.
var relaxes = map[string]string{
	token.TryRelaxExtractable: token.Extractable,
	token.TryRelaxSensitive:   token.Sensitive,
}

// CheckTolerates finds the fault of a list of tolerated attempts. One that isn't
// there is nil, and tolerates none.
func CheckTolerates(list []string) error {
	if list != nil && len(list) == 0 {
		return fmt.Errorf("tolerates nothing; leave tolerates out, then no attempt may succeed")
	}
	for i, name := range list {
		if !slices.Contains(Tolerable, name) {
			return fmt.Errorf("tolerates %q; only %s can be tolerated: a token of which another attempt succeeds doesn't keep its keys", name, strings.Join(Tolerable, " and "))
		}
		if slices.Contains(list[:i], name) {
			return fmt.Errorf("tolerates %q twice", name)
		}
	}
	return nil
}

// Tolerated is an attempt that may succeed, or did, in an HSM.
type Tolerated struct{ HSM, Attempt string }

func (t Tolerated) String() string { return t.Attempt + " in " + t.HSM }

// Tolerates is what the plan lets succeed, in the order of its HSMs.
func (p *Plan) Tolerates() []Tolerated {
	var list []Tolerated
	for _, h := range p.HSMs {
		for _, name := range h.Tolerates {
			list = append(list, Tolerated{h.Name, name})
		}
	}
	return list
}

// Tolerated is what did succeed on keys that stand.
func (a *Account) Tolerated() []Tolerated {
	var list []Tolerated
	for _, k := range a.Keys {
		for _, name := range succeeded(k.Attempts) {
			if t := (Tolerated{k.HSM, name}); !slices.Contains(list, t) {
				list = append(list, t)
			}
		}
	}
	return list
}

// Beyond leaves of a list what isn't among the attempts that are accepted.
func Beyond(list []Tolerated, accepted []string) []Tolerated {
	return slices.DeleteFunc(slices.Clone(list), func(t Tolerated) bool { return slices.Contains(accepted, t.Attempt) })
}

// TellTolerated lists them for people.
func TellTolerated(list []Tolerated) string {
	var texts []string
	for _, t := range list {
		texts = append(texts, t.String())
	}
	return strings.Join(texts, ", ")
}
