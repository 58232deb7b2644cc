//go:build cgo && unix

package hsm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

func TestModulesThatAreRefused(t *testing.T) {
	need(t, softHSM)
	dir := t.TempDir()
	text := filepath.Join(dir, "text.so")
	check(t, os.WriteFile(text, []byte("no library"), 0o600))
	writable := copyOf(t, softHSM)
	check(t, os.Chmod(writable, 0o660))
	link := filepath.Join(dir, "link.so")
	check(t, os.Symlink(writable, link))
	libc, err := filepath.Glob("/lib/*/libm.so.6")
	check(t, err)
	for _, c := range []struct{ path, want string }{
		{"libsofthsm2.so", "not an absolute path"},
		{filepath.Join(dir, "absent.so"), "no such file"},
		{dir, "not a regular file"},
		{writable, "can be written by others than its owner (mode 0660)"},
		{link, "can be written by others"},
		{text, "is not a PKCS#11 module"},
		{append(libc, text)[0], "is not a PKCS#11 module"},
	} {
		_, err := Open(c.path, Options{})
		var refusal *strict.Error
		if !errors.As(err, &refusal) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if real, _ := filepath.EvalSymlinks(c.path); !strings.Contains(err.Error(), c.path) && !strings.Contains(err.Error(), real) {
			t.Errorf("the error doesn't name the path: %v", err)
		}
		if c.path != dir && refusal.Hint == "" {
			t.Errorf("%s: no hint", c.path)
		}
	}
}

func TestAForeignOwnerIsRefused(t *testing.T) {
	need(t, softHSM)
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := copyOf(t, softHSM)
	check(t, os.Chown(path, 65534, 65534))
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Errorf("got %v", err)
	}
}

func TestAModuleThatIsNotConfiguredNamesItsCall(t *testing.T) {
	need(t, softHSM)
	path := copyOf(t, softHSM) // its own state, so its own configuration
	t.Setenv("SOFTHSM2_CONF", filepath.Join(t.TempDir(), "absent.conf"))
	_, err := Open(path, Options{})
	if err == nil || !strings.Contains(err.Error(), "C_Initialize: CKR_") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if Code(err) == "" {
		t.Error("no code")
	}
}

func TestAReplacedModuleIsNoticed(t *testing.T) {
	need(t, softHSM)
	path := copyOf(t, softHSM)
	check(t, open(t, path, Options{}).Close())
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteString("\x00")
	check(t, errors.Join(err, f.Close()))
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "has changed since it was loaded") {
		t.Errorf("got %v", err)
	}
}

func TestOneLibraryForAllWhoOpenIt(t *testing.T) {
	need(t, softHSM)
	real, err := filepath.EvalSymlinks(softHSM)
	check(t, err)
	data, err := os.ReadFile(real)
	check(t, err)
	a, b := soft(t, Options{}), open(t, real, Options{})
	if a.lib != b.lib || a.Digest() != sha256.Sum256(data) {
		t.Error("two names of one file gave two libraries, or a wrong digest")
	}
	if want := "SoftHSM Implementation of PKCS11, version 2.6, Cryptoki 2.40"; a.Description() != want {
		t.Errorf("says %q", a.Description())
	}
	if _, err := Open(softHSM, Options{InitArgs: "x"}); err == nil || !strings.Contains(err.Error(), "other parameters") {
		t.Errorf("got %v", err)
	}
	tok := fresh(t, a)
	check(t, a.Close())
	check(t, a.Close()) // twice is once
	check(t, b.Close())
	// The token keeps the library alive.
	if _, err := tok.Info(); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"Tokens": second(a.Tokens()), "Token": second(a.Token(Selector{Label: "x"})), "InitToken": second(a.InitToken(Init{Label: "x"})),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	label := tok.opened.Label
	check(t, tok.Close())
	check(t, tok.Close())
	wants(t, second(tok.Info()), ErrClosed)
	// Finalised, and initialised again: the token is still there.
	session1(t, soft(t, Options{}), label)
}

