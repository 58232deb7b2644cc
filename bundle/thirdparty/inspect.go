package thirdparty

import (
	"crypto/sha256"
	"path"
	"strings"

	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Inspection is a request that was checked and found to be one to sign.
type Inspection struct {
	Request *bundle.Request
	Account *ceremony.Account // the ceremony up to its release, replayed
	Story   *story.Story      // how it went, for a person to see before they consent
	Party   *ceremony.ThirdParty
	Delta   *bundle.Delta  // nil at epoch 1
	Again   bool           // the ledger has the answer to this very request
	Devices *require.Fleet // what the devices' evidence shows, under the policy's anchors
	Gap     *Gap           // to which a person has to agree; nil where the request follows from the ledger

	policy *Policy
	agreed *Gap
	file   string
	adder  *Adder
}

// Adder makes the post-quantum signature beside a statement.
type Adder struct {
	Key  *bundle.PublicKey
	Sign func(message []byte) ([]byte, error)
}

// AddBy says by which key a signature is added to the statement. The request's plan
// names it, or no statement is signed.
func (in *Inspection) AddBy(a *Adder) { in.adder = a }

// adds checks, before anything is signed, that the plan names the key by which a
// signature is added, and that one is where it names a key.
func (in *Inspection) adds() error {
	switch q := in.Party.PostQuantum; {
	case q == nil && in.adder != nil:
		return strict.Errorf(in.file, "its plan names no post-quantum key of %s, and one was given", in.Party.Name).
			WithHint("leave it out, or ask the operator for a plan that names it")
	case q != nil && in.adder == nil:
		return strict.Errorf(in.file, "its plan names a post-quantum key of %s, %s, and the operator takes no statement without a signature by it", in.Party.Name, q.Algorithm).
			WithHint("give the key: --pq-key KEY")
	case q != nil && !q.Is(in.adder.Key):
		return strict.Errorf(in.file, "its plan names another post-quantum key of %s than the one that was given", in.Party.Name)
	}
	return nil
}

// AgreeToGap is a person's consent to the gap that Inspect found.
func (in *Inspection) AgreeToGap() { in.agreed = in.Gap }

// Inspect checks a request against the policy, the ledger and the evidence in
// it: the plan is the one the artifact names, and the transcript, replayed,
// gives this artifact, byte for byte.
func Inspect(file string, r *bundle.Request, p *Policy, l *Ledger) (*Inspection, error) {
	in, err := Examine(file, r, p)
	if err == nil {
		err = in.Follow(l)
	}
	if err != nil {
		return nil, err
	}
	return in, nil
}

// Examine is Inspect without the ledger, for which the key has to be known: nobody
// types a passphrase for a request that the policy refuses. Nothing is signed by
// it: [Inspection.Follow] has to come after it.
func Examine(file string, r *bundle.Request, p *Policy) (*Inspection, error) {
	set := r.Core.KeySet
	if err := p.Allows(file, set); err != nil {
		return nil, err
	}
	account, t, err := replay(file, r)
	if err != nil {
		return nil, err
	}
	if err := r.Core.Fresh(); err != nil {
		return nil, strict.Errorf(file, "%v", err)
	}
	people := signedIn(r)
	if err := voices(r, p, account, people); err != nil {
		return nil, err
	}
	told, err := story.Tell(account, t.Records, people.read, account.Wanted(ceremony.ApproveRequest, r.Core.Subject()))
	if err != nil {
		return nil, err
	}
	if err := p.refused(file, told); err != nil {
		return nil, err
	}
	if err := p.oneVoice(file, account.Plan, set); err != nil {
		return nil, err
	}
	if list := ceremony.Beyond(account.Tolerated(), p.Tolerates); len(list) > 0 {
		return nil, strict.Errorf(file, "in its ceremony %s succeeded, and the policy does not tolerate it", ceremony.TellTolerated(list)).
			WithHint("the plan tolerates it; a policy that takes it too says so under tolerates")
	}
	devices, err := p.devices(file, r, account)
	if err != nil {
		return nil, err
	}
	in := &Inspection{Request: r, Account: account, Story: told, Devices: devices, policy: p, file: file}
	if r.Core.Predecessor != nil {
		in.Delta = bundle.Diff(r.Core.Predecessor, set)
	}
	return in, nil
}

// Follow holds a request that was examined against the ledger.
func (in *Inspection) Follow(l *Ledger) (err error) {
	plan := in.Account.Plan
	for i := range plan.ThirdParties {
		if plan.ThirdParties[i].Key == l.Key() {
			in.Party = &plan.ThirdParties[i]
		}
	}
	if in.Party == nil {
		return strict.Errorf(in.file, "its plan does not name the ledger's key as a third party")
	}
	if err := l.Meet(in.Request.Core.Previous); err != nil {
		return err
	}
	in.Again, in.Gap, err = l.check(in.wanted(in.file), in.policy.others)
	return err
}

func (in *Inspection) wanted(file string) *wanted {
	w := wantCore(file, in.Request.Core)
	for _, p := range in.Account.Plan.ThirdParties {
		w.parties = append(w.parties, p.Key)
	}
	return w
}

// oneVoice refuses a plan that, with the policy, would give one person two
// voices, and a fleet of which somebody has a key.
func (p *Policy) oneVoice(file string, plan *ceremony.Plan, set *bundle.KeySet) error {
	faults := plan.KeyConflicts(&p.roster)
	all := p.roster.Clone()
	if err := plan.Enter(all); err != nil {
		return strict.Errorf(file, "its plan: %v", err)
	}
	if faults = append(faults, set.Voices(all)...); len(faults) > 0 {
		return strict.Errorf(file, "%s", strings.Join(faults, "; ")).WithHint("one key is one person's, and has one part: ask the operator")
	}
	return nil
}

// InspectCore checks of a request what its core alone can show: policy and
// ledger, and the gap that it would have. It is not enough to sign.
func InspectCore(file string, c *bundle.Core, p *Policy, l *Ledger) (*Gap, error) {
	if err := p.Allows(file, c.KeySet); err != nil {
		return nil, err
	}
	if err := l.Meet(c.Previous); err != nil {
		return nil, err
	}
	_, gap, err := l.check(wantCore(file, c), p.others)
	return gap, err
}

func replay(file string, r *bundle.Request) (*ceremony.Account, *ceremony.Transcript, error) {
	files := map[string][]byte{}
	for _, f := range r.Files {
		if !ofRequest(f.Path) {
			return nil, nil, strict.Errorf(file, "brings %q, which is no part of a request: nobody would look at it", f.Path)
		}
		files[f.Path] = f.Data
	}
	for _, path := range []string{ceremony.PlanFile, ceremony.TranscriptFile} {
		if files[path] == nil {
			return nil, nil, strict.Errorf(file, "lacks %s, without which it can't be checked", path)
		}
	}
	if sha256.Sum256(files[ceremony.PlanFile]) != r.Core.Plan {
		return nil, nil, strict.Errorf(file, "its plan.yaml is not the plan that it names")
	}
	plan, err := ceremony.ParsePlan(file+" "+ceremony.PlanFile, files[ceremony.PlanFile])
	if err != nil {
		return nil, nil, err
	}
	a, t, err := ceremony.Replay(plan, file+" "+ceremony.TranscriptFile, files[ceremony.TranscriptFile])
	if err != nil {
		return nil, nil, err
	}
	artifact, err := a.Artifact()
	switch {
	case err != nil:
		return nil, nil, strict.Errorf(file, "its transcript: %v", err)
	case len(t.Torn) > 0:
		return nil, nil, strict.Errorf(file, "its transcript is cut off after record %d", a.N)
	case a.Release == nil || a.Request != nil || a.Adjourned || a.Ended():
		return nil, nil, strict.Errorf(file, "its transcript does not stand at the request: released, and nothing asked for yet")
	case r.Core.Release.Hash != a.ReleaseHash || r.Core.Release.N != uint64(a.ReleaseN):
		return nil, nil, strict.Errorf(file, "it names another release than its transcript has")
	case artifact.Digest() != r.Core.KeySet.Digest():
		return nil, nil, strict.Errorf(file, "its artifact is not the one that its transcript gives")
	}
	return a, t, nil
}

// ofRequest are the paths of what a request brings: all of it is judged.
func ofRequest(name string) bool {
	switch name {
	case ceremony.PlanFile, ceremony.TranscriptFile:
		return true
	}
	switch path.Dir(name) {
	case ceremony.PlanApprovalsDir, ceremony.ApprovalsDir, ceremony.ReleaseSignoffDir, ceremony.AttestationsDir:
		return true
	}
	return false
}

// voices checks what the operator's people signed: the plan, every act, the
// release, and this very request.
func voices(r *bundle.Request, p *Policy, a *ceremony.Account, people *signed) error {
	if err := a.CheckSigned(people.read); err != nil {
		return err
	}
	if err := ceremony.CheckSignings(people.files); err != nil {
		return err
	}
	m := max(p.Threshold, a.Plan.Threshold)
	have, err := p.people.PlanApprovals(a.Plan, people.lists[ceremony.PlanApprovalsDir])
	if err != nil {
		return err
	}
	if len(have) < m {
		return strict.Errorf(ceremony.PlanApprovalsDir, "%d of %d officers whom the policy pins approved the plan", len(have), m)
	}
	acts, err := p.people.ReadApprovals(people.lists[ceremony.ApprovalsDir])
	if err != nil {
		return err
	}
	for _, need := range append(a.Needs, a.Wanted(ceremony.ApproveRequest, r.Core.Subject())) {
		if have = acts.Officers(need); len(have) < m {
			return strict.Errorf(ceremony.ApprovalsDir, "%d of %d officers whom the policy pins approved the act %q after record %d", len(have), m, need.Act, need.Head.N)
		}
	}
	want, err := a.WantedSignoff(ceremony.StageRelease)
	if err != nil {
		return err
	}
	said, err := p.people.Signoffs(want, people.lists[ceremony.ReleaseSignoffDir])
	if err != nil {
		return err
	}
	if err := a.SignedOff(ceremony.StageRelease, said, people.lists[ceremony.ReleaseSignoffDir], acts, m); err != nil {
		return notPinned(a, want, people.lists[ceremony.ReleaseSignoffDir], said, strict.Errorf(ceremony.ReleaseSignoffDir, "%v", err))
	}
	return nil
}
