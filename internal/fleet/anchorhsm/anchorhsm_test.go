//go:build cgo && linux

package anchorhsm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/testkryoptic"
	"github.com/fleetctl/fleetctl/internal/testtpm"
	"github.com/fleetctl/fleetctl/internal/tpmdevice"
)

const pin, soPIN = "pin-of-a-token", "12345678"

var fleet = [16]byte{0xf1, 0xee, 0x7}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// number is an anchor that differs from others by its index.
func number(n uint64) []byte {
	a := &anchor.Anchor{Fleet: fleet, Incarnation: [16]byte{1}, Term: 1, LastIndex: n, LastTerm: 1, Head: [32]byte{byte(n), 1}}
	return a.Encode()
}

// token is a new token of a module, to which the test has logged in.
func token(t testing.TB, path string, o hsm.Options) (*hsm.Module, *hsm.Token) {
	t.Helper()
	m, err := hsm.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	// NSS's officer has no PIN.
	if _, err := m.InitToken(hsm.Init{Label: "anchored", SOPIN: []byte(soPIN), UserPIN: []byte(pin)}); err != nil {
		t.Fatal(err)
	}
	tok := must(m.Token(hsm.Selector{Label: "anchored"}))
	t.Cleanup(func() { tok.Close() })
	if err := tok.Login([]byte(pin)); err != nil {
		t.Fatal(err)
	}
	return m, tok
}

