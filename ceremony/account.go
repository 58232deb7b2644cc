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

// Account is what a transcript, read record by record, adds up to. Apply holds
// every rule about what a record may say and when it may come: the engine
// can't write, and a verifier can't be shown, a transcript that breaks one.
//
// A failed check is itself recorded: it leaves a Fault, after which only the
// destruction of the key and an abort may follow.
type Account struct {
	Plan  *Plan
	Steps []Step

	Open    *Open
	Intakes map[string]*Intake
	Keys    []*Key // in the order of their intents; destroyed ones leave
	// Attestations are those on the record, by the number of the key's intent, 0
	// for the countersigner's key.
	Attestations map[int]*Attested
	FleetCheck   *FleetCheck
	Release      *Release
	Request      *Request
	Responses    []*Response // all of them, those after the countersignature too
	Refusals     []*Refusal
	Counter      *Countersignature
	LogProof     *LogProof
	Lockdowns    []*Lockdown
	StillOpen    []int    // records of logins that worked after a lock-down
	NotRefused   []string // HSMs of which people say that no refusal was shown
	Exceptions   []*Exception
	Adjourned    bool
	Abort        *Abort
	Close        *Close

	// FleetCheckHash and ReleaseHash are those records' hashes: the artifact
	// names the first, people sign the second.
	FleetCheckHash, ReleaseHash [32]byte
	FleetCheckTime, ReleaseTime time.Time
	FleetCheckN, ReleaseN       int
	// CounterHead is the countersignature's record, which the bundle names.
	CounterHead Head
	CounterTime time.Time
	// LogProofTime is when the proof was recorded: its cosignatures were there.
	LogProofTime time.Time
	LogProofN    int

	Head  [32]byte // hash of the last record; the plan's digest before the first
	N     int      // number of records
	Time  time.Time
	Fault string // the check that failed

	// Needs are the acts so far that m officers must have approved.
	Needs []Approval

	hashes         [][32]byte  // of the records, in their order
	times          []time.Time // of every record
	step, pos      int         // where in Steps the next record belongs
	key            *Key
	openHash       [32]byte // of the first record
	opened         bool     // the first login was made
	adjourn        *Adjourn // the last one, and how many exceptions there were then
	exceptionsThen int
	// exceptionsAsked is how many exceptions there were at the request.
	exceptionsAsked int
	requestN        int
	// asked and counted are the files that the records of request and
	// countersignature list.
	asked, counted map[string]bool
	// fleetConfirmed says that the fleet check's words were read aloud.
	fleetConfirmed bool
	peers          [][]byte        // with which keys of this ceremony agreed
	empty          map[string]bool // HSMs whose token held nothing before
	exceptional    map[int]bool    // the records that are exceptions
	ids            map[string]int  // CKA_IDs ever used, by their intent
	made           map[string]*Key // public keys ever generated, destroyed ones too
	people         *People         // the plan's, once they were asked for
	artifact       *bundle.KeySet
	bundle         *bundle.Bundle
	seen           keys.Seen
	answers        []bundle.Signed // the statements in the bundle
	late           []bundle.Signed // those that came after the countersignature

	program Program // that goes on, where it is another than the one that opened
}

// Key is what the transcript says of one key.
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
	// Peer and Opened are there of a key that agrees.
	Peer     *AgreementPeer
	Opened   *AgreementOpened
	peerHash [32]byte
}

// NewAccount is the account before the first record.
func NewAccount(p *Plan) *Account {
	return &Account{
		Plan: p, Steps: p.Steps(), Head: p.Digest(),
		Intakes: map[string]*Intake{}, empty: map[string]bool{}, ids: map[string]int{}, Attestations: map[int]*Attested{}, exceptional: map[int]bool{}, made: map[string]*Key{},
	}
}

// Replay reads a transcript and applies every record.
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

// Next is the step the next record belongs to; false after the last.
func (a *Account) Next() (Step, bool) {
	if a.step >= len(a.Steps) {
		return Step{}, false
	}
	return a.Steps[a.step], true
}

// NextKind is the kind of record that the step waits for; empty after the last.
func (a *Account) NextKind() Kind {
	if s, ok := a.Next(); ok && !a.Ended() {
		return s.Leaves[a.pos]
	}
	return ""
}

