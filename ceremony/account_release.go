package ceremony

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func (a *Account) takeRelease(c *Release, r *Record) error {
	if err := a.MayRelease(); err != nil {
		return err
	}
	artifact, err := a.Artifact()
	if err != nil {
		return err
	}
	if c.Artifact != artifact.Digest() {
		return fmt.Errorf("the artifact that it releases is not the one that follows from the records before it")
	}
	a.Release, a.ReleaseHash, a.ReleaseTime, a.ReleaseN = c, r.place(), r.Time, r.N
	return nil
}

// ErrAnswered is the error of an answer that is on the record already.
var ErrAnswered = errors.New("this answer is on the record already")

func (a *Account) takeResponse(c *Response, r *Record) error {
	s, err := a.CheckStatement(c.Key, c.Statement)
	if err != nil {
		return err
	}
	if s, err = a.CheckAddition(*s, c.Addition); err != nil {
		return err
	}
	if err := CheckStatementTime(s.Statement, r.Time); err != nil {
		return err
	}
	a.Responses = append(a.Responses, c)
	if a.Counter == nil {
		a.answers = append(a.answers, *s)
	} else {
		a.late = append(a.late, *s)
	}
	return nil
}

// CheckStatementTime refuses a statement that is dated in the future.
func CheckStatementTime(s *bundle.Statement, now time.Time) error {
	if t := s.Time(); t.After(now.Add(keys.ClockTolerance)) {
		return fmt.Errorf("it was signed at %s, which is in the future", t.Format(time.RFC3339))
	}
	return nil
}

// CheckStatement checks that a third party's statement is the one that this
// ceremony asked for. Each party answers once; the same answer again is
// ErrAnswered.
func (a *Account) CheckStatement(key [32]byte, statement []byte) (*bundle.Signed, error) {
	if a.Release == nil || a.Request == nil {
		return nil, fmt.Errorf("nothing has been requested yet")
	}
	party := a.ThirdParty(key)
	if party == nil {
		return nil, fmt.Errorf("its key %x… is not that of a third party of the plan", key[:4])
	}
	s, err := bundle.ParseServed("statement of "+party.Name, statement)
	if err != nil {
		return nil, err
	}
	if s.KeyID != nil && *s.KeyID != key[31] {
		return nil, fmt.Errorf("the statement of %s has key_id %d, but its key's last byte is %d", party.Name, *s.KeyID, key[31])
	}
	// The signature comes first: what an unsigned statement says is nobody's word.
	if err := s.VerifyOnce(key, &a.seen); err != nil {
		return nil, fmt.Errorf("the statement of %s: %w", party.Name, err)
	}
	if r := a.answered(key); r != nil && sameWord(r.Statement, s) {
		return nil, fmt.Errorf("%s: %w", party.Name, ErrAnswered)
	}
	switch {
	case s.Ciphersuite != party.Ciphersuite:
		return nil, fmt.Errorf("%s signed with ciphersuite %d, the plan says %d", party.Name, s.Ciphersuite, party.Ciphersuite)
	case s.Namespace != a.Plan.Namespace || s.Epoch != a.Plan.Epoch:
		return nil, fmt.Errorf("%s signed %s, epoch %d, not %s, epoch %d", party.Name, s.Namespace, s.Epoch, a.Plan.Namespace, a.Plan.Epoch)
	case s.Digest != a.Release.Artifact:
		return nil, fmt.Errorf("%s signed another artifact", party.Name)
	case s.Time().Before(a.ReleaseTime.Add(-keys.ClockTolerance)):
		return nil, fmt.Errorf("%s signed at %s, before the artifact was released", party.Name, s.Time().UTC().Format(time.RFC3339))
	case a.answered(key) != nil:
		return nil, fmt.Errorf("%s has answered already, and this is a second statement about the epoch", party.Name)
	}
	return &bundle.Signed{Key: key, Statement: s}, nil
}

// ErrNoAddition is the error of an answer that lacks the post-quantum signature for
// which the plan names a key.
var ErrNoAddition = errors.New("the plan names a post-quantum key of it, and no signature by that key came beside the statement")

// CheckAddition checks the post-quantum signature beside a statement that was checked:
// it is there where the plan names a key for it, and only there.
func (a *Account) CheckAddition(s bundle.Signed, signature []byte) (*bundle.Signed, error) {
	party := a.ThirdParty(s.Key)
	k, err := party.PostQuantum.public()
	switch {
	case err != nil:
		return nil, err
	case k == nil && signature == nil:
		return &s, nil
	case k == nil:
		return nil, fmt.Errorf("the answer of %s has a post-quantum signature, and the plan names no key for one", party.Name)
	case signature == nil:
		return nil, fmt.Errorf("%s: %w", party.Name, ErrNoAddition)
	}
	if s, err = s.Seal(k, signature); err != nil {
		return nil, fmt.Errorf("the post-quantum signature of %s: %w", party.Name, err)
	}
	return &s, nil
}

