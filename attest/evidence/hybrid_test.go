package evidence_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func hybridFleet(t *testing.T) *testfleet.Fleet {
	t.Helper()
	return testfleet.New(t, testfleet.Options{Name: "hybrid", HSMs: 5, PostQuantum: keys.MLDSA65})
}

func TestAHybridCeremonyVerifiesAndItsClassicalLinksAreNamed(t *testing.T) {
	f := hybridFleet(t)
	p, err := evidence.ParsePolicy("policy.yaml", f.Policy)
	if err != nil {
		t.Fatalf("%v\n%s", err, f.Policy)
	}
	r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive}, p, evidence.Question{Now: f.Now()})
	if err != nil || !r.Verified {
		t.Fatalf("%v\n%s", err, r.JSON())
	}
	for claim, want := range map[string]string{
		evidence.ClaimStatement:     "classical and post-quantum signatures of auditor.example",
		evidence.ClaimCountersigned: "operator-1, bound to that statement; classical and post-quantum signatures of operator-1",
	} {
		if got := r.Claim(claim).Detail; !strings.Contains(got, want) {
			t.Errorf("%s: %s", claim, got)
		}
	}
	text := strings.Join(r.Classical, "\n")
	for _, want := range []string{"log log.example/fleet: its own signature", "officer olga, who signs with ssh-ed25519", "the fleet's keys of the role session: ed25519"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q isn't named in\n%s", want, text)
		}
	}
	if strings.Contains(text, "witness w1") {
		t.Errorf("a witness with an ML-DSA-44 key is called classical:\n%s", text)
	}
}

// The page of a hybrid fleet names both keys of who signed, and what is classical only; that
// of another fleet says nothing of it.
func TestThePageOfAHybridFleetNamesBothKeysAndWhatIsClassical(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid page", HSMs: 1, PostQuantum: keys.MLDSA65})
	page := string(f.Files[evidence.PageFile])
	for _, want := range []string{", with both keys: ed25519 and ml-dsa-65", "over that statement, with both keys: ecdsa-p256 and ml-dsa-65", "Classical only", "<li>the fleet&#39;s keys of the role session: ed25519</li>",
		"<li>officer olga, who signs with ssh-ed25519</li>", "<li>log log.example/fleet: its own signature</li>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "<li>witness w1") {
		t.Error("a witness with an ML-DSA-44 key is called classical")
	}
	if other := testfleet.New(t, testfleet.Options{Name: "classical page", HSMs: 1}); strings.Contains(string(other.Files[evidence.PageFile]), "Classical only") {
		t.Error("the page of a fleet without post-quantum keys has a list of what is classical")
	}
}

// A policy that requires both takes no ceremony of which one signature is missing,
// whatever its plan says.
func TestAHybridPolicyRefusesAClassicalCeremony(t *testing.T) {
	f := hybridFleet(t)
	classical := testfleet.New(t, testfleet.Options{Name: "hybrid", HSMs: 5, Witnesses: 2})
	p, err := evidence.ParsePolicy("policy.yaml", f.Policy)
	if err != nil {
		t.Fatal(err)
	}
	r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: classical.Archive}, p, evidence.Question{Now: f.Now()})
	if err != nil || r.Verified {
		t.Fatalf("%v, verified is %t", err, r.Verified)
	}
	for claim, want := range map[string]string{
		evidence.ClaimStatement:     "auditor.example gave no post-quantum signature beside its statement",
		evidence.ClaimCountersigned: "operator-1 gave its classical countersignature, and no post-quantum one that counts",
	} {
		if c := r.Claim(claim); c.Grade != evidence.NotShown || !strings.Contains(c.Detail, want) {
			t.Errorf("%s is %s: %s", claim, c.Grade, c.Detail)
		}
	}
	if err := p.CheckPlan(classical.Plan); err == nil || !strings.Contains(err.Error(), "requires both a classical and a post-quantum countersignature of operator-1") {
		t.Errorf("%v", err)
	}
}

// changed is a policy's text with one thing replaced.
func changed(t *testing.T, policy []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(policy, []byte(old)) {
		t.Fatalf("%q isn't in\n%s", old, policy)
	}
	return bytes.Replace(policy, []byte(old), []byte(new), 1)
}

