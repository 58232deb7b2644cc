package bundle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// For the vectors of bundles, which are judged by a package that imports this one.

// JudgedAt is the time at which they are judged.
var JudgedAt = now

// ReadVectors are the bundles that are only read.
func ReadVectors(t *testing.T) (cases []testvectors.Case, data [][]byte) {
	for _, v := range bundleVectors(t) {
		_, err := ParseBundle("bundle.json", v.data)
		cases, data = append(cases, v.asCase(t, err)), append(data, v.data)
	}
	return cases, data
}

// Judged is a bundle that is judged under a policy.
type Judged struct {
	Name, What, Want string
	Bundle, Proof    []byte
	Policy           string // which: plain, or one that pins a log, or one that requires both signatures
}

// The policies under which bundles are judged.
const (
	PolicyPlain  = "policy.yaml"
	PolicyLog    = "policy-with-log.yaml"
	PolicyHybrid = "policy-hybrid.yaml"
)

// JudgedVectors are the bundles that are judged.
func JudgedVectors(t *testing.T) (list []Judged) {
	for _, v := range verifyVectors(t) {
		// What this package makes of it, and what of it stands in a report.
		wantVerdict(t, v)
		want := map[string]string{
			"statement-missing": "1 of 2 pinned third parties signed", "not-countersigned": "no pinned operator countersigned",
			"countersigned-by-a-stranger": "no pinned operator countersigned", "nobody-signed": "0 of 2 pinned third parties signed",
			"rehearsal": "is of a rehearsal", "other-namespace": "which the policy does not pin",
		}[v.name]
		if want == "" && v.want != "ok" {
			want = v.want
		}
		list = append(list, Judged{Name: "judged-" + v.name, What: strings.ReplaceAll(v.name, "-", " "), Want: want, Bundle: v.data, Policy: PolicyPlain})
	}
	list = append(list, hybridVectors()...)
	leaf := newWorld().bundle.Raw()
	none, hour := time.Time{}, func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	for _, v := range []Judged{
		{Name: "logged-good", What: "nothing: a log has it, and both of its witnesses have seen that", Proof: logged(leaf, now, now)},
		{Name: "logged-proof-of-another-bundle", What: "the proof of another bundle", Want: "does not show that these", Proof: logged(leaf[1:], now, now)},
		{Name: "logged-one-witness", What: "one of two witnesses has cosigned", Want: "log.witnessed: ", Proof: logged(leaf, now, none)},
		{Name: "logged-from-the-future", What: "witnesses that cosigned an hour after the time it is judged at", Want: "log.witnessed: ", Proof: logged(leaf, hour(1), hour(1))},
		{Name: "logged-before-it-was-made", What: "witnesses that say to have seen it before it was made", Want: "by when witnesses had seen it", Proof: logged(leaf, hour(-15), hour(-15))},
		{Name: "logged-without-a-proof", What: "no proof beside it", Want: "log.included: "},
	} {
		v.Bundle, v.Policy = leaf, PolicyLog
		list = append(list, v)
	}
	return list
}

// hybridVectors are the forgeries of a hybrid bundle, and what dates one.
func hybridVectors() (list []Judged) {
	add := func(name, what, want string, bundle, proof []byte) {
		list = append(list, Judged{Name: "hybrid-" + name, What: what, Want: want, Bundle: bundle, Proof: proof, Policy: PolicyHybrid})
	}
	sound := hybridWorld()
	leaf := sound.assemble(sound.statements, sound.counter...)
	classical := logged(leaf, now, now)
	both := append(append(slices.Clone(classical), strong1.line(classical, now)...), strong2.line(classical, now)...)
	add("good", "nothing: both signatures of all of whom they are required, and two witnesses with ML-DSA-44 keys", "", leaf, both)
	add("dated-by-classical-witnesses", "witnesses with Ed25519 keys alone have cosigned", "its key is classical, and post-quantum signatures are required", leaf, classical)
	old := newWorld()
	add("classical-bundle", "a bundle without any post-quantum signature", "no post-quantum one that counts", old.bundle.Raw(), nil)
	for _, c := range forgeries() {
		if c.want == "" {
			continue
		}
		w := hybridWorld()
		c.forge(w)
		leaf := w.assemble(w.statements, w.counter...)
		classical := logged(leaf, now, now)
		both := append(append(slices.Clone(classical), strong1.line(classical, now)...), strong2.line(classical, now)...)
		what := "who has " + c.has + " " + c.does
		add(slug(what), what, c.want, leaf, both)
	}
	return list
}

// slug is a folder's name made of words.
func slug(words string) string {
	words = strings.NewReplacer("who has ", "", "'s", "s", ",", "", ".", "").Replace(words)
	return strings.ToLower(strings.ReplaceAll(words, " ", "-"))
}

// HybridPolicy is the hybrid world's trust as a verifier's policy.
func HybridPolicy() []byte {
	text := string(TrustPolicy("log " + logKey.vkey() + "\nwitness one " + witness1.vkey() + "\nwitness two " + witness2.vkey() +
		"\nwitness strong-1 " + strong1.vkey() + "\nwitness strong-2 " + strong2.vkey() + "\ngroup q 2 one two strong-1 strong-2\nquorum q\n"))
	more := fmt.Sprintf("  - {name: operator, algorithm: ml-dsa-44, key: %q, form: bound, confirmed: made for a test}\nrequire_all: [tp-1, operator]\n"+
		"additional_keys:\n  - {name: tp-1, algorithm: ml-dsa-44, key: %q, confirmed: made for a test}\nlog_policy:",
		b64(spki(keys.MLDSA44, "operator pq")), b64(spki(keys.MLDSA44, "tp-1 pq")))
	return []byte(strings.Replace(text, "log_policy:", more, 1))
}

func wantVerdict(t *testing.T, v vector) {
	if err := newWorld().verify(v.data); v.want == "ok" && err != nil || v.want != "ok" && (err == nil || !strings.Contains(err.Error(), v.want)) {
		t.Errorf("%s: %v, expected %q", v.name, err, v.want)
	}
}

// LogPolicy is the log policy of what is logged here.
func LogPolicy() string {
	return "log " + logKey.vkey() + "\nwitness one " + witness1.vkey() + "\nwitness two " + witness2.vkey() + "\n" + both
}

// TrustPolicy is the world's trust as a verifier's policy, which pins a log if one is given.
func TrustPolicy(log string) []byte {
	one, two := edRaw("tp-1"), edRaw("tp-2")
	text := fmt.Sprintf(`format: fleetctl policy v1
mode: production
namespaces: [example.backup.fleet_keys.v1]
third_parties_needed: 2
third_parties:
  - {name: tp-1, key: %q, confirmed: made for a test}
  - {name: tp-2, key: %q, confirmed: made for a test}
operators:
  - {name: operator, algorithm: ecdsa-p256, key: %q, form: bound, confirmed: made for a test}
`, b64(one[:]), b64(two[:]), b64(spki(keys.P256, "operator")))
	claims := "claims:\n  statement.signed: proven\n  countersigned: proven\n"
	if log != "" {
		text += "log_policy: |\n  " + strings.ReplaceAll(strings.TrimSuffix(log, "\n"), "\n", "\n  ") + "\nlog_confirmed: made for a test\n"
		claims += "  log.included: proven\n  log.witnessed: proven\n"
	}
	return []byte(text + claims)
}
