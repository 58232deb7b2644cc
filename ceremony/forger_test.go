package ceremony_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// entry is a record before it is linked. What follows from other records
// (numbers of intents, signatures, the matrix, digests) is made anew when it
// is linked, unless fixed.
type entry struct {
	kind    ceremony.Kind
	time    time.Time
	salt    []byte
	content any
	fixed   bool
	body    string // instead of content
	line    func(*ceremony.Record)
}

// forger has every key there is: the tokens', the third party's, the
// operator's. Whatever he writes is signed and linked as it should be; only
// the rules of a ceremony can stop him.
type forger struct {
	fleet   *testfleet.Fleet
	entries []*entry
	n       int // counts entries made by insert
}

func newForger(t testing.TB, f *testfleet.Fleet) *forger {
	t.Helper()
	tr, err := ceremony.ParseTranscript("transcript", f.Transcript(), f.Plan.Digest())
	if err != nil {
		t.Fatal(err)
	}
	x := &forger{fleet: f}
	for _, r := range tr.Records {
		x.entries = append(x.entries, &entry{kind: r.Kind, time: r.Time, salt: r.Salt, content: r.Content})
	}
	return x
}

// at is the index of the i-th record of a kind; from the end where i < 0.
func (x *forger) at(kind ceremony.Kind, i int) int {
	var found []int
	for n, e := range x.entries {
		if e.kind == kind {
			found = append(found, n)
		}
	}
	if i < 0 {
		i += len(found)
	}
	return found[i]
}

func (x *forger) get(kind ceremony.Kind, i int) *entry { return x.entries[x.at(kind, i)] }

// insert puts a record before the one at n, at the same time.
func (x *forger) insert(n int, content any) *entry {
	at := x.entries[len(x.entries)-1].time
	if n < len(x.entries) {
		at = x.entries[n].time
	}
	x.n++
	salt := sha256.Sum256([]byte{byte(x.n)})
	e := &entry{kind: kindOf(content), time: at, salt: salt[:], content: content, fixed: true}
	x.entries = slices.Insert(x.entries, n, e)
	return e
}

func kindOf(content any) ceremony.Kind {
	switch content.(type) {
	case *ceremony.Abort:
		return ceremony.KindAbort
	case *ceremony.Intent:
		return ceremony.KindIntent
	case *ceremony.Outcome:
		return ceremony.KindOutcome
	case *ceremony.Exception:
		return ceremony.KindException
	case *ceremony.Resume:
		return ceremony.KindResume
	case *ceremony.Adjourn:
		return ceremony.KindAdjourn
	case *ceremony.Reconvene:
		return ceremony.KindReconvene
	case *ceremony.Unlock:
		return ceremony.KindUnlock
	case *ceremony.Response:
		return ceremony.KindResponse
	case *ceremony.Drill:
		return ceremony.KindDrill
	case *ceremony.Refusal:
		return ceremony.KindRefusal
	case *ceremony.Target:
		return ceremony.KindTarget
	case *ceremony.Destruction:
		return ceremony.KindDestruction
	}
	panic("no kind")
}

// drop leaves a record out.
func (x *forger) drop(n int) { x.entries = slices.Delete(x.entries, n, n+1) }

// cut leaves out everything from n on.
func (x *forger) cut(n int) { x.entries = x.entries[:n] }

// change edits a record's content in place and keeps it from being made anew.
func change[T any](e *entry, edit func(T)) {
	edit(e.content.(T))
	e.fixed = true
}

// write links the records into a transcript.
func (x *forger) write() []byte {
	a := ceremony.NewAccount(x.fleet.Plan)
	var out bytes.Buffer
	prev, refused := a.Head, false
	for i, e := range x.entries {
		if !refused {
			x.derive(a, e)
		}
		r := &ceremony.Record{N: i + 1, Time: e.time, Kind: e.kind, Prev: prev, Salt: e.salt, Content: e.content}
		if r.Body = e.body; r.Body == "" {
			r.Body = string(strict.EncodeLine(e.content))
		}
		r.Commit = sha256.Sum256(append(bytes.Clone(r.Salt), r.Body...))
		if e.line != nil {
			e.line(r)
		}
		prev = r.Hash()
		out.Write(r.Line())
		if !refused {
			refused = r.Withheld() && r.Kind != ceremony.KindUnlock || a.Apply(r) != nil // and so will Replay
		}
	}
	return out.Bytes()
}

