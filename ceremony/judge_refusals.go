package ceremony

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Return codes by which a token may refuse a call (PKCS#11 2.40, section 5.1). Any
// other code, such as CKR_DEVICE_ERROR, doesn't say whether the token did what it
// was asked to.
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
	// PKCS#11 has no single code for an invalid point, and some tokens report a
	// general failure. The agreement that follows shows that the token works.
	refusesPoint = []string{
		"CKR_MECHANISM_PARAM_INVALID", "CKR_PUBLIC_KEY_INVALID", "CKR_DOMAIN_PARAMS_INVALID", "CKR_DATA_INVALID", "CKR_ARGUMENTS_BAD",
		"CKR_KEY_SIZE_RANGE", "CKR_KEY_INDIGESTIBLE", "CKR_FUNCTION_FAILED", "CKR_GENERAL_ERROR", "CKR_DEVICE_ERROR",
	}
	refusesCiphertext = []string{
		"CKR_ENCRYPTED_DATA_LEN_RANGE", "CKR_ENCRYPTED_DATA_INVALID", "CKR_WRAPPED_KEY_LEN_RANGE", "CKR_WRAPPED_KEY_INVALID", "CKR_DATA_LEN_RANGE",
		"CKR_DATA_INVALID", "CKR_ARGUMENTS_BAD", "CKR_FUNCTION_FAILED", "CKR_GENERAL_ERROR", "CKR_DEVICE_ERROR",
	}
	refusesChange = []string{
		"CKR_ACTION_PROHIBITED", "CKR_ATTRIBUTE_READ_ONLY", "CKR_TEMPLATE_INCONSISTENT",
		"CKR_FUNCTION_NOT_SUPPORTED", "CKR_ATTRIBUTE_SENSITIVE", "CKR_KEY_UNEXTRACTABLE",
		"CKR_KEY_FUNCTION_NOT_PERMITTED",
	}
)

type attemptRule struct {
	name    string
	call    string   // whose return code decides the attempt
	refused []string // return codes that mean refusal
	means   string   // what follows if it succeeds
}

// attempts are those that every key of a role must withstand, in this order. To wrap a
// key takes a mechanism and a wrapping key, which a token may not have, so only these
// attempts may be unstaged.
func (r *Role) attempts() []attemptRule {
	return slices.Concat(r.madeAgain(), relaxing)
}

// madeAgain are the attempts that are made once more on a key that was made weaker:
// all but those that try to make it weaker.
func (r *Role) madeAgain() []attemptRule {
	switch {
	case r.Use == keys.Sign:
		return takesOut
	case r.Algorithm.IsMLKEM():
		return slices.Concat(takesOut, misusesOfKEM)
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
		{token.TrySign, token.CallSignInit, refusesSign, "the key signs, and it is only for agreement"},
		{token.TryAgreeInvalid, token.CallDerive, refusesPoint, "the secrets that it gives for such points reveal the key"},
	}
	misusesOfKEM = []attemptRule{
		misuses[0],
		{token.TryDecapsulateInvalid, token.CallDecapsulate, refusesCiphertext, "the HSM takes what is no ciphertext for one, against FIPS 203"},
	}
	// For a key that agrees by the TPM, the module only reports that something failed. So
	// the TPM itself is asked.
	misusesOfTPM = []attemptRule{
		{token.TrySign, token.CallTPMSign, []string{token.TPMKey, token.TPMAttributes}, misuses[0].means},
		{token.TryAgreeInvalid, token.CallTPMAgree, []string{token.TPMPoint}, misuses[1].means},
	}
	relaxing = []attemptRule{
		{token.TryRelaxExtractable, token.CallSet, refusesChange, leaves},
		{token.TryRelaxSensitive, token.CallSet, refusesChange, leaves},
	}
)

// rulesOf has the rules of each attempt by its name: two if either a module or a TPM
// decides it.
var rulesOf = sync.OnceValue(func() map[string][]attemptRule {
	m := map[string][]attemptRule{}
	for _, r := range slices.Concat(takesOut, misuses, misusesOfKEM[1:], misusesOfTPM, relaxing) {
		m[r.name] = append(m[r.name], r)
	}
	return m
})

// decides says whether an attempt's call may have decided it: the rule's own call, or
// for an attempt to wrap the generation of the wrapping key, and for one to sign the
// C_Sign after C_SignInit.
func (r *attemptRule) decides(t Attempt) bool {
	switch {
	case t.Call == r.call:
		return true
	case r.call == token.CallWrap:
		return t.Call == token.CallGenerate && t.Unstaged
	}
	return r.call == token.CallSignInit && t.Call == token.CallSign
}

// cantStage are the return codes with which an attempt may be unstaged, by the call
// that returned them.
var cantStage = map[string][]string{token.CallWrap: token.UnstagedWrap, token.CallGenerate: token.UnstagedGenerate}

// wraps are the attempts that use a wrapping key.
var wraps = []string{token.TryWrapKW, token.TryWrapKWP, token.TryWrapCBC}

const (
	codeOK       = "CKR_OK"
	notPermitted = "CKR_KEY_FUNCTION_NOT_PERMITTED"
)

