package epochs

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The values of Problem.Kind beside those of evidence.Contradiction.
const (
	KindUnverified = "unverified"  // an object that isn't verified for itself
	KindUnknown    = "unknown"     // a file that no chain is made of
	KindGap        = "gap"         // an epoch that is missing
	KindNoEvidence = "no-evidence" // keys of which only a bundle is here
	KindNamespace  = "namespace"   // an object of another namespace
	KindFleet      = "fleet"       // another fleet, and the one before isn't retired
	KindOrder      = "order"       // what follows was made, logged or seen before what it follows
	KindState      = "state"       // keys in force were asked for, and there are none
)

// StateInForce is the state of keys that nothing here retires, voids or supersedes.
const StateInForce = "in-force"

// maxProblems is how many problems a report lists; it only counts further ones.
const maxProblems = 1000

// Report is the answer about a chain. Verified is the verdict.
type Report struct {
	Mode, Namespace string
	Epochs          []*Epoch // in their order, missing ones among them
	Unknown         []string // files that were not looked at
	Problems        []Problem
	Others          int // further problems
	Policy          *evidence.Policy
	Time            time.Time
	FirstUse        bool
	Verified        bool

	objects []*Object
}

// Epoch is a row: an epoch, or several in a row that are missing.
type Epoch struct {
	Epoch  uint64 `strict:"epoch"`
	Last   uint64 `strict:"last,optional"` // of several that are missing
	What   string `strict:"what,optional"` // WhatKeys, WhatRetirement, WhatVoid; empty where nothing verified is here
	Fleet  string `strict:"fleet,optional"`
	Digest string `strict:"digest,optional"` // of the artifact, hex
	Reason string `strict:"reason,optional"` // of a notice
	// State is what became of its keys: StateInForce or a value of evidence.Standing.What.
	State  string             `strict:"state,optional"`
	Stands *evidence.Standing `strict:"standing,optional"`
	// Destroyed is, of keys that are retired, what is shown of their destruction.
	Destroyed *Destroyed `strict:"destroyed,optional"`
	Missing   string     `strict:"missing,optional"` // what it means that it isn't here
	Objects   []*Object  `strict:"objects,optional"`
}

// Destroyed says how many of an epoch's keys are shown to be destroyed.
type Destroyed struct {
	Keys int `strict:"keys"`
	Of   int `strict:"of"`
}

// Text is that in words.
func (d *Destroyed) Text() string {
	switch d.Keys {
	case 0:
		return "destruction not shown"
	case d.Of:
		return "keys destroyed"
	}
	return fmt.Sprintf("%d of %d keys destroyed", d.Keys, d.Of)
}

// The values of Epoch.What.
const (
	WhatKeys       = "keys"
	WhatRetirement = "retirement"
	WhatVoid       = "void"
)

// Object is a package, a bundle or a notice that was given.
type Object struct {
	File      string        `strict:"file"`
	Type      evidence.Type `strict:"object"`
	Verified  bool          `strict:"verified"`
	Witnessed *time.Time    `strict:"witnessed,optional"` // by when a quorum had seen the bundle

	epoch   uint64
	about   bundle.About
	what    string
	reason  string
	aborted bool
}

// Problem is something that is wrong with the chain.
type Problem struct {
	Kind  string `strict:"kind"`
	Alarm bool   `strict:"alarm"` // two verified objects that can't both be true
	Epoch uint64 `strict:"epoch,optional"`
	Where string `strict:"where,optional"`
	What  string `strict:"what"`
	Next  string `strict:"next,optional"`
}

func (o *Object) fill(t *evidence.Told) {
	o.epoch, o.about, o.what, o.aborted = t.About.Epoch, t.About, WhatKeys, t.Aborted()
	if t.Logged != nil {
		o.Witnessed = t.Logged.Witnessed
	}
	if t.Notice == nil {
		return
	}
	o.reason, o.what = t.Notice.Reason, WhatRetirement
	if t.Notice.Voids() {
		o.what = WhatVoid
	}
}

// relates says whether it is of a type that chains are made of.
func (o *Object) relates() bool {
	return slices.Contains([]evidence.Type{evidence.TypeEvidence, evidence.TypeAbort, evidence.TypeBundle, evidence.TypeNotice, evidence.TypeDestruction}, o.Type)
}