// sameWord says that a verified statement signs the same bytes as the one taken
// before. The JSON of both may differ: its optional members are not signed, so
// whoever carries an answer can change them.
func sameWord(taken []byte, s *bundle.Statement) bool {
	t, err := bundle.ParseServed("statement", taken)
	return err == nil && bytes.Equal(t.Message(), s.Message())
}

func (a *Account) answered(key [32]byte) *Response {
	for _, r := range a.Responses {
		if r.Key == key {
			return r
		}
	}
	return nil
}

// ThirdParty finds a third party of the plan by its key.
func (a *Account) ThirdParty(key [32]byte) *ThirdParty {
	for i := range a.Plan.ThirdParties {
		if a.Plan.ThirdParties[i].Key == key {
			return &a.Plan.ThirdParties[i]
		}
	}
	return nil
}

// Absent are the plan's third parties that have not answered.
func (a *Account) Absent() []string {
	var names []string
	for _, p := range a.Plan.ThirdParties {
		if a.answered(p.Key) == nil {
			names = append(names, p.Name)
		}
	}
	return names
}

// Late are the statements on the record that came after the countersignature. The
// bundle doesn't hold them.
func (a *Account) Late() []bundle.Signed { return slices.Clone(a.late) }

// Statements are all verified statements on the record. The next epoch's request
// names them.
func (a *Account) Statements() []bundle.Signed { return slices.Concat(a.answers, a.late) }

// takeRefusal keeps an answer that was refused. It proves only what its statement
// proves: see Contradictions.
func (a *Account) takeRefusal(c *Refusal) error {
	if _, err := bundle.ParseServed("statement", c.Statement); err != nil {
		return err
	}
	if r := a.answered(c.Key); r != nil && bytes.Equal(r.Statement, c.Statement) {
		return fmt.Errorf("it refuses an answer that was taken before")
	}
	if len(a.Refusals) >= maxRefusals {
		return fmt.Errorf("a ceremony has at most %d refused answers", maxRefusals)
	}
	a.Refusals = append(a.Refusals, c)
	return nil
}

// Contradictions are refused statements which one of the plan's third parties did
// sign, about this epoch, and which contradict the record: they sign another
// digest, or the same one a second time.
func (a *Account) Contradictions() []bundle.Signed {
	var list []bundle.Signed
	for _, c := range a.Refusals {
		s, err := bundle.ParseServed("statement", c.Statement)
		if err != nil || a.ThirdParty(c.Key) == nil || s.Namespace != a.Plan.Namespace || s.Epoch != a.Plan.Epoch || s.Verify(c.Key) != nil {
			continue
		}
		taken := a.answered(c.Key)
		if s.Digest != a.Release.Artifact || taken != nil && !sameWord(taken.Statement, s) {
			list = append(list, bundle.Signed{Key: c.Key, Statement: s})
		}
	}
	return list
}

// CountersignText is what the operator signs. It names every third party that has
// answered, and there is none before as many have as the plan needs.
func (a *Account) CountersignText() ([]byte, error) {
	if n := a.Plan.Answers(); len(a.answers) < n {
		return nil, fmt.Errorf("%d of the %d third parties needed have answered", len(a.answers), n)
	}
	artifact, err := a.Artifact()
	if err != nil {
		return nil, err
	}
	return bundle.CountersignMessage(a.Plan.Countersigner.Form, artifact, a.answers)
}

func (a *Account) takeCountersignature(c *Countersignature, r *Record) error {
	want := a.Plan.Countersigner
	if !bytes.Equal(c.Key, want.Key) || c.Form != want.Form {
		return fmt.Errorf("its key or form is not the plan's for %s", want.Name)
	}
	text, err := a.CountersignText()
	if err != nil {
		return err
	}
	k, err := keys.ParseSPKI(c.Key)
	if err != nil {
		return err
	}
	if err := a.seen.Verify(k, keys.ForCountersignature, text, c.Signature); err != nil {
		return fmt.Errorf("the countersignature of %s: %w", want.Name, err)
	}
	q, err := want.PostQuantum.public()
	switch {
	case err != nil:
		return err
	case (q == nil) != (c.PostQuantum == nil):
		return fmt.Errorf("it has a signature by the post-quantum key of %s, or lacks one, against the plan: both are made, or neither", want.Name)
	case q != nil:
		if err := a.seen.Verify(q, keys.ForCountersignature, text, c.PostQuantum); err != nil {
			return fmt.Errorf("the post-quantum countersignature of %s: %w", want.Name, err)
		}
	}
	if err := checkSigned(c.Files, a.Request.Files); err != nil {
		return err
	}
	a.Counter, a.CounterHead, a.CounterTime, a.counted = c, Head{r.place(), r.N}, r.Time, pathsOf(c.Files)
	return nil
}