// judgeRefusals checks the attempts on a key: each was refused, or succeeded and the
// plan tolerates that for this HSM, and then nothing came of it.
func (a *Account) judgeRefusals(k *Key) error {
	names, err := a.Plan.Weakened(k.HSM, k.Role, k.Attempts)
	switch {
	case err != nil || len(names) == 0:
		return err
	case k.Relaxed == nil:
		return fmt.Errorf("attempt %s succeeded, which the plan tolerates, and the other attempts were not made again after it", names[0])
	}
	return judgeRelaxed(a.Plan.RoleIn(k.HSM, k.Role), k.Intent.ID, k.Relaxed)
}

// judgeRelaxed checks a key that could be made weaker: while it was, its other
// attributes read as planned and every attempt was refused again, and afterwards it
// was set back.
func judgeRelaxed(role *Role, id []byte, r *Relaxed) error {
	if err := judgeReadings(role, r.While, id, r.Names); err != nil {
		return fmt.Errorf("made weaker: %w", err)
	}
	if _, err := judgeAttempts(r.Attempts, role.madeAgain(), nil); err != nil {
		return fmt.Errorf("made weaker: %w", err)
	}
	for _, t := range r.Attempts {
		// An attempt that failed for want of a wrapping key is not enough: somebody
		// could bring one. The token must lack the function or the mechanism.
		if t.Unstaged && (t.Call == token.CallGenerate || !slices.Contains(refusesWrap, t.Code)) {
			return fmt.Errorf("made weaker: attempt %s could not be made (%s: %s); here the token itself has to refuse", t.Name, t.Call, t.Code)
		}
		// CKR_KEY_FUNCTION_NOT_PERMITTED is not enough either: the token may say it of
		// the wrapping key before it looks at the key to be wrapped.
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

// Weakened are the attempts that made a key of an HSM weaker and that the plan
// tolerates. The error names another attempt that was not refused.
func (p *Plan) Weakened(hsm, role string, list []Attempt) ([]string, error) {
	return judgeAttempts(list, p.RoleIn(hsm, role).attempts(), p.HSM(hsm).Tolerates)
}

// succeeded are the names of the attempts that succeeded.
func succeeded(list []Attempt) (names []string) {
	for _, t := range list {
		if t.Code == codeOK && !t.Unstaged {
			names = append(names, t.Name)
		}
	}
	return names
}

// judgeAttempts demands that exactly the demanded attempts to take the key out, in order, and
// that each was refused or is tolerated. relaxed are those that succeeded.
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
		return fmt.Errorf("attempt %s could not be made (%s); it can be made on every token, and must be refused", t.Name, t.Code)
	case t.Unstaged && !slices.Contains(cantStage[t.Call], t.Code):
		return fmt.Errorf("attempt %s could not be made: %s: %s", t.Name, t.Call, t.Code)
	case t.Unstaged:
	case t.Code == codeOK || t.Code == token.TPMSuccess:
		return fmt.Errorf("attempt %s succeeded: %s", t.Name, want.means)
	case !want.decides(t):
		return fmt.Errorf("attempt %s was decided by %s, and by the plan %s decides it", t.Name, t.Call, want.call)
	case !slices.Contains(want.refused, t.Code):
		return fmt.Errorf("attempt %s ended with %s, which does not mean a refusal", t.Name, t.Code)
	}
	return nil
}

// Refused counts the attempts that the token refused, without those that could not
// be made.
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

// Tolerable are the attempts that a plan may tolerate in one of its HSMs, and a
// verifier in a plan. No others can be: some modules let these attributes be set, but
// don't act on them, and whether the key then leaves the HSM can be tried.
var Tolerable = []string{token.TryRelaxExtractable, token.TryRelaxSensitive}

// relaxes is the attribute that each of them changes.
var relaxes = map[string]string{
	token.TryRelaxExtractable: token.Extractable,
	token.TryRelaxSensitive:   token.Sensitive,
}

// CheckTolerates checks a list of tolerated attempts. nil, a list that was left out,
// tolerates none.
func CheckTolerates(list []string) error {
	if list != nil && len(list) == 0 {
		return fmt.Errorf("tolerates nothing; leave tolerates out, then no attempt may succeed")
	}
	for i, name := range list {
		if !slices.Contains(Tolerable, name) {
			return fmt.Errorf("tolerates %q; only %s can be tolerated: a token on which another attempt succeeds doesn't protect its keys", name, strings.Join(Tolerable, " and "))
		}
		if slices.Contains(list[:i], name) {
			return fmt.Errorf("tolerates %q twice", name)
		}
	}
	return nil
}

// Tolerated is an attempt that may succeed, or did succeed, in an HSM.
type Tolerated struct{ HSM, Attempt string }

func (t Tolerated) String() string { return t.Attempt + " in " + t.HSM }

// Tolerates are the attempts that the plan tolerates, in the order of its HSMs.
func (p *Plan) Tolerates() []Tolerated {
	var list []Tolerated
	for _, h := range p.HSMs {
		for _, name := range h.Tolerates {
			list = append(list, Tolerated{h.Name, name})
		}
	}
	return list
}

// Tolerated are the attempts that succeeded on keys that were not destroyed.
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

// Beyond returns those of a list whose attempts are not among the accepted ones.
func Beyond(list []Tolerated, accepted []string) []Tolerated {
	return slices.DeleteFunc(slices.Clone(list), func(t Tolerated) bool { return slices.Contains(accepted, t.Attempt) })
}

// TellTolerated lists tolerated attempts in words.
func TellTolerated(list []Tolerated) string {
	var texts []string
	for _, t := range list {
		texts = append(texts, t.String())
	}
	return strings.Join(texts, ", ")
}
