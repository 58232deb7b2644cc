package ceremony

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Account is the state that a transcript's records add up to. Apply holds every
// rule about what a record may say and when it may come. The engine applies each
// record before it writes it, and a verifier applies each record that it reads, so
// a transcript that breaks a rule is neither written nor accepted.
//
// A failed check is recorded too: it sets Fault, after which only the destruction
// of the key and an abort may follow.
type Account struct {
	Plan  *Plan
	Steps []Step

	Open    *Open
	Intakes map[string]*Intake
	Keys    []*Key // in the order of their intents, without destroyed ones
	// Attestations are by the record number of the key's intent; 0 is the
	// countersigner's key.
	Attestations map[int]*Attested
	FleetCheck   *FleetCheck
	Release      *Release
	Request      *Request
	Responses    []*Response // also those after the countersignature
	Refusals     []*Refusal
	Counter      *Countersignature
	LogProof     *LogProof
	Drills       []*Drilled
	Lockdowns    []*Lockdown
	StillOpen    []int    // records of logins that still worked after a lock-down
	NotRefused   []string // HSMs for which people recorded that a refusal was not shown
	Exceptions   []*Exception
	Retirement   *Retirement // with Doomed of a plan that destroys keys
	Doomed       []*Doomed
	Adjourned    bool
	Abort        *Abort
	Close        *Close

	// FleetCheckHash is the hash of the fleet check's record, which the artifact
	// names; ReleaseHash that of the release's record, which people sign.
	FleetCheckHash, ReleaseHash [32]byte
	FleetCheckTime, ReleaseTime time.Time
	FleetCheckN, ReleaseN       int
	// CounterHead is the countersignature's record, which the bundle names.
	CounterHead Head
	CounterTime time.Time
	// LogProofTime is when the proof was recorded; its cosignatures are not younger.
	LogProofTime time.Time
	LogProofN    int

	Head  [32]byte // hash of the last record; the plan's digest before the first
	N     int      // number of records
	Time  time.Time
	Fault string // the check that failed
	// Resumed is how often the ceremony went on after an interruption.
	Resumed int

	// Needs are the acts done so far that the threshold of officers must have approved.
	Needs []Approval

	hashes         [][32]byte  // of the records, in order
	times          []time.Time // of the records, in order
	step, pos      int         // the next record belongs to Steps[step].Leaves[pos]
	key            *Key        // the one that the open step generates
	openHash       [32]byte    // of the first record
	opened         bool        // the first login was made
	adjourn        *Adjourn    // the last one
	reconvenedN    int         // number of the record that reconvened it last
	exceptionsThen int         // how many exceptions there were at the last adjournment
	// exceptionsAsked is how many exceptions there were at the request.
	exceptionsAsked int
	requestN        int
	// asked and counted are the paths that the records request and
	// countersignature list.
	asked, counted map[string]bool
	// fleetConfirmed says that the fleet check's words were read aloud.
	fleetConfirmed bool
	seals          []Seal              // read so far, of the HSMs that were taken in
	peers          [][]byte            // encoded peers that this ceremony's keys agreed with
	scalars        [][]byte            // those that were opened
	empty          map[string]bool     // by HSM: its token held no object before the first key
	exceptional    map[int]bool        // numbers of the records that are exceptions
	ids            map[string]int      // by CKA_ID: the number of the intent that used it
	made           map[string]*Key     // by SPKI: every key generated, also destroyed ones
	people         *People             // the plan's; nil until somebody asks for them
	held           map[string][]Object // by HSM: what its token held before the first key was destroyed
	doomed         *Doomed             // the one of the open step
	artifact       *bundle.KeySet
	bundle         *bundle.Bundle
	seen           keys.Seen
	answers        []bundle.Signed // statements before the countersignature: those in the bundle
	late           []bundle.Signed // statements after the countersignature

	program Program // the one that resumed the ceremony last, if it differs from the one that opened it
}

// Key is what the transcript says about one key.
type Key struct {
	HSM, Role  string
	N          int // of the intent
	Intent     *Intent
	IntentHash [32]byte
	Outcome    *Outcome
	Attributes *Attributes
	Attempts   []Attempt
	Relaxed    *Relaxed
	Possession *Possession
	Found      *Found
	// Peer and Opened are set for a key that agrees.
	Peer     *AgreementPeer
	Opened   *AgreementOpened
	peerHash [32]byte
}

// NewAccount returns the account before the first record.
func NewAccount(p *Plan) *Account {
	return &Account{
		Plan: p, Steps: p.Steps(), Head: p.Digest(),
		Intakes: map[string]*Intake{}, empty: map[string]bool{}, ids: map[string]int{}, Attestations: map[int]*Attested{}, exceptional: map[int]bool{}, made: map[string]*Key{}, held: map[string][]Object{},
	}
}

