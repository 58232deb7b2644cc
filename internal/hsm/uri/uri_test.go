package uri

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

func TestURIsThatAreRead(t *testing.T) {
	for _, c := range []struct {
		in, out string
		want    URI
	}{
		{"pkcs11:", "pkcs11:", URI{}},
		{"pkcs11:token=fleet-1", "pkcs11:token=fleet-1", URI{Token: "fleet-1"}},
		{"PKCS11:token=fleet-1", "pkcs11:token=fleet-1", URI{Token: "fleet-1"}},
		{
			"pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=1a2b;token=T%c3%bcr",
			"pkcs11:token=T%C3%BCr;manufacturer=SoftHSM%20project;serial=1a2b;model=SoftHSM%20v2",
			URI{Token: "Tür", Manufacturer: "SoftHSM project", Serial: "1a2b", Model: "SoftHSM v2"},
		},
		{"pkcs11:id=%00%FFa;object=k=1&2;type=private", "pkcs11:object=k=1&2;type=private;id=%00%FF%61", URI{Object: "k=1&2", Type: "private", ID: []byte{0, 255, 'a'}}},
		{
			"pkcs11:serial=7?pin-source=/run/pin&module-path=/usr/lib/x%26y.so",
			"pkcs11:serial=7?module-path=/usr/lib/x%26y.so&pin-source=/run/pin",
			URI{Serial: "7", ModulePath: "/usr/lib/x&y.so", PINSource: "/run/pin"},
		},
		{
			"pkcs11:library-version=2.6;library-manufacturer=SoftHSM;library-description=d",
			"pkcs11:library-manufacturer=SoftHSM;library-description=d;library-version=2.6",
			URI{Library: token.Library{Manufacturer: "SoftHSM", Description: "d", Version: "2.6"}},
		},
	} {
		u, err := Parse(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if !reflect.DeepEqual(*u, c.want) {
			t.Errorf("%s: got %+v", c.in, *u)
		}
		if u.String() != c.out {
			t.Errorf("%s: writes %s", c.in, u.String())
		}
	}
}

func TestURIsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "does not begin"}, {"pkcs11", "does not begin"}, {"file:/x", "does not begin"}, {" pkcs11:", "does not begin"},
		{"pkcs11:token", "without name=value"},
		{"pkcs11:token=a;", "without name=value"}, {"pkcs11:;token=a", "without name=value"}, {"pkcs11:token=a?", "without name=value"},
		{"pkcs11:token=a;token=a", "token twice"}, {"pkcs11:?pin-source=/a&pin-source=/a", "pin-source twice"},
		{"pkcs11:token=", "token is empty"}, {"pkcs11:id=", "id is empty"},
		{"pkcs11:token=%4", "not a percent escape"}, {"pkcs11:token=%", "not a percent escape"}, {"pkcs11:token=%G0", "not a percent escape"},
		{"pkcs11:token=a b", "has to be written as %20"}, {"pkcs11:token=a/b", "has to be written as %2F"}, {"pkcs11:token=ü", "has to be written as"},
		{"pkcs11:?pin-source=/a?b;c", "has to be written as %3B"}, {"pkcs11:token=a#b", "%23"},
		{"pkcs11:token=%ff", "not UTF-8"}, {"pkcs11:token=%1b[2J", "can't be printed"}, {"pkcs11:token=a%20", "ends with a space"},
		{"pkcs11:token=" + strings.Repeat("x", 33), "has 33 bytes"}, {"pkcs11:serial=" + strings.Repeat("x", 17), "has 17 bytes"},
		{"pkcs11:object=" + strings.Repeat("x", 4096), "4096 are allowed"},
		{"pkcs11:Token=a", "no meaning here"}, {"pkcs11:x-vendor=1", "no meaning here"}, {"pkcs11:module-path=a", "no meaning here"},
		{"pkcs11:?token=a", "no meaning here"}, {"pkcs11:?v-x=a", "no meaning here"},
		{"pkcs11:slot-id=1", "has the attribute slot-id"}, {"pkcs11:slot-description=x", "has the attribute slot-description"},
		{"pkcs11:?module-name=softhsm2", "has the attribute module-name"},
		{"pkcs11:?pin-value=1234", "has the attribute pin-value"}, {"pkcs11:pin-value=1234", "has the attribute pin-value"},
		{"pkcs11:?module-path=lib.so", "not absolute"}, {"pkcs11:?pin-source=|cat", "names a program"}, {"pkcs11:?pin-source=%7Ccat", "names a program"},
		{"pkcs11:type=key", `type "key" is not one of`},
		{"pkcs11:library-version=2.6.1", "not like 2.6"}, {"pkcs11:library-version=2.", "not like"}, {"pkcs11:library-version=02", "not like"}, {"pkcs11:library-version=a", "not like"},
	} {
		u, err := Parse(c.in)
		var refusal *strict.Error
		if u != nil || !errors.As(err, &refusal) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.in, err, c.want)
		}
	}
}

func TestAPINInAURIIsNotRepeated(t *testing.T) {
	for _, in := range []string{"pkcs11:?pin-value=canary1234", "pkcs11:token=a?pin-value=canary1234&x=y", "pkcs11:?pin-value:canary1234", "pkcs11:canary1234"} {
		_, err := Parse(in)
		var refusal *strict.Error
		if !errors.As(err, &refusal) || strings.Contains(refusal.Msg+refusal.Hint, "canary") || strings.Contains(in, "=canary") && !strings.Contains(refusal.Hint, "pin-source") {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzURI(f *testing.F) {
	for _, s := range []string{
		"pkcs11:", "PKCS11:token=a%20b;id=%00%01?module-path=/x.so&pin-source=file:/p", "pkcs11:type=private;object=o;library-version=2.40",
		"pkcs11:slot-id=1", "pkcs11:?pin-value=1", "pkcs11:token=%zz",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			if u != nil {
				t.Fatal("a result beside an error")
			}
			return
		}
		canonical := u.String()
		again, err := Parse(canonical)
		if err != nil || !reflect.DeepEqual(u, again) || again.String() != canonical {
			t.Fatalf("%q became %q: %v", s, canonical, err)
		}
	})
}

func BenchmarkURI(b *testing.B) {
	for b.Loop() {
		if _, err := Parse("pkcs11:token=fleet-1;serial=1a2b3c4d5e6f7788;manufacturer=SoftHSM%20project?module-path=/usr/lib/softhsm/libsofthsm2.so"); err != nil {
			b.Fatal(err)
		}
	}
}