func (x *forger) derive(a *ceremony.Account, e *entry) {
	if e.fixed {
		return
	}
	var k *ceremony.Key
	if len(a.Keys) > 0 {
		k = a.Keys[len(a.Keys)-1]
	}
	if k == nil {
		k = a.OpenIntent() // of a ceremony that destroys keys
	}
	switch c := e.content.(type) {
	case *ceremony.DestroyIntent:
		if k != nil {
			c.Target = k.N
		}
	case *ceremony.Destruction:
		if d := a.OpenDestruction(); d != nil {
			c.Intent = d.IntentN
		}
	case *ceremony.Outcome:
		if k != nil {
			c.Intent = k.N
		}
	case *ceremony.Attributes:
		if k != nil {
			c.Intent = k.N
		}
	case *ceremony.NegativeTest:
		if k != nil {
			c.Intent = k.N
		}
	case *ceremony.Found:
		if k != nil {
			c.Intent = k.N
		}
	case *ceremony.AgreementPeer:
		if k != nil {
			c.Intent = k.N
		}
	case *ceremony.AgreementOpened:
		if k != nil {
			c.Intent = k.N
		}
	case *ceremony.Possession:
		if k != nil && k.Outcome != nil && k.Use() == keys.Agree {
			c.Intent, c.Answer = k.N, x.answer(a, e, k)
		} else if k != nil && k.Outcome != nil && a.Open != nil {
			c.Intent, c.Signature = k.N, x.sign(k.Outcome.PublicKey, a.PossessionText(k))
		}
	case *ceremony.Challenge:
		switch c.What {
		case ceremony.ChallengePlan:
			return
		case ceremony.ChallengeFleet:
			c.Subject = a.FleetCheckHash
			return
		case ceremony.ChallengeKeySet:
			if set, err := a.Artifact(); err == nil {
				c.Subject = set.Digest()
			}
			return
		case ceremony.ChallengeBundle:
			if b, err := a.Bundle(); err == nil {
				c.Subject = sha256.Sum256(b.Raw())
			}
			return
		}
		if k != nil && k.Outcome != nil {
			c.Intent, c.Subject = k.N, sha256.Sum256(k.Outcome.PublicKey)
		}
	case *ceremony.FleetCheck:
		if m := a.Matrix(); m != nil {
			e.content = m
		}
	case *ceremony.Release:
		if set, err := a.Artifact(); err == nil {
			c.Artifact = set.Digest()
		}
	case *ceremony.Response:
		if a.Release != nil {
			old := must(bundle.ParseStatement("", c.Statement))
			c.Statement = x.state(old.Timestamp, a.Release.Artifact, func(*bundle.Statement) {})
		}
	case *ceremony.Countersignature:
		if text, err := a.CountersignText(); err == nil {
			c.Signature = must(x.fleet.Parties.Operator.Sign(text))
		}
	case *ceremony.LogProof:
		if b, err := a.Bundle(); err == nil {
			c.Bundle = sha256.Sum256(b.Raw())
		}
	}
}

// answer is made with the scalar that is told next: no HSM is needed for it.
func (x *forger) answer(a *ceremony.Account, e *entry, k *ceremony.Key) (answer [32]byte) {
	for _, next := range x.entries[slices.Index(x.entries, e):] {
		o, ok := next.content.(*ceremony.AgreementOpened)
		if !ok {
			continue
		}
		s, err := keys.ParseScalar(k.Intent.Algorithm, o.Scalar)
		p, err2 := keys.ParseAs(k.Intent.Algorithm, k.Outcome.PublicKey)
		if err != nil || err2 != nil || k.Peer == nil {
			break
		}
		answer, _ = a.AnswerWith(must(s.Secret(p)))
		return answer
	}
	return [32]byte{1}
}

// sign signs with the private half of a key, whichever token has it.
func (x *forger) sign(spki, message []byte) []byte {
	for _, t := range x.fleet.Tokens {
		for _, o := range must(t.Objects()) {
			if k := t.Key(o.ID); k != nil && bytes.Equal(k.Public.SPKI(), spki) {
				return must(k.SignAs(keys.ForPossession, message))
			}
		}
	}
	return []byte("nobody has this key")
}

// state is a statement that the third party signs, changed before it does.
func (x *forger) state(timestamp uint64, digest [32]byte, edit func(*bundle.Statement)) []byte {
	p := x.fleet.Plan
	s := must(bundle.NewStatement(p.ThirdParties[0].Ciphersuite, p.Namespace, timestamp, p.Epoch, digest))
	edit(s)
	s = must(bundle.NewStatement(s.Ciphersuite, s.Namespace, s.Timestamp, s.Epoch, s.Digest))
	sealed := must(s.Seal(p.ThirdParties[0].Key, must(x.fleet.Parties.ThirdParty.Sign(s.Message()))))
	return sealed.Raw()
}

// replay is what a verifier makes of it.
func (x *forger) replay() (*ceremony.Account, error) {
	a, _, err := ceremony.Replay(x.fleet.Plan, "transcript.jsonl", x.write())
	return a, err
}

// abortOf is an abort that says the same of every key there is.
func abortOf(x *forger, state string) *ceremony.Abort {
	c := &ceremony.Abort{Reason: "stop"}
	for _, k := range x.fleet.Account.Keys {
		c.Keys = append(c.Keys, ceremony.KeyState{HSM: k.HSM, Role: k.Role, ID: k.Intent.ID, State: state})
	}
	return c
}

// absent puts in an exception that names these people.
func absent(names ...string) func(x *forger) {
	return func(x *forger) {
		x.insert(x.at(ceremony.KindRelease, 0), &ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c", Absent: append([]string{}, names...)})
	}
}