// Replay reads a transcript and applies each of its records.
func Replay(plan *Plan, file string, data []byte) (*Account, *Transcript, error) {
	t, err := ParseTranscript(file, data, plan.Digest())
	if err != nil {
		return nil, nil, err
	}
	a := NewAccount(plan)
	for _, r := range t.Records {
		if err := a.Apply(r); err != nil {
			return nil, nil, strict.At(file, r.N, "record %d, %q: %v", r.N, r.Kind, err)
		}
	}
	return a, t, nil
}

// Next is the step that the next record belongs to; false after the last step.
func (a *Account) Next() (Step, bool) {
	if a.step >= len(a.Steps) {
		return Step{}, false
	}
	return a.Steps[a.step], true
}

// NextKind is the kind of record that the step waits for; empty after the last step.
func (a *Account) NextKind() Kind {
	if s, ok := a.Next(); ok && !a.Ended() {
		return s.Leaves[a.pos]
	}
	return ""
}

// StepNumber is the number of the current step, from 1.
func (a *Account) StepNumber() int { return a.step + 1 }

// Ended says that no record may follow.
func (a *Account) Ended() bool { return a.Close != nil || a.Abort != nil }

// Apply takes the next record, or says why this record can't be the next.
func (a *Account) Apply(r *Record) error {
	switch {
	case a.Ended():
		return fmt.Errorf("the ceremony ended with record %d", a.N)
	case r.Withheld() && !kinds()[r.Kind].restricted:
		return fmt.Errorf("it is withheld, and only restricted kinds may be")
	case a.N >= MaxRecords:
		return fmt.Errorf("a ceremony has at most %d records", MaxRecords)
	case r.N != a.N+1 || r.Prev != a.Head:
		return fmt.Errorf("it does not follow record %d", a.N)
	}
	if err := a.CheckTime(r); err != nil {
		return err
	}
	if err := a.order(r); err != nil {
		return err
	}
	if !r.Withheld() {
		if err := a.take(r); err != nil {
			return err
		}
	}
	a.need(r)
	a.passed(r)
	a.Head, a.N, a.Time = r.place(), r.N, r.Time
	a.hashes = append(a.hashes, a.Head)
	a.advance(r)
	return nil
}

var errAdjourned = errors.New("the ceremony is adjourned: it has to be reconvened first")

// order says whether a record of this kind may come now.
func (a *Account) order(r *Record) error {
	if r.Kind == KindAbort {
		if a.Open == nil {
			return fmt.Errorf("the ceremony has not been opened, so there is nothing to abort")
		}
		if a.Request != nil {
			return fmt.Errorf("the third parties have been asked to sign, and an abort can't undo what they signed")
		}
		return nil
	}
	if r.Kind == KindUnlock && a.opened {
		// Also during an adjournment: an abort logs in to destroy keys. The kind is
		// restricted, so no claim depends on how often it comes.
		return nil
	}
	if a.Adjourned && r.Kind != KindReconvene && r.Kind != KindException {
		return errAdjourned
	}
	if o, ok := r.Content.(*Outcome); ok && o.Result == Destroyed && a.key != nil && a.doomed == nil {
		return nil // a key may be given up at any point of its step
	}
	if ClockOf(r.Content) != nil && a.Open != nil {
		return nil // the records after it need the right time
	}
	if e, ok := r.Content.(*Exception); ok && a.Fault != "" && e.Binary != [32]byte{} {
		return nil // another program brings the ceremony to its end
	}
	if a.Fault != "" {
		return fmt.Errorf("after a failed check (%s) only destruction and abort may follow", a.Fault)
	}
	if a.step >= len(a.Steps) {
		return fmt.Errorf("every step of the plan is done")
	}
	if a.interjects(r.Kind) {
		return a.interjection(r)
	}
	s := a.Steps[a.step]
	if r.Kind == KindTarget && s.Act == ActDestroy && a.pos > 0 {
		return nil // the step begins again: takeTarget says when
	}
	if want := s.Leaves[a.pos]; r.Kind != want {
		return fmt.Errorf("step %d (%s) wants a record %q here", a.StepNumber(), s.String(), want)
	}
	return nil
}

// interjects says whether a record of this kind may come between the records that
// the steps list.
func (a *Account) interjects(k Kind) bool {
	switch k {
	case KindException, KindAdjourn, KindReconvene, KindResume, KindRefusal:
		return true
	case KindResponse: // more of them than the plan needs
		return a.Request != nil && a.Steps[a.step].Leaves[a.pos] != KindResponse
	}
	return false
}

func (a *Account) interjection(r *Record) error {
	switch {
	case a.Open == nil:
		return fmt.Errorf("the ceremony has not been opened yet")
	case r.Kind == KindReconvene && !a.Adjourned:
		return fmt.Errorf("the ceremony is not adjourned")
	case r.Kind == KindRefusal && a.Request == nil:
		return fmt.Errorf("no third party has been asked yet")
	case r.Kind == KindAdjourn && a.pos > 0:
		return fmt.Errorf("a step has begun; finish it first, a ceremony is adjourned between two steps")
	}
	return nil
}