// unverified says whether an object of the epoch is here that isn't verified.
func (e *Epoch) unverified() bool {
	return slices.ContainsFunc(e.Objects, func(o *Object) bool { return !o.Verified })
}

// Name is the row's name: the epoch's number, or those that are missing.
func (e *Epoch) Name() string {
	if e.Last > e.Epoch {
		return fmt.Sprintf("epochs %d to %d", e.Epoch, e.Last)
	}
	return fmt.Sprintf("epoch %d", e.Epoch)
}

// Text is the row in words, as they follow its name.
func (e *Epoch) Text() string {
	switch {
	case e.Missing != "":
		return e.Missing
	case e.Digest == "":
		return "is not verified"
	}
	text := e.What
	switch {
	case e.What == WhatRetirement:
		text += " of the fleet " + e.Fleet
	case e.What == WhatVoid:
		text += fmt.Sprintf(" of epoch %d", e.Epoch-1)
	case e.State == StateInForce:
		text += ", in force by what is here"
	case e.Stands != nil:
		text += ", " + e.State + " " + e.Stands.Text()
	}
	if e.Destroyed != nil {
		text += "; " + e.Destroyed.Text()
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Faulty says whether a problem is about the epoch.
func (r *Report) Faulty(e *Epoch) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Epoch == e.Epoch })
}

// Alarm says whether objects that are verified, each for itself, contradict each other,
// by keys that somebody confirmed.
func (r *Report) Alarm() bool {
	confirmed := r.FirstUse || len(r.Policy.Unpinned()) == 0
	return confirmed && slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Alarm })
}

// Told is what a chain that is verified shows, and what it can't; else how much is wrong.
func (r *Report) Told() string {
	if !r.Verified {
		return fmt.Sprintf("%d things are wrong with the chain of epochs", len(r.Problems)+r.Others)
	}
	first, last, n := r.Epochs[0].Epoch, uint64(0), 0
	for _, e := range r.Epochs {
		if last = max(e.Epoch, e.Last); e.Missing == "" {
			n++
		}
	}
	return fmt.Sprintf("epochs %d to %d, one chain; %d of them here, each verified for itself; nothing here shows that epoch %d is the newest", first, last, n, last)
}

func (r *Report) problem(p Problem) {
	if slices.Contains(r.Problems, p) {
		return
	}
	if len(r.Problems) >= maxProblems {
		r.Others++
		return
	}
	r.Problems = append(r.Problems, p)
}

// conclude derives the verdict: no epoch at all is no success, and neither are keys that
// nobody confirmed.
func (c *Chain) conclude() {
	slices.SortStableFunc(c.r.Problems, func(a, b Problem) int {
		if a.Alarm != b.Alarm {
			if a.Alarm {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Epoch, b.Epoch)
	})
	c.r.Verified = len(c.r.Problems) == 0 && len(c.told) > 0 && (c.r.FirstUse || len(c.policy.Unpinned()) == 0)
}

type reportJSON struct {
	Format    string     `strict:"format"`
	Mode      string     `strict:"mode,optional"`
	Namespace string     `strict:"namespace,optional"`
	Policy    policyJSON `strict:"policy"`
	Time      time.Time  `strict:"time"`
	Epochs    []*Epoch   `strict:"epochs"`
	Unknown   []string   `strict:"unknown"`
	Problems  []Problem  `strict:"problems"`
	Others    int        `strict:"other_problems,optional"`
	Verified  bool       `strict:"verified"`
}

type policyJSON struct {
	File     string   `strict:"file"`
	SHA256   [32]byte `strict:"sha256,hex"`
	Unpinned []string `strict:"unpinned"`
	FirstUse bool     `strict:"trust_on_first_use"`
}

// JSON is the report for programs; its fields are described in docs/SPEC.md.
func (r *Report) JSON() []byte {
	return strict.EncodeJSON(&reportJSON{
		Format: "fleetctl chain report v1", Mode: r.Mode, Namespace: r.Namespace, Time: r.Time,
		Policy: policyJSON{r.Policy.File, r.Policy.Digest, append([]string{}, r.Policy.Unpinned()...), r.FirstUse},
		Epochs: append([]*Epoch{}, r.Epochs...), Unknown: append([]string{}, r.Unknown...), Problems: append([]Problem{}, r.Problems...),
		Others: r.Others, Verified: r.Verified,
	})
}
