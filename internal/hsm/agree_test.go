//go:build cgo && unix

package hsm

import (
	"bytes"
	"crypto/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testkryoptic"
	"github.com/fleetctl/fleetctl/internal/token"
)

// kryoptic is a third module: it has points of its own kind, and says of one that is
// none that the device failed.
func kryoptic(t *testing.T) *Token { return kryopticWith(t, Options{}) }

func kryopticWith(t *testing.T, o Options) *Token {
	t.Helper()
	o.InitArgs = filepath.Join(t.TempDir(), "kryoptic.sql")
	m := open(t, testkryoptic.Module(t), o)
	label := newLabel(t)
	_, err := m.InitToken(Init{Label: label, SOPIN: []byte(soPIN), UserPIN: []byte(userPIN)})
	check(t, err)
	return session1(t, m, label)
}

// agrees has a key agree with a new peer, and gives what it agreed on.
func agrees(t *testing.T, tok *Token, alg keys.Algorithm, id []byte) {
	t.Helper()
	spki, err := tok.PublicKey(string(alg), id)
	check(t, err)
	public, err := keys.ParseAs(alg, spki)
	check(t, err)
	s, err := keys.DrawScalar(alg, rand.Reader)
	check(t, err)
	peer, err := s.Peer(public)
	check(t, err)
	got, err := tok.Agree(string(alg), id, peer.Encode())
	check(t, err)
	want, err := s.Secret(public)
	check(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the token agreed on %x, software on %x", alg, got, want)
	}
}

// What a module says to an attempt to misuse a key that agrees.
func TestAKeyThatAgreesDoesNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		token         func() *Token
		algorithms    []keys.Algorithm
		sign, invalid string
		leavesOut     []string
	}{
		"SoftHSM":  {func() *Token { return fresh(t, soft(t, Options{})) }, []keys.Algorithm{keys.ECDHP256, keys.X25519}, "CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_GENERAL_ERROR", nil},
		"NSS":      {func() *Token { return nss(t) }, []keys.Algorithm{keys.ECDHP256}, "CKR_KEY_TYPE_INCONSISTENT", "CKR_KEY_SIZE_RANGE", []string{token.Copyable, token.Destroyable}},
		"kryoptic": {func() *Token { return kryoptic(t) }, []keys.Algorithm{keys.ECDHP256}, "CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_DEVICE_ERROR", nil},
	} {
		t.Run(name, func(t *testing.T) {
			tok := c.token()
			for _, alg := range c.algorithms {
				id := newID(t)
				out := generate(t, tok, spec(string(alg), id))
				if !slices.Equal(out.Dropped, c.leavesOut) {
					t.Errorf("%s: dropped %v", alg, out.Dropped)
				}
				r := readings(t, tok, id)
				for name, want := range map[string]string{token.Sign: "false", token.Derive: "true", token.Decrypt: "false", token.Unwrap: "false", token.SignRecover: "false"} {
					if r[name] != want {
						t.Errorf("%s: %s is %s", alg, name, r[name])
					}
				}
				agrees(t, tok, alg, id)
				before, err := tok.Objects()
				check(t, err)
				list, err := tok.Attack(string(alg), id)
				check(t, err)
				if len(list) != 10 || list[6] != (token.Attempt{Name: token.TrySign, Call: token.CallSignInit, Code: c.sign}) ||
					list[7] != (token.Attempt{Name: token.TryAgreeInvalid, Call: token.CallDerive, Code: c.invalid}) {
					t.Errorf("%s: %+v", alg, list)
				}
				after, err := tok.Objects()
				check(t, err)
				if len(after) != len(before) {
					t.Errorf("%s: the attack left something: before %v, after %v", alg, before, after)
				}
				agrees(t, tok, alg, id) // and it works still
				check(t, tok.Destroy(id))
			}
		})
	}
}

func TestWhatIsNoPeerNeverReachesTheToken(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	agree, sign := newID(t), newID(t)
	generate(t, tok, spec("ecdh-p256", agree))
	generate(t, tok, spec("ecdsa-p256", sign))
	s, err := keys.DrawScalar(keys.ECDHP256, rand.Reader)
	check(t, err)
	p, err := s.Peer(nil)
	check(t, err)
	peer := p.Encode()
	for name, c := range map[string]struct {
		alg  string
		id   []byte
		peer []byte
		want string
	}{
		"off the curve":           {"ecdh-p256", agree, append([]byte{2}, append(make([]byte, 31), 4)...), "no compressed point of P-256"},
		"nothing":                 {"ecdh-p256", agree, nil, "has 0 bytes"},
		"low order":               {"x25519", agree, make([]byte, 32), "low order"},
		"a key that signs":        {"ecdsa-p256", sign, peer, "ecdsa-p256 keys can't agree on a secret"},
		"of another type":         {"x25519", agree, append([]byte{9}, make([]byte, 31)...), "is no x25519 key"},
		"asked of one that signs": {"ecdh-p256", sign, peer, "CKR_KEY_FUNCTION_NOT_PERMITTED"},
		"of nobody":               {"ecdh-p256", newID(t), peer, "no such key"},
	} {
		if z, err := tok.Agree(c.alg, c.id, c.peer); err == nil || z != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %x, %v; want %q", name, z, err, c.want)
		}
	}
	if _, err := tok.Sign("ecdh-p256", agree, keys.ForTest, []byte("m")); err == nil || !strings.Contains(err.Error(), "ecdh-p256 keys can't sign") {
		t.Errorf("got %v", err)
	}
	if _, err := tok.Sign("ecdsa-p256", agree, keys.ForTest, []byte("m")); Code(err) != "CKR_KEY_FUNCTION_NOT_PERMITTED" {
		t.Errorf("the token signs with a key that agrees: %v", err)
	}
}

// A token that signs with such a key, and one that agrees with any point, is found out.
func TestAKeyThatDoesMoreIsFoundOut(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	id := newID(t)
	generate(t, tok, with(spec("ecdh-p256", id), token.Sign, true))
	list, err := tok.Attack("ecdh-p256", id)
	check(t, err)
	if list[6].Code != "CKR_OK" || list[6].Name != token.TrySign {
		t.Errorf("%+v", list[6])
	}
}
