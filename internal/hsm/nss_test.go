//go:build cgo && unix

package hsm

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// NSS is the second vendor in these tests: a token that says NEVER_EXTRACTABLE
// and gives the key away all the same.

func nssPath(t *testing.T) string {
	t.Helper()
	path := "/usr/lib/x86_64-linux-gnu/libsoftokn3.so"
	for _, pattern := range []string{"/usr/lib/*/libsoftokn3.so", "/usr/lib/*/nss/libsoftokn3.so", "/usr/lib64/libsoftokn3.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			path = found[0]
		}
	}
	need(t, path)
	return path
}

func nssModule(t *testing.T) *Module {
	t.Helper()
	return open(t, nssPath(t), Options{
		InitArgs: fmt.Sprintf("configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags= dbTokenDescription='fleet-nss'", t.TempDir()),
	})
}

func nss(t *testing.T) *Token {
	t.Helper()
	m := nssModule(t)
	// Its officer has no PIN, and its slot 1 is an initialised token without a key store.
	_, err := m.InitToken(Init{Label: "fleet-nss", UserPIN: []byte(userPIN)})
	check(t, err)
	return session1(t, m, "fleet-nss")
}

func TestNSSWithoutItsParameters(t *testing.T) {
	_, err := Open(nssPath(t), Options{})
	if Code(err) != "CKR_ARGUMENTS_BAD" || !strings.Contains(err.Error(), "C_Initialize") || !strings.Contains(err.Error(), "NSS wants its parameters") {
		t.Errorf("got %v", err)
	}
}

func TestNSSWrapsOutAKeyThatItCallsNeverExtractable(t *testing.T) {
	tok := nss(t)
	id := newID(t)
	generate(t, tok, spec("ecdsa-p256", id))
	r := readings(t, tok, id)
	for name, want := range map[string]string{
		token.Sensitive: "true", token.Extractable: "false", token.NeverExtractable: "true", token.AlwaysSensitive: "true",
		token.Local: "false", token.Copyable: "CKR_ATTRIBUTE_TYPE_INVALID",
	} {
		if r[name] != want {
			t.Errorf("%s is %s, want %s", name, r[name], want)
		}
	}
	codes := attack(t, tok, id)
	for name, want := range map[string]string{
		"export": "CKR_ATTRIBUTE_SENSITIVE", "wrap-aes-cbc-pad": "CKR_OK", "wrap-aes-kwp": "CKR_OK", "copy-extractable": "CKR_OK",
		"copy-insensitive": "CKR_ATTRIBUTE_READ_ONLY", "relax-extractable": "CKR_ATTRIBUTE_READ_ONLY",
	} {
		if codes[name] != want {
			t.Errorf("%s gave %s, want %s", name, codes[name], want)
		}
	}
}

func TestATokenWithoutALoginNeedsNone(t *testing.T) {
	m := nssModule(t)
	tok, err := m.Token(Selector{Label: "NSS Generic Crypto Services"})
	check(t, err)
	defer tok.Close()
	_, err = tok.Objects()
	check(t, err)
}

func TestNSSGeneratesAndSigns(t *testing.T) {
	tok := nss(t)
	for _, alg := range []keys.Algorithm{keys.P256, keys.P384, keys.RSA3072} {
		id := newID(t)
		out := generate(t, tok, spec(string(alg), id))
		if !slices.Equal(out.Dropped, []string{token.Copyable, token.Destroyable}) {
			t.Errorf("%s: dropped %v", alg, out.Dropped)
		}
		pub, err := keys.ParseSPKI(out.SPKI)
		check(t, err)
		sig, err := tok.Sign(string(alg), id, keys.ForTest, []byte("m"))
		check(t, err)
		check(t, pub.Verify(keys.ForTest, []byte("m"), sig))
		check(t, tok.Destroy(id))
	}
	if _, err := tok.Generate(spec("ed25519", newID(t))); Code(err) != "CKR_MECHANISM_INVALID" || !strings.Contains(err.Error(), "CKM_EC_EDWARDS_KEY_PAIR_GEN") {
		t.Errorf("got %v", err)
	}
	if b, err := tok.Random(1 << 16); err != nil || len(b) != 1<<16 {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
}
