//go:build cgo && unix

package hsm

import (
	"errors"
	"fmt"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// A token that is pulled out fails at whatever call comes next. For each
// function that fails, each method either does without it or says so: an error
// by the code's name, no result beside it, and no crash.
func TestATokenThatIsPulledOutAtAnyCall(t *testing.T) {
	m := open(t, proxy(t), Options{})
	tok := fresh(t, m)
	label := tok.opened.Label
	id := newID(t)
	generate(t, tok, spec("ecdsa-p256", id))
	rsa := newID(t)
	generate(t, tok, spec("rsa-3072", rsa))
	weak := newID(t)
	loose := with(with(spec("ecdsa-p256", weak), token.Copyable, true), token.Modifiable, true)
	generate(t, tok, with(with(loose, token.Extractable, true), token.Sensitive, false))

	const removed = "CKR_DEVICE_REMOVED"
	arm := func(function int) {
		t.Helper()
		t.Setenv("PROXY_FAIL", fmt.Sprint(function))
		_, err := m.info()
		check(t, err)
	}
	methods := map[string]func(*Token) (result bool, err error){
		"Token.Info":          func(k *Token) (bool, error) { i, err := k.Info(); return i != token.Info{}, err },
		"Token.Mechanisms":    func(k *Token) (bool, error) { l, err := k.Mechanisms(); return l != nil, err },
		"Token.Objects":       func(k *Token) (bool, error) { l, err := k.Objects(); return l != nil, err },
		"Token.PublicObjects": func(k *Token) (bool, error) { l, err := k.PublicObjects(); return l != nil, err },
		"Token.Random":        func(k *Token) (bool, error) { b, err := k.Random(8); return b != nil, err },
		"Token.PublicKey":     func(k *Token) (bool, error) { b, err := k.PublicKey("rsa-3072", rsa); return b != nil, err },
		"Token.Sign": func(k *Token) (bool, error) {
			b, err := k.Sign("ecdsa-p256", id, keys.ForTest, nil)
			return b != nil, err
		},
		"Token.Attributes": func(k *Token) (bool, error) { a, b, err := k.Attributes(id); return a != nil || b != nil, err },
		"Token.Attack":     func(k *Token) (bool, error) { l, err := k.Attack("ecdsa-p256", weak); return l != nil, err },
		"Token.Generate": func(k *Token) (bool, error) {
			g, err := k.Generate(spec("ecdsa-p256", newID(t)))
			return g.SPKI != nil, err
		},
		"Token.Login": func(k *Token) (bool, error) {
			err := k.Logout()
			return err == nil, errors.Join(err, k.Login([]byte(userPIN)))
		},
		"Module.Tokens": func(*Token) (bool, error) { l, err := m.Tokens(); return l != nil, err },
		"Module.Token": func(*Token) (bool, error) {
			k, err := m.Token(Selector{Label: label})
			if err != nil {
				return k != nil, err
			}
			return true, k.Close()
		},
		"Module.InitToken": func(*Token) (bool, error) {
			i, err := m.InitToken(Init{Label: newLabel(t), SOPIN: []byte(soPIN), UserPIN: []byte(userPIN)})
			return i != token.Info{}, err
		},
	}
	uses := make(map[string]int)
	for function := range 65 {
		switch function {
		case 0, 1, 2, 3, 13: // begin and end of library and session
			continue
		}
		arm(0)
		again := session1(t, m, label)
		for name, method := range methods {
			arm(function)
			result, err := method(again)
			if err == nil {
				continue
			}
			uses[name]++
			// Some functions leave the token as it was with another code after it.
			if Code(err) != removed && !errors.Is(err, ErrNotLoggedIn) && Code(err) != "CKR_OPERATION_ACTIVE" {
				t.Errorf("%s, function %d: %v", name, function, err)
			}
			if result && name != "Token.Login" && name != "Module.Token" {
				t.Errorf("%s, function %d: a result beside the error %v", name, function, err)
			}
			arm(0)
			check(t, again.Close()) // an operation may have been left open
			again = session1(t, m, label)
		}
		check(t, again.Close())
	}
	for name, least := range map[string]int{
		"Token.Info": 1, "Token.Mechanisms": 2, "Token.Objects": 5, "Token.PublicObjects": 3, "Token.Random": 1, "Token.PublicKey": 4, "Token.Sign": 6,
		"Token.Attributes": 4, "Token.Attack": 5, "Token.Generate": 7, "Token.Login": 4, "Module.Tokens": 2, "Module.Token": 3, "Module.InitToken": 6,
	} {
		if uses[name] < least {
			t.Errorf("%s noticed %d failing functions, expected are %d", name, uses[name], least)
		}
	}
	arm(0)
	check(t, session1(t, m, label).Destroy(id))
}

func TestObjectsOfEveryClass(t *testing.T) {
	m := soft(t, Options{})
	tok := fresh(t, m)
	for class, more := range map[uint][]*pkcs11.Attribute{
		pkcs11.CKO_DATA:        {pkcs11.NewAttribute(pkcs11.CKA_VALUE, []byte("v"))},
		pkcs11.CKO_SECRET_KEY:  {pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES), pkcs11.NewAttribute(pkcs11.CKA_VALUE, make([]byte, 32)), pkcs11.NewAttribute(pkcs11.CKA_ID, []byte("7"))},
		pkcs11.CKO_CERTIFICATE: {pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509), pkcs11.NewAttribute(pkcs11.CKA_SUBJECT, []byte("s")), pkcs11.NewAttribute(pkcs11.CKA_VALUE, []byte("v"))},
	} {
		_, err := tok.lib.ctx.CreateObject(tok.session, append(more,
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_LABEL, "a\x1bb")))
		check(t, err)
	}
	list, err := tok.Objects()
	check(t, err)
	if len(list) != 3 || list[0].Class != "certificate" || list[1].Class != "data" || list[2].Class != "secret" || string(list[2].ID) != "7" || list[1].Label != "a\uFFFDb" {
		t.Errorf("got %+v", list)
	}
	all, err := m.Tokens()
	check(t, err)
	found := false
	for _, i := range all {
		found = found || i.Label == tok.opened.Label
	}
	if !found || className(4711) != "other" {
		t.Errorf("got %+v", all)
	}
}

func TestFieldsAreCleaned(t *testing.T) {
	for in, want := range map[string]string{
		"SoftHSM v2      ": "SoftHSM v2", "TPM\x00\x00  \x00": "TPM", "a\x1b[2Jb": "a\uFFFD[2Jb", "a\xffb": "a\uFFFDb", "  x": "  x", "": "",
	} {
		if got := cleanText(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}
