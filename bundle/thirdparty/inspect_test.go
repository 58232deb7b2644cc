package thirdparty_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// changed is a request with its files changed.
func changed(r *bundle.Request, edit func(files map[string][]byte)) *bundle.Request {
	files := map[string][]byte{}
	for _, f := range r.Files {
		files[f.Path] = bytes.Clone(f.Data)
	}
	edit(files)
	var list []bundle.File
	for _, path := range slices.Sorted(maps.Keys(files)) {
		list = append(list, bundle.File{Path: path, Data: files[path]})
	}
	return must(bundle.NewRequest(r.Core, list))
}

// TestARequestHasEveryOnlookersVerdict: or an exception that officers accepted
// says who gives none, whether the third party's policy pins them or not.
func TestARequestHasEveryOnlookersVerdict(t *testing.T) {
	onlookers := []ceremony.Person{{Name: "wim", Role: ceremony.Witness}}
	f := asked(t, testfleet.Options{Onlookers: onlookers})
	away := asked(t, testfleet.Options{Name: "away", Onlookers: onlookers, Away: []string{"wim"}})
	text, _, named := strings.Cut(string(f.ThirdPartyPolicy()), "  - {name: wim,") // who is the last
	if !named {
		t.Fatal("the policy does not name wim")
	}
	unaware := must(thirdparty.ParsePolicy("policy", []byte(text)))
	l := ledger(t, f)
	for _, p := range []*thirdparty.Policy{policy(f), unaware} {
		must(thirdparty.Inspect("request.json", f.Request, p, l))
		_, err := thirdparty.Inspect("request.json", changed(f.Request, func(x map[string][]byte) { without(x, "signoffs/release/wim") }), p, l)
		wantError(t, err, "no verdict by wim, and no exception that officers accepted names them as absent")
	}
	l = ledger(t, away)
	must(thirdparty.Inspect("request.json", away.Request, policy(away), l))
	_, err := thirdparty.Inspect("request.json", changed(away.Request, func(x map[string][]byte) { without(x, "approvals/exception-") }), policy(away), l)
	wantError(t, err, `approved the act "exception"`)
}