type hybridPolicy struct {
	name, want string
	text       []byte
}

// hybridPolicyFaults are policies that seem to require both signatures of somebody.
func hybridPolicyFaults(t *testing.T, f *testfleet.Fleet) []hybridPolicy {
	vkeys := f.Parties.Log.(*testfleet.Witnesses).VKeys()
	classical := testfleet.New(t, testfleet.Options{Name: "classical witnesses", HSMs: 1, Witnesses: 1, To: -1}).Parties.Log.(*testfleet.Witnesses).VKeys()[0]
	edit := func(old, new string) []byte { return changed(t, f.Policy, old, new) }
	const requires = "require_all: [auditor.example, operator-1]"
	return []hybridPolicy{
		{"additional-key-of-nobody", "an additional key is pinned for \"nobody\"", edit("additional_keys:\n  - name: auditor.example", "additional_keys:\n  - name: nobody")},
		{"nothing-required", "pinned twice", edit(requires, "")},
		{"somebody-unknown", "both signatures are required of \"nobody\"", edit(requires, "require_all: [auditor.example, operator-1, nobody]")},
		{"somebody-twice", "both signatures are required of operator-1 twice", edit(requires, "require_all: [auditor.example, operator-1, operator-1]")},
		{"additional-key-of-whom-nothing-is-required", "and nothing requires its signature", edit(requires, "require_all: [operator-1]")},
		{"operator-of-one-kind", "its keys are all of one kind", edit("  - name: operator-1\n    algorithm: ml-dsa-44", "  - name: operator-2\n    algorithm: ml-dsa-44")},
		{"form-signature", "where both signatures are required it is bound", edit("form: bound", "form: signature")},
		{"no-quorum", "names no quorum of witnesses", edit("quorum both", "quorum none")},
		{"classical-witness-needed", "its quorum can't be met by witnesses whose keys are ML-DSA-44", edit(vkeys[0], classical)},
		{"empty", "require_all pins nobody", edit(requires, "require_all: []")},
		{"another-algorithms-name", "ml-dsa-44, the policy says ml-dsa-65", edit("additional_keys:\n  - name: auditor.example\n    algorithm: ml-dsa-44", "additional_keys:\n  - name: auditor.example\n    algorithm: ml-dsa-65")},
		{"one-key-of-third-party-and-operator", "has the key of", oneHybridKey(t, f)},
	}
}

// oneHybridKey pins the operator's post-quantum key as the third party's too.
func oneHybridKey(t *testing.T, f *testfleet.Fleet) []byte {
	return changed(t, f.Policy, b64(f.Plan.ThirdParties[0].PostQuantum.Key), b64(f.Plan.Countersigner.PostQuantum.Key))
}

func TestPoliciesThatOnlySeemHybridAreRefused(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid policy", HSMs: 1, PostQuantum: keys.MLDSA44, To: -1})
	for _, c := range hybridPolicyFaults(t, f) {
		_, err := evidence.ParsePolicy("policy.yaml", c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

// A plan may name post-quantum keys before there are witnesses to date their
// signatures: its policy then says why it requires nothing of them.
func TestAPolicyFromAPlanWithClassicalWitnessesSaysWhyItRequiresNoHybrid(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "weak dates", HSMs: 1, PostQuantum: keys.MLDSA44, To: -1})
	plan := string(f.Plan.Raw())
	plan = plan[:strings.Index(plan, "witness w1")] + "quorum none\n" + plan[strings.Index(plan, "quorum both")+len("quorum both\n"):]
	weak, err := ceremony.ParsePlan("plan.yaml", []byte(plan))
	if err != nil {
		t.Fatal(err)
	}
	data, err := planned.NewPolicy(weak, "made by the test", nil)
	text := string(data)
	if err != nil || !strings.Contains(text, "names no quorum of witnesses") || strings.Contains(text, "require_all:") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestALateStatementOfAHybridPartyNeedsItsAddition(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid late", HSMs: 1, PostQuantum: keys.MLDSA44, Others: 1, Needed: 1, Late: []string{"auditor-2.example"}})
	p, err := evidence.ParsePolicy("policy.yaml", changed(t, f.Policy, "third_parties_needed: 1", "third_parties_needed: 2"))
	if err != nil {
		t.Fatal(err)
	}
	q := evidence.Question{Now: f.Now()}
	r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive}, p, q)
	if err != nil || !r.Verified {
		t.Fatalf("%v\n%s", err, r.JSON())
	}
	// Beside the bundle alone: the statement as served lacks the addition, the response has it.
	b, err := f.Account.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	late := f.Account.Late()[0]
	response, err := bundle.NewResponse(late)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data  []byte
		shown bool
	}{"as served": {late.Statement.Raw(), false}, "as a response": {response.Raw(), true}} {
		in := evidence.Input{File: "bundle.json", Data: b.Raw(), Proof: f.Files[ceremony.ProofFile], Statements: []evidence.Input{{File: "late.json", Data: c.data}}}
		r, err := evidence.Verify(in, p, q)
		if err != nil || (r.Claim(evidence.ClaimStatement).Grade == evidence.Proven) != c.shown {
			t.Errorf("%s: %v, %s", name, err, r.Claim(evidence.ClaimStatement).Detail)
		}
	}
}

