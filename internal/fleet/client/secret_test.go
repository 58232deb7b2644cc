package client_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/client"
)

func TestASlipInARecoveryCodeIsSeenBeforeAGuessIsUsed(t *testing.T) {
	text, err := client.NewCode(rand.Reader)
	must(t, err)
	if len(text) != 79 || strings.Count(text, " ") != 15 {
		t.Fatalf("the code has %d characters", len(text))
	}
	digits := strings.ReplaceAll(text, " ", "")
	for i := range digits {
		other := []byte(digits)
		for range 9 {
			other[i] = '0' + (other[i]-'0'+1)%10
			if _, err := client.ParseCode(string(other)); err == nil {
				t.Errorf("digit %d can be another one", i)
			}
		}
		swapped := []byte(digits)
		if i > 0 && swapped[i] != swapped[i-1] {
			swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
			if _, err := client.ParseCode(string(swapped)); err == nil {
				t.Errorf("digits %d and %d can be swapped", i-1, i)
			}
		}
	}
	for _, bad := range []string{"", digits[1:], digits + "0", strings.Replace(digits, digits[:1], "x", 1), strings.Replace(digits, digits[:1], "٣", 1), strings.Repeat(" ", 2000)} {
		if _, err := client.ParseCode(bad); err == nil || !strings.Contains(err.Error(), "recovery code") {
			t.Errorf("%.80q: %v", bad, err)
		}
	}
	want, err := client.ParseCode(digits)
	must(t, err)
	if got, err := client.ParseCode(" " + strings.ReplaceAll(text, " ", "-\n") + "\t"); err != nil || got != want {
		t.Errorf("with hyphens and line ends: %v", err)
	}
	if again, err := client.NewCode(rand.Reader); err != nil || again == text {
		t.Errorf("two codes are the same: %v", err)
	}
	if _, err := client.NewCode(strings.NewReader("short")); err == nil {
		t.Error("a code is made without randomness")
	}
}

func TestAPasswordIsTakenAsItWasTyped(t *testing.T) {
	for _, bad := range []string{"", "1234567", strings.Repeat("x", 257), "password\xff"} {
		if _, err := client.Password(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	a, err := client.Password("password ")
	must(t, err)
	if b, err := client.Password("password"); err != nil || a == b {
		t.Errorf("a space at the end doesn't count: %v", err)
	}
}

func TestASealedKeyIsOpenedForWhatItWasSealedForAlone(t *testing.T) {
	secret, key := bytes.Repeat([]byte{1}, 64), newKey(t)
	sealed, err := client.Seal(rand.Reader, secret, key, "vault", "drill.a", "fleet")
	must(t, err)
	if got, err := client.Unseal(secret, sealed, "vault", "drill.a", "fleet"); err != nil || !bytes.Equal(got, key) {
		t.Fatal(err)
	}
	for i := range sealed {
		other := bytes.Clone(sealed)
		other[i] ^= 1
		if got, err := client.Unseal(secret, other, "vault", "drill.a", "fleet"); err == nil || got != nil {
			t.Errorf("byte %d doesn't count", i)
		}
	}
	for _, what := range [][]string{nil, {"vault"}, {"vault", "drill.b", "fleet"}, {"vault", "drill.af", "leet"}, {"passkey", "drill.a", "fleet"}} {
		if _, err := client.Unseal(secret, sealed, what...); err == nil {
			t.Errorf("it is opened for %q", what)
		}
	}
	if _, err := client.Unseal(bytes.Repeat([]byte{2}, 64), sealed, "vault", "drill.a", "fleet"); err == nil {
		t.Error("another secret opens it")
	}
	for _, err := range []error{
		second(client.Seal(rand.Reader, secret[:31], key, "vault")), second(client.Seal(rand.Reader, secret, key)), second(client.Seal(rand.Reader, secret, nil, "vault")),
		second(client.Seal(strings.NewReader(""), secret, key, "vault")), second(client.NewKey(strings.NewReader("short"))),
	} {
		if err == nil {
			t.Error("it is sealed all the same")
		}
	}
}

func second[A any](_ A, err error) error { return err }

func FuzzParseCode(f *testing.F) {
	text, err := client.NewCode(rand.Reader)
	must(f, err)
	for _, seed := range []string{text, strings.ReplaceAll(text, " ", ""), "", "0", strings.Repeat("0", 64)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := client.ParseCode(text)
		if (s == client.Secret{}) != (err != nil) {
			t.Errorf("%q gives %v", text, err)
		}
		if again, other := client.ParseCode(" " + text); err == nil && (other != nil || again != s) && len(text) < 1024 {
			t.Errorf("%q is another code with a space before it: %v", text, other)
		}
	})
}

func FuzzUnseal(f *testing.F) {
	secret := bytes.Repeat([]byte{1}, 64)
	sealed, err := client.Seal(rand.Reader, secret, newKey(f), "vault")
	must(f, err)
	f.Add(sealed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := client.Unseal(secret, data, "vault"); err == nil && !bytes.Equal(data, sealed) {
			t.Errorf("%x opens", data)
		}
	})
}