// Seen are the signatures of third parties and operator that this account has
// verified, so that nobody has to verify them again.
func (a *Account) Seen() *bundle.Seen { return &a.seen }

// Bundle is the validation bundle: artifact, statements and countersignature.
func (a *Account) Bundle() (*bundle.Bundle, error) {
	if a.Counter == nil {
		return nil, fmt.Errorf("the operator has not countersigned")
	}
	if a.bundle != nil {
		return a.bundle, nil
	}
	artifact, err := a.Artifact()
	if err != nil {
		return nil, err
	}
	key, err := keys.ParseSPKI(a.Counter.Key)
	if err != nil {
		return nil, err
	}
	signatures := []bundle.Countersignature{{Key: key, Form: a.Counter.Form, Signature: a.Counter.Signature}}
	q, err := a.Plan.Countersigner.PostQuantum.public()
	if err != nil {
		return nil, err
	}
	if q != nil {
		signatures = append(signatures, bundle.Countersignature{Key: q, Form: a.Counter.Form, Signature: a.Counter.PostQuantum})
	}
	a.bundle, err = bundle.Assemble(artifact.Raw(), a.answers, signatures, &bundle.Head{Hash: a.CounterHead.Hash, N: uint64(a.CounterHead.N)})
	return a.bundle, err
}

func (a *Account) takeLogProof(c *LogProof, r *Record) error {
	b, err := a.Bundle()
	if err != nil {
		return err
	}
	if c.Bundle != sha256.Sum256(b.Raw()) {
		return fmt.Errorf("its bundle is not the one that follows from the records before it")
	}
	a.LogProof, a.LogProofN, a.LogProofTime = c, r.N, r.Time
	return nil
}

// fleetChecks are the columns of the fleet matrix. The last one, attested, is there
// only if the plan names its HSMs by attestation identities.
var fleetChecks = []string{"serial", "empty", "firmware", "attributes", "refusals", "possession", "found", "attested"}

func (p *Plan) fleetChecks() []string {
	if p.Attested() {
		return fleetChecks
	}
	return fleetChecks[:len(fleetChecks)-1]
}

const (
	passed = "pass"
	failed = "fail"
)

// Matrix computes the fleet check from the records so far.
func (a *Account) Matrix() *FleetCheck {
	f := &FleetCheck{Checks: a.Plan.fleetChecks(), Majority: a.Plan.Majority}
	var firmware []string
	for _, h := range a.Plan.HSMs {
		if in := a.firstOfModel(h); in == a.Intakes[h.Name] && in != nil {
			firmware = append(firmware, in.Model+" "+in.Firmware)
		}
		f.Rows = append(f.Rows, Row{HSM: h.Name, Results: a.row(h)})
	}
	f.Firmware = strings.Join(firmware, ", ")
	return f
}

// firstOfModel is the intake whose model and firmware an HSM must have: the first
// HSM's, or if the plan lists models, that of the first HSM of the same model.
func (a *Account) firstOfModel(h PlanHSM) *Intake {
	in := a.Intakes[h.Name]
	for _, o := range a.Plan.HSMs {
		first := a.Intakes[o.Name]
		if a.Plan.Models == nil || in == nil || first == nil || first.Model == in.Model {
			return first
		}
	}
	return nil
}