// need notes the approval that an act takes: officers sign it over the record
// before the act, and an exception over its own record.
func (a *Account) need(r *Record) {
	want := Approval{Head: Head{a.Head, a.N}}
	switch c := r.Content.(type) {
	case *Resume:
		want.Act = ApproveResume
	case *Reconvene:
		want.Act = ApproveReconvene
	case *Request:
		want.Act, want.Subject = ApproveRequest, c.Core
	case *Countersignature:
		text, err := a.CountersignText()
		if err != nil {
			return // takeCountersignature refused such a record
		}
		want.Act, want.Subject = ApproveCountersign, sha256.Sum256(text)
	case *Exception:
		a.exceptional[r.N] = true
		want.Act, want.Subject, want.Head = ApproveException, r.place(), Head{r.place(), r.N}
	default:
		// The first login opens the HSMs. Its body may be withheld, so only its kind
		// is looked at.
		if r.Kind != KindUnlock || a.opened {
			return
		}
		a.opened = true
		want.Act = ApproveOpen
	}
	a.Needs = append(a.Needs, a.about(want))
}

// about adds this ceremony's mode, id and plan to an approval.
func (a *Account) about(p Approval) Approval {
	p.Mode, p.Ceremony, p.Plan = a.Plan.Mode, a.Open.Ceremony, a.Plan.Digest()
	return p
}

func (s Step) String() string {
	d := string(s.Act)
	if s.Act == ActAttest && s.HSM == "" {
		d += " countersigner"
	}
	if s.HSM != "" {
		d += " " + s.HSM
	}
	if s.Role != "" {
		d += " " + s.Role
	}
	return d
}

// advance moves step and pos to the place of the next record.
func (a *Account) advance(r *Record) {
	if a.interjects(r.Kind) {
		return
	}
	if r.Kind == KindUnlock && a.Steps[a.step].Leaves[a.pos] != KindUnlock {
		return // a further login, after a wrong PIN or a pause
	}
	switch c := r.Content.(type) {
	case *Abort:
		return
	case *Drill:
		if c.Outcome == DrillFailed {
			return // another drill, or why there is none
		}
	case *Lockdown:
		if c.stillOpen() {
			return
		}
	case *Outcome:
		if c.Result != Generated {
			a.pos, a.key = 0, nil // the step begins again, with another CKA_ID
			return
		}
	}
	a.pos++
	if a.pos == len(a.Steps[a.step].Leaves) {
		a.step, a.pos, a.key, a.doomed = a.step+1, 0, nil, nil
	}
}

// take checks what a record says and keeps it.
func (a *Account) take(r *Record) error {
	if err := form(r.Content); err != nil {
		return err
	}
	switch c := r.Content.(type) {
	case *Open:
		return a.takeOpen(c, r)
	case *Reading:
		return a.takeReading(c, r)
	case *Challenge:
		return a.takeChallenge(c)
	case *Intake:
		return a.takeIntake(c)
	case *Unlock:
		// Its body may be withheld, so no rule may depend on it.
	case *Inventory:
		return a.takeInventory(c)
	case *Intent:
		return a.takeIntent(c, r)
	case *Outcome:
		return a.takeOutcome(c)
	case *Attributes:
		return a.takeAttributes(c)
	case *NegativeTest:
		return a.takeNegativeTest(c)
	case *Possession:
		return a.takePossession(c)
	case *AgreementPeer:
		return a.takeAgreementPeer(c, r)
	case *AgreementOpened:
		return a.takeAgreementOpened(c)
	case *Found:
		return a.takeFound(c)
	case *Attestation:
		return a.takeAttestation(c, r)
	case *FleetCheck:
		return a.takeFleetCheck(c, r)
	case *Release:
		return a.takeRelease(c, r)
	case *Request:
		return a.takeRequest(c, r)
	case *Response:
		return a.takeResponse(c, r)
	case *Refusal:
		return a.takeRefusal(c)
	case *Countersignature:
		return a.takeCountersignature(c, r)
	case *LogProof:
		return a.takeLogProof(c, r)
	case *Drill:
		return a.takeDrill(c, r)
	case *Lockdown:
		return a.takeLockdown(c, r)
	case *Retirement:
		a.Retirement = c
	case *Target:
		return a.takeTarget(c, r)
	case *DestroyIntent:
		return a.takeDestroyIntent(c, r)
	case *Destruction:
		return a.takeDestruction(c)
	case *Gone:
		return a.takeGone(c)
	case *Exception:
		return a.takeException(c)
	case *Adjourn:
		return a.takeAdjourn(c)
	case *Reconvene:
		return a.takeReconvene(c)
	case *Resume:
		return a.takeResume(c)
	case *Abort:
		return a.takeAbort(c)
	case *Close:
		a.Close = c
	default:
		return fmt.Errorf("there is no rule for it")
	}
	return nil
}

// mine checks that a record is about the current step's HSM.
func (a *Account) mine(hsm string) error {
	if want := a.Steps[a.step].HSM; hsm != want {
		return fmt.Errorf("it is about hsm %q, the step is about %q", hsm, want)
	}
	return nil
}
