package explain

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// short is the beginning of some bytes' SHA-256.
func short(data []byte) string {
	h := sha256.Sum256(data)
	return words.Short(h[:])
}

// brief is enough of a digest to find it again a few lines further down.
func brief(h [32]byte) string { return words.Hex(h[:4]) + "…" }

// Records says in a line what each record of a transcript reports. It remembers which key
// each intent is about, since later records only have the intent's number, and after what
// a resume goes on.
type Records struct {
	keys   map[int]string
	thread story.Thread
}

// NewRecords returns a Records for a transcript, whose records must be told in order.
func NewRecords() *Records { return &Records{keys: map[int]string{}} }

func (t *Records) key(intent int) string {
	if name, ok := t.keys[intent]; ok {
		return name
	}
	return fmt.Sprintf("the key of record %d", intent)
}

// Public is [Records.Tell] for a public page: for a record that may be withheld it says the
// same whether it is or not.
func (t *Records) Public(r *ceremony.Record) string {
	t.follow(r)
	if r.Kind.Restricted() {
		return "restricted"
	}
	return t.say(r)
}

// Restricted says who sees the content of restricted records, and why not everybody.
const Restricted = "How a PIN was given, and what the HSM answered to it, stands in the records unlock. " +
	"They are restricted: whoever publishes the evidence may leave their content out, since it tells a thief about tokens and nobody about keys. " +
	"The people of the ceremony have it, and the third parties get it with the request. " +
	"This page is the same with it and without it, so it shows neither; no key and no claim rests on it."

// noWords is the text for a kind of record without words here. A test checks that all have
// some.
const noWords = "a record of a kind that this version has no words for"

// Tell says what a record reports. It must be called for each record, in order.
func (t *Records) Tell(r *ceremony.Record) string {
	t.follow(r)
	return t.say(r)
}

// follow remembers what the words of later records need of this one.
func (t *Records) follow(r *ceremony.Record) {
	t.thread.Next(r)
	switch c := r.Content.(type) {
	case *ceremony.Intent:
		t.keys[r.N] = c.HSM + " " + c.Role
	case *ceremony.Target:
		t.keys[r.N] = c.HSM + " " + c.Role
	case *ceremony.DestroyIntent:
		t.keys[r.N] = t.keys[c.Target]
	}
}

// say puts the record into words that was followed last.
func (t *Records) say(r *ceremony.Record) string {
	if r.Withheld() {
		return "withheld"
	}
	switch c := r.Content.(type) {
	case *ceremony.Open:
		return fmt.Sprintf("%s begins; words %s, chosen by the %s", c.Ceremony, strings.Join(c.Words, " "), c.ChosenBy)
	case *ceremony.Intake:
		return c.HSM + " is " + strings.TrimSpace(c.Model+" "+c.Firmware) + ", serial " + c.Serial
	case *ceremony.Unlock:
		return fmt.Sprintf("%s, PIN by %s: %s", c.HSM, c.Method, c.Result)
	case *ceremony.Inventory:
		return c.HSM + " holds " + words.Count(int64(len(c.Objects)), "object", "objects")
	case *ceremony.Intent:
		return fmt.Sprintf("%s: %s, CKA_ID %x…", t.key(r.N), c.Algorithm, c.ID[:min(4, len(c.ID))])
	case *ceremony.Attestation:
		return t.tellAttestation(c)
	case *ceremony.FleetCheck:
		return fmt.Sprintf("%s, %d checks each, firmware %s, majority %d", words.Count(int64(len(c.Rows)), "HSM", "HSMs"), len(c.Checks), c.Firmware, c.Majority)
	case *ceremony.Abort:
		destroyed := 0
		for _, k := range c.Keys {
			if k.State == ceremony.Destroyed {
				destroyed++
			}
		}
		return fmt.Sprintf("aborted, %d of %d keys destroyed: %s", destroyed, len(c.Keys), c.Reason)
	case *ceremony.Reading:
		return tellReading(c)
	case *ceremony.Challenge:
		return t.tellChallenge(c)
	case *ceremony.Exception:
		return tellException(c)
	case *ceremony.Refusal:
		return "answer refused: " + c.Reason
	case *ceremony.Adjourn:
		return "adjourned, as people planned, under " + tellSeals(c.Seals) + ": " + c.Reason
	case *ceremony.Reconvene:
		return "reconvened, with " + tellSeals(c.Seals) + " as found"
	case *ceremony.Resume:
		return t.tellResume(c)
	case *ceremony.Close:
		return "closed over " + words.Count(int64(len(c.Files)), "file", "files")
	}
	if text := t.tellKey(r.Content); text != "" {
		return text
	}
	if text := t.tellDestruction(r.Content); text != "" {
		return text
	}
	return tellRelease(r.Content)
}