func TestHowManyKeysFitIntoAHybridBundle(t *testing.T) {
	for alg, want := range map[keys.Algorithm]int{keys.MLDSA44: 20, keys.MLDSA65: 13, keys.MLDSA87: 9} {
		n := 0
		for {
			s := &bundle.KeySet{Mode: bundle.Production, Fleet: "backup-2026a", Namespace: "example.backup.fleet_keys.v1", Epoch: 2, Majority: n/2 + 1}
			s.Ceremony.ID = "backup-2026a-20261121T100000Z-0123456789abcdef"
			for i := range n + 1 {
				s.Keys = append(s.Keys, bundle.FleetKey{HSM: fmt.Sprintf("hsm-%d", i+1), Role: "session", Use: bundle.UseSign, Algorithm: alg})
			}
			if bundle.MaxSize(s, []bundle.Algorithm{alg}, keys.P256, alg) > bundle.MaxBundle {
				break
			}
			n++
		}
		if n != want {
			t.Errorf("%d keys of %s fit, not %d", n, alg, want)
		}
	}
}

// A second statement that has the classical signature alone may be that of whoever broke
// the key: it is kept, and a problem, and the party is not accused. With both it is.
func TestASecondStatementByTheClassicalKeyAloneIsNotCalledEquivocation(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid twice", HSMs: 1, PostQuantum: keys.MLDSA44})
	half := resigned(t, f, firstParty, 1, [32]byte{1}, f.Now())
	s := must(bundle.ParseResponse("second.json", half)).Signed
	pq := f.Parties.PostQuantum[firstParty]
	both := must(bundle.NewResponse(must(s.Seal(pq.Public, must(pq.SignAs(keys.ForThirdParty, s.Statement.Message()))))))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"the classical one": {half, "not shown to be equivocation: the policy requires both signatures of auditor.example"},
		"both":              {both.Raw(), ": equivocation"},
	} {
		r := judged(t, f, evidence.Input{File: "evidence.tar", Data: f.Archive, Statements: []evidence.Input{{File: "second.json", Data: c.data}}})
		if r.Verified || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].What, c.want) {
			t.Errorf("%s: verified is %t: %+v", name, r.Verified, r.Problems)
		}
	}
}

// Nor is the party accused where the bundle has the statement by the Ed25519 key alone,
// and what comes beside it is the party's own word.
func TestABundleOfTheClassicalKeyAloneDoesNotMakeThePartysWordEquivocation(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid twice", HSMs: 1, PostQuantum: keys.MLDSA44})
	classical := testfleet.New(t, testfleet.Options{Name: "hybrid twice", HSMs: 1, Witnesses: 2})
	s := must(bundle.ParseResponse("own.json", resigned(t, f, firstParty, 1, [32]byte{1}, f.Now()))).Signed
	pq := f.Parties.PostQuantum[firstParty]
	own := must(bundle.NewResponse(must(s.Seal(pq.Public, must(pq.SignAs(keys.ForThirdParty, s.Statement.Message()))))))
	r := judged(t, f, evidence.Input{File: "evidence.tar", Data: classical.Archive, Statements: []evidence.Input{{File: "own.json", Data: own.Raw()}}})
	said := ""
	for _, p := range r.Problems {
		said += p.What + "\n"
	}
	if r.Verified || strings.Contains(said, ": equivocation") || !strings.Contains(said, "not shown to be equivocation") {
		t.Errorf("verified is %t:\n%s", r.Verified, said)
	}
}

