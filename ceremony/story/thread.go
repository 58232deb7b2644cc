// Package story tells how a ceremony went, from its records and signatures: who signed
// what, and what went otherwise than planned. It doesn't judge; replay and verifiers do.
package story

import (
	"slices"

	"github.com/fleetctl/fleetctl/ceremony"
)

// What is a kind of event: something that went otherwise than planned.
type What string

// The kinds of events. A third party's policy uses these names.
const (
	Exceptions    What = "exceptions"           // people recorded one
	ClockSet      What = "clock-set"            // this computer's clock was set, as an exception says
	Absent        What = "absent-people"        // an exception says that somebody gives no verdict
	Interruptions What = "interruptions"        // the program had ended without an adjournment
	OtherProgram  What = "other-program"        // another program went on than the one before
	Adjournments  What = "adjournments"         // as people planned
	OtherSeals    What = "other-seals"          // found when it was reconvened
	WrongPINs     What = "wrong-pins"           // a login that the token refused
	WithheldPINs  What = "withheld-logins"      // whose PIN may have been wrong
	WrongWords    What = "wrong-words"          // words that had to be typed again
	FailedKeys    What = "failed-keys"          // no key came of an intent
	DestroyedKeys What = "destroyed-keys"       // a key was made and given up
	Unattested    What = "attestation-problems" // the operator's own policy found in a device's attestation
	Tolerated     What = "tolerated"            // an attempt on a key succeeded, as the plan tolerates
	Reservations  What = "reservations"         // somebody agreed with exceptions
	Disagreements What = "disagreements"        // somebody did not agree
	Refusals      What = "refused-answers"      // a third party's answer that was not taken
	LateAnswers   What = "late-answers"         // a third party's, after the countersignature
	StillOpen     What = "still-open"           // a PIN that got in after a lock-down
	DrillFailed   What = "drill-failed"         // it did not show what it should
	NotDrilled    What = "not-drilled"          // the plan has a drill, and people went on without one
	DrillLeft     What = "drill-left"           // a drill put something into an HSM that is still there
	NotShown      What = "not-shown"            // a lock-down of which no refusal was shown
	Aborted       What = "aborted"
)

// Troubles are all kinds of events, in the order in which they are told.
func Troubles() []What {
	return []What{Aborted, Disagreements, Reservations, Exceptions, Absent, ClockSet, Interruptions, OtherProgram, OtherSeals, Adjournments, DestroyedKeys, FailedKeys,
		Unattested, Tolerated, WrongPINs, WithheldPINs, WrongWords, Refusals, LateAnswers, DrillFailed, NotDrilled, DrillLeft, StillOpen, NotShown}
}

// Thread follows a transcript's records in order, and says which events each is. Bodies
// of restricted records may be withheld.
type Thread struct {
	adjourned   *ceremony.Adjourn
	reconvened  bool // since the last record but exceptions
	opened      bool // somebody has tried to log in to an HSM
	countersign bool
	going       Going // of the last record
}

// Next takes the next record and returns its events.
func (h *Thread) Next(r *ceremony.Record) (list []What) {
	reconvened := h.reconvened
	h.going = ""
	if r.Kind != ceremony.KindException {
		h.reconvened = false
	}
	h.opened = h.opened || r.Kind == ceremony.KindUnlock
	if r.Withheld() {
		return []What{WithheldPINs} // no other kind can be withheld
	}
	switch c := r.Content.(type) {
	case *ceremony.Exception:
		list = append(list, Exceptions)
		if len(c.Absent) > 0 {
			list = append(list, Absent)
		}
		if c.Clock != nil {
			list = append(list, ClockSet)
		}
		if c.Binary != [32]byte{} {
			list = append(list, OtherProgram)
		}
	case *ceremony.Adjourn:
		h.adjourned = c
		list = append(list, Adjournments)
	case *ceremony.Reconvene:
		h.reconvened = true
		if h.adjourned != nil && !slices.Equal(c.Seals, h.adjourned.Seals) {
			list = append(list, OtherSeals)
		}
	case *ceremony.Resume:
		if h.going = h.goingOn(c, reconvened); h.going == AfterEnd {
			list = append(list, Interruptions)
		}
		if c.Binary != [32]byte{} {
			list = append(list, OtherProgram)
		}
	case *ceremony.Abort:
		list = append(list, Aborted)
	default:
		list = h.ofStep(r.Content)
	}
	return list
}

// ofStep are the events of a record that belongs to a step.
func (h *Thread) ofStep(content any) []What {
	switch c := content.(type) {
	case *ceremony.Unlock:
		if c.Result != ceremony.UnlockOK {
			return []What{WrongPINs}
		}
	case *ceremony.Challenge:
		if c.Tries > 1 {
			return []What{WrongWords}
		}
	case *ceremony.Outcome:
		switch c.Result {
		case ceremony.Failed:
			return []What{FailedKeys}
		case ceremony.Destroyed:
			return []What{DestroyedKeys}
		}
	case *ceremony.Attestation:
		if len(c.Problems) > 0 {
			return []What{Unattested}
		}
	case *ceremony.NegativeTest:
		if c.Relaxed != nil {
			return []What{Tolerated}
		}
	case *ceremony.Refusal:
		return []What{Refusals}
	case *ceremony.Countersignature:
		h.countersign = true
	case *ceremony.Response:
		if h.countersign {
			return []What{LateAnswers}
		}
	case *ceremony.Drill:
		return ofDrill(c)
	case *ceremony.Lockdown:
		switch {
		case c.Code == ceremony.LoginOK:
			return []What{StillOpen}
		case c.NotShown():
			return []What{NotShown}
		}
	}
	return nil
}

func ofDrill(c *ceremony.Drill) (list []What) {
	switch c.Outcome {
	case ceremony.DrillFailed:
		list = append(list, DrillFailed)
	case ceremony.DrillNone:
		list = append(list, NotDrilled)
	}
	if len(c.Left) > 0 {
		list = append(list, DrillLeft)
	}
	return list
}

// Going says after what a resume record goes on.
type Going string

// The values of Going. Not every resume follows an end that nobody planned.
const (
	AfterPause  Going = "after-pause"  // an adjournment, with which it ended
	BeforeLogin Going = "before-login" // a wait for officers, before the first login
	AfterEnd    Going = "after-end"    // an end that nobody planned
)

// Going says after what the last record goes on; empty if it is no resume.
func (h *Thread) Going() Going { return h.going }

func (h *Thread) goingOn(c *ceremony.Resume, reconvened bool) Going {
	switch {
	case c.Torn > 0 || c.Intent > 0:
		return AfterEnd
	case reconvened:
		return AfterPause
	case !h.opened:
		return BeforeLogin
	}
	return AfterEnd
}
