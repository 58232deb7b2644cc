package succession

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// keeper is an SSH key that signs successions.
type keeper struct {
	key  *sshsig.Key
	priv ed25519.PrivateKey
}

func newKeeper(t *testing.T, seed byte) *keeper {
	t.Helper()
	priv := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	key, err := sshsig.ParseBlob(wire([]byte("ssh-ed25519"), priv.Public().(ed25519.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	return &keeper{key, priv}
}

func wire(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
	}
	return b
}

func (k *keeper) sign(t *testing.T, namespace string, text []byte) []byte {
	t.Helper()
	sig, err := sshsig.SignWith(k.key, namespace, text, func(signed []byte) ([]byte, error) {
		return wire([]byte("ssh-ed25519"), ed25519.Sign(k.priv, signed)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sig.Armor()
}

// world is a policy with three keepers, of whom two have to sign.
type world struct {
	f             *testfleet.Fleet
	policy        []byte
	kim, lee, max *keeper
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{f: testfleet.New(t, testfleet.Options{}), kim: newKeeper(t, 1), lee: newKeeper(t, 2), max: newKeeper(t, 3)}
	w.policy = fmt.Appendf(slices.Clone(w.f.Policy), `succession:
  threshold: 2
  keys:
    - name: kim
      key: %s kim@laptop
      confirmed: "in person"
    - name: lee
      key: %s
      confirmed: "in person"
    - name: max
      key: %s
      confirmed: "in person"
      window: {not_after: 2026-01-01T00:00:00Z}
`, w.kim.key, w.lee.key, w.max.key)
	if _, err := evidence.ParsePolicy("policy.yaml", w.policy); err != nil {
		t.Fatal(err)
	}
	return w
}

// with gives the policy with one text in place of another, which must be there.
func (w *world) with(t *testing.T, old, by string) []byte {
	t.Helper()
	if !bytes.Contains(w.policy, []byte(old)) {
		t.Fatalf("the policy has no %q:\n%s", old, w.policy)
	}
	return bytes.Replace(w.policy, []byte(old), []byte(by), 1)
}

func TestAPolicyFollowsThatEnoughKeepersSigned(t *testing.T) {
	w := newWorld(t)
	now := w.f.Now()
	next := w.with(t, "threshold: 2\n  keys", "threshold: 1\n  keys")
	text, err := New(w.policy, next, now, "one of us left")
	if err != nil {
		t.Fatal(err)
	}
	signed := map[string][]byte{"kim.sig": w.kim.sign(t, Namespace, text.Raw()), "lee.sig": w.lee.sign(t, Namespace, text.Raw())}
	step, err := Verify("policy.yaml", w.policy, next, text, signed, now)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(step.By, []string{"kim", "lee"}) || step.Enough != 2 || step.Policy == nil || text.Reason != "one of us left" {
		t.Errorf("%+v", step)
	}
	if len(step.Changes) != 1 || step.Changes[0] != (Change{"succession.threshold", Looser, "was 2; is 1"}) {
		t.Errorf("%+v", step.Changes)
	}
}

func TestAPolicyThatDoesNotFollowIsRefused(t *testing.T) {
	w := newWorld(t)
	now := w.f.Now()
	next := w.with(t, "threshold: 2\n  keys", "threshold: 1\n  keys")
	text, err := New(w.policy, next, now, "one of us left")
	if err != nil {
		t.Fatal(err)
	}
	kim, lee := w.kim.sign(t, Namespace, text.Raw()), w.lee.sign(t, Namespace, text.Raw())
	both := map[string][]byte{"kim.sig": kim, "lee.sig": lee}
	other, err := New(w.policy, next, now, "another reason")
	if err != nil {
		t.Fatal(err)
	}
	keeperless := must(Parse("", []byte(strings.Replace(string(text.Raw()), fmt.Sprintf("%x", text.From), fmt.Sprintf("%x", sha256.Sum256(w.f.Policy)), 1))))
	for name, c := range map[string]struct {
		older, newer []byte
		text         *Text
		signed       map[string][]byte
		now          time.Time
		want         string
	}{
		"too few":                  {w.policy, next, text, map[string][]byte{"kim.sig": kim}, now, "wants 2 keepers to have signed what follows it; kim did"},
		"nobody":                   {w.policy, next, text, nil, now, "there is no signature"},
		"twice the same":           {w.policy, next, text, map[string][]byte{"a.sig": kim, "b.sig": kim}, now, "b.sig: is a second signature of kim"},
		"a key that has ended":     {w.policy, next, text, map[string][]byte{"kim.sig": kim, "max.sig": w.max.sign(t, Namespace, text.Raw())}, now, "wants 2 keepers"},
		"a stranger":               {w.policy, next, text, map[string][]byte{"kim.sig": kim, "x.sig": newKeeper(t, 9).sign(t, Namespace, text.Raw())}, now, "no keeper's"},
		"of another namespace":     {w.policy, next, text, map[string][]byte{"kim.sig": w.kim.sign(t, "fleetctl-plan", text.Raw()), "lee.sig": lee}, now, "kim.sig: kim:"},
		"of another text":          {w.policy, next, other, both, now, "kim.sig: kim:"},
		"from another policy":      {next, next, text, both, now, "is not the policy that this succession begins with"},
		"to another policy":        {w.policy, w.with(t, "threshold: 2\n  keys", "threshold: 3\n  keys"), text, both, now, "what was signed is"},
		"to one with a comment":    {w.policy, append(slices.Clone(next), "# more\n"...), text, both, now, "what was signed is"},
		"made in the future":       {w.policy, next, text, both, now.Add(-time.Hour), "yet to come"},
		"from one without keepers": {w.f.Policy, next, keeperless, both, now, "names nobody under succession"},
		"without a time":           {w.policy, next, text, both, time.Time{}, "yet to come"},
	} {
		if _, err := Verify("policy.yaml", c.older, c.newer, c.text, c.signed, c.now); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	if _, err := New(w.policy, w.policy, now, "nothing"); err == nil || !strings.Contains(err.Error(), "doesn't follow itself") {
		t.Errorf("to itself: %v", err)
	}
	if _, err := New(w.f.Policy, next, now, "for nobody to sign"); err == nil || !strings.Contains(err.Error(), "names nobody under succession") {
		t.Errorf("without keepers: %v", err)
	}
	if _, err := New(w.policy, next, now, "two\nlines"); err == nil {
		t.Error("a reason of two lines was taken")
	}
}

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

func TestEachChangeSaysWhichWayItGoes(t *testing.T) {
	w := newWorld(t)
	stranger := newKeeper(t, 9).key.String()
	for _, c := range []struct{ old, by, want string }{
		{"threshold: 2\npeople", "threshold: 1\npeople", "looser threshold: was 2; is 1"},
		{"      key: " + w.kim.key.String() + " kim@laptop", "      key: " + w.kim.key.String() + " another comment", "other succession.keys[kim].key: was"},
		{"      key: " + w.kim.key.String() + " kim@laptop", "      key: " + stranger, "looser succession.keys[kim]: is there now; stricter succession.keys[kim]: is there no longer"},
		{"window: {not_after: 2026-01-01T00:00:00Z}", "window: {not_after: 2027-01-01T00:00:00Z}", "looser succession.keys[max].window: was"},
		{"window: {not_after: 2026-01-01T00:00:00Z}", "window: {not_after: 2025-01-01T00:00:00Z}", "stricter succession.keys[max].window: was"},
		{"window: {not_after: 2026-01-01T00:00:00Z}", "window: {not_after: 2025-01-01T00:00:00Z, not_before: 2024-01-01T00:00:00Z}", "stricter succession.keys[max].window: was"},
		{"window: {not_after: 2026-01-01T00:00:00Z}", "window: {not_before: 2024-01-01T00:00:00Z}", "other succession.keys[max].window: was"},
		{"      window: {not_after: 2026-01-01T00:00:00Z}\n", "", "looser succession.keys[max].window: was"},
		{"  key.possession: proven", "  key.possession: attested", "looser claims.key.possession: was proven; is attested"},
		{"  key.possession: proven\n", "", "looser claims.key.possession: was proven; is not there"},
		{"claims:\n", "tolerates: [relax-sensitive]\nclaims:\n", "looser tolerates[relax-sensitive]: is there now"},
		{"claims:\n", "sites: {least: 2}\nclaims:\n", "stricter sites.least: is 2; was not there"},
		{"      confirmed: \"in person\"\n    - name: lee", "    - name: lee", "stricter succession.keys[kim].confirmed: was in person; is not there"},
		{"format:", "# a comment\nformat:", "other : the files differ in comments or spelling alone"},
	} {
		next := w.with(t, c.old, c.by)
		changes, err := Diff("old", w.policy, "new", next)
		if err != nil {
			t.Errorf("%q: %v", c.by, err)
			continue
		}
		var got []string
		for _, x := range changes {
			got = append(got, x.Effect+" "+x.Path+": "+x.Text)
		}
		for i, want := range strings.Split(c.want, "; ") {
			if strings.Contains(want, " was not") || strings.HasPrefix(want, "is ") || strings.HasPrefix(want, "was ") {
				continue // the second half of one text
			}
			if i >= len(got) || !strings.HasPrefix(got[i], want) {
				t.Errorf("%q\ngot  %q\nwant %q", c.by, got, c.want)
			}
		}
	}
	if changes, err := Diff("old", w.policy, "new", w.policy); err != nil || len(changes) != 0 {
		t.Errorf("%v, %v", changes, err)
	}
}

func TestEveryRuleIsWhole(t *testing.T) {
	for _, path := range slices.Sorted(maps.Keys(rules())) {
		r := rules()[path]
		if (r.weigh == nil) == (r.identity == nil) || r.identity != nil && (r.more == nil || r.less == nil || r.label == nil) {
			t.Errorf("%s: the rule is not whole", path)
		}
	}
}
