package token

import (
	"math"
	"strings"
	"testing"
)

func TestACodeHasOneSpelling(t *testing.T) {
	for rv, want := range map[uint64]string{
		0: "CKR_OK", 0x1B: "CKR_ACTION_PROHIBITED", 0x140: "CKR_CURVE_NOT_SUPPORTED", 0xA0: "CKR_PIN_INCORRECT", 0x201: "CKR_TOKEN_RESOURCE_EXCEEDED",
		0x80000042: "CKR_VENDOR_DEFINED_0x80000042", 0x7777: "CKR_UNKNOWN_0x00007777", 0x80000000: "CKR_VENDOR_DEFINED_0x80000000",
	} {
		if got := CodeName(rv); got != want || CheckCode(got) != nil {
			t.Errorf("0x%X is %s, want %s", rv, got, want)
		}
	}
	if got := CodeName(math.MaxUint64); CheckCode(got) != nil {
		t.Errorf("%s is written and not read", got)
	}
	seen := make(map[string]bool)
	for number, name := range CodeNames() {
		if seen[name] || !strings.HasPrefix(name, "CKR_") || number >= vendorDefined {
			t.Errorf("0x%X: %s", number, name)
		}
		seen[name] = true
	}
	for _, s := range []string{
		"", "OK", "ckr_ok", "CKR_OK ", "CKR_REFUSED", "CKR_VENDOR_DEFINED", "CKR_VENDOR_DEFINED_0x42", "CKR_VENDOR_DEFINED_0x7FFFFFFF",
		"CKR_VENDOR_DEFINED_0x8000000a", "CKR_VENDOR_DEFINED_0x080000042", "CKR_VENDOR_DEFINED+0x42", "0x7777",
		"CKR_UNKNOWN_0x00000000", "CKR_UNKNOWN_0x00000030", "CKR_UNKNOWN_0x80000042", "CKR_UNKNOWN_0x7777", "the token refused, truly", "no answer\n",
	} {
		if CheckCode(s) == nil {
			t.Errorf("%q is taken for a return code", s)
		}
	}
}

func FuzzCheckCode(f *testing.F) {
	f.Add(uint64(0x7777), "CKR_OK")
	f.Add(uint64(0x80000001), "CKR_VENDOR_DEFINED_0x80000001")
	f.Fuzz(func(t *testing.T, rv uint64, s string) {
		if name := CodeName(rv); CheckCode(name) != nil {
			t.Errorf("%s is written and not read", name)
		}
		if CheckCode(s) == nil && len(s) > 64 {
			t.Errorf("%q is taken for a return code", s)
		}
	})
}
