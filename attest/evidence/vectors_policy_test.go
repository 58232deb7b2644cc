package evidence_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// policyEdit is a policy that was changed, and what is said of it; nothing where it is
// a policy still. Its edits are pairs of what stands there and what takes its place.
type policyEdit struct {
	name, want string
	edits      []string
}

// policyEdits are further ones than policyFaults: of each rule of section 18.1, and
// policies that may be so.
func policyEdits(t *testing.T, f *testfleet.Fleet) []policyEdit {
	line := func(begin, end string) string {
		_, rest, ok := strings.Cut(string(f.Policy), begin)
		if !ok {
			t.Fatalf("the policy has no %q", begin)
		}
		text, _, _ := strings.Cut(rest, end)
		return text
	}
	person := func(name string) string {
		return line("name: "+name+"\n    role: officer\n    key: ssh-ed25519 ", "\n")
	}
	olga, omar := person("olga"), person("omar")
	raw := must(base64.StdEncoding.DecodeString(olga))
	olgaRaw := b64(raw[len(raw)-32:])
	tp, op, log := line("auditor.example\n    key: ", "\n"), line("ecdsa-p256\n    key: ", "\n"), line("  log ", "\n")
	other, submitter, rekor := formsOf(keys.Ed25519, "another party").raw, formsOf(keys.P256, "submitter").spki, formsOf(keys.P256, "rekor log").spki
	otherLog := formsOf(keys.Ed25519, "another log").log
	keeper := func(name string) string {
		return "{name: " + name + ", key: " + formsOf(keys.Ed25519, "keeper "+name).ssh["ssh-ed25519"] + ", confirmed: x}"
	}
	one, two := keeper("kim"), keeper("kai")
	followed := func(threshold, keepers string) []string {
		return []string{"log_confirmed:", "succession: {threshold: " + threshold + ", keys: [" + keepers + "]}\nlog_confirmed:"}
	}
	return []policyEdit{
		{"good-with-windows", "", []string{"    key: " + tp + "\n", "    key: " + tp + "\n    window: {not_before: 2026-01-01T00:00:00Z, not_after: 2030-01-01T00:00:00Z}\n", "log_confirmed:", "log_windows: [{key: " + log + ", window: {compromised_after: 2030-01-01T00:00:00Z}}]\nlog_confirmed:"}},
		{"good-window-of-the-year-1", "", []string{"    key: " + tp + "\n", "    key: " + tp + "\n    window: {compromised_after: 0001-01-01T00:00:00Z}\n"}},
		{"good-two-keys-of-one-party", "", []string{"    key: " + tp + "\n    confirmed: \"made by the test\"\n", "    key: " + tp + "\n    confirmed: \"made by the test\"\n  - {name: auditor.example, key: " + other + ", confirmed: x}\n"}},
		{"good-production", "", []string{"mode: rehearsal", "mode: production", "  - rehearsal.example.backup.fleet_keys.v1", "  - example.backup.fleet_keys.v1"}},
		{"good-unconfirmed", "", []string{"    key: " + tp + "\n    confirmed: \"made by the test\"\n", "    key: " + tp + "\n    confirmed: \"  \"\n"}},
		{"good-sites", "", []string{"\nlog_policy:", "\nsites: {least: 2, no_site_majority: true}\nlog_policy:"}},
		{"good-rekor", "", []string{"\nlog_policy:", "\nrekor:\n  logs: [{name: r, version: 1, origin: rekor.example, key: \"" + rekor + "\", confirmed: x}]\n  submitters: [{name: s, key: " + submitter + ", confirmed: x}]\nlog_policy:"}},
		{"namespaces-empty", "the policy pins no namespace", []string{"namespaces:\n  - rehearsal.example.backup.fleet_keys.v1\n", "namespaces: []\n"}},
		{"good-namespace-twice", "", []string{"  - rehearsal.example.backup.fleet_keys.v1\n", "  - rehearsal.example.backup.fleet_keys.v1\n  - rehearsal.example.backup.fleet_keys.v1\n"}},
		{"threshold-1-in-production", "in a production policy it is at least 2", []string{"mode: rehearsal", "mode: production", "  - rehearsal.example.backup.fleet_keys.v1", "  - example.backup.fleet_keys.v1", "threshold: 2", "threshold: 1"}},
		{"threshold-0", "threshold is zero", []string{"threshold: 2", "threshold: 0"}},
		{"threshold-missing", "threshold 0 with 3 officers", []string{"threshold: 2\n", ""}},
		{"good-two-keys-of-one-person", "", []string{"name: omar", "name: olga"}},
		{"key-of-two-people", "person \"omar\" has the key of \"olga\"", []string{omar, olga}},
		{"key-of-officer-and-third-party", "has the key of person \"olga\"", []string{tp, olgaRaw}},
		{"key-of-two-third-parties", "has the key of \"auditor.example\"", []string{"    key: " + tp + "\n    confirmed: \"made by the test\"\n", "    key: " + tp + "\n    confirmed: \"made by the test\"\n  - {name: another.example, key: " + tp + ", confirmed: x}\n"}},
		{"third-party-key-twice", "has the key of \"auditor.example\"", []string{"    key: " + tp + "\n    confirmed: \"made by the test\"\n", "    key: " + tp + "\n    confirmed: \"made by the test\"\n  - {name: auditor.example, key: " + tp + ", confirmed: x}\n"}},
		{"two-needed-of-two-keys-of-one-party", "third_parties_needed is 2; with 1 pinned", []string{"    key: " + tp + "\n    confirmed: \"made by the test\"\n", "    key: " + tp + "\n    confirmed: \"made by the test\"\n  - {name: auditor.example, key: " + other + ", confirmed: x}\n", "third_parties_needed: 1", "third_parties_needed: 2"}},
		{"no-third-party", "third_parties_needed is 1; with 0 pinned", []string{"third_parties:\n  - name: auditor.example\n    key: " + tp + "\n    confirmed: \"made by the test\"\n", "third_parties: []\n"}},
		{"operators-of-one-name", "the name \"operator-1\" is pinned twice", []string{"    form: bound\n    confirmed: \"made by the test\"\n", "    form: bound\n    confirmed: \"made by the test\"\n  - {name: operator-1, algorithm: ecdsa-p256, key: \"" + submitter + "\", form: bound, confirmed: x}\n"}},
		{"operator-of-a-third-partys-name", "the name \"auditor.example\" is pinned twice", []string{"name: operator-1", "name: auditor.example"}},
		{"operator-twice", "operator \"operator-2\" has the key of \"operator-1\"", []string{"    form: bound\n    confirmed: \"made by the test\"\n", "    form: bound\n    confirmed: \"made by the test\"\n  - {name: operator-2, algorithm: ecdsa-p256, key: \"" + op + "\", form: bound, confirmed: x}\n"}},
		{"log-policy-malformed", "the quorum \"some\" is not defined above", []string{"  quorum none", "  quorum some"}},
		{"log-policy-of-two-quorums", "is a second quorum line", []string{"  quorum none", "  quorum none\n  quorum none"}},
		{"good-window-empty", "", []string{"    key: " + tp + "\n", "    key: " + tp + "\n    window: {}\n"}},
		{"window-end-unknown", "until is not a field of this format", []string{"    key: " + tp + "\n", "    key: " + tp + "\n    window: {until: 2030-01-01T00:00:00Z}\n"}},
		{"window-of-no-time", "is not a time like", []string{"    key: " + tp + "\n", "    key: " + tp + "\n    window: {not_after: \"2030-01-01\"}\n"}},
		{"window-of-a-key-that-no-log-has", "this name and key have a11bc65c", []string{"log_confirmed:", "log_windows: [{key: log.example/other+460c7f06+AeXD5840t+i5oJM0s+L8IWyK+PYySMrpr5t767N8IbTA, window: {not_after: 2030-01-01T00:00:00Z}}]\nlog_confirmed:"}},
		{"window-of-a-log-twice", "has a window already", []string{"log_confirmed:", "log_windows: [{key: " + log + ", window: {not_after: 2030-01-01T00:00:00Z}}, {key: " + log + ", window: {not_after: 2031-01-01T00:00:00Z}}]\nlog_confirmed:"}},
		{"witness-org-of-no-witness", "has no such witness", []string{"log_confirmed:", "witness_orgs: [{name: w9, org: acme}]\nlog_confirmed:"}},
		{"one-org-of-third-party-and-operator", "are both of acme", []string{"    key: " + tp + "\n", "    key: " + tp + "\n    org: acme\n", "    form: bound\n", "    form: bound\n    org: acme\n"}},
		{"one-org-of-two-third-parties", "are both of acme", []string{"    key: " + tp + "\n    confirmed: \"made by the test\"\n", "    key: " + tp + "\n    org: acme\n    confirmed: \"made by the test\"\n  - {name: another.example, key: " + other + ", org: acme, confirmed: x}\n"}},
		{"two-orgs-of-one-name", "is of other and of acme", []string{"    key: " + tp + "\n    confirmed: \"made by the test\"\n", "    key: " + tp + "\n    org: acme\n    confirmed: \"made by the test\"\n  - {name: auditor.example, key: " + other + ", org: other, confirmed: x}\n"}},
		{"allows-what-is-not-so", "have no key in common", []string{"log_confirmed:", "allows: [{one_key: [person olga, log log.example/fleet]}]\nlog_confirmed:"}},
		{"allows-two-third-parties", "may never have one key", []string{"log_confirmed:", "allows: [{one_key: [third party auditor.example, third party another.example]}]\nlog_confirmed:"}},
		{"tolerates-empty", "tolerates nothing", []string{"log_confirmed:", "tolerates: []\nlog_confirmed:"}},
		{"tolerates-twice", "tolerates \"relax-sensitive\" twice", []string{"log_confirmed:", "tolerates: [relax-sensitive, relax-sensitive]\nlog_confirmed:"}},
		{"tolerates-unknown", "only relax-extractable and relax-sensitive can be tolerated", []string{"log_confirmed:", "tolerates: [export]\nlog_confirmed:"}},
		{"attestation-level-unknown", "least is \"good\"", []string{"log_confirmed:", "attestation: {least: good}\nlog_confirmed:"}},
		{"attestation-vendors-empty", "vendors has 0 names", []string{"log_confirmed:", "attestation: {least: fresh, vendors: []}\nlog_confirmed:"}},
		{"attestation-vendor-twice", "vendors names \"a\" twice", []string{"log_confirmed:", "attestation: {least: fresh, vendors: [a, a]}\nlog_confirmed:"}},
		{"attestation-fips-level-5", "fips_level is 5", []string{"log_confirmed:", "attestation: {least: fresh, fips_level: 5}\nlog_confirmed:"}},
		{"attestation-quirk-twice", "tolerates names \"sha1-signature\" twice", []string{"log_confirmed:", "attestation: {least: fresh, tolerates: [sha1-signature, sha1-signature]}\nlog_confirmed:"}},
		{"sites-empty", "sites demands nothing", []string{"log_confirmed:", "sites: {}\nlog_confirmed:"}},
		{"sites-least-0", "sites.least is zero", []string{"log_confirmed:", "sites: {least: 0}\nlog_confirmed:"}},
		{"sites-least-1025", "least is 1025", []string{"log_confirmed:", "sites: {least: 1025}\nlog_confirmed:"}},
		{"sites-vendors-without-attestation", "its attestation shows, and attestation: is missing", []string{"log_confirmed:", "sites: {no_vendor_majority: true}\nlog_confirmed:"}},
		{"rekor-without-submitters", "rekor pins no submitter", []string{"\nlog_policy:", "\nrekor:\n  logs: [{name: r, version: 1, origin: rekor.example, key: \"" + rekor + "\", confirmed: x}]\n  submitters: []\nlog_policy:"}},
		{"rekor-version-3", "the version is 3", []string{"\nlog_policy:", "\nrekor:\n  logs: [{name: r, version: 3, origin: rekor.example, key: \"" + rekor + "\", confirmed: x}]\n  submitters: [{name: s, key: " + submitter + ", confirmed: x}]\nlog_policy:"}},
		{"claims-empty", "claims demands nothing", []string{"claims:\n  mode: proven\n  plan.approved: proven\n  key.generated: device\n  key.nonexportable: device\n  key.possession: proven\n  fleet.checked: attested\n  signoffs.release: proven\n  statement.signed: proven\n  countersigned: proven\n  log.included: proven\n  signoffs.close: proven\n  evidence.bound: proven\n  page: proven\n  abort.signed: attested\n", "claims: {}\n"}},
		{"claims-without-a-log", "claim log.included is demanded, but log_policy pins no log", []string{"log_policy: |\n  log " + log + "\n  quorum none\nlog_confirmed: \"made by the test\"\n", ""}},
		{"claims-without-attestation", "claim key.attested is demanded", []string{"  mode: proven\n", "  mode: proven\n  key.attested: attested\n"}},
		{"claims-without-rekor", "claim rekor.included is demanded", []string{"  mode: proven\n", "  mode: proven\n  rekor.included: proven\n"}},
		{"claim-twice", "has \"mode\" twice", []string{"  mode: proven\n", "  mode: proven\n  mode: proven\n"}},
		{"good-succession", "", followed("2", one+", "+two)},
		{"succession-threshold-0", "threshold", followed("0", one)},
		{"succession-threshold-more-than-keepers", "threshold", followed("3", one+", "+two)},
		{"succession-of-nobody", "succession", followed("1", "")},
		{"succession-name-twice", "kim", followed("1", one+", "+strings.Replace(two, "kai", "kim", 1))},
		{"member-unknown", "trust_everything is not a field of this format", []string{"log_confirmed:", "trust_everything: true\nlog_confirmed:"}},
		{"window-of-a-key-that-is-not-pinned", "is no key of the policy", []string{"log_confirmed:", "log_windows: [{key: " + otherLog + ", window: {not_after: 2030-01-01T00:00:00Z}}]\nlog_confirmed:"}},
		{"quorum-that-needs-the-third-partys-witness", "the quorum can't be met by strangers", []string{"  quorum none", "  witness w1 w1.example+ea67f28c+BE1caVIv5Y+Pgq1DglLYEsNuKF1BQ+iUtq9MhmmWMIvJ\n  quorum w1", "log_confirmed:", "witness_orgs: [{name: w1, org: auditor.example}]\nlog_confirmed:"}},
	}
}

