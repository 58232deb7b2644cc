package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// inRoom are people who answer in production. What they are told that this
// ceremony can't reach they keep, and go on where they are willing.
type inRoom struct {
	testfleet.Machine
	f       *testfleet.Fleet
	willing bool
	told    []string
}

func (p *inRoom) Words(context.Context) ([]string, string, error) {
	return []string{"aardvark", "adroitness", "zulu"}, ceremony.Witness, nil
}

func (p *inRoom) Clock(_ context.Context, now func() time.Time) (time.Time, string, error) {
	return now().UTC().Truncate(time.Second), ceremony.Witness, nil
}

func (p *inRoom) Seal(ctx context.Context, hsm string, wrong func(string) error) (string, string, string, error) {
	number, _, _, err := p.Machine.Seal(ctx, hsm, wrong)
	return number, ceremony.Witness, ceremony.Auditor, err
}

func (p *inRoom) Challenge(context.Context, engine.Question) (int, string, error) {
	return 1, ceremony.Witness, nil
}

func (p *inRoom) Attestation(_ context.Context, q engine.AttestQuestion, wrong error) (*attest.Evidence, error) {
	return p.f.Attester.Evidence(q), wrong
}

func (p *inRoom) GoOn(_ context.Context, short []planned.Outlook) (string, error) {
	p.told = nil
	for _, o := range short {
		p.told = append(p.told, o.Claim)
	}
	if !p.willing {
		return "", errors.New("they stop")
	}
	return "typed: go on without it", nil
}

// realPlan makes a fleet's plan one of production, which hasn't begun.
func realPlan(t *testing.T, o testfleet.Options) *testfleet.Fleet {
	f := testfleet.Prepared(t, o)
	text := strings.NewReplacer("mode: rehearsal", "mode: production", "namespace: rehearsal.", "namespace: ").Replace(string(f.Plan.Raw()))
	f.Plan = must(ceremony.ParsePlan("plan.yaml", []byte(text)))
	return f
}

// A production run that can't reach its own policy makes nothing: no HSM is opened,
// whether the policy is missing, people stop, or a claim is out of reach by name.
func TestAProductionRunThatCannotReachItsOwnPolicyMakesNothing(t *testing.T) {
	f := realPlan(t, testfleet.Options{HSMs: 2, Attested: true, Witnesses: 1})
	people := &inRoom{f: f}
	c := f.Config(f.Dir, testfleet.Random("run"))
	c.Participants = people
	begin := func(anchors bool) error {
		pinned := f.Attester.Block.Anchors.All()
		if !anchors {
			pinned = nil
		}
		c.Policy = must(evidence.ParsePolicy("policy.yaml", must(planned.NewPolicy(f.Plan, "by telephone", nil, pinned...))))
		_, err := engine.Run(context.Background(), c)
		return err
	}
	_, err := engine.Run(context.Background(), c)
	wantError(t, err, "needs the policy by which its evidence will be judged, and none was given")
	wantError(t, begin(false), "can't reach its own policy: key.attested: the policy pins no anchor for tpm2-certify; countersigner.attested:")
	if !slices.Equal(people.told, []string{evidence.ClaimKeyAttested, evidence.ClaimCountersignerAttested}) {
		t.Errorf("people were told %q", people.told)
	}
	a := must(folder.ReadToLastRecord(f.Dir))
	if a.N != 0 || keyCount(f) != 0 || len(f.Tokens[0].Calls) > 0 {
		t.Errorf("record %d, %d keys, %v", a.N, keyCount(f), f.Tokens[0].Calls)
	}
	people.told = nil
	if err := begin(true); err != nil || people.told != nil {
		t.Errorf("a policy that can be reached: %v, people were told %q", err, people.told)
	}

	// Who goes on judges by a policy too, and by one that pins whom the plan names.
	other := realPlan(t, testfleet.Options{HSMs: 2, Attested: true, Name: "other"})
	for says, policy := range map[string]*evidence.Policy{
		"and none was given":   nil,
		"does not pin officer": must(evidence.ParsePolicy("policy.yaml", must(planned.NewPolicy(other.Plan, "by telephone", nil)))),
	} {
		c.Policy = policy
		_, err := engine.Resume(context.Background(), c)
		wantError(t, err, says)
	}
}

// Who goes on all the same is on the record before the first HSM is unlocked, is asked
// once, and has said so of these claims alone; officers have to accept it.
func TestWhatAProductionRunGoesOnWithoutIsOnTheRecord(t *testing.T) {
	f := realPlan(t, testfleet.Options{HSMs: 2, Attested: true})
	people := &inRoom{f: f, willing: true}
	c := f.Config(f.Dir, testfleet.Random("run"))
	c.Participants = people
	c.Policy = must(evidence.ParsePolicy("policy.yaml", must(planned.NewPolicy(f.Plan, "by telephone", nil))))
	f.Tokens[0].Before = on("Info", func(string) error { return errors.New("not yet") })
	c.Attest = f.Attester
	if _, err := engine.Run(context.Background(), c); err == nil {
		t.Fatal("its first HSM is not there, and it went on")
	}
	a := must(folder.ReadToLastRecord(f.Dir))
	want := []string{evidence.ClaimKeyAttested, evidence.ClaimCountersignerAttested, evidence.ClaimWitnessed}
	if len(a.Exceptions) != 1 || !slices.Equal(a.WithoutClaims(), want) || !strings.Contains(a.Exceptions[0].Happened, "the policy pins no anchor") || a.Exceptions[0].Decided != "typed: go on without it" {
		t.Fatalf("%+v", a.Exceptions)
	}
	line := strings.Split(string(must(os.ReadFile(filepath.Join(f.Dir, ceremony.TranscriptFile)))), "\n")
	at := slices.IndexFunc(line, func(s string) bool { return strings.Contains(s, `"kind":"exception"`) })
	first := slices.IndexFunc(line, func(s string) bool {
		return strings.Contains(s, `"kind":"intake"`) || strings.Contains(s, `"kind":"unlock"`)
	})
	if at < 0 || first >= 0 && first < at {
		t.Errorf("the exception is record %d, the first HSM's %d", at+1, first+1)
	}
	f.Tokens[0].Before, people.told = nil, nil
	if _, err := engine.Run(context.Background(), c); err != nil || people.told != nil {
		t.Errorf("run again: %v, people were told %q", err, people.told)
	}
}

// An exception that names claims afterwards, twice or none is none.
func TestWhatACeremonyGoesOnWithoutIsSaidBeforeAnyHSMIsUnlocked(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	j := must(f.Journal())
	defer j.Close()
	e := &ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c", Unreached: []string{"key.attested"}}
	_, err := j.Append(e)
	wantError(t, err, "people decide that before the first unlocking")
	for says, list := range map[string][]string{"list of claims to go on without is empty": {}, `the claim "a" twice`: {"a", "a"}} {
		g := testfleet.Prepared(t, testfleet.Options{HSMs: 1})
		g.Tokens[0].Before = on("Info", func(string) error { return errors.New("not there") })
		_, _ = engine.Run(context.Background(), g.Config(g.Dir, testfleet.Random("run")))
		j := must(g.Journal())
		_, err := j.Append(&ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c", Unreached: list})
		wantError(t, err, says)
		must(0, j.Close())
	}
}
