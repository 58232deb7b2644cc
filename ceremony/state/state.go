// Package state is how far a ceremony has come, as its machine shows it to a second
// screen, and what that screen makes of it. The screen is the auditor's or a witness's
// own machine. It has the plan, no HSM, and no reason to believe the other machine: what
// it is shown is held against the plan and against all that it was shown before.
//
// There are three ways to be shown it, each worth more than the one before: a state
// alone, which is claimed; the chain of records up to it, which can't have been swapped
// since; and the transcript, which is replayed by the same rules as every verifier's.
package state

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Wants is what a ceremony waits for.
type Wants byte

// What a ceremony waits for, as far as it concerns a second screen.
const (
	Records   Wants = iota // nothing that a second screen answers
	Words                  // the words of the subject are read aloud and asked for
	Peer                   // an auditor draws a challenge for the new key
	Scalar                 // the key has answered: the subject is its answer
	Adjourned              // it is interrupted as planned
	Aborted                // it has ended without a result
	Closed                 // it has ended
	wantsEnd
)

// Prefix begins the text of every state.
const Prefix = "FLEETCTL-S1:"

const (
	planBytes    = 16
	shortBytes   = 1 + 2 + 2 + 1 + planBytes + 32
	subjectBytes = shortBytes + 32

	// maxResumed is how many resumes a state can tell: those beyond it are not counted.
	maxResumed = 255
)

// State is where a ceremony stands after a record. Whoever has the plan and the records
// up to it comes to the same.
type State struct {
	Plan    [planBytes]byte // how the SHA-256 of the plan begins
	Record  int             // number of the last record; 0 before the first
	Head    [32]byte        // its hash; the plan's SHA-256 before the first
	Step    int             // the step that the next record belongs to, from 1
	Resumed int             // how often it went on after an interruption
	Wants   Wants
	Subject [32]byte // of Words and Scalar; zeros otherwise
}

// Of is where an account stands.
func Of(a *ceremony.Account) (State, error) {
	digest := a.Plan.Digest()
	s := State{Plan: [planBytes]byte(digest[:planBytes]), Record: a.N, Head: a.Head, Step: a.StepNumber(), Resumed: min(a.Resumed, maxResumed)}
	switch {
	case a.Abort != nil:
		s.Wants = Aborted
		return s, nil
	case a.Close != nil:
		s.Wants = Closed
		return s, nil
	case a.Adjourned:
		s.Wants = Adjourned
		return s, nil
	case a.Fault != "":
		return s, nil // only a destruction and an abort may follow
	}
	switch a.NextKind() {
	case ceremony.KindChallenge:
		_, _, subject, err := a.WantedChallenge()
		if err != nil {
			return State{}, err
		}
		s.Wants, s.Subject = Words, subject
	case ceremony.KindAgreementPeer:
		s.Wants = Peer
	case ceremony.KindAgreementOpened:
		if k := a.OpenIntent(); k != nil && k.Possession != nil {
			s.Wants, s.Subject = Scalar, k.Possession.Answer
		}
	}
	return s, nil
}

func (s State) ended() bool { return s.Wants == Aborted || s.Wants == Closed }

func (s State) hasSubject() bool { return s.Wants == Words || s.Wants == Scalar }

// spelling is base32 as QR frames have it: its characters are packed best by a QR code.
var spelling = base32.StdEncoding.WithPadding(base32.NoPadding)

// String is the state's text: at most 150 characters of QR's alphanumeric set, so that
// its code fits a screen of 24 lines.
func (s State) String() string {
	b := make([]byte, 0, subjectBytes)
	b = append(b, byte(s.Wants))
	b = binary.BigEndian.AppendUint16(b, uint16(s.Step))
	b = binary.BigEndian.AppendUint16(b, uint16(s.Record))
	b = append(b, byte(s.Resumed))
	b = append(append(b, s.Plan[:]...), s.Head[:]...)
	if s.hasSubject() {
		b = append(b, s.Subject[:]...)
	}
	return Prefix + spelling.EncodeToString(b)
}