// Policies, each with one fault at most, for implementations of other makers.
func TestPolicyVectors(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "vector policy", HSMs: 1})
	set, good := testvectors.NewSet("policy"), string(f.Policy)
	add := func(name, want, text string) {
		c := testvectors.Case{Name: name, What: strings.ReplaceAll(name, "-", " "), Verdict: testvectors.Accept, Reason: want}
		_, err := evidence.ParsePolicy("policy.yaml", []byte(text))
		if want != "" {
			c.Verdict = testvectors.Reject
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		set.Add(t, c, testvectors.Part{Part: "policy", Name: "policy.yaml", Data: []byte(text)})
	}
	add("good", "", good)
	for _, c := range policyFaults(good) {
		add(c.name, c.want, strings.Replace(good, c.old, c.new, 1))
	}
	for _, c := range policyEdits(t, f) {
		text := good
		for i := 0; i < len(c.edits); i += 2 {
			if !strings.Contains(text, c.edits[i]) {
				t.Errorf("%s: the policy has no %q", c.name, c.edits[i])
			}
			text = strings.Replace(text, c.edits[i], c.edits[i+1], 1)
		}
		add(c.name, c.want, text)
	}
	hybrid := testfleet.New(t, testfleet.Options{Name: "hybrid policy", HSMs: 1, PostQuantum: keys.MLDSA44, To: -1})
	add("good-hybrid", "", string(hybrid.Policy))
	for _, c := range hybridPolicyFaults(t, hybrid) {
		add("hybrid-"+c.name, c.want, string(c.text))
	}
	set.Check(t)
}
