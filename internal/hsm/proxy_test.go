//go:build cgo && unix

package hsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Faults of tokens that aren't at hand, put around SoftHSM by testdata/proxy.c.

func TestTriesAreNotWasted(t *testing.T) {
	m := open(t, proxy(t), Options{})
	tok := fresh(t, m)
	check(t, tok.Logout())
	flag := func(f uint) { t.Setenv("PROXY_FLAGS", fmt.Sprint(f)) }

	flag(pkcs11.CKF_USER_PIN_LOCKED)
	wants(t, tok.Login([]byte(userPIN)), ErrPINLocked)
	wants(t, tok.LoginFinal([]byte(userPIN)), ErrPINLocked)
	flag(pkcs11.CKF_USER_PIN_FINAL_TRY)
	info, err := tok.Info()
	check(t, err)
	if !info.PINFinalTry || info.PINLocked {
		t.Errorf("got %+v", info)
	}
	wants(t, tok.Login([]byte(userPIN)), ErrPINFinalTry)
	check(t, tok.LoginFinal([]byte(userPIN)))
	check(t, tok.Logout())
	// With a keypad no PIN is asked of us; SoftHSM has none and says so itself.
	flag(pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH)
	if err := tok.Login(nil); Code(err) != "CKR_ARGUMENTS_BAD" {
		t.Errorf("got %v", err)
	}
}

func TestAttributesTheTokenDoesNotKnowAreLeftOut(t *testing.T) {
	tok := fresh(t, open(t, proxy(t), Options{}))
	t.Setenv("PROXY_UNKNOWN", fmt.Sprint(uint(pkcs11.CKA_DESTROYABLE)))
	out := generate(t, tok, spec("ecdsa-p256", newID(t)))
	if !slices.Equal(out.Dropped, []string{token.Destroyable}) {
		t.Errorf("dropped %v", out.Dropped)
	}
	t.Setenv("PROXY_UNKNOWN", fmt.Sprint(uint(pkcs11.CKA_EXTRACTABLE)))
	if _, err := tok.Generate(spec("ecdsa-p256", newID(t))); Code(err) != "CKR_ATTRIBUTE_TYPE_INVALID" {
		t.Errorf("EXTRACTABLE was left out: %v", err)
	}
}

func TestCurvesByName(t *testing.T) {
	tok := fresh(t, open(t, proxy(t), Options{}))
	t.Setenv("PROXY_NO_OIDS", "1")
	id := newID(t)
	pub, err := keys.ParseSPKI(generate(t, tok, spec("ed25519", id)).SPKI)
	check(t, err)
	sig, err := tok.Sign("ed25519", id, keys.ForTest, []byte("m"))
	check(t, err)
	check(t, pub.Verify(keys.ForTest, []byte("m"), sig))
	if _, err := tok.Generate(spec("ecdsa-p256", newID(t))); Code(err) != "CKR_CURVE_NOT_SUPPORTED" {
		t.Errorf("got %v", err)
	}
}

func TestPointsWithoutTheirOctetString(t *testing.T) {
	tok := fresh(t, open(t, proxy(t), Options{}))
	for _, alg := range []string{"ed25519", "ecdsa-p256", "ecdsa-p384", "x25519"} {
		id := newID(t)
		wrapped := generate(t, tok, spec(alg, id))
		t.Setenv("PROXY_POINT_RAW", "1")
		raw, err := tok.PublicKey(alg, id)
		if err != nil || string(raw) != string(wrapped.SPKI) {
			t.Errorf("%s: %x, %v", alg, raw, err)
		}
		t.Setenv("PROXY_POINT_RAW", "0")
	}
}

func TestWhatIsUnavailableIsNotRead(t *testing.T) {
	tok := fresh(t, open(t, proxy(t), Options{}))
	id := newID(t)
	generate(t, tok, spec("ed25519", id))
	t.Setenv("PROXY_UNAVAILABLE", fmt.Sprint(uint(pkcs11.CKA_LOCAL)))
	if got := readings(t, tok, id)[token.Local]; got != "CK_UNAVAILABLE_INFORMATION" {
		t.Errorf("LOCAL is %q", got)
	}
}

func TestATokenThatLies(t *testing.T) {
	tok := fresh(t, open(t, proxy(t), Options{}))
	id := newID(t)
	generate(t, tok, spec("ed25519", id))
	t.Setenv("PROXY_SHORT", "1")
	if _, err := tok.Sign("ed25519", id, keys.ForTest, []byte("m")); err == nil || !strings.Contains(err.Error(), "63 bytes") {
		t.Errorf("got %v", err)
	}
	t.Setenv("PROXY_SHORT", "0")
	t.Setenv("PROXY_UNDEAD", "1")
	if err := tok.Destroy(id); err == nil || !strings.Contains(err.Error(), "is still there") {
		t.Errorf("got %v", err)
	}
	// A copy that stays is no mere finding: the key is in two places.
	loose := newID(t)
	weak := with(with(spec("ecdsa-p256", loose), token.Copyable, true), token.Modifiable, true)
	generate(t, tok, with(with(weak, token.Extractable, true), token.Sensitive, false))
	t.Setenv("PROXY_UNDEAD", "2")
	if list, err := tok.Attack("ecdsa-p256", loose); list != nil || Code(err) != "CKR_ACTION_PROHIBITED" || !strings.Contains(err.Error(), "copy that can't be destroyed") {
		t.Errorf("got %v, %v", list, err)
	}
}
