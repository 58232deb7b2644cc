//go:build cgo && unix

package hsm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestPINs(t *testing.T) {
	m := soft(t, Options{})
	tok := fresh(t, m)
	wants(t, tok.Login([]byte(userPIN)), ErrAlreadyLoggedIn)
	// A wrong one too: the answer says nothing about the PIN.
	wants(t, tok.Login([]byte("wrong-pin")), ErrAlreadyLoggedIn)
	check(t, tok.Logout())

	pin := []byte("wrong-pin")
	err := tok.Login(pin)
	wants(t, err, ErrPINIncorrect)
	if Code(err) != "CKR_PIN_INCORRECT" || !strings.HasSuffix(err.Error(), "C_Login: CKR_PIN_INCORRECT") || strings.Contains(err.Error(), "wrong-pin") {
		t.Errorf("got %v", err)
	}
	if string(pin) != "wrong-pin" {
		t.Error("the PIN was changed; wiping it is the caller's")
	}
	info, err := tok.Info()
	check(t, err)
	if !info.PINLow {
		t.Error("PINLow isn't set after a wrong PIN")
	}
	for _, bad := range [][]byte{nil, {}, []byte("123"), []byte(strings.Repeat("x", 256))} {
		wants(t, tok.Login(bad), ErrPINLength)
	}
	check(t, tok.Login([]byte(userPIN)))
	if info, err = tok.Info(); err != nil || info.PINLow {
		t.Errorf("PINLow is still set: %v", err)
	}
}

func TestTheLoginIsShared(t *testing.T) {
	m := soft(t, Options{})
	a := fresh(t, m)
	b, err := m.Token(Selector{Label: a.opened.Label})
	check(t, err)
	defer b.Close()
	_, err = b.Objects()
	check(t, err) // a's login
	check(t, b.Logout())
	wants(t, second(a.Objects()), ErrNotLoggedIn)
}

// TestWhatIsPublicShowsWithoutALogin: of a key pair the public half alone, and
// on an empty token nothing.
func TestWhatIsPublicShowsWithoutALogin(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	id := newID(t)
	check(t, tok.Logout())
	if list, err := tok.PublicObjects(); err != nil || len(list) != 0 {
		t.Errorf("an empty token shows %v, %v", list, err)
	}
	check(t, tok.Login([]byte(userPIN)))
	generate(t, tok, spec("ecdsa-p256", id))
	check(t, tok.Logout())
	wants(t, second(tok.Objects()), ErrNotLoggedIn)
	list, err := tok.PublicObjects()
	check(t, err)
	if len(list) != 1 || list[0].Class != "public" || string(list[0].ID) != string(id) || list[0].Label != "rehearsal-key" {
		t.Errorf("a token with a key pair shows %+v", list)
	}
}

func TestATokenThatIsBlankOrGone(t *testing.T) {
	m := soft(t, Options{})
	views, err := m.views()
	check(t, err)
	v, err := blank(views, Init{})
	check(t, err)
	if v.Initialized || v.Label != "" {
		t.Errorf("the blank token is %+v", v.Info)
	}
	// As if another token had been put into the slot.
	tok := fresh(t, m)
	tok.opened.Serial = "0"
	if _, err := tok.Info(); err == nil || !strings.Contains(err.Error(), "open the token again") {
		t.Errorf("got %v", err)
	}
}

