package bundle

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// noteKey signs checkpoints as a log (type 1) or as a witness (type 4), as
// C2SP's signed-note and tlog-cosignature say.
type noteKey struct {
	name string
	typ  byte
}

func (k noteKey) hash() []byte {
	pub := edRaw(k.name)
	h := sha256.Sum256([]byte(k.name + "\n" + string(k.typ) + string(pub[:])))
	return h[:4]
}

func (k noteKey) vkey() string {
	pub := edRaw(k.name)
	return fmt.Sprintf("%s+%x+%s", k.name, k.hash(), base64.StdEncoding.EncodeToString(append([]byte{k.typ}, pub[:]...)))
}

func (k noteKey) line(text string, at time.Time) string {
	raw := k.hash()
	if k.typ == 4 {
		raw = binary.BigEndian.AppendUint64(raw, uint64(at.Unix()))
		text = fmt.Sprintf("cosignature/v1\ntime %d\n%s", at.Unix(), text)
	}
	raw = append(raw, ed25519.Sign(edKey(k.name), []byte(text))...)
	return "— " + k.name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

var (
	logKey   = noteKey{"log.example/fleet", 1}
	witness1 = noteKey{"w1.example", 4}
	witness2 = noteKey{"w2.example", 4}
)

// logged is the proof that leaf is entry 1 of 2, cosigned at the given times;
// a zero time is no cosignature (RFC 6962, section 2.1).
func logged(leaf []byte, at1, at2 time.Time) []byte {
	first := sha256.Sum256([]byte("\x00another entry"))
	second := sha256.Sum256(append([]byte{0}, leaf...))
	root := sha256.Sum256(append(append([]byte{1}, first[:]...), second[:]...))
	text := logKey.name + "\n2\n" + b64(root[:]) + "\n"
	proof := "c2sp.org/tlog-proof@v1\nindex 1\n" + b64(first[:]) + "\n\n" + text + "\n" + logKey.line(text, time.Time{})
	if !at1.IsZero() {
		proof += witness1.line(text, at1)
	}
	if !at2.IsZero() {
		proof += witness2.line(text, at2)
	}
	return []byte(proof)
}

func logPolicy(t testing.TB, quorum string) *auditlog.Policy {
	p, err := auditlog.ParsePolicy("policy", []byte("log "+logKey.vkey()+"\nwitness one "+witness1.vkey()+"\nwitness two "+witness2.vkey()+"\n"+quorum))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const both = "group both all one two\nquorum both\n"

func TestDeviceAcceptsAndRemembers(t *testing.T) {
	w := newRequestWorld()
	log := logPolicy(t, both)
	proof := logged(w.bundle.Raw(), now.Add(-3*time.Hour), now.Add(-2*time.Hour))
	first, err := Check(w.bundle.Raw(), proof, w.trust, log, nil, now, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want := DeviceState{Fleet: "backup-2026a", Epoch: 1, Digest: w.set.Digest(), Keys: Held{1, w.set.Digest()}, Witnessed: now.Add(-3 * time.Hour)}
	if !first.FirstContact || first.Age != 3*time.Hour || !reflect.DeepEqual(first.State, want) || len(first.Signers.ThirdParties) != 2 || first.Inclusion.Index != 1 {
		t.Errorf("accepted %+v", first)
	}

	st := []Signed{signed("tp-1", w.next), signed("tp-2", w.next)}
	second := encodeBundle(w.next.Raw(), st, []Countersignature{countersigned(keys.P256, "operator", FormBound, w.next, st...)}, aRecord)
	got, err := Check(second, logged(second, now, now), w.trust, log, &first.State, now, 24*time.Hour)
	if err != nil || got.FirstContact || got.State.Epoch != 2 {
		t.Fatalf("epoch 2 after epoch 1: %+v, %v", got, err)
	}
	if _, err := Check(second, logged(second, now, now), w.trust, log, &got.State, now, 24*time.Hour); err != nil {
		t.Errorf("the same epoch again: %v", err)
	}
	old, err := Check(w.bundle.Raw(), proof, w.trust, log, &got.State, now, 24*time.Hour)
	wantError(t, err, "is epoch 1 of fleet backup-2026a; epoch 2 was seen already")
	if old != nil {
		t.Error("a result came with the error")
	}
}

func TestDeviceRefuses(t *testing.T) {
	w := newWorld()
	leaf := w.bundle.Raw()
	hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	seen := DeviceState{Fleet: w.set.Fleet, Epoch: 1, Digest: w.set.Digest(), Keys: Held{1, w.set.Digest()}, Witnessed: now}
	change := func(f func(*DeviceState)) DeviceState { s := seen; f(&s); return s }
	for name, c := range map[string]struct {
		bundle, proof []byte
		quorum        string
		state         DeviceState
		want          string
	}{
		"malformed bundle":    {leaf[1:], logged(leaf, hour(0), hour(0)), both, seen, "bundle.json"},
		"malformed proof":     {leaf, leaf, both, seen, "bundle.json.tlog-proof:1"},
		"proof of another":    {leaf, logged(leaf[1:], hour(0), hour(0)), both, seen, "does not show that these"},
		"one witness":         {leaf, logged(leaf, hour(0), time.Time{}), both, seen, `lacks a quorum of pinned witnesses: 1 cosigned, missing are ["two"]`},
		"no quorum demanded":  {leaf, logged(leaf, hour(0), hour(0)), "quorum none\n", seen, "lacks a quorum"},
		"old, one witness is": {leaf, logged(leaf, hour(-25), hour(0)), both, seen, "was last witnessed 1 day 1 hour ago; at most 1 day is allowed"},
		"from the future":     {leaf, logged(leaf, hour(1), hour(1)), both, seen, "which is after 2026-11-22T00:00:00Z"},
		"not signed":          {w.assemble(nil), logged(w.assemble(nil), hour(0), hour(0)), both, seen, "is short"},
		"another fleet":       {leaf, logged(leaf, hour(0), hour(0)), both, change(func(s *DeviceState) { s.Fleet = "other" }), "is of fleet backup-2026a, this device's is other"},
		"retired":             {leaf, logged(leaf, hour(0), hour(0)), both, change(func(s *DeviceState) { s.Epoch, s.Retired, s.Effective = 2, true, now }), "which was retired"},
		"equivocation":        {leaf, logged(leaf, hour(0), hour(0)), both, change(func(s *DeviceState) { s.Digest[0]++; s.Keys.Digest = s.Digest }), "is a second artifact for epoch 1"},
		"state was lost":      {leaf, logged(leaf, hour(0), hour(0)), both, DeviceState{}, "what this device remembers of its fleet names no fleet or epoch"},
		"epoch was lost":      {leaf, logged(leaf, hour(0), hour(0)), both, change(func(s *DeviceState) { s.Epoch = 0 }), "names no fleet or epoch"},
		"older":               {leaf, logged(leaf, hour(0), hour(0)), both, change(func(s *DeviceState) { s.Epoch, s.Keys.Epoch = 2, 2 }), "epoch 2 was seen already"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Check(c.bundle, c.proof, w.trust, logPolicy(t, c.quorum), &c.state, now, 24*time.Hour)
			wantError(t, err, c.want)
			if got != nil {
				t.Error("a result came with the error")
			}
		})
	}
	for name, err := range map[string]error{
		"no log": func() error { _, err := Check(leaf, nil, w.trust, nil, &seen, now, time.Hour); return err }(),
		"no trust": func() error {
			_, err := Check(leaf, logged(leaf, now, now), nil, logPolicy(t, both), &seen, now, time.Hour)
			return err
		}(),
	} {
		if !errors.Is(err, ErrTrust) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The time that saves an expired key is when a quorum first had seen the
// bundle; the time that makes a proof fresh is the newest quorum's.
func TestDeviceTakesExpiredKeysByTheWitnessesTime(t *testing.T) {
	w := newWorld()
	leaf := w.bundle.Raw()
	w.trust.ThirdParties[0].Window.NotAfter = new(now.Add(-10 * time.Hour))
	one := "group one-of any one two\nquorum one-of\n"
	if _, err := Check(leaf, logged(leaf, now.Add(-11*time.Hour), now), w.trust, logPolicy(t, one), nil, now, time.Hour); err != nil {
		t.Error(err)
	}
	_, err := Check(leaf, logged(leaf, now.Add(-11*time.Hour), now), w.trust, logPolicy(t, both), nil, now, 24*time.Hour)
	wantError(t, err, "is short: 1 of the 2")
	if !strings.Contains(err.Error(), "outside their key's window 1") {
		t.Error(err)
	}
}

// A P-256 key signs or agrees; which, its encoding doesn't tell, but the key set.
func TestADeviceTakesAKeyForItsUseAlone(t *testing.T) {
	set := parsed(fleet(1, nil, 3, keys.P256, keys.ECDHP256, keys.X25519))
	for _, k := range set.Keys {
		name := strings.Join([]string{set.Fleet, k.HSM, k.Role}, "/")
		_, noAgreement := k.Public.ECDH()
		if k.Use == UseSign {
			if err := k.Public.Verify(keys.ForTest, []byte("m"), sign(k.Algorithm, name, []byte("m"))); err != nil || noAgreement == nil {
				t.Errorf("%s %s: its signature %v, an agreement with it %v", k.HSM, k.Role, err, noAgreement)
			}
			continue
		}
		if noAgreement != nil || k.Use != UseAgree {
			t.Errorf("%s %s: is of use %s: %v", k.HSM, k.Role, k.Use, noAgreement)
		}
		if k.Algorithm == keys.ECDHP256 { // what the same private key signs
			err := k.Public.Verify(keys.ForTest, []byte("m"), sign(keys.P256, name, []byte("m")))
			if err == nil || err.Error() != "a key of kind ecdh-p256 can't sign" {
				t.Errorf("%s %s: a signature under a key that agrees: %v", k.HSM, k.Role, err)
			}
		}
	}
}
