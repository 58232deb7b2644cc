package passkey

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/testbrowser"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func virtual(t *testing.T) *Virtual {
	t.Helper()
	v, err := StartVirtual(t.Context(), testbrowser.Path(t))
	must(t, err)
	t.Cleanup(func() {
		must(t, v.Close())
		if _, err := os.Stat(v.home); !os.IsNotExist(err) {
			t.Errorf("Chromium's profile is left behind: %v", err)
		}
	})
	return v
}

// TestAPasskeyKeepsTheKeyAndItsLossCostsItAlone: in a real browser, with an
// authenticator in software.
func TestAPasskeyKeepsTheKeyAndItsLossCostsItAlone(t *testing.T) {
	ctx := t.Context()
	v := virtual(t)
	key, err := client.NewKey(rand.Reader)
	must(t, err)
	r, err := Create(ctx, rand.Reader, "drill.a", key, v.Visit)
	must(t, err)
	if bytes.Contains(r.Raw(), key) {
		t.Error("the record has the key in it")
	}
	kept, err := ParseRecord("passkey.json", r.Raw())
	must(t, err)
	for range 2 {
		got, err := Recover(ctx, rand.Reader, kept, v.Visit)
		if err != nil || !bytes.Equal(got, key) {
			t.Fatalf("%x, %v", got, err)
		}
	}

	// Another account's passkey in the same authenticator opens nothing of this one.
	other, err := Create(ctx, rand.Reader, "drill.b", key, v.Visit)
	must(t, err)
	swapped := *kept
	swapped.Sealed = other.Sealed
	if _, err := Recover(ctx, rand.Reader, &swapped, v.Visit); err == nil || !strings.Contains(err.Error(), "another one than it was sealed with") {
		t.Errorf("another passkey's sealed key: %v", err)
	}
	salted := *kept
	salted.Salt = other.Salt
	if _, err := Recover(ctx, rand.Reader, &salted, v.Visit); err == nil {
		t.Error("another salt opens the key")
	}
	// An assertion by another key than the one that was registered is refused.
	forged := *kept
	forged.PublicKey = other.PublicKey
	if _, err := Recover(ctx, rand.Reader, &forged, v.Visit); err == nil || !strings.Contains(err.Error(), "WebAuthn") {
		t.Errorf("another public key: %v", err)
	}

	must(t, v.Lose(ctx))
	if key, err := Recover(ctx, rand.Reader, kept, v.Visit); err == nil || key != nil || !strings.Contains(err.Error(), "use the recovery code") {
		t.Errorf("after the passkey was lost: %v", err)
	}
}

// TestAPasskeyWithoutPRFIsRefused: a key sealed under it would be sealed under nothing.
func TestAPasskeyWithoutPRFIsRefused(t *testing.T) {
	ctx := t.Context()
	v := virtual(t)
	must(t, v.page.Call(ctx, "WebAuthn.removeVirtualAuthenticator", map[string]any{"authenticatorId": v.authenticator}, nil))
	must(t, v.page.Call(ctx, "WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true}}, nil))
	if r, err := Create(ctx, rand.Reader, "drill.a", make([]byte, 32), v.Visit); err == nil || r != nil || !strings.Contains(err.Error(), "has no PRF") {
		t.Errorf("%v", err)
	}
}

func TestARunEndsWithItsContextAndWithWhoeverCanNotVisit(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	_, err := Create(ctx, rand.Reader, "drill.a", make([]byte, 32), func(context.Context, string) error { stop(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	lost := errors.New("no browser")
	if _, err := Create(t.Context(), rand.Reader, "drill.a", make([]byte, 32), func(context.Context, string) error { return lost }); !errors.Is(err, lost) {
		t.Errorf("%v", err)
	}
	if _, err := Create(t.Context(), rand.Reader, "alice", make([]byte, 32), nil); err == nil {
		t.Error("an account outside drill. gets a passkey")
	}
	if _, err := Create(t.Context(), strings.NewReader("short"), "drill.a", make([]byte, 32), nil); err == nil {
		t.Error("a passkey is made without randomness")
	}
	if _, err := Recover(t.Context(), rand.Reader, &Record{}, nil); err == nil {
		t.Error("an empty record is opened")
	}
	if _, err := StartVirtual(t.Context(), "/nonexistent/chromium"); err == nil {
		t.Error("a Chromium that isn't there starts")
	}
}
