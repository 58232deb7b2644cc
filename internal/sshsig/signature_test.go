package sshsig_test

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"flag"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sktest"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

var update = flag.Bool("update", false, "write the vectors of signatures anew, with fresh keys")

// Each fault is told apart from others by its message: a refusal for a wrong
// reason is a test of nothing.
func TestEachFaultIsRefusedForWhatItIs(t *testing.T) {
	refused, set := 0, testvectors.NewSet("signature")
	at := set.Share("message", message)
	for _, v := range cases(t) {
		if got := judge([]byte(v.armored), plan, message); got != v.expect {
			t.Errorf("%s: %s\nwant %s", v.name, got, v.expect)
		}
		if v.expect != "ok" {
			refused++
		}
		what := strings.ReplaceAll(v.name, "-", " ")
		if v.by != builtHere {
			what += ", made by " + v.by
		}
		c := testvectors.Case{Name: v.name, What: what, With: map[string]string{"namespace": plan}, Verdict: testvectors.Accept}
		if v.expect != "ok" {
			c.Verdict, c.Reason = testvectors.Reject, v.expect
		}
		set.Add(t, c, testvectors.Part{Part: "message", At: at}, testvectors.Part{Part: "signature", Name: "message.sig", Data: []byte(v.armored)})
	}
	if refused < 50 {
		t.Errorf("only %d refused", refused)
	}
	if *update {
		set.Write(t)
	}
}

