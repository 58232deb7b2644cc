package ceremony_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// planEdit is a plan that was changed, and what is said of it; nothing where it is a
// plan still. Its edits are pairs of what stands there and what takes its place.
type planEdit struct {
	name, want string
	edits      []string
}

// production makes a plan one of production.
var production = []string{"mode: rehearsal", "mode: production", "namespace: rehearsal.", "namespace: "}

// drilledPlan gives a plan a role of keys that agree, and a drill.
func drilledPlan(session, agreement, stages string) []string {
	return []string{
		"    algorithm: ed25519\n", "    algorithm: ed25519\n  - name: sealing\n    use: agree\n    algorithm: ecdh-p256\n",
		"  quorum none\n", fmt.Sprintf("  quorum none\ndrill: {session: %s, agreement: %s, stages: [%s]}\n", session, agreement, stages),
	}
}

// planEdits are further ones than planFaults: of each rule of sections 1.2 and 4, and
// plans that may be so.
func planEdits(p *ceremony.Plan) []planEdit {
	key, person := b64(p.ThirdParties[0].Key[:]), must(base64.StdEncoding.DecodeString(strings.Fields(p.People[0].Key)[1]))
	vkey := strings.SplitN(must(auditlog.ParsePolicy("", []byte(p.LogPolicy))).Logs()[0].Key.String(), "+", 3)
	log := must(base64.StdEncoding.DecodeString(vkey[2]))[1:]
	return []planEdit{
		{"good-production", "", []string{"mode: rehearsal", "mode: production", "namespace: rehearsal.", "namespace: "}},
		{"good-all-it-has", "", []string{"majority: 2", "majority: 3", "threshold: 2", "threshold: 3"}},
		{"good-rehearses", "", []string{"\nfleet:", "\nrehearses: abababababababababababababababababababababababababababababababab\nfleet:"}},
		{"good-attributes", "", []string{"algorithm: ed25519", "algorithm: ed25519\n    attributes: {COPYABLE: required false, EXTRACTABLE: required false}"}},
		{"good-in-json-style", "", []string{"  - name: session\n    algorithm: ed25519", "  - {name: \"session\", algorithm: 'ed25519'}"}},
		{"good-agrees", "", []string{"algorithm: ed25519", "use: agree\n    algorithm: ecdh-p256"}},
		{"good-attested", "", []string{"serial: \"09f28a2de1d85547\"", "serial: \"0000000000000000\"\n    attestation: {format: tpm2-certify, identity: a}", "serial: \"f82b170fe359d98e\"", "serial: \"0000000000000000\"\n    attestation: {format: tpm2-certify, identity: b}", "serial: \"ee7783e50b8be5aa\"", "serial: \"0000000000000000\"\n    attestation: {format: tpm2-certify, identity: c}", "algorithm: ed25519", "algorithm: ecdsa-p256"}},
		{"attestation-of-one-hsm", "is named by its attestation, and hsm \"hsm-2\" is not", []string{"serial: \"09f28a2de1d85547\"", "serial: \"09f28a2de1d85547\"\n    attestation: {format: tpm2-certify, identity: a}", "algorithm: ed25519", "algorithm: ecdsa-p256"}},
		{"identity-twice", "has the attestation identity of line", []string{"serial: \"09f28a2de1d85547\"", "serial: \"09f28a2de1d85547\"\n    attestation: {format: tpm2-certify, identity: a}", "serial: \"f82b170fe359d98e\"", "serial: \"f82b170fe359d98e\"\n    attestation: {format: tpm2-certify, identity: b}", "serial: \"ee7783e50b8be5aa\"", "serial: \"ee7783e50b8be5aa\"\n    attestation: {format: tpm2-certify, identity: b}", "algorithm: ed25519", "algorithm: ecdsa-p256"}},
		{"hsms-empty", "the plan has no HSM", []string{"  - name: hsm-1\n    site: lab\n    serial: \"09f28a2de1d85547\"\n  - name: hsm-2\n    site: lab\n    serial: \"f82b170fe359d98e\"\n  - name: hsm-3\n    site: lab\n    serial: \"ee7783e50b8be5aa\"\n", "[]\n", "hsms:\n", "hsms: "}},
		{"site-no-token", "hsms[0].site", []string{"site: lab", "site: the lab"}},
		{"models-empty", "models lists nothing", []string{"\nmajority:", "\nmodels: []\nmajority:"}},
		{"model-twice", "model \"A\" is there twice", []string{"\nmajority:", "\nmodels: [A, A]\nmajority:"}},
		{"roles-empty", "the plan has no key role", []string{"roles:\n  - name: session\n    algorithm: ed25519\n", "roles: []\n"}},
		{"role-twice", "role \"session\" is there twice", []string{"    algorithm: ed25519\n", "    algorithm: ed25519\n  - name: session\n    algorithm: ed25519\n"}},
		{"attribute-that-a-plan-may-not-change", "attribute DERIVE must be \"required false\" in every plan", []string{"algorithm: ed25519", "algorithm: ed25519\n    attributes: {DERIVE: required true}"}},
		{"threshold-1-in-production", "in a production plan it is at least 2", []string{"mode: rehearsal", "mode: production", "namespace: rehearsal.", "namespace: ", "threshold: 2", "threshold: 1"}},
		{"person-no-token", "people[1].name \"omar sharif\" has byte", []string{"name: omar", "name: omar sharif"}},
		{"key-of-a-person-with-options", "key has options before its type", []string{"key: ssh-ed25519", "key: no-pty ssh-ed25519"}},
		{"third-parties-needed-0", "third_parties_needed is zero", []string{"# third_parties_needed: 2\n", "third_parties_needed: 0\n"}},
		{"third-parties-needed-more-than-there-are", "third_parties_needed is 2; with 1 third parties it is from 1 to 1", []string{"# third_parties_needed: 2\n", "third_parties_needed: 2\n"}},
		{"third-parties-empty", "the plan has no third party", []string{"third_parties:\n  - name: auditor.example\n    key: " + key + "\n    ciphersuite: 1\n", "third_parties: []\n"}},
		{"third-party-twice", "third party \"auditor.example\" is there twice", []string{"    ciphersuite: 1\n", "    ciphersuite: 1\n  - name: auditor.example\n    key: Gn1wg7ZkrEOGWn2XAs8ncqzc8eNGQU3YnyRxlZh5/FQ=\n    ciphersuite: 1\n"}},
		{"third-party-of-small-order", "small order", []string{key, "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
		{"third-party-of-31-bytes", "has 31 bytes, not 32", []string{key, "iA8ZhQcpth1KngYEZBPucZ6nwkyGhkViHurlmu89Vg=="}},
		{"third-party-key-in-another-base64", "is not canonical base64", []string{key, "iA8ZhQcpth1KngYEZBPucZ6nwkyGhkViHurlmu89VrF="}},
		{"one-key-for-two-third-parties", "has the key of \"auditor.example\"", []string{"    ciphersuite: 1\n", "    ciphersuite: 1\n  - name: another.example\n    key: " + key + "\n    ciphersuite: 1\n"}},
		{"officers-key-for-a-third-party", "has the key of", []string{key, b64(person[len(person)-32:])}},
		{"log-key-for-a-third-party", "has the key of", []string{key, b64(log)}},
		{"countersigner-agrees", "countersigner \"operator-1\": a key of kind x25519 can't sign", []string{"algorithm: ecdsa-p256", "algorithm: x25519", "  key: MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYqkH/UfdsxIAaX8eeC9Cw3aNYEyxw9zF9eBpI1Z7m22LRGuw3St+QdZB7Dh2e1yGLu6h7YQrUtDCvluY/xx2sQ==", "  key: MCowBQYDK2VuAyEACQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
		{"form-signature-of-two-third-parties", "form signature covers one statement", []string{"form: bound", "form: signature", "    ciphersuite: 1\n", "    ciphersuite: 1\n  - name: another.example\n    key: Gn1wg7ZkrEOGWn2XAs8ncqzc8eNGQU3YnyRxlZh5/FQ=\n    ciphersuite: 1\n"}},
		{"good-drilled", "", drilledPlan("session", "sealing", "sessions, logins, faults, lock, rollback, succession, passkey")},
		{"good-drilled-in-production", "", append(drilledPlan("session", "sealing", "sessions, passkey"), production...)},
		{"drill-by-keys-that-agree", "drill: session is \"sealing\", and the plan has no such role of keys that sign", drilledPlan("sealing", "sealing", "sessions")},
		{"drill-by-no-role", "drill: session is \"nobody\"", drilledPlan("nobody", "sealing", "sessions")},
		{"drill-sealed-to-keys-that-sign", "drill: agreement is \"session\", and the plan has no such role of keys that agree", drilledPlan("session", "session", "sessions")},
		{"drill-sealed-to-x25519", "drill: the nodes' secrets are sealed to keys of kind ecdh-p256, not x25519", append(drilledPlan("session", "sealing", "sessions"), "algorithm: ecdh-p256", "algorithm: x25519")},
		{"drill-of-no-such-stage", "drill: there is no stage \"tea\"", drilledPlan("session", "sealing", "sessions, tea")},
		{"drill-stages-in-another-order", "drill: stage sessions stands behind logins", drilledPlan("session", "sealing", "logins, sessions")},
		{"drill-stage-twice", "drill: stage sessions stands behind sessions", drilledPlan("session", "sealing", "sessions, sessions")},
		{"drill-without-sessions", "drill: stages has no sessions", drilledPlan("session", "sealing", "logins, lock")},
		{"drill-without-stages", "drill: stages has no sessions", drilledPlan("session", "sealing", "")},
		{"drill-of-a-second-epoch-in-production", "drill: stage succession takes a second epoch", append(drilledPlan("session", "sealing", "sessions, succession"), production...)},
		{"drill-of-a-greater-majority", "drill: majority 3 of 3 HSMs", append(drilledPlan("session", "sealing", "sessions"), "majority: 2", "majority: 3")},
		{"drill-of-two-hsms", "drill: with 2 HSMs none may fail", append(drilledPlan("session", "sealing", "sessions"), "  - name: hsm-3\n    site: lab\n    serial: \"ee7783e50b8be5aa\"\n", "")},
		{"lockdown-blank", "lockdown entry 1 is empty", []string{"  quorum none\n", "  quorum none\nlockdown: [\" \"]\n"}},
		{"lockdown-with-space-around", "lockdown entry 1 is empty, or has space", []string{"  quorum none\n", "  quorum none\nlockdown: [\"lock it \"]\n"}},
		{"lockdown-of-301-bytes", "lockdown entry 1 has 301 bytes", []string{"  quorum none\n", "  quorum none\nlockdown: [\"" + strings.Repeat("x", 301) + "\"]\n"}},
		{"login-refused-of-no-hsm", "hsm \"hsm-9\" is not in the plan", []string{"  quorum none\n", "  quorum none\nlockdown: [login-refused hsm-9]\n"}},
		{"tolerates-unknown", "only relax-extractable and relax-sensitive can be tolerated", []string{"    site: lab", "    tolerates: [export]\n    site: lab"}},
		{"tolerates-twice", "tolerates \"relax-sensitive\" twice", []string{"    site: lab", "    tolerates: [relax-sensitive, relax-sensitive]\n    site: lab"}},
		{"tolerates-empty", "tolerates nothing", []string{"    site: lab", "    tolerates: []\n    site: lab"}},
		{"agreement-unknown", "agreement is \"by-hand\"", []string{"    site: lab", "    agreement: by-hand\n    site: lab"}},
		{"agreement-where-nothing-agrees", "has no role that does", []string{"    site: lab", "    agreement: tpm2-ecdh-zgen\n    site: lab"}},
		{"agreement-by-a-tpm-of-x25519", "no TPM has x25519", []string{"    site: lab", "    agreement: tpm2-ecdh-zgen\n    site: lab", "algorithm: ed25519", "use: agree\n    algorithm: x25519"}},
		{"member-missing", "fleet is missing", []string{"fleet: backup-test\n", ""}},
		{"member-in-another-case", "Fleet is not a field of this format", []string{"fleet:", "Fleet:"}},
		{"member-twice", "has \"epoch\" twice", []string{"epoch: 1\n", "epoch: 1\nepoch: 1\n"}},
		{"member-null", "previous is null", []string{"previous: \"\"", "previous: null"}},
		{"string-empty", "fleet is empty", []string{"fleet: backup-test", "fleet: \"\""}},
		{"number-in-hex", "is not a decimal integer", []string{"majority: 2", "majority: 0x2"}},
		{"number-with-underscores", "is not a decimal integer", []string{"majority: 2", "majority: 0_2"}},
		{"number-as-a-float", "is not a decimal integer", []string{"majority: 2", "majority: 2.0"}},
		{"number-in-quotes", "majority is a string, not an integer", []string{"majority: 2", "majority: \"2\""}},
		{"anchor", "has an anchor or alias", []string{"fleet: backup-test", "fleet: &a backup-test"}},
		{"tag", "has a tag", []string{"fleet: backup-test", "fleet: !!str backup-test"}},
		{"merge-key", "has a field name that is no plain word", []string{"countersigner:\n", "countersigner:\n  <<: {name: a}\n"}},
		{"second-document", "has more than one document", []string{"# Logs and witnesses", "---\n# Logs and witnesses"}},
		{"directive", "has a directive", []string{"format: fleetctl", "%YAML 1.1\n---\nformat: fleetctl"}},
		{"plain-yes", "has \"yes\", which readers of YAML 1.1 take for something else", []string{"fleet: backup-test", "fleet: yes"}},
		{"plain-in-base-60", "has \"1:30\"", []string{"fleet: backup-test", "fleet: 1:30"}},
		{"plain-day", "has \"2026-11-21\"", []string{"fleet: backup-test", "fleet: 2026-11-21"}},
		{"serial-of-digits-in-no-quotes", "hsms[0].serial is a number, not a string", []string{"serial: \"09f28a2de1d85547\"", "serial: 1234567890123456"}},
		{"byte-order-mark", "has the character U+FEFF", []string{"# Plan of", "\ufeff# Plan of"}},
		{"control-character", "has the character U+0001", []string{"# Plan of", "# Plan\x01 of"}},
		{"turning-character-in-a-comment", "has the character U+202E", []string{"# Plan of", "# Plan\u202e of"}},
	}
}

// hybridEdits are plans with post-quantum keys beside the others.
func hybridEdits(p *ceremony.Plan) []planEdit {
	party, operator := b64(p.ThirdParties[0].PostQuantum.Key), b64(p.Countersigner.PostQuantum.Key)
	return []planEdit{
		{"good-post-quantum", "", []string{"", ""}},
		{"post-quantum-key-of-another-kind", "its post_quantum key is ml-dsa-44, the plan says ml-dsa-65", []string{"algorithm: ml-dsa-44", "algorithm: ml-dsa-65"}},
		{"post-quantum-key-that-is-classical", "its post_quantum key is ecdsa-p256, the plan says ml-dsa-44", []string{party, b64(p.Countersigner.Key)}},
		{"post-quantum-key-that-is-none", "its post_quantum key is", []string{party, "AAAA"}},
		{"post-quantum-key-of-two", "has the key of", []string{party, operator}},
		{"post-quantum-and-form-signature", "form signature covers no post-quantum signature", []string{"form: bound", "form: signature"}},
		{"two-post-quantum-countersigner-keys", "both keys are post-quantum", []string{"  algorithm: ecdsa-p256\n  key: " + b64(p.Countersigner.Key), "  algorithm: ml-dsa-44\n  key: " + b64(p.ThirdParties[0].PostQuantum.Key)}},
	}
}

// Plans, each with one fault at most, for implementations of other makers.
func TestPlanVectors(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "vector plan"})
	set, good := testvectors.NewSet("plan"), string(f.Plan.Raw())
	add := func(name, want, text string) {
		c := testvectors.Case{Name: name, What: strings.ReplaceAll(name, "-", " "), Verdict: testvectors.Accept, Reason: want}
		_, err := ceremony.ParsePlan("plan.yaml", []byte(text))
		if want != "" {
			c.Verdict = testvectors.Reject
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		set.Add(t, c, testvectors.Part{Part: "plan", Name: "plan.yaml", Data: []byte(text)})
	}
	add("good", "", good)
	for _, c := range planFaults(f.Plan) {
		add(c.name, c.want, strings.Replace(good, c.old, c.new, 1))
	}
	g := destroying(t)
	destroys := string(g.Plan.Raw())
	add("good-destroys", "", destroys)
	ofDestroys := destroyEdits(g.Plan)
	for n, c := range slices.Concat(ofDestroys, planEdits(f.Plan)) {
		text := good
		if n < len(ofDestroys) {
			text = destroys
		}
		for i := 0; i < len(c.edits); i += 2 {
			if !strings.Contains(text, c.edits[i]) {
				t.Errorf("%s: the plan has no %q", c.name, c.edits[i])
			}
			text = strings.Replace(text, c.edits[i], c.edits[i+1], 1)
		}
		add(c.name, c.want, text)
	}
	hybrid := testfleet.Prepared(t, testfleet.Options{Name: "hybrid plan", HSMs: 3, PostQuantum: keys.MLDSA44})
	for _, c := range hybridEdits(hybrid.Plan) {
		text := strings.Replace(string(hybrid.Plan.Raw()), c.edits[0], c.edits[1], 1)
		if text == string(hybrid.Plan.Raw()) && c.name != "good-post-quantum" {
			t.Errorf("%s: the plan has no %q", c.name, c.edits[0])
		}
		add(c.name, c.want, text)
	}
	add("too-large-a-bundle", "the validation bundle could have", ofManyHSMs(good))
	set.Check(t)
}

// ofManyHSMs is a plan whose bundle could be too large.
func ofManyHSMs(good string) string {
	var hsms strings.Builder
	for i := range 500 {
		fmt.Fprintf(&hsms, "  - {name: hsm-%d, site: lab, serial: \"%d\"}\n", i, i)
	}
	from, to := strings.Index(good, "  - name: hsm-1"), strings.Index(good, "\n# Every HSM gets")
	return strings.Replace(good[:from]+hsms.String()+good[to:], "majority: 2", "majority: 251", 1)
}