// keeps holds a keeper to what all of them promise; again opens what is there anew.
func keeps(t *testing.T, k Kept, again func(fleet [16]byte) (Kept, error)) {
	t.Helper()
	if _, err := k.Read(); !errors.Is(err, anchor.ErrNone) || !errors.Is(k.Remove(), anchor.ErrNone) {
		t.Fatalf("before there is one: %v", err)
	}
	a, err := anchor.Begin(k, fleet, bytes.NewReader(bytes.Repeat([]byte{1}, 16)))
	if err != nil {
		t.Fatal(err)
	}
	if got := must(anchor.Load(k)); *got != *a {
		t.Errorf("begun as %+v, read as %+v", a, got)
	}
	if _, err := anchor.Begin(k, fleet, bytes.NewReader(bytes.Repeat([]byte{2}, 16))); err == nil {
		t.Error("begun twice")
	}
	for n := range uint64(20) {
		a.Term, a.LastIndex, a.LastTerm, a.Head = 1, n+1, 1, [32]byte{byte(n), 1}
		if err := k.Write(a.Encode()); err != nil {
			t.Fatal(err)
		}
		if got := must(anchor.Load(k)); *got != *a {
			t.Errorf("written as %+v, read as %+v", a, got)
		}
	}
	other := *a
	other.Incarnation[0] ^= 0xff
	stranger := *a
	stranger.Fleet[0] ^= 0xff
	for what, data := range map[string][]byte{"another incarnation's": other.Encode(), "another fleet's": stranger.Encode(), "a torn one": a.Encode()[1:], "none": nil} {
		if err := k.Write(data); err == nil {
			t.Errorf("an anchor that is %s is written", what)
		}
	}
	next, err := again(fleet)
	if err != nil {
		t.Fatal(err)
	}
	if got := must(anchor.Load(next)); *got != *a {
		t.Errorf("opened anew it is %+v, and was %+v", got, a)
	}
	if err := next.Write(other.Encode()); err == nil {
		t.Error("another incarnation's is written in its place")
	}
	if apart := must(again([16]byte{9})); must(apart.Kind(), nil) == "" || second(apart.Read()) == nil {
		t.Error("another fleet has this one's anchor")
	}
	if err := next.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Read(); !errors.Is(err, anchor.ErrNone) {
		t.Errorf("once it is removed: %v", err)
	}
	if err := next.Write(other.Encode()); err != nil {
		t.Errorf("the member that replaces it: %v", err)
	}
	if got := must(anchor.Load(must(again(fleet)))); *got != other {
		t.Errorf("the member that replaces it has %+v", got)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if _, err := again([16]byte{}); err == nil {
		t.Error("an anchor of no fleet")
	}
}

func second[T any](_ T, err error) error { return err }

func TestKryopticKeepsAnAnchor(t *testing.T) {
	m, tok := token(t, testkryoptic.Module(t), hsm.Options{InitArgs: filepath.Join(t.TempDir(), "kryoptic.sql")})
	again := func(fleet [16]byte) (Kept, error) { return OnToken(m, tok, fleet) }
	k := must(again(fleet))
	if !strings.Contains(k.Kind(), "Kryoptic") {
		t.Errorf("it is %s", k.Kind())
	}
	keeps(t, k, again)

	// Two anchors of one fleet: nobody can say which is the node's.
	if _, err := tok.CreateData("fleetctl anchor v1 "+fmt.Sprintf("%x", fleet)+" 00", number(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := again(fleet); err == nil || !strings.Contains(err.Error(), "2 anchors") {
		t.Errorf("two anchors: %v", err)
	}
}

func TestATPMKeepsAnAnchor(t *testing.T) {
	tcti := testtpm.NewMaker(t, t.TempDir()).Start("anchor").TCTI
	again := func(of [16]byte) (Kept, error) {
		index := tpmdevice.FirstNV + 0xf1e
		if of != fleet {
			index++
		}
		return OnTPM(t.Context(), tcti, index, of, []byte(pin))
	}
	keeps(t, must(again(fleet)), again)
	if _, err := OnTPM(t.Context(), tcti, tpmdevice.FirstNV+0xf1e, [16]byte{9}, []byte(pin)); err == nil {
		t.Error("another fleet opens it")
	}
	if _, err := OnTPM(t.Context(), tcti, tpmdevice.FirstNV+0xf1e, fleet, []byte("another PIN")); err == nil {
		t.Error("it is opened with another PIN")
	}
	if _, err := OnTPM(t.Context(), tcti, tpmdevice.FirstNV+0xf1e, fleet, nil); err == nil {
		t.Error("it is opened without a PIN")
	}

	// The same TPM behind its PKCS#11 module.
	for name, value := range map[string]string{"TPM2_PKCS11_STORE": t.TempDir(), "TPM2_PKCS11_LOG_LEVEL": "0", "TSS2_LOG": "all+none", "TPM2_PKCS11_TCTI": tcti} {
		t.Setenv(name, value)
	}
	m, err := hsm.Open(needs(t, "/usr/lib/*/libtpm2_pkcs11.so.1"), hsm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	refused(t, m, nil, "stores the value that a data object had before")
}

func refused(t *testing.T, m *hsm.Module, tok *hsm.Token, why string) {
	t.Helper()
	k, err := OnToken(m, tok, fleet)
	if !errors.Is(err, ErrUnfit) || k != nil || !strings.Contains(err.Error(), why) {
		t.Errorf("%v, %v; it should say %q", k, err, why)
	}
}

func needs(t *testing.T, patterns ...string) string {
	t.Helper()
	for _, p := range patterns {
		if found, _ := filepath.Glob(p); len(found) > 0 {
			return found[0]
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%v: not installed, and CI must have it", patterns)
	}
	t.Skipf("%v: not installed", patterns)
	return ""
}

func TestTokensThatKeepNoAnchorAreRefusedByName(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tokens"), 0o700), os.WriteFile(conf, []byte("directories.tokendir = "+dir+"/tokens\nobjectstore.backend = file\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	m, tok := token(t, needs(t, "/usr/lib/softhsm/libsofthsm2.so"), hsm.Options{})
	refused(t, m, tok, "SoftHSM takes no new value")

	nss, err := hsm.Open(needs(t, "/usr/lib/*/libsoftokn3.so", "/usr/lib/*/nss/libsoftokn3.so", "/usr/lib64/libsoftokn3.so"), hsm.Options{
		InitArgs: fmt.Sprintf("configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags= dbTokenDescription='anchored-nss'", t.TempDir()),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer nss.Close()
	refused(t, nss, nil, "NSS keeps no data objects")
}
