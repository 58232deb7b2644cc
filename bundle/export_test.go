package bundle

import (
	"fmt"
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
	Log              bool // the policy pins a log
}

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
		list = append(list, Judged{Name: "judged-" + v.name, What: strings.ReplaceAll(v.name, "-", " "), Want: want, Bundle: v.data})
	}
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
		v.Bundle, v.Log = leaf, true
		list = append(list, v)
	}
	return list
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
