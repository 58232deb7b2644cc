package hsm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for rv, want := range map[uint]string{
		0: "CKR_OK", 0x1B: "CKR_ACTION_PROHIBITED", 0x140: "CKR_CURVE_NOT_SUPPORTED", 0xA0: "CKR_PIN_INCORRECT", 0x201: "CKR_TOKEN_RESOURCE_EXCEEDED",
		0x80000042: "CKR_VENDOR_DEFINED+0x42", 0x7777: "0x7777",
	} {
		if got := CodeName(rv); got != want {
			t.Errorf("0x%X is %s, want %s", rv, got, want)
		}
	}
	for m, want := range map[uint]string{0: "CKM_RSA_PKCS_KEY_PAIR_GEN", 0x1057: "CKM_EDDSA", 0x1040: "CKM_EC_KEY_PAIR_GEN", 0x80000001: "0x80000001"} {
		if got := MechanismName(m); got != want {
			t.Errorf("0x%X is %s, want %s", m, got, want)
		}
	}
	seen := make(map[string]bool)
	for _, table := range []map[uint]string{codeNames, mechanismNames} {
		for number, name := range table {
			if seen[name] || !strings.HasPrefix(name, "CK") {
				t.Errorf("0x%X: %s", number, name)
			}
			seen[name] = true
		}
	}
}

func TestErrorsAreFoundByWhatTheyMean(t *testing.T) {
	err := fmt.Errorf("token %q: %w", "a", &Error{Call: "C_Login", Code: "CKR_PIN_LOCKED"})
	if !errors.Is(err, ErrPINLocked) || errors.Is(err, ErrPINIncorrect) || Code(err) != "CKR_PIN_LOCKED" || err.Error() != `token "a": C_Login: CKR_PIN_LOCKED` {
		t.Errorf("got %v", err)
	}
	other := &Error{Call: "C_Login", Code: "CKR_GENERAL_ERROR"}
	for code, sentinel := range sentinels {
		if errors.Is(other, sentinel) || errors.Is(other, nil) {
			t.Errorf("CKR_GENERAL_ERROR is %s", code)
		}
	}
	if Code(nil) != "" || Code(ErrNoKey) != "" {
		t.Error("a code without a call")
	}
}