func TestOneTokenOrNone(t *testing.T) {
	m := soft(t, Options{})
	tok := fresh(t, m)
	info, err := tok.Info()
	check(t, err)
	if info.Manufacturer != "SoftHSM project" || info.Model != "SoftHSM v2" || len(info.Serial) != 16 || !info.Initialized || !info.LoginRequired ||
		info.ProtectedPIN || info.PINLocked || info.Firmware != "2.6" {
		t.Errorf("got %+v", info)
	}
	for _, sel := range []Selector{{Serial: info.Serial}, {Label: info.Label}, {Label: info.Label, Serial: info.Serial, Manufacturer: info.Manufacturer, Model: info.Model, Library: m.about}} {
		same, err := m.Token(sel)
		check(t, err)
		check(t, same.Close())
	}
	for _, sel := range []Selector{
		{}, {Manufacturer: info.Manufacturer}, {Serial: "0000"}, {Label: info.Label, Serial: "0000"},
		{Label: info.Label, Model: "other"}, {Label: info.Label[:len(info.Label)-1]}, {Label: info.Label, Library: token.Library{Version: "9.9"}},
	} {
		_, err := m.Token(sel)
		wants(t, err, ErrNoToken)
	}
	_, err = m.Token(Selector{Serial: "0000"})
	if !strings.Contains(err.Error(), fmt.Sprintf("%q", info.Label)) {
		t.Errorf("doesn't say what is there: %v", err)
	}
}

func TestTwoTokensWithOneLabel(t *testing.T) {
	m := soft(t, Options{})
	label := newLabel(t)
	in := Init{Label: label, SOPIN: []byte(soPIN), UserPIN: []byte(userPIN)}
	first, err := m.InitToken(in)
	check(t, err)
	// Ours refuses a second one; another tool doesn't.
	if _, err := m.InitToken(in); err == nil || !strings.Contains(err.Error(), "has this label") {
		t.Errorf("got %v", err)
	}
	views, err := m.views()
	check(t, err)
	v, err := blank(views, Init{})
	check(t, err)
	var padded [32]byte
	copy(padded[:], label+strings.Repeat(" ", 32))
	check(t, m.initToken(v.Slot, []byte(soPIN), padded))
	_, err = m.Token(Selector{Label: label})
	wants(t, err, ErrManyTokens)
	if !strings.Contains(err.Error(), first.Serial) {
		t.Errorf("doesn't name them: %v", err)
	}
	tok, err := m.Token(Selector{Label: label, Serial: first.Serial})
	check(t, err)
	check(t, tok.Close())
}

func TestEightGoroutinesWithSessionsOfTheirOwn(t *testing.T) {
	m := soft(t, Options{})
	tok := fresh(t, m)
	id := newID(t)
	pub, err := keys.ParseSPKI(generate(t, tok, spec("ed25519", id)).SPKI)
	check(t, err)
	var group sync.WaitGroup
	for range 8 {
		own := session1(t, m, tok.opened.Label)
		// One session of their own each, and all of them on the first one too.
		for _, s := range []*Token{own, tok} {
			group.Go(func() {
				for i := range 20 {
					msg := fmt.Appendf(nil, "message %d", i)
					sig, err := s.Sign("ed25519", id, keys.ForTest, msg)
					if err == nil {
						err = pub.Verify(keys.ForTest, msg, sig)
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	group.Wait()
}

func TestTheTraceHasNoSecrets(t *testing.T) {
	var trace bytes.Buffer
	m := soft(t, Options{Trace: &trace})
	label := newLabel(t)
	_, err := m.InitToken(Init{Label: label, SOPIN: []byte(soPIN), UserPIN: []byte(userPIN)})
	check(t, err)
	tok, err := m.Token(Selector{Label: label})
	check(t, err)
	wants(t, tok.Login([]byte("canary-wrong-pin")), ErrPINIncorrect)
	check(t, tok.Login([]byte(userPIN)))
	id := newID(t)
	generate(t, tok, spec("ed25519", id))
	sig, err := tok.Sign("ed25519", id, keys.ForTest, []byte("canary-message"))
	check(t, err)
	_, err = tok.Attack("ecdsa-p256", id)
	check(t, err)
	check(t, tok.Close())
	text := trace.String()
	for _, want := range []string{
		"C_Login session=", " CKR_PIN_INCORRECT ", "C_Sign session=", " CKM_EDDSA CKR_OK ", "C_InitToken slot=", "C_WrapKey session=",
		" CKM_AES_KEY_WRAP CKR_KEY_UNEXTRACTABLE ", "C_GetAttributeValue session=", " CKA_VALUE CKR_ATTRIBUTE_SENSITIVE ", "µs\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the trace lacks %q", want)
		}
	}
	for _, secret := range [][]byte{[]byte(userPIN), []byte(soPIN), []byte("canary"), id, sig} {
		if bytes.Contains(trace.Bytes(), secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("the trace has %q", secret)
		}
	}
}
