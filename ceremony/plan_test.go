package ceremony_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// lineOf is the number of the first line that has the text.
func lineOf(t *testing.T, text, what string) int {
	t.Helper()
	i := strings.Index(text, what)
	if i < 0 {
		t.Fatalf("the file has no %q", what)
	}
	return strings.Count(text[:i], "\n") + 1
}

// planFault is a plan with one fault: where it is, and what is said of it.
type planFault struct{ name, old, new, at, want string }

// planFaults are those of a plan of three HSMs and one role.
func planFaults(p *ceremony.Plan) []planFault {
	return []planFault{
		{"format-of-another-version", "plan v1", "plan v9", "format: fleetctl", `format is "fleetctl plan v9", not "fleetctl plan v1"`},
		{"mode-unknown", "mode: rehearsal", "mode: both", "mode: both", `mode is "both"; it is production or rehearsal`},
		{"production-in-a-rehearsals-namespace", "mode: rehearsal", "mode: production", "namespace:", `a rehearsal's namespace, and no other, begins with "rehearsal."`},
		{"rehearsal-in-a-production-namespace", "namespace: rehearsal.", "namespace: ", "namespace:", `a rehearsal's namespace, and no other, begins with "rehearsal."`},
		{"epoch-0", "epoch: 1", "epoch: 0", "epoch: 0", "epoch is 0; a namespace's first is 1"},
		{"epoch-2-without-previous", "epoch: 1", "epoch: 2", "previous:", "epoch 2 needs the digest of epoch 1's artifact"},
		{"epoch-1-with-previous", `previous: ""`, "previous: " + strings.Repeat("ab", 32), "previous:", `epoch 1 has no predecessor, so previous is ""`},
		{"rehearses-zeros", "\nfleet:", "\nrehearses: " + strings.Repeat("00", 32) + "\nfleet:", "rehearses:", "rehearses"},
		{"rehearses-short", "\nfleet:", "\nrehearses: abcd\nfleet:", "rehearses:", "rehearses"},
		{"production-rehearses-zeros", "mode: rehearsal", "mode: production\nrehearses: " + strings.Repeat("00", 32), "rehearses:", "a production plan rehearses nothing"},
		{"production-rehearses", "mode: rehearsal", "mode: production\nrehearses: " + strings.Repeat("ab", 32), "rehearses:", "a production plan rehearses nothing"},
		{"serial-with-a-turning-character", p.HSMs[1].Serial, "a\\u202eb", "name: hsm-2", "has a serial that has the character U+202E"},
		{"majority-half", "majority: 2", "majority: 1", "majority: 1", "majority 1 of 3 HSMs: it is at least 2 and at most 3"},
		{"majority-more-than-all", "majority: 2", "majority: 4", "majority: 4", "majority 4 of 3 HSMs: it is at least 2 and at most 3"},
		{"hsm-twice", "name: hsm-2", "name: hsm-1", "", `hsm "hsm-1" is already at line`},
		{"serial-twice", p.HSMs[1].Serial, p.HSMs[0].Serial, "name: hsm-2", "has the serial of line"},
		{"serial-empty", p.HSMs[1].Serial, "", "name: hsm-2", `hsm "hsm-2" has no serial`},
		{"serial-of-65-bytes", p.HSMs[1].Serial, strings.Repeat("9", 65), "name: hsm-2", "has a serial of 65 bytes"},
		{"algorithm-unknown", "algorithm: ed25519", "algorithm: ed448", "name: session", `role "session": algorithm "ed448" is not known; known are `},
		{"algorithm-of-another-use", "algorithm: ed25519", "algorithm: x25519", "name: session", `role "session": the use of a key of kind x25519 is agree, the plan says use: sign`},
		{"use-of-another-algorithm", "algorithm: ed25519", "use: agree\n    algorithm: ed25519", "name: session", `role "session": the use of a key of kind ed25519 is sign, the plan says use: agree`},
		{"use-unknown", "algorithm: ed25519", "use: wrap\n    algorithm: ed25519", "name: session", `role "session": use is "wrap"; it is sign or agree`},
		{"use-empty", "algorithm: ed25519", "use: \"\"\n    algorithm: ed25519", "use:", "use"},
		{"attribute-fixed-changed", "algorithm: ed25519", "algorithm: ed25519\n    attributes: {EXTRACTABLE: required true}", "attributes: {", `attribute EXTRACTABLE must be "required false" in every plan`},
		{"attribute-fixed-weakened", "algorithm: ed25519", "algorithm: ed25519\n    attributes: {SENSITIVE: if-supported true}", "attributes: {", `attribute SENSITIVE must be "required true" in every plan`},
		{"attribute-unknown", "algorithm: ed25519", "algorithm: ed25519\n    attributes: {COLOUR: required true}", "attributes: {", "attribute COLOUR is not known here"},
		{"attribute-setting-unknown", "algorithm: ed25519", "algorithm: ed25519\n    attributes: {COPYABLE: maybe}", "attributes: {", `attribute COPYABLE must be "required true"`},
		{"attributes-no-mapping", "algorithm: ed25519", "algorithm: ed25519\n    attributes: some", "attributes: some", "attributes is a string, not a list"},
		{"threshold-0", "threshold: 2", "threshold: 0", "threshold: 0", "threshold 0 with 3 officers"},
		{"threshold-more-than-officers", "threshold: 2", "threshold: 4", "threshold: 4", "threshold 4 with 3 officers: in a rehearsal plan it is at least 1 and at most their number"},
		{"role-of-a-person-unknown", "role: witness", "role: king", "name: wanda", `person "wanda": role "king" is none of officer, witness, auditor`},
		{"no-witness", "role: witness", "role: officer", "name: olga", "the plan has no witness"},
		{"no-auditor", "role: auditor", "role: officer", "name: olga", "the plan has no auditor"},
		{"person-twice", "name: omar", "name: olga", "", `person "olga" is there twice`},
		{"key-of-two-people", p.People[1].Key, p.People[0].Key, "name: omar", `person "omar" has the key of "olga"`},
		{"key-of-a-person-rsa", p.People[1].Key, "ssh-rsa AAAA", "name: omar", `person "omar": key`},
		{"ciphersuite-3", "ciphersuite: 1", "ciphersuite: 3", "name: auditor.example", "ciphersuite 3 is neither 1 (protobuf) nor 2 (bincode)"},
		{"form-unknown", "form: bound", "form: loose", "form: loose", `form "loose" is neither "bound" nor "signature"`},
		{"countersigner-algorithm-of-another-key", "algorithm: ecdsa-p256", "algorithm: ecdsa-p384", "algorithm: ecdsa-p384", "the key is ecdsa-p256, the plan says ecdsa-p384"},
		{"log-policy-malformed", "  quorum none", "  quorum nobody", "log_policy:", "log_policy"},
		{"majority-no-number", "majority: 2", "majority: two", "majority: two", "majority"},
		{"member-unknown", "majority: 2", "majority: 2\nminority: 1", "minority:", "minority"},
		{"fleet-no-token", "fleet: backup-test", "fleet: backup test", "fleet:", "fleet"},
	}
}