func (a *Account) row(h PlanHSM) []string {
	in, first := a.Intakes[h.Name], a.firstOfModel(h)
	ok := make([]bool, len(a.Plan.fleetChecks()))
	if in != nil {
		ok[0] = in.Serial == h.Serial
		ok[2] = first != nil && in.Model == first.Model && in.Firmware == first.Firmware && (a.Plan.Models == nil || slices.Contains(a.Plan.Models, in.Model))
	}
	found := 0
	for i := 3; i < len(ok); i++ {
		ok[i] = true
	}
	for _, k := range a.Keys {
		if k.HSM != h.Name {
			continue
		}
		found++
		ok[3] = ok[3] && k.Attributes != nil && judgeAttributes(a.Plan.RoleIn(k.HSM, k.Role), k) == nil
		ok[4] = ok[4] && a.judgeRefusals(k) == nil
		ok[5] = ok[5] && k.shown()
		ok[6] = ok[6] && k.Found != nil
		if len(ok) > 7 {
			ok[7] = ok[7] && a.Attestations[k.N] != nil
		}
	}
	ok[1] = a.empty[h.Name]
	results := make([]string, len(ok))
	for i := range ok {
		results[i] = failed
		if ok[i] && found == len(a.Plan.Roles) {
			results[i] = passed
		}
	}
	return results
}

func (a *Account) takeFleetCheck(c *FleetCheck, r *Record) error {
	if !reflect.DeepEqual(c, a.Matrix()) {
		return fmt.Errorf("its matrix is not the one that follows from the records before it")
	}
	for _, row := range c.Rows {
		for i, result := range row.Results {
			if result != passed {
				a.fail("%s fails the check %q", row.HSM, c.Checks[i])
			}
		}
	}
	a.FleetCheck, a.FleetCheckHash, a.FleetCheckTime, a.FleetCheckN = c, r.place(), r.Time, r.N
	return nil
}

// Artifact is the fleet key set. It follows from the plan and the records up to
// the fleet check, so whoever has these can compute it again.
func (a *Account) Artifact() (*bundle.KeySet, error) {
	if !a.fleetConfirmed || a.Fault != "" {
		return nil, fmt.Errorf("the fleet check has not passed, or its words were not confirmed yet")
	}
	if a.artifact != nil {
		return a.artifact, nil
	}
	p := a.Plan
	s := p.keySet()
	s.Created = a.FleetCheckTime
	s.Ceremony = bundle.CeremonyRef{ID: a.Open.Ceremony, Plan: p.Digest(), Transcript: a.FleetCheckHash}
	for _, k := range a.Keys {
		s.Keys = append(s.Keys, bundle.FleetKey{
			HSM: k.HSM, Role: k.Role, Use: a.Plan.Role(k.Role).Use, Algorithm: k.Intent.Algorithm, SPKI: k.Outcome.PublicKey,
		})
	}
	set, err := bundle.ParseKeySet(ArtifactFile, s.Encode())
	a.artifact = set
	return set, err
}

// keySet is the part of the artifact that the plan decides.
func (p *Plan) keySet() *bundle.KeySet {
	s := &bundle.KeySet{
		Mode: p.Mode, Fleet: p.Fleet, Namespace: p.Namespace, Epoch: p.Epoch, Majority: p.Majority,
	}
	if p.Epoch > 1 {
		s.Previous = p.Previous[:]
	}
	return s
}

// MaxBundle is the size in bytes of the largest bundle this plan can lead to.
func (p *Plan) MaxBundle() int {
	s := p.keySet()
	s.Ceremony.ID = CeremonyID(p, time.Unix(0, 0), make([]byte, CeremonyIDRandom))
	for _, h := range p.HSMs {
		for _, r := range p.Roles {
			s.Keys = append(s.Keys, bundle.FleetKey{HSM: h.Name, Role: r.Name, Use: r.Use, Algorithm: r.Algorithm})
		}
	}
	additions := make([]bundle.Algorithm, len(p.ThirdParties))
	for i, t := range p.ThirdParties {
		if t.PostQuantum != nil {
			additions[i] = t.PostQuantum.Algorithm
		}
	}
	countersigners := []bundle.Algorithm{p.Countersigner.Algorithm}
	if q := p.Countersigner.PostQuantum; q != nil {
		countersigners = append(countersigners, q.Algorithm)
	}
	return bundle.MaxSize(s, additions, countersigners...)
}

// Room is how many HSMs a bundle has room for, with this plan's roles and parties and
// with names as long as that of the plan's last HSM.
func (p *Plan) Room() int {
	full := *p
	full.HSMs = slices.Clone(p.HSMs)
	for len(full.HSMs) > 0 && full.MaxBundle() > bundle.MaxBundle {
		full.HSMs = full.HSMs[:len(full.HSMs)-1]
	}
	for len(full.HSMs) > 0 && (len(full.HSMs)+1)*len(full.Roles) <= maxKeys {
		full.HSMs = append(full.HSMs, full.HSMs[len(full.HSMs)-1])
		if full.MaxBundle() > bundle.MaxBundle {
			return len(full.HSMs) - 1
		}
	}
	return len(full.HSMs)
}
