package hsm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for m, want := range map[uint]string{0: "CKM_RSA_PKCS_KEY_PAIR_GEN", 0x1057: "CKM_EDDSA", 0x1040: "CKM_EC_KEY_PAIR_GEN", 0x80000001: "0x80000001"} {
		if got := mechanismName(m); got != want {
			t.Errorf("0x%X is %s, want %s", m, got, want)
		}
	}
	seen := make(map[string]bool)
	for number, name := range mechanismNames {
		if seen[name] || !strings.HasPrefix(name, "CKM_") {
			t.Errorf("0x%X: %s", number, name)
		}
		seen[name] = true
	}
}

func TestErrorsAreFoundByWhatTheyMean(t *testing.T) {
	err := fmt.Errorf("token %q: %w", "a", &Error{Call: "C_Login", Code: "CKR_PIN_LOCKED"})
	if !errors.Is(err, ErrPINLocked) || errors.Is(err, ErrPINIncorrect) || Code(err) != "CKR_PIN_LOCKED" || err.Error() != `token "a": C_Login: CKR_PIN_LOCKED` {
		t.Errorf("got %v", err)
	}
	other := &Error{Call: "C_Login", Code: "CKR_GENERAL_ERROR"}
	for code, sentinel := range sentinels() {
		if errors.Is(other, sentinel) || errors.Is(other, nil) {
			t.Errorf("CKR_GENERAL_ERROR is %s", code)
		}
	}
	if Code(nil) != "" || Code(ErrNoKey) != "" {
		t.Error("a code without a call")
	}
}