func TestEachFaultOfAPlanIsNamedAtItsLine(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	good := string(f.Plan.Raw())
	p := f.Plan
	for _, c := range planFaults(p) {
		text := strings.Replace(good, c.old, c.new, 1)
		if text == good {
			t.Errorf("%q: nothing is changed", c.old)
			continue
		}
		got, err := ceremony.ParsePlan("plan.yaml", []byte(text))
		var list strict.Errors
		if got != nil || !errors.As(err, &list) {
			t.Errorf("%q: %v, %v", c.new, got, err)
			continue
		}
		ok := false
		for _, e := range list {
			ok = ok || strings.Contains(e.Msg, c.want) && e.File == "plan.yaml" && (c.at == "" || e.Line == lineOf(t, text, c.at))
		}
		if !ok {
			t.Errorf("%q: got %v; want %q at line %s", c.new, err, c.want, c.at)
		}
	}
	t.Logf("%d faults", len(planFaults(p)))
}

// A plan may want all of its officers, and all of its HSMs.
func TestAPlanMayWantAllItHas(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	for old, all := range map[string]string{"threshold: 2": "threshold: 3", "majority: 2": "majority: 3"} {
		text := strings.Replace(string(f.Plan.Raw()), old, all, 1)
		if _, err := ceremony.ParsePlan("plan.yaml", []byte(text)); err != nil || !strings.Contains(text, all) {
			t.Errorf("%s: %v", all, err)
		}
	}
}

func TestAllFaultsOfAPlanAreNamedAtOnce(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	text := strings.NewReplacer("epoch: 1", "epoch: 0", "majority: 2", "majority: 9", f.Plan.HSMs[2].Serial, f.Plan.HSMs[0].Serial,
		"threshold: 2", "threshold: 9", "ciphersuite: 1", "ciphersuite: 9", "form: bound", "form: loose", "role: witness", "role: king").Replace(string(f.Plan.Raw()))
	_, err := ceremony.ParsePlan("plan.yaml", []byte(text))
	var list strict.Errors
	if !errors.As(err, &list) || len(list) != 8 { // the king leaves the plan without a witness
		t.Fatalf("%d faults are named, not 8:\n%v", len(list), err)
	}
}

func TestAPlanThatCantFitIsRefused(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	text := ofManyHSMs(string(f.Plan.Raw()))
	_, err := ceremony.ParsePlan("plan.yaml", []byte(text))
	wantError(t, err, "the validation bundle could have")
	if f.Plan.MaxBundle() < len(testfleet.New(t, testfleet.Options{}).Files[ceremony.BundleFile]) {
		t.Error("a real bundle is larger than the largest possible")
	}
}