func sound(t testing.TB) map[string]*soft {
	sk, skEC := device(t, sktest.Ed25519, "ssh:"), device(t, sktest.P256, "ssh:")
	return map[string]*soft{
		"ed25519":   softEd25519(t),
		"ecdsa-256": softECDSA(t, elliptic.P256(), ssh.KeyAlgoECDSA256), "ecdsa-384": softECDSA(t, elliptic.P384(), ssh.KeyAlgoECDSA384),
		"sk-ed25519": {sk.Blob(), sk.SignBytes}, "sk-ecdsa": {skEC.Blob(), skEC.SignBytes},
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	for name, k := range sound(t) {
		t.Run(name, func(t *testing.T) {
			e := k.seal(t, nil)
			armored, blob, tried := e.armor(), ssh.Marshal(e), 0
			flip := func(b []byte, wrap func([]byte) []byte) {
				for i := range b {
					for bit := range 8 {
						b[i] ^= 1 << bit
						if judge(wrap(b), plan, message) == "ok" {
							t.Errorf("byte %d, bit %d", i, bit)
						}
						b[i] ^= 1 << bit
						tried++
					}
				}
			}
			flip(armored, func(b []byte) []byte { return b })
			flip(blob, armor)
			if got := judge(armored, plan, message); got != "ok" || tried < 3000 {
				t.Errorf("%s after %d flips", got, tried)
			}
		})
	}
}

func TestEveryCutAndInsertionIsRefused(t *testing.T) {
	for name, k := range sound(t) {
		e := k.seal(t, nil)
		armored, blob := e.armor(), ssh.Marshal(e)
		for i := range armored {
			for _, c := range []byte("\n =A-") {
				if judge(append(bytes.Clone(armored[:i]), append([]byte{c}, armored[i:]...)...), plan, message) == "ok" {
					t.Errorf("%s: %q put in at %d", name, c, i)
				}
			}
			if judge(append(bytes.Clone(armored[:i]), armored[i+1:]...), plan, message) == "ok" || judge(armored[:i], plan, message) == "ok" {
				t.Errorf("%s: cut at %d", name, i)
			}
		}
		for i := range blob {
			if judge(armor(blob[:i]), plan, message) == "ok" || judge(armor(append(bytes.Clone(blob[:i]), append([]byte{0}, blob[i:]...)...)), plan, message) == "ok" {
				t.Errorf("%s: blob cut, or a zero put in, at %d", name, i)
			}
		}
	}
}

func TestTheNamespaceIsTheCallersToSay(t *testing.T) {
	s, err := sshsig.Parse("a.sig", softEd25519(t).seal(t, nil).armor())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(plan, message); err != nil {
		t.Error(err)
	}
	for _, ns := range []string{"", "fleetctl", plan + "-rehearsal", strings.ToUpper(plan), plan + " ", plan + "\x00"} {
		if s.Verify(ns, message) == nil {
			t.Errorf("%q is taken", ns)
		}
	}
	if err := s.Verify(plan, append(message, ' ')); !errors.Is(err, keys.ErrSignature) {
		t.Error(err)
	}
	if err := s.Verify(plan, nil); !errors.Is(err, keys.ErrSignature) {
		t.Error(err)
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	for _, armored := range []string{"", string(armor([]byte("SSHSIG"))), strings.Repeat("A", 8193)} {
		if _, err := sshsig.Parse("approvals/one.sig", []byte(armored)); err == nil || !strings.HasPrefix(err.Error(), "approvals/one.sig: ") {
			t.Errorf("%v", err)
		}
	}
}

func TestWhatIsParsedIsNotTheCallersMemory(t *testing.T) {
	k := softEd25519(t)
	armored := k.seal(t, nil).armor()
	given := bytes.Clone(armored)
	s, err := sshsig.Parse("", given)
	if err != nil {
		t.Fatal(err)
	}
	clear(given)
	clear(s.Key().Blob())
	if !bytes.Equal(s.Armor(), armored) || s.Verify(plan, message) != nil {
		t.Error("the signature changed under its caller's hands")
	}
}

func TestSignWithGivesNothingThatDoesNotVerify(t *testing.T) {
	k, other := softEd25519(t), softEd25519(t)
	key, err := sshsig.ParseBlob(k.blob)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sshsig.SignWith(key, plan, message, k.sign)
	if err != nil || judge(s.Armor(), plan, message) != "ok" || !s.Key().Equal(key) {
		t.Fatal(err)
	}
	if !bytes.Equal(s.Armor(), k.seal(t, nil).armor()) {
		t.Error("isn't the signature that others make")
	}
	broken := errors.New("the device is gone")
	for name, c := range map[string]struct {
		key       *sshsig.Key
		namespace string
		sign      func([]byte) ([]byte, error)
		want      string
	}{
		"another key's":    {key, plan, other.sign, "what the key " + key.Fingerprint() + " made was not taken: " + doesNotVerify},
		"nothing":          {key, plan, func([]byte) ([]byte, error) { return nil, nil }, "what the key " + key.Fingerprint() + " made is no signature we take: its inner signature ends within its type"},
		"an error":         {key, plan, func([]byte) ([]byte, error) { return nil, broken }, broken.Error()},
		"no key":           {nil, plan, k.sign, "there is no admitted key to sign with"},
		"no namespace":     {key, "", k.sign, "the namespace is empty"},
		"an odd namespace": {key, "a\n", k.sign, "the namespace has the byte 0x0a; printable ASCII is allowed"},
	} {
		s, err := sshsig.SignWith(c.key, c.namespace, message, c.sign)
		if s != nil || err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// Which signatures are slow to verify can be told before any is read.
func TestSlowKeysAreToldWithoutReadingTheirSignatures(t *testing.T) {
	for name, k := range map[string]*soft{
		"ssh-ed25519": softEd25519(t), "P-256": softECDSA(t, elliptic.P256(), ssh.KeyAlgoECDSA256), "P-384": softECDSA(t, elliptic.P384(), ssh.KeyAlgoECDSA384),
	} {
		armored := k.seal(t, nil).armor()
		if _, err := sshsig.Parse("x", armored); err != nil {
			t.Fatal(err)
		}
		if got := sshsig.Slow(armored); got != (name == "P-384") {
			t.Errorf("%s: slow is %v", name, got)
		}
	}
	if sshsig.Slow(nil) || sshsig.Slow([]byte("-----BEGIN SSH SIGNATURE-----\n")) {
		t.Error("no signature is slow")
	}
}
