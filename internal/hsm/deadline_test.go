//go:build cgo && unix

package hsm

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/token"
)

// A module that hangs is left alone: the call that hung says so in time, and no
// other enters the module.
func TestAModuleThatHangs(t *testing.T) {
	path := proxy(t)
	calls := filepath.Join(t.TempDir(), "calls")
	t.Setenv("PROXY_CALLS", calls)
	m, err := Open(path, Options{Deadline: await.Longest})
	check(t, err)
	label := newLabel(t)
	_, err = m.InitToken(Init{Label: label, SOPIN: []byte(soPIN), UserPIN: []byte(userPIN)})
	check(t, err)
	tok, err := m.Token(Selector{Label: label})
	check(t, err)
	tok.deadline = 100 * time.Millisecond
	data, err := os.ReadFile(calls)
	check(t, err)
	t.Setenv("PROXY_AT", fmt.Sprint(binary.NativeEndian.Uint64(data)+1))
	t.Setenv("PROXY_FAULT", "hang")

	pin := []byte(userPIN)
	wants(t, tok.Login(pin), ErrNoAnswer)
	// From here on nothing waits for a deadline: one of these would take an hour.
	tok.deadline, m.deadline = time.Hour, time.Hour
	answers := make(chan []error)
	go func() {
		var list []error
		for range 50 {
			list = append(list, tok.Login(pin))
		}
		answers <- append(list, second(tok.Objects()), second(m.Tokens()), tok.Close(), m.Close())
	}()
	select {
	case list := <-answers:
		for _, err := range list {
			wants(t, err, ErrNoAnswer)
		}
	case <-time.After(await.Longest):
		t.Fatal("the calls after it wait for the module")
	}
	if string(pin) != userPIN {
		t.Error("the PIN was changed; wiping it is the caller's")
	}
}

// What a generation that was cut short leaves has no CKA_ID; nothing else goes.
func TestKeysWithoutAnIDAreDestroyed(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	id := newID(t)
	generate(t, tok, spec("ecdsa-p256", id))
	for _, template := range [][]*pkcs11.Attribute{
		{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC),
			pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, oidP256), pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, make([]byte, 67))},
		{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), pkcs11.NewAttribute(pkcs11.CKA_VALUE, []byte("v"))},
	} {
		_, err := tok.lib.ctx.CreateObject(tok.session, append(template, pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true)))
		check(t, err)
	}
	for _, want := range []int{1, 0} {
		if n, err := tok.DestroyUnnamed(); n != want || err != nil {
			t.Errorf("%d were destroyed, not %d: %v", n, want, err)
		}
	}
	list, err := tok.Objects()
	check(t, err)
	if len(list) != 3 {
		t.Errorf("left are %+v", list)
	}
}

// A device that fails is no verdict on the key: it may answer next time.
func TestAFailingDeviceIsNoVerdict(t *testing.T) {
	m := open(t, proxy(t), Options{})
	tok := fresh(t, m)
	id := newID(t)
	generate(t, tok, spec("ed25519", id))
	for function, method := range map[int]func() error{
		60: func() error { return second(tok.Attack("ecdsa-p256", id)) }, // C_WrapKey
		25: func() error { return second(tok.Attack("ecdsa-p256", id)) }, // C_SetAttributeValue
		24: func() error { _, _, err := tok.Attributes(id); return err },
	} {
		t.Setenv("PROXY_FAIL", fmt.Sprint(function))
		check(t, second(m.info()))
		if err := method(); Code(err) != "CKR_DEVICE_REMOVED" {
			t.Errorf("function %d: %v", function, err)
		}
	}
	t.Setenv("PROXY_FAIL", "0")
	check(t, second(m.info()))
	for list, want := range map[[2]string]string{
		{"CKR_KEY_UNEXTRACTABLE", "CKR_DEVICE_ERROR"}: "CKR_DEVICE_ERROR",
		{"CKR_DEVICE_ERROR", "CKR_OK"}:                "CKR_OK",
	} {
		if got := worst([]token.Attempt{{Code: list[0]}, {Code: list[1]}}); got.Code != want {
			t.Errorf("the worst of %v is %s", list, got.Code)
		}
	}
}
