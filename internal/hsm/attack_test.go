//go:build cgo && unix

package hsm

import (
	"crypto/ecdh"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

var attempts = []string{
	"export", "wrap-aes-kw", "wrap-aes-kwp", "wrap-aes-cbc-pad",
	"copy-extractable", "copy-insensitive", "relax-extractable", "relax-sensitive",
}

// attack runs the attempts and gives their codes by name, "unstaged" in front
// of those that weren't made.
func attack(t *testing.T, tok *Token, id []byte) map[string]string {
	t.Helper()
	before, err := tok.Objects()
	check(t, err)
	list, err := tok.Attack("ecdsa-p256", id)
	check(t, err)
	codes := make(map[string]string)
	for i, a := range list {
		if i >= len(attempts) || a.Name != attempts[i] {
			t.Fatalf("attempt %d is %q", i, a.Name)
		}
		codes[a.Name] = a.Code
		if a.Unstaged {
			codes[a.Name] = "unstaged " + a.Code
		}
	}
	if len(list) != len(attempts) {
		t.Fatalf("%d attempts", len(list))
	}
	after, err := tok.Objects()
	check(t, err)
	if len(after) != len(before) {
		t.Errorf("the attack left something: before %v, after %v", before, after)
	}
	return codes
}

func TestSoftHSMRefusesEveryAttempt(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	for _, alg := range softKinds {
		id := newID(t)
		generate(t, tok, spec(string(alg), id))
		want := map[string]string{
			"export":      "CKR_ATTRIBUTE_SENSITIVE",
			"wrap-aes-kw": "CKR_KEY_UNEXTRACTABLE", "wrap-aes-kwp": "CKR_KEY_UNEXTRACTABLE", "wrap-aes-cbc-pad": "unstaged CKR_MECHANISM_INVALID",
			"copy-extractable": "CKR_ACTION_PROHIBITED", "copy-insensitive": "CKR_ACTION_PROHIBITED",
			"relax-extractable": "CKR_ACTION_PROHIBITED", "relax-sensitive": "CKR_ACTION_PROHIBITED",
		}
		got := attack(t, tok, id)
		for name, code := range want {
			if got[name] != code {
				t.Errorf("%s: %s gave %s, want %s", alg, name, got[name], code)
			}
		}
	}
}

func TestAModifiableCopyableKeyIsStillRefused(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	id := newID(t)
	generate(t, tok, with(with(spec("ecdsa-p256", id), token.Modifiable, true), token.Copyable, true))
	for name, code := range attack(t, tok, id) {
		if code == "CKR_OK" {
			t.Errorf("%s gave %s", name, code)
		}
	}
}

func TestAWeakKeyComesOut(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	for _, alg := range []string{"ecdsa-p256", "rsa-3072"} {
		id := newID(t)
		s := with(with(spec(alg, id), token.Extractable, true), token.Sensitive, false)
		generate(t, tok, with(with(s, token.Copyable, true), token.Modifiable, true))
		got := attack(t, tok, id)
		for _, name := range []string{"export", "wrap-aes-kw", "wrap-aes-kwp", "copy-extractable", "copy-insensitive"} {
			if got[name] != "CKR_OK" {
				t.Errorf("%s: %s gave %s", alg, name, got[name])
			}
		}
	}
}

func TestAnExtractableKeyIsWrappedOut(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	id := newID(t)
	generate(t, tok, with(spec("ecdsa-p384", id), token.Extractable, true))
	got := attack(t, tok, id)
	if got["export"] != "CKR_ATTRIBUTE_SENSITIVE" || got["wrap-aes-kw"] != "CKR_OK" || got["wrap-aes-kwp"] != "CKR_OK" {
		t.Errorf("got %v", got)
	}
	if r := readings(t, tok, id); r[token.Extractable] != "true" || r[token.NeverExtractable] != "false" || r[token.AlwaysSensitive] != "true" {
		t.Errorf("read %v", r)
	}
}

// A key that its user can make weaker is attacked as it then is; on SoftHSM that
// takes one that was so from the start, and it comes out.
func TestAKeyThatIsWeakNowIsAttackedAgain(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	names := []string{token.TryRelaxExtractable, token.TryRelaxSensitive}
	weak, good := newID(t), newID(t)
	s := with(with(spec("ecdsa-p256", weak), token.Extractable, true), token.Sensitive, false)
	generate(t, tok, with(s, token.Modifiable, true))
	generate(t, tok, spec("ecdsa-p256", good))
	for _, c := range []struct {
		id                            []byte
		while, export, restored, kept string
	}{
		{weak, "true", "CKR_OK", "CKR_OK", "false"},
		{good, "false", "CKR_ATTRIBUTE_SENSITIVE", "CKR_ACTION_PROHIBITED", "false"},
	} {
		before, err := tok.Objects()
		check(t, err)
		r, err := tok.AttackRelaxed("ecdsa-p256", c.id, names)
		check(t, err)
		value := func(list []token.Reading, name string) string {
			return list[slices.IndexFunc(list, func(x token.Reading) bool { return x.Name == name })].Value
		}
		if got := value(r.While, token.Extractable); got != c.while {
			t.Errorf("while it was attacked, EXTRACTABLE read %s", got)
		}
		if len(r.Attempts) != 6 || r.Attempts[0].Name != token.TryExport || r.Attempts[0].Code != c.export {
			t.Errorf("attempts %+v", r.Attempts)
		}
		if len(r.Restored) != 2 || r.Restored[0].Name != names[0] || r.Restored[1].Name != names[1] || r.Restored[0].Code != c.restored {
			t.Errorf("set back: %+v", r.Restored)
		}
		if got := value(r.After, token.Extractable); got != c.kept {
			t.Errorf("set back, EXTRACTABLE reads %s", got)
		}
		if got := value(r.After, token.Sensitive); got != "true" {
			t.Errorf("set back, SENSITIVE reads %s", got)
		}
		after, err := tok.Objects()
		check(t, err)
		if len(after) != len(before) {
			t.Errorf("the attack left something: before %v, after %v", before, after)
		}
	}
}

func TestWorstPicksWhatSaysMostAgainstTheToken(t *testing.T) {
	ok := token.Attempt{Code: "CKR_OK"}
	refused := token.Attempt{Code: "CKR_KEY_UNEXTRACTABLE"}
	absent := token.Attempt{Code: "CKR_MECHANISM_INVALID", Unstaged: true}
	for _, c := range []struct {
		tries []token.Attempt
		want  token.Attempt
	}{
		{[]token.Attempt{absent, refused}, refused}, {[]token.Attempt{refused, absent}, refused},
		{[]token.Attempt{refused, ok}, ok}, {[]token.Attempt{absent, ok, refused}, ok}, {[]token.Attempt{absent}, absent},
	} {
		if got := worst(c.tries); got != c.want {
			t.Errorf("worst(%v) is %v", c.tries, got)
		}
	}
}

// readings are the private half's attributes; an unreadable one is its code.
func readings(t *testing.T, tok *Token, id []byte) map[string]string {
	t.Helper()
	private, _, err := tok.Attributes(id)
	check(t, err)
	return byName(private)
}

func byName(list []token.Reading) map[string]string {
	m := make(map[string]string)
	for _, r := range list {
		m[r.Name] = r.Value + r.Code
	}
	return m
}

func TestAttributesReadBack(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	id := newID(t)
	generate(t, tok, spec("ed25519", id))
	private, public, err := tok.Attributes(id)
	check(t, err)
	for name, want := range map[string]string{
		"CLASS": "0000000000000003", "KEY_TYPE": "0000000000000040", "KEY_GEN_MECHANISM": "0000000000001055",
		"ID": hex.EncodeToString(id), "LABEL": hex.EncodeToString([]byte("rehearsal-key")),
		"TOKEN": "true", "PRIVATE": "true", "SENSITIVE": "true", "EXTRACTABLE": "false", "NEVER_EXTRACTABLE": "true",
		"ALWAYS_SENSITIVE": "true", "LOCAL": "true", "MODIFIABLE": "false", "COPYABLE": "false", "DESTROYABLE": "true",
		"SIGN": "true", "SIGN_RECOVER": "false", "DECRYPT": "false", "UNWRAP": "false", "DERIVE": "false",
		"WRAP_WITH_TRUSTED": "false", "ALWAYS_AUTHENTICATE": "false",
	} {
		if got := byName(private)[name]; got != want {
			t.Errorf("private %s is %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"CLASS": "0000000000000002", "ID": hex.EncodeToString(id), "LOCAL": "true", "VERIFY": "true", "PRIVATE": "false",
		"EC_PARAMS": hex.EncodeToString(oidEd25519), "MODULUS": "CKR_ATTRIBUTE_TYPE_INVALID",
	} {
		if got := byName(public)[name]; got != want {
			t.Errorf("public %s is %s, want %s", name, got, want)
		}
	}
}

// An imported key must not look like one that was born in the token.
func TestAnImportedKeyIsNotLocal(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	id := newID(t)
	importP256(t, tok, id)
	got := readings(t, tok, id)
	for name, want := range map[string]string{
		token.Local: "false", token.NeverExtractable: "false", token.AlwaysSensitive: "false",
		"KEY_GEN_MECHANISM": "ffffffffffffffff", token.Sensitive: "true", token.Extractable: "false",
	} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
	spki, err := tok.PublicKey("ecdsa-p256", id)
	check(t, err)
	pub, err := keys.ParseSPKI(spki)
	check(t, err)
	sig, err := tok.Sign("ecdsa-p256", id, keys.ForTest, []byte("m"))
	check(t, err)
	check(t, pub.Verify(keys.ForTest, []byte("m"), sig))
}

func importP256(t *testing.T, tok *Token, id []byte) {
	t.Helper()
	d := newID(t)
	key, err := ecdh.P256().NewPrivateKey(append(make([]byte, 16), d...))
	check(t, err)
	point, err := asn1.Marshal(key.PublicKey().Bytes())
	check(t, err)
	if new(big.Int).SetBytes(d).Cmp(elliptic.P256().Params().N) >= 0 {
		t.Fatal("not below the order")
	}
	create := func(class uint, more ...*pkcs11.Attribute) {
		_, err := tok.lib.ctx.CreateObject(tok.session, append(more,
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC),
			pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
			pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, oidP256)))
		check(t, err)
	}
	create(pkcs11.CKO_PRIVATE_KEY, pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_VALUE, key.Bytes()))
	create(pkcs11.CKO_PUBLIC_KEY, pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false), pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, point))
}