func TestInitToken(t *testing.T) {
	m := soft(t, Options{})
	good := func() Init { return Init{Label: newLabel(t), SOPIN: []byte(soPIN), UserPIN: []byte(userPIN)} }
	for _, c := range []struct {
		change func(*Init)
		want   string
		is     error
	}{
		{func(i *Init) { i.Label = "" }, "needs a label", nil},
		{func(i *Init) { i.Label = strings.Repeat("x", 33) }, "has 33 bytes", nil},
		{func(i *Init) { i.Label = strings.Repeat("ü", 17) }, "has 34 bytes", nil},
		{func(i *Init) { i.Label = "x " }, "ends with a space", nil},
		{func(i *Init) { i.Label = "a\nb" }, "can't be printed", nil},
		{func(i *Init) { i.Label = "a\xffb" }, "not UTF-8", nil},
		{func(i *Init) { i.SOPIN = []byte("123") }, "the security officer's PIN", ErrPINLength},
		{func(i *Init) { i.UserPIN = nil }, "the user's PIN", ErrPINLength},
		{func(i *Init) { i.Selector.Model = "other" }, "none is uninitialised", ErrNoToken},
		{func(i *Init) { i.EraseSerial = "0000" }, "0000", ErrNoToken},
	} {
		in := good()
		c.change(&in)
		_, err := m.InitToken(in)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}

	in := good()
	in.Label = "Zürich " + newLabel(t)
	first, err := m.InitToken(in)
	check(t, err)
	if first.Label != in.Label || !first.Initialized {
		t.Errorf("got %+v", first)
	}
	// Again: only with its serial number, and then its keys are gone.
	tok := session1(t, m, in.Label)
	generate(t, tok, spec("ed25519", newID(t)))
	again := good()
	again.Selector.Serial = first.Serial
	wants(t, second(m.InitToken(again)), ErrInitialized)
	again.EraseSerial = "0000"
	wants(t, second(m.InitToken(again)), ErrNoToken)
	again.EraseSerial = first.Serial
	if _, err := m.InitToken(again); Code(err) != "CKR_SESSION_EXISTS" || !strings.Contains(err.Error(), "close it first") {
		t.Errorf("got %v", err)
	}
	check(t, tok.Close())
	again.SOPIN = []byte("another-so-pin")
	wants(t, second(m.InitToken(again)), ErrPINIncorrect)
	again.SOPIN = []byte(soPIN)
	_, err = m.InitToken(again)
	check(t, err)
	if objects, err := session1(t, m, again.Label).Objects(); err != nil || len(objects) != 0 {
		t.Errorf("left are %v, %v", objects, err)
	}
	wants(t, second(m.Token(Selector{Label: in.Label})), ErrNoToken)
}

func TestBlankTokensThatDiffer(t *testing.T) {
	blankToken := func(slot uint, serial string) view {
		v := view{}
		v.Slot, v.Serial = slot, serial
		return v
	}
	if v, err := blank([]view{blankToken(1, ""), blankToken(2, "")}, Init{}); err != nil || v.Slot != 1 {
		t.Errorf("of two that are alike, the first: %v, %v", v.Slot, err)
	}
	both := []view{blankToken(1, "A1"), blankToken(2, "B2")}
	_, err := blank(both, Init{})
	wants(t, err, ErrManyTokens)
	if v, err := blank(both, Init{Selector: Selector{Serial: "B2"}}); err != nil || v.Slot != 2 {
		t.Errorf("got %v, %v", v.Slot, err)
	}
}

func TestMechanismsAndRandom(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	list, err := tok.Mechanisms()
	check(t, err)
	have := make(map[string]string)
	for _, m := range list {
		have[m.Name] = fmt.Sprintf("%d-%d %t %t %t %t", m.MinKey, m.MaxKey, m.Generate, m.Sign, m.Derive, m.Wrap)
	}
	for name, want := range map[string]string{
		"CKM_EDDSA": "256-456 false true false false", "CKM_EC_EDWARDS_KEY_PAIR_GEN": "256-456 true false false false",
		"CKM_ECDH1_DERIVE": "112-521 false false true false", "CKM_AES_KEY_WRAP": "16-2147483648 false false false true",
	} {
		if have[name] != want {
			t.Errorf("%s is %q, want %q", name, have[name], want)
		}
	}
	for _, n := range []int{1, 32, 1024, 3000} {
		b, err := tok.Random(n)
		if err != nil || len(b) != n {
			t.Errorf("Random(%d) gave %d bytes, %v", n, len(b), err)
		}
	}
	if _, err := tok.Random(0); err == nil {
		t.Error("no random bytes are none")
	}
}
