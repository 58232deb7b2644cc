//go:build cgo && unix

package hsm

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestADataObjectIsRewrittenInItsPlace(t *testing.T) {
	tok := kryoptic(t)
	if _, err := tok.Data("an anchor"); !errors.Is(err, ErrNoData) {
		t.Fatalf("got %v", err)
	}
	d, err := tok.CreateData("an anchor", []byte("one"))
	check(t, err)
	if _, err := tok.CreateData("an anchor", []byte("two")); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second one with its label: %v", err)
	}
	for _, value := range [][]byte{bytes.Repeat([]byte{7}, 128), []byte("shorter"), bytes.Repeat([]byte{9}, 300)} {
		check(t, d.Write(value))
		again, err := tok.Data("an anchor")
		check(t, err)
		if got, err := again.Read(); err != nil || !bytes.Equal(got, value) {
			t.Errorf("read %x: %v", got, err)
		}
	}
	check(t, tok.Logout())
	if _, err := tok.Data("an anchor"); !errors.Is(err, ErrNotLoggedIn) {
		t.Errorf("without a login: %v", err)
	}
	check(t, tok.Login([]byte(userPIN)))
	d, err = tok.Data("an anchor")
	check(t, err)
	check(t, d.Destroy())
	if _, err := tok.Data("an anchor"); !errors.Is(err, ErrNoData) {
		t.Errorf("once it is destroyed: %v", err)
	}
	if err := d.Write([]byte("x")); err == nil || !strings.Contains(err.Error(), `data object "an anchor"`) {
		t.Errorf("what is destroyed is written: %v", err)
	}
	for _, label := range []string{"", "line\nend"} {
		if _, err := tok.CreateData(label, nil); err == nil {
			t.Errorf("%q is a label", label)
		}
	}
}

func TestSoftHSMDoesNotRewriteADataObject(t *testing.T) {
	tok := fresh(t, soft(t, Options{}))
	d, err := tok.CreateData("an anchor", []byte("one"))
	check(t, err)
	if err := d.Write([]byte("two")); Code(err) != "CKR_ATTRIBUTE_READ_ONLY" {
		t.Errorf("got %v", err)
	}
}
