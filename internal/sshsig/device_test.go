package sshsig_test

import (
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sktest"
)

func device(t testing.TB, typ, app string) *sktest.Device {
	t.Helper()
	d, err := sktest.New(typ, app)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const untouched = "nobody touched the FIDO2 device for this signature; sign with a key made without no-touch-required"

func TestADeviceMustHaveBeenTouched(t *testing.T) {
	for _, typ := range []string{sktest.Ed25519, sktest.P256} {
		for flags := range 256 {
			d := device(t, typ, "ssh:")
			d.Flags = byte(flags)
			want := "ok"
			if flags&1 == 0 {
				want = untouched
			}
			if got := judge((&soft{d.Blob(), d.SignBytes}).seal(t, nil).armor(), plan, message); got != want {
				t.Errorf("%s, flags %02x: %s, want %s", typ, flags, got, want)
			}
			if s, err := d.Sign(plan, message); (err == nil) != (want == "ok") || (s == nil) != (err != nil) {
				t.Errorf("%s, flags %02x: Sign gives %v", typ, flags, err)
			}
		}
	}
}

// Flags and counter are signed: nobody sets them afterwards.
func TestFlagsAndCounterAreSigned(t *testing.T) {
	const bad = "the signature does not verify"
	for _, typ := range []string{sktest.Ed25519, sktest.P256} {
		d := device(t, typ, "ssh:")
		d.Flags, d.Counter = 0, 0xfffffffe
		e := (&soft{d.Blob(), d.SignBytes}).seal(t, nil)
		e.Sig[len(e.Sig)-5] |= sktest.Touched
		if got := judge(e.armor(), plan, message); got != bad {
			t.Errorf("%s: a touch added afterwards: %s", typ, got)
		}
		d.Flags = sktest.Touched
		e = (&soft{d.Blob(), d.SignBytes}).seal(t, nil)
		if got := judge(e.armor(), plan, message); got != "ok" {
			t.Errorf("%s: the highest counter: %s", typ, got)
		}
		e.Sig[len(e.Sig)-1]--
		if got := judge(e.armor(), plan, message); got != bad {
			t.Errorf("%s: another counter: %s", typ, got)
		}
	}
}

func TestADevicesApplicationIsSigned(t *testing.T) {
	for _, typ := range []string{sktest.Ed25519, sktest.P256} {
		one := device(t, typ, "ssh:one")
		e := (&soft{one.Blob(), one.SignBytes}).seal(t, nil)
		copy(e.Key[len(e.Key)-3:], "two")
		if got := judge(e.armor(), plan, message); got != "the signature does not verify" {
			t.Errorf("%s: %s", typ, got)
		}
	}
}

func TestApplicationsOfWebSitesAreRefused(t *testing.T) {
	for app, want := range map[string]string{
		"ssh:": "", "ssh:fleet": "",
		"":            "has an unfit application, which is empty",
		"ssh":         `is a FIDO2 key of application "ssh"; those made for SSH start with ssh:`,
		"SSH:":        `is a FIDO2 key of application "SSH:"; those made for SSH start with ssh:`,
		"example.org": `is a FIDO2 key of application "example.org"; those made for SSH start with ssh:`,
		"ssh:\x00":    "has an unfit application, which has the byte 0x00; printable ASCII is allowed",
	} {
		for _, typ := range []string{sktest.Ed25519, sktest.P256} {
			d := device(t, typ, app)
			k, err := sshsig.ParseBlob(d.Blob())
			if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
				t.Errorf("%s, %q: %v, want %s", typ, app, err, want)
			}
			if (k == nil) != (err != nil) || (d.Key() == nil) != (err != nil) {
				t.Errorf("%s, %q: %v and %v", typ, app, k, err)
			}
			if err != nil {
				if s, err := d.Sign(plan, message); err == nil || s != nil {
					t.Errorf("%s, %q: signs", typ, app)
				}
			}
		}
	}
}

// A device's signature is none of a plain key's, nor the other way round, even
// where the point is one.
func TestADevicesSignatureNeedsADevicesKey(t *testing.T) {
	d := device(t, sktest.Ed25519, "ssh:")
	e := (&soft{d.Blob(), d.SignBytes}).seal(t, nil)
	var k struct{ Type, Point, App string }
	if err := ssh.Unmarshal(d.Blob(), &k); err != nil {
		t.Fatal(err)
	}
	e.Key = ssh.Marshal(struct{ Type, Point string }{"ssh-ed25519", k.Point})
	const want = "its inner signature is of type sk-ssh-ed25519@openssh.com and its key of type ssh-ed25519"
	if got := judge(e.armor(), plan, message); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	e.Key = d.Blob()
	var sig struct {
		Type, Sig string
		Rest      []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(e.Sig, &sig); err != nil {
		t.Fatal(err)
	}
	e.Sig = ssh.Marshal(struct{ Type, Sig string }{sig.Type, sig.Sig})
	if got := judge(e.armor(), plan, message); got != "its inner signature ends within its flags" {
		t.Error(got)
	}
	// What browsers make is of a type of its own.
	e.Sig = ssh.Marshal(struct{ Type, Sig string }{"webauthn-" + sktest.P256, sig.Sig})
	if got := judge(e.armor(), plan, message); got != "its inner signature is of type webauthn-sk-ecdsa-sha2-nistp256@openssh.com and its key of type sk-ssh-ed25519@openssh.com" {
		t.Error(got)
	}
}