func TestARequestIsCheckedByItsEvidence(t *testing.T) {
	f, other := asked(t, testfleet.Options{}), asked(t, testfleet.Options{Name: "other"})
	p, l := policy(f), ledger(t, f)
	in := must(thirdparty.Inspect("request.json", f.Request, p, l))
	if in.Account.Release == nil || in.Party.Name != "auditor.example" || in.Delta != nil || in.Again {
		t.Fatalf("inspected as %+v", in)
	}
	lines := func(data []byte) [][]byte {
		return bytes.SplitAfter(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	}
	for _, c := range []struct {
		name, want string
		edit       func(files map[string][]byte)
	}{
		{"no plan", "lacks plan.yaml", func(x map[string][]byte) { delete(x, ceremony.PlanFile) }},
		{"no transcript", "lacks transcript.jsonl", func(x map[string][]byte) { delete(x, ceremony.TranscriptFile) }},
		{"another plan", "its plan.yaml is not the plan that it names", func(x map[string][]byte) { x[ceremony.PlanFile] = append(x[ceremony.PlanFile], '#') }},
		{"another's plan", "its plan.yaml is not", func(x map[string][]byte) { x[ceremony.PlanFile] = other.Plan.Raw() }},
		{"another's transcript", "does not begin at this plan", func(x map[string][]byte) {
			for _, y := range other.Request.Files {
				if y.Path == ceremony.TranscriptFile {
					x[ceremony.TranscriptFile] = y.Data
				}
			}
		}},
		{"no release", "does not stand at the request", func(x map[string][]byte) {
			list := lines(x[ceremony.TranscriptFile])
			x[ceremony.TranscriptFile] = bytes.Join(list[:len(list)-1], nil)
		}},
		{"nothing but the opening", "the fleet check has not passed", func(x map[string][]byte) {
			x[ceremony.TranscriptFile] = lines(x[ceremony.TranscriptFile])[0]
		}},
		{"torn", "is cut off after record", func(x map[string][]byte) {
			x[ceremony.TranscriptFile] = append(x[ceremony.TranscriptFile], '{')
		}},
		{"a record less", "record 6 says that it is record 7", func(x map[string][]byte) {
			list := lines(x[ceremony.TranscriptFile])
			x[ceremony.TranscriptFile] = bytes.Join(append(list[:5:5], list[6:]...), nil)
		}},
		{"no plan approvals", "0 of 2 officers whom the policy pins approved the plan", func(x map[string][]byte) { without(x, "plan-approvals/") }},
		{"one plan approval", "1 of 2 officers whom the policy pins approved the plan", func(x map[string][]byte) { without(x, "plan-approvals/olga") }},
		{"no approvals", "approved the act \"open\"", func(x map[string][]byte) { without(x, "approvals/") }},
		{"request not approved", "approved the act \"request\"", func(x map[string][]byte) { without(x, "approvals/request") }},
		{"opening not approved", "approved the act \"open\"", func(x map[string][]byte) { without(x, "approvals/open") }},
		{"no sign-off", "0 of 2 officers agree", func(x map[string][]byte) { without(x, "signoffs/release/") }},
		{"no witness", "no witness has signed", func(x map[string][]byte) { without(x, "signoffs/release/wanda") }},
		{"no auditor", "no auditor has signed", func(x map[string][]byte) { without(x, "signoffs/release/ada") }},
		{"a text without signature", "has no signature beside it", func(x map[string][]byte) { delete(x, "signoffs/release/ada.sig") }},
		{"a signature without text", "signs a text that is not beside it", func(x map[string][]byte) { delete(x, "signoffs/release/ada") }},
		{"a text beside a signature over the plan", "is a text of its own", func(x map[string][]byte) { x["plan-approvals/olga"] = []byte("x\n") }},
		{"an approval under the name of another act", "its name must be open-", func(x map[string][]byte) {
			for path, data := range x {
				if base, ok := strings.CutPrefix(path, "approvals/open-"); ok {
					x["approvals/resume-"+base] = data
				}
			}
		}},
		{"a file of nothing", "which is no part of a request", func(x map[string][]byte) { x["notes.txt"] = []byte("x\n") }},
		{"a sign-off of the close", "which is no part of a request", func(x map[string][]byte) { x["signoffs/close/olga"] = []byte("x\n") }},
		{"signatures exchanged", "signature", func(x map[string][]byte) {
			x["signoffs/release/ada.sig"] = x["signoffs/release/wanda.sig"]
		}},
	} {
		r := changed(f.Request, c.edit)
		got, err := thirdparty.Inspect("request.json", r, p, l)
		if wantError(t, err, c.want); got != nil || t.Failed() {
			t.Fatalf("%s: %+v", c.name, got)
		}
	}
}

func without(files map[string][]byte, prefix string) {
	maps.DeleteFunc(files, func(path string, _ []byte) bool { return strings.HasPrefix(path, prefix) })
}

// The people whom the request's own plan names are not those who count.
func TestOnlyPinnedPeopleCount(t *testing.T) {
	f, other := asked(t, testfleet.Options{}), asked(t, testfleet.Options{Name: "other"})
	text := strings.Replace(string(f.ThirdPartyPolicy()), f.Plan.People[0].Key, other.Plan.People[0].Key, 1)
	l := ledger(t, f)
	_, err := thirdparty.Inspect("r", f.Request, must(thirdparty.ParsePolicy("tp.yaml", []byte(text))), l)
	wantError(t, err, "1 of 2 officers whom the policy pins approved the plan")
	text = strings.Replace(string(f.ThirdPartyPolicy()), "threshold: 2", "threshold: 3", 1)
	_, err = thirdparty.Inspect("r", f.Request, must(thirdparty.ParsePolicy("tp.yaml", []byte(text))), l)
	wantError(t, err, "2 of 3 officers")
}

func TestThePolicyBoundsWhatIsSigned(t *testing.T) {
	f := asked(t, testfleet.Options{})
	l := ledger(t, f)
	for _, c := range []struct{ old, new, want string }{
		{"least_hsms: 3", "least_hsms: 4", "has 3 HSMs, the policy wants at least 4"},
		{"[session, backup, sealing, vault]", "[backup]", `a key of the role "session", which the policy does not allow`},
		{"[ed25519, ecdsa-p256, ecdsa-p384, ecdh-p256, x25519, ml-dsa-44, ml-dsa-65, ml-dsa-87]", "[ecdsa-p256]", "is a key of ed25519, which the policy does not allow"},
		{testfleet.Namespace, "rehearsal.other.v1", "which the policy does not sign for"},
		{"mode: rehearsal\nnamespaces: [rehearsal.", "mode: production\nnamespaces: [", "is of a rehearsal, the policy signs for production only"},
	} {
		text := strings.Replace(string(f.ThirdPartyPolicy()), c.old, c.new, 1)
		if text == string(f.ThirdPartyPolicy()) {
			t.Fatalf("the policy has no %q", c.old)
		}
		_, err := thirdparty.Inspect("request.json", f.Request, must(thirdparty.ParsePolicy("tp.yaml", []byte(text))), l)
		wantError(t, err, c.want)
	}
	other := testfleet.New(t, testfleet.Options{Name: "other"})
	_, err := thirdparty.Inspect("request.json", f.Request, policy(f), ledger(t, other))
	wantError(t, err, "does not name the ledger's key as a third party")
}

func TestAPolicysFaultsAreAllNamed(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	good := string(f.ThirdPartyPolicy())
	for _, c := range []struct{ old, new, want string }{
		{"policy v1", "policy v2", `tp.yaml:1: format is "fleetctl third-party-policy v2"`},
		{"mode: rehearsal", "mode: both", `tp.yaml:2: mode is "both"`},
		{"[rehearsal.", "[", "tp.yaml:3: namespace"},
		{"[" + testfleet.Namespace + "]", "[]", "tp.yaml:3: namespaces allows nothing"},
		{"ed25519,", "ed448,", `tp.yaml:4: algorithm "ed448" is not known`},
		{"[session, backup, sealing, vault]", "[]", "tp.yaml:5: roles allows nothing"},
		{"least_hsms: 3", "least_hsms: 0", "tp.yaml:6: least_hsms is 0"},
		{"threshold: 2", "threshold: 0", "tp.yaml:7: threshold 0 with 3 officers"},
		{"threshold: 2", "threshold: 4", "tp.yaml:7: threshold 4 with 3 officers"},
		{"role: witness", "role: king", `role "king" is none of`},
		{f.Plan.People[1].Key, f.Plan.People[0].Key, `person "omar" has the key of "olga"`},
		{f.Plan.People[1].Key, "ssh-rsa AAAA", `person "omar": key`},
		{"least_hsms: 3", "least_hsm: 3", "least_hsm"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		p, err := thirdparty.ParsePolicy("tp.yaml", []byte(text))
		if wantError(t, err, c.want); p != nil || text == good {
			t.Errorf("%q: a policy came with the error", c.new)
		}
	}
	_, err := thirdparty.ParsePolicy("tp.yaml", []byte(strings.NewReplacer("ed25519,", "ed448,", "least_hsms: 3", "least_hsms: 0", "threshold: 2", "threshold: 9").Replace(good)))
	if n := strings.Count(fmt.Sprint(err), "\n"); n != 2 {
		t.Errorf("three faults, and %d are named: %v", n+1, err)
	}
}

// A core for another artifact of the same plan doesn't pass for this one's.
func TestAnArtifactOfOnesOwnMakingIsRefused(t *testing.T) {
	f := asked(t, testfleet.Options{})
	set := *f.Request.Core.KeySet
	set.Keys = slices.Clone(set.Keys)
	set.Keys[0].SPKI = testfleet.SoftSigner("ed25519", "the operator's own").Public.SPKI()
	forged := must(bundle.ParseKeySet("f", set.Encode()))
	core := must(bundle.NewCore(forged, nil, nil, f.Request.Core.Release))
	l := ledger(t, f)
	_, err := thirdparty.Inspect("request.json", must(bundle.NewRequest(core, f.Request.Files)), policy(f), l)
	wantError(t, err, "its artifact is not the one that its transcript gives")
	core = must(bundle.NewCore(f.Request.Core.KeySet, nil, nil, bundle.Head{Hash: sha256.Sum256(nil), N: f.Request.Core.Release.N}))
	_, err = thirdparty.Inspect("request.json", must(bundle.NewRequest(core, f.Request.Files)), policy(f), l)
	wantError(t, err, "it names another release than its transcript has")
}