// tellAttestation says what the people in the room saw of a device's evidence.
func (t *Records) tellAttestation(c *ceremony.Attestation) string {
	what := "the countersigner's key"
	if c.Intent > 0 {
		what = t.key(c.Intent)
	}
	text := fmt.Sprintf("%s: %s by device %s, %s", what, c.Format, c.Identity, c.Level)
	if c.Anchor != "" {
		text += " under " + c.Anchor
	}
	if c.Firmware != "" {
		text += ", firmware " + c.Firmware
	}
	text += fmt.Sprintf(", %s, evidence %s", c.By, brief(c.Evidence))
	switch n := len(c.Problems); n {
	case 0:
		return text
	case 1:
		return text + "; PROBLEM: " + c.Problems[0]
	default:
		return text + fmt.Sprintf("; %d PROBLEMS, the first: %s", n, c.Problems[0])
	}
}

func tellException(c *ceremony.Exception) string {
	text := fmt.Sprintf("exception %d: %s; expected: %s; decided: %s%s", c.Number, c.Happened, c.Expected, c.Decided, c.AbsentText()+c.AboutText())
	if c.Clock != nil {
		text += "; this computer's clock was set: another shows " + strict.FormatTime(c.Clock.Wall)
	}
	if c.Version != "" {
		text += "; " + tellProgram(c.Version, c.Binary)
	}
	return text
}

func tellSeals(list []ceremony.Seal) string {
	if len(list) == 0 {
		return "no seal"
	}
	var texts []string
	for _, x := range list {
		texts = append(texts, x.What+" "+x.Number)
	}
	text := "seal "
	if len(list) > 1 {
		text = "seals "
	}
	return text + strings.Join(texts, ", ")
}

func tellReading(c *ceremony.Reading) string {
	text := c.What
	if c.HSM != "" {
		text += " of " + c.HSM
	}
	return text + ": " + c.Value + ", read by " + both(c.By, c.Confirmed)
}

// both names the two people who did something, or the one.
func both(by, confirmed string) string {
	switch {
	case confirmed == "":
		return "the " + by
	case confirmed == by: // in a rehearsal
		return "the " + by + " in both parts"
	}
	return "the " + by + " and the " + confirmed
}

func (t *Records) tellChallenge(c *ceremony.Challenge) string {
	what := c.What
	if c.Intent > 0 {
		what = t.key(c.Intent)
	}
	at := make([]string, len(c.Positions))
	for i, p := range c.Positions {
		at[i] = strconv.Itoa(p)
	}
	text := what + ": words " + strings.Join(at, ", ") + " by the " + c.By
	if c.Tries > 1 {
		text += fmt.Sprintf(", after %d tries", c.Tries)
	}
	return text
}

func (t *Records) tellResume(c *ceremony.Resume) string {
	text := "resumed after the program had ended without an adjournment, last heard of " + strict.FormatTime(c.Since)
	switch t.thread.Going() {
	case story.AfterPause:
		text = "resumed after the adjournment, as planned"
	case story.BeforeLogin:
		text = "resumed before anybody had opened an HSM, last heard of " + strict.FormatTime(c.Since)
	}
	if c.Torn > 0 {
		text += fmt.Sprintf("; %d bytes of an unfinished record kept aside", c.Torn)
	}
	if c.Intent > 0 {
		text += fmt.Sprintf("; the intent of record %d was open", c.Intent)
	}
	if c.Version != "" {
		text += "; " + tellProgram(c.Version, c.Binary)
	}
	return text
}

func tellProgram(version string, binary [32]byte) string {
	return fmt.Sprintf("by another program than before: fleetctl %s, %s", strict.Clip(version), brief(binary))
}