// StepNumber counts the steps from 1.
func (a *Account) StepNumber() int { return a.step + 1 }

// Ended says that no record may follow.
func (a *Account) Ended() bool { return a.Close != nil || a.Abort != nil }

// Apply takes the next record, or says why it can't be the next.
func (a *Account) Apply(r *Record) error {
	switch {
	case a.Ended():
		return fmt.Errorf("the ceremony ended with record %d", a.N)
	case r.Withheld() && !kinds[r.Kind].restricted:
		return fmt.Errorf("it is withheld, and only restricted kinds may be")
	case a.N >= maxRecords:
		return fmt.Errorf("a ceremony has at most %d records", maxRecords)
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
			return fmt.Errorf("nothing has begun that could be aborted")
		}
		if a.Request != nil {
			return fmt.Errorf("the third parties have been asked, and what they signed can't be called back by an abort")
		}
		return nil
	}
	if r.Kind == KindUnlock && a.opened {
		// Also while it is adjourned: an abort has to reach the tokens.
		return nil // restricted, so nothing rests on how often it comes
	}
	if a.Adjourned && r.Kind != KindReconvene && r.Kind != KindException {
		return errAdjourned
	}
	if o, ok := r.Content.(*Outcome); ok && o.Result == Destroyed && a.key != nil {
		return nil // a key may be given up at any point of its step
	}
	if ClockOf(r.Content) != nil && a.Open != nil {
		return nil // whatever comes next needs the right time
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
	if want := s.Leaves[a.pos]; r.Kind != want {
		return fmt.Errorf("step %d (%s) wants a record %q here", a.StepNumber(), s.String(), want)
	}
	return nil
}

// interjects says whether records of a kind may come between and within steps.
func (a *Account) interjects(k Kind) bool {
	switch k {
	case KindException, KindAdjourn, KindReconvene, KindResume, KindRefusal:
		return true
	case KindResponse: // beyond those that are needed
		return a.Request != nil && a.Steps[a.step].Leaves[a.pos] != KindResponse
	}
	return false
}

func (a *Account) interjection(r *Record) error {
	switch {
	case a.Open == nil:
		return fmt.Errorf("nothing has begun yet")
	case r.Kind == KindReconvene && !a.Adjourned:
		return fmt.Errorf("the ceremony is not adjourned")
	case r.Kind == KindRefusal && a.Request == nil:
		return fmt.Errorf("nothing has been requested yet")
	case r.Kind == KindAdjourn && a.pos > 0:
		return fmt.Errorf("a step is open: it is adjourned between steps")
	}
	return nil
}

// need notes that a record is an act which m officers must have approved, over
// the head before it.
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
			return // the record would not have been taken
		}
		want.Act, want.Subject = ApproveCountersign, sha256.Sum256(text)
	case *Exception:
		a.exceptional[r.N] = true
		want.Act, want.Subject, want.Head = ApproveException, r.place(), Head{r.place(), r.N}
	default:
		// The first login opens the HSMs. Its record may be withheld, so it is
		// known by its kind.
		if r.Kind != KindUnlock || a.opened {
			return
		}
		a.opened = true
		want.Act = ApproveOpen
	}
	a.Needs = append(a.Needs, a.about(want))
}

// about completes an approval's text with what it is about anyway.
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

// advance moves to where the next record belongs.
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
	case *Lockdown:
		if c.stillOpen() {
			return
		}
	case *Outcome:
		if c.Result != Generated {
			a.pos, a.key = 0, nil // the step begins anew, with another CKA_ID
			return
		}
	}
	a.pos++
	if a.pos == len(a.Steps[a.step].Leaves) {
		a.step, a.pos, a.key = a.step+1, 0, nil
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
		// Its body may be withheld: nothing that it says may decide anything.
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
	case *Lockdown:
		return a.takeLockdown(c, r)
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
		return fmt.Errorf("no rule takes it")
	}
	return nil
}

// mine checks that a record is about the HSM whose step it is.
func (a *Account) mine(hsm string) error {
	if want := a.Steps[a.step].HSM; hsm != want {
		return fmt.Errorf("it is about hsm %q, the step is about %q", hsm, want)
	}
	return nil
}