// hybridPerson is an OpenSSH key of these two halves.
func hybridPerson(pq, ed []byte) string {
	const typ = "ssh-mldsa44-ed25519@openssh.com"
	blob := append(binary.BigEndian.AppendUint32(nil, uint32(len(typ))), typ...)
	blob = binary.BigEndian.AppendUint32(blob, uint32(len(pq)+len(ed)))
	return typ + " " + b64(append(append(blob, pq...), ed...))
}

// Whoever has a half of a person's hybrid key would have two voices with it: as another
// person, as the operator, as a third party or as a witness.
func TestAPersonsHybridKeyIsEachOfItsHalves(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid person", HSMs: 1, PostQuantum: keys.MLDSA44, To: -1})
	own := testfleet.SoftSigner(keys.MLDSA44, "olga's own").Public.Raw()
	ownEd, _ := testfleet.SoftSigner(keys.Ed25519, "olga's own").Public.Ed25519()
	omar, ok := f.Parties.People["omar"].Key().Ed25519()
	if !ok {
		t.Fatal("omar's key is of another kind")
	}
	party := f.Plan.ThirdParties[0].Key
	vkey := strings.SplitN(f.Parties.Log.(*testfleet.Witnesses).VKeys()[0], "+", 3)[2]
	witness := must(base64.StdEncoding.DecodeString(vkey))[1:]
	olga := f.Parties.People["olga"].Key().String()
	for name, key := range map[string]string{
		"of nobody else":                hybridPerson(own, ownEd),
		"omar's":                        hybridPerson(own, omar),
		"the operator's":                hybridPerson(f.Parties.PostQuantum["operator-1"].Public.Raw(), ownEd),
		"the third party's Ed25519 key": hybridPerson(own, party[:]),
		"the third party's ML-DSA key":  hybridPerson(f.Parties.PostQuantum[firstParty].Public.Raw(), ownEd),
		"a witness's":                   hybridPerson(witness, ownEd),
	} {
		_, inPolicy := evidence.ParsePolicy("policy.yaml", changed(t, f.Policy, olga, key))
		_, inPlan := ceremony.ParsePlan("plan.yaml", changed(t, f.Plan.Raw(), olga, key))
		for file, err := range map[string]error{"policy": inPolicy, "plan": inPlan} {
			if name == "of nobody else" {
				if err != nil {
					t.Errorf("the %s refuses a hybrid key: %v", file, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), "has the key of") {
				t.Errorf("a half that is %s, in the %s: %v", name, file, err)
			}
		}
	}
}

// Who may stand in for a hybrid party with a classical signature makes the other's
// post-quantum one worthless: the report says so.
func TestAClassicalAlternativeToAHybridPartyIsNamed(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid alternative", HSMs: 1, PostQuantum: keys.MLDSA44, Others: 1, Needed: 1, To: -1})
	text := string(f.Policy)
	at := strings.Index(text, "additional_keys:")
	second := at + strings.Index(text[at:], "  - name: "+secondParty)
	rest := text[second+1:]
	end := strings.Index(rest, "\n  - ")
	if i := strings.Index(rest, "\n\n"); end < 0 || i >= 0 && i < end {
		end = i
	}
	text = text[:second] + rest[end+1:]
	text = strings.Replace(text, ", "+secondParty, "", 1)
	for needed, want := range map[string]string{"1": "third party auditor-2.example, enough without any post-quantum signature", "2": "third party auditor-2.example"} {
		p, err := evidence.ParsePolicy("policy.yaml", changed(t, []byte(text), "third_parties_needed: 1", "third_parties_needed: "+needed))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if list := p.Classical(); !slices.Contains(list, want) {
			t.Errorf("%s needed: %q", needed, list)
		}
	}
}