// tellKey tells the records about a key after its intent; empty for others.
func (t *Records) tellKey(content any) string {
	switch c := content.(type) {
	case *ceremony.Outcome:
		text := t.key(c.Intent) + ": " + c.Result
		if c.Reason != "" {
			text += ", " + c.Reason
		}
		if len(c.PublicKey) > 0 {
			text += " as " + brief(sha256.Sum256(c.PublicKey))
		}
		return text
	case *ceremony.Attributes:
		unread := 0
		for _, list := range [][]ceremony.Attribute{c.Private, c.Public} {
			for i := range list {
				if list[i].Code != "" {
					unread++
				}
			}
		}
		return fmt.Sprintf("%s: %d read back, %d unreadable", t.key(c.Intent), len(c.Private)+len(c.Public)-unread, unread)
	case *ceremony.NegativeTest:
		text := t.key(c.Intent) + ": " + tellAttempts(c.Attempts)
		if c.Relaxed != nil {
			text += "; then " + tellAttempts(c.Relaxed.Attempts) + "; set back: "
			for i, back := range c.Relaxed.Restored {
				if i > 0 {
					text += ", "
				}
				text += back.Code
			}
		}
		return text
	case *ceremony.AgreementPeer:
		if c.By == ceremony.Machine {
			return t.key(c.Intent) + ": a peer that the machine drew"
		}
		return fmt.Sprintf("%s: a peer that %s drew", t.key(c.Intent), c.Challenger)
	case *ceremony.AgreementOpened:
		return t.key(c.Intent) + ": the peer's private half is told"
	case *ceremony.Possession:
		if len(c.Signature) == 0 {
			return t.key(c.Intent) + ": answered its peer"
		}
		return t.key(c.Intent) + ": answered its nonce"
	case *ceremony.Found:
		return t.key(c.Intent) + ": found again, " + brief(c.PublicKey)
	}
	return ""
}

func tellAttempts(list []ceremony.Attempt) string {
	refused, unstaged := 0, 0
	var succeeded []string
	for _, a := range list {
		switch {
		case a.Unstaged:
			unstaged++
		case a.Code == "CKR_OK":
			succeeded = append(succeeded, a.Name)
		default:
			refused++
		}
	}
	text := fmt.Sprintf("%d of %d refused", refused, len(list))
	if unstaged > 0 {
		text += fmt.Sprintf(", %d impossible", unstaged)
	}
	if len(succeeded) > 0 {
		text += "; SUCCEEDED: " + strings.Join(succeeded, ", ")
	}
	return text
}

func tellDrill(c *ceremony.Drill) string {
	text := fmt.Sprintf("drill %d %s, report %s", c.Number, c.Outcome, brief(c.Report))
	if c.Outcome == ceremony.DrillNone {
		text = fmt.Sprintf("no drill: %s, by %s", c.Reason, both(c.By, c.Confirmed))
	}
	if len(c.Left) > 0 {
		text += "; not removed from " + strings.Join(c.Left, ", ")
	}
	return text
}

// tellRelease tells the records after the fleet check.
func tellRelease(content any) string {
	switch c := content.(type) {
	case *ceremony.Release:
		return "artifact " + brief(c.Artifact) + " may leave the room"
	case *ceremony.Request:
		return fmt.Sprintf("request %s goes to third parties, after %s", brief(c.Core), words.Count(int64(len(c.Files)), "file that people signed", "files that people signed"))
	case *ceremony.Response:
		st, err := bundle.ParseServed("", c.Statement)
		if err != nil {
			return fmt.Sprintf("a statement by key %x… that can't be read", c.Key[:4])
		}
		return fmt.Sprintf("key %x… signed epoch %d", c.Key[:4], st.Epoch)
	case *ceremony.Countersignature:
		return fmt.Sprintf("form %s, key %s, after %s", c.Form, brief(sha256.Sum256(c.Key)), words.Count(int64(len(c.Files)), "file that people signed", "files that people signed"))
	case *ceremony.Drill:
		return tellDrill(c)
	case *ceremony.Lockdown:
		what := "read off: " + c.Reading
		switch {
		case c.Code == ceremony.LoginOK:
			what = "the same PIN still lets in"
		case c.Code != "":
			what = "the PIN that opened it is refused with " + c.Code
		case c.NotShown():
			what = "not shown: " + c.Reading
		}
		return fmt.Sprintf("lock-down %d, %s: %s, by %s", c.Number, c.Text, what, both(c.By, c.Confirmed))
	case *ceremony.LogProof:
		return fmt.Sprintf("bundle %s, proof %s", brief(c.Bundle), brief(c.Proof))
	}
	return noWords
}
