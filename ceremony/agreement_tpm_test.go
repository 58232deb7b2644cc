package ceremony_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// byTPM is a ceremony whose keys agree by the TPM itself.
func byTPM(t *testing.T, o testfleet.Options) *testfleet.Fleet {
	t.Helper()
	o.Name, o.HSMs, o.Challenger, o.Agreement = "by TPM", 2, "ada", ceremony.AgreementTPM
	o.Roles = []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: keys.ECDHP256}}
	return testfleet.New(t, o)
}

func TestAKeyThatAgreesByItsTPMHasATemplateOfItsOwn(t *testing.T) {
	f := byTPM(t, testfleet.Options{To: -1})
	sealing := f.Plan.RoleIn("hsm-1", "sealing")
	settings, _ := sealing.Template()
	for name, want := range map[string]bool{token.Sign: false, token.Derive: false, token.Decrypt: true, token.Unwrap: false, token.SignRecover: false} {
		if !slices.Contains(settings, token.Setting{Name: name, Value: want}) || !slices.Contains(sealing.Expect(), ceremony.Expect{Name: name, Want: want, Required: name != token.SignRecover}) {
			t.Errorf("%s is not %t: %v", name, want, settings)
		}
	}
	// That of the plan, for other HSMs, stays as it is; a key that signs is as all are.
	if settings, _ := f.Plan.Role("sealing").Template(); !slices.Contains(settings, token.Setting{Name: token.Derive, Value: true}) {
		t.Errorf("%v", settings)
	}
	if f.Plan.RoleIn("hsm-1", "session") != f.Plan.Role("session") {
		t.Error("a key that signs is another")
	}
}

// tpmFaults are attempts that a TPM decides, or a module.
var tpmFaults = map[string]struct {
	plain bool // of an HSM whose module agrees itself
	edit  func(l []ceremony.Attempt)
	want  string
}{
	"it signs":                     {false, func(l []ceremony.Attempt) { l[6].Code = token.TPMSuccess }, "attempt sign succeeded: the key signs, and it is only for agreement"},
	"it signs by the module":       {false, func(l []ceremony.Attempt) { l[6].Call, l[6].Code = token.CallSign, "CKR_OK" }, "attempt sign succeeded"},
	"it takes any point":           {false, func(l []ceremony.Attempt) { l[7].Code = token.TPMSuccess }, "attempt agree-invalid-point succeeded"},
	"the module alone was asked":   {false, func(l []ceremony.Attempt) { l[6].Call, l[6].Code = token.CallSignInit, "CKR_MECHANISM_INVALID" }, "attempt sign was decided by C_SignInit, and by the plan TPM2_Sign decides it"},
	"no refusal of a point":        {false, func(l []ceremony.Attempt) { l[7].Code = token.TPMKey }, "attempt agree-invalid-point ended with TPM_RC_KEY, which does not mean a refusal"},
	"a code of a module by a TPM":  {false, func(l []ceremony.Attempt) { l[6].Code = "CKR_KEY_FUNCTION_NOT_PERMITTED" }, "is no return code of a call"},
	"a code that a TPM never has":  {false, func(l []ceremony.Attempt) { l[6].Code = "TPM_RC_KEYS" }, "is no return code of a call"},
	"a TPM where a module agrees":  {true, func(l []ceremony.Attempt) { l[6].Call, l[6].Code = token.CallTPMSign, token.TPMKey }, "attempt sign was decided by TPM2_Sign, and by the plan C_SignInit decides it"},
	"a code of a TPM by a module":  {true, func(l []ceremony.Attempt) { l[6].Code = token.TPMKey }, "is no return code of a call"},
	"a TPM asked to export":        {false, func(l []ceremony.Attempt) { l[0].Call = token.CallTPMSign }, "attempt export names the call TPM2_Sign"},
	"a TPM that was never reached": {false, func(l []ceremony.Attempt) { l[6].Unstaged = true }, "attempt sign could not be made"},
}

// What a TPM says decides there, and nowhere else.
func TestWhatIsSaidOfAKeyThatAgreesByItsTPMIsJudged(t *testing.T) {
	f := byTPM(t, testfleet.Options{})
	if k := f.Account.KeysOf(keys.Agree)[0]; k.Refused() != 9 || k.Attempts[6].Call != token.CallTPMSign {
		t.Errorf("%+v", k.Attempts)
	}
	plain := agreeingOnce(t)
	for name, c := range tpmFaults {
		fleet := f
		if c.plain {
			fleet = plain
		}
		x := newForger(t, fleet)
		n := x.get(ceremony.KindNegativeTest, 1).content.(*ceremony.NegativeTest)
		n.Attempts = slices.Clone(n.Attempts)
		c.edit(n.Attempts)
		if _, err := x.replay(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	x := newForger(t, f)
	intent := x.get(ceremony.KindIntent, 1).content.(*ceremony.Intent)
	intent.Template, _ = f.Plan.Role("sealing").Template()
	if _, err := x.replay(); err == nil || !strings.Contains(err.Error(), "its template has DERIVE true where the plan's has DERIVE false") {
		t.Errorf("a module's template: %v", err)
	}
}

func TestAPlanWhoseKeysCantAgreeByATPMIsRefused(t *testing.T) {
	text := string(byTPM(t, testfleet.Options{To: -1}).Plan.Raw())
	for want, edit := range map[string][2]string{
		`hsm "hsm-1": agreement is "tpm2"; it is tpm2-ecdh-zgen`:                             {"tpm2-ecdh-zgen", "tpm2"},
		`hsm "hsm-1" agrees by tpm2-ecdh-zgen, and no TPM has x25519, role "sealing"`:        {"ecdh-p256", "x25519"},
		`hsm "hsm-1": agreement says how its keys agree, and the plan has no role that does`: {"    use: agree\n    algorithm: ecdh-p256", "    algorithm: ecdsa-p256"},
		`attribute DECRYPT must be "required false" in every plan`:                           {"algorithm: ecdh-p256", "algorithm: ecdh-p256\n    attributes: {DECRYPT: required true}"},
	} {
		if _, err := ceremony.ParsePlan("plan.yaml", []byte(strings.Replace(text, edit[0], edit[1], 1))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