// Parse reads a state's text. There is one spelling of each.
func Parse(text string) (State, error) {
	body, ok := strings.CutPrefix(text, Prefix)
	if !ok {
		return State{}, fmt.Errorf("is no state of a ceremony: it doesn't begin with %s", Prefix)
	}
	if len(body) > spelling.EncodedLen(subjectBytes) {
		return State{}, fmt.Errorf("is no state of a ceremony: it is longer than every one")
	}
	b, err := spelling.DecodeString(body)
	if err != nil || spelling.EncodeToString(b) != body {
		return State{}, fmt.Errorf("is no state of a ceremony: it can't be read as base32")
	}
	if len(b) != shortBytes && len(b) != subjectBytes {
		return State{}, fmt.Errorf("is no whole state of a ceremony: it has %d bytes, not %d or %d", len(b), shortBytes, subjectBytes)
	}
	s := State{Wants: Wants(b[0]), Step: int(binary.BigEndian.Uint16(b[1:])), Record: int(binary.BigEndian.Uint16(b[3:])), Resumed: int(b[5])}
	copy(s.Plan[:], b[6:])
	copy(s.Head[:], b[6+planBytes:])
	if s.hasSubject() == (len(b) == shortBytes) {
		return State{}, fmt.Errorf("is no state of a ceremony: what it waits for and its length don't go together")
	}
	copy(s.Subject[:], b[shortBytes:])
	switch zero := [32]byte{}; {
	case s.Wants >= wantsEnd:
		return State{}, fmt.Errorf("is no state of a ceremony: it waits for something unknown, %d", s.Wants)
	case s.Resumed > 0 && s.Resumed >= s.Record:
		return State{}, fmt.Errorf("is no state of a ceremony: it was resumed %d times in %d records", s.Resumed, s.Record)
	case s.Step < 1, s.Record > ceremony.MaxRecords, s.Head == zero, s.hasSubject() && s.Subject == zero:
		return State{}, fmt.Errorf("is no state of a ceremony: its step, record, head or subject is none")
	}
	return s, nil
}

// StepOf is the plan's step that a state is at; false after the last.
func (s State) StepOf(p *ceremony.Plan) (ceremony.Step, bool) {
	if steps := p.Steps(); s.Step >= 1 && s.Step <= len(steps) {
		return steps[s.Step-1], true
	}
	return ceremony.Step{}, false
}

// fits says whether a state can be one of the plan's ceremony.
func (s State) fits(p *ceremony.Plan) error {
	digest := p.Digest()
	if s.Plan != [planBytes]byte(digest[:planBytes]) {
		return refused(AnotherPlan, "what is shown is of a ceremony by a plan whose SHA-256 begins with %x; yours begins with %x", s.Plan[:8], digest[:8])
	}
	step, ok := s.StepOf(p)
	switch {
	case ok && s.Wants == Closed:
		return refused(NotOfPlan, "what is shown is closed at step %d, %s, and the plan has %d steps", s.Step, step.Act, len(p.Steps()))
	case !ok && s.Wants != Closed && s.Wants != Aborted:
		return refused(NotOfPlan, "what is shown is at step %d, and the plan has %d", s.Step, len(p.Steps()))
	case s.Record == 0 && (s.Head != digest || s.Step != 1):
		return refused(AnotherHead, "before its first record a ceremony's head is the plan's SHA-256, and what is shown has another one")
	case s.Wants == Words && !leaves(step, ceremony.KindChallenge):
		return refused(NotOfPlan, "words are asked for in step %d, %s, in which none are read", s.Step, step.Act)
	case (s.Wants == Peer || s.Wants == Scalar) && !leaves(step, ceremony.KindAgreementPeer):
		return refused(NotOfPlan, "a challenge is asked for in step %d, %s, in which no key agrees", s.Step, step.Act)
	case s.Wants == Words && step.Act == ceremony.ActOpen && s.Subject != digest:
		return refused(AnotherPlan, "the words that are asked for are those of another plan than yours")
	}
	return nil
}

func leaves(s ceremony.Step, kind ceremony.Kind) bool {
	for _, k := range s.Leaves {
		if k == kind {
			return true
		}
	}
	return false
}

// Algorithm is that of the key which a state's step is about; empty where it is about
// none.
func (s State) Algorithm(p *ceremony.Plan) ceremony.Algorithm {
	step, _ := s.StepOf(p)
	if r := p.Role(step.Role); r != nil {
		return r.Algorithm
	}
	return ""
}

// Refusal is why something that was shown isn't taken.
type Refusal struct {
	Name string // one of the names below
	Text string
	// Known says that exactly this was taken before: a picture that is still there, or
	// somebody who shows what is over.
	Known bool
}

// What is wrong with what a second screen refuses.
const (
	AnotherPlan = "another plan"
	AnotherHead = "another head"
	OlderState  = "an older state"
	NotOfPlan   = "no state of this plan"
	BrokenChain = "a broken chain"
	OtherState  = "another state"
)

func (r *Refusal) Error() string { return r.Name + ": " + r.Text }

// Hint is what to do.
func (r *Refusal) Hint() string {
	switch {
	case r.Known:
		return "have the code of now shown; if that is this one, have the ceremony stopped"
	case r.Name == AnotherPlan:
		return "compare the plans: fleetctl words PLAN on both machines; a ceremony by another plan is none of yours"
	case r.Name == BrokenChain:
		return "have the chain shown anew; if it is broken again, have the ceremony stopped"
	}
	return "have the ceremony stopped, and say so: the machine shows two pasts"
}

// refused bounds its text: some of it can be the other machine's own words, and what is
// kept of a refusal has to be readable again.
func refused(name, format string, args ...any) *Refusal {
	return &Refusal{Name: name, Text: strict.Said(fmt.Sprintf(format, args...))}
}
