package history

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
)

// The checks, in the order of reports.
const (
	Readable     = "readable"
	Signature    = "signature"
	Windows      = "window"
	Contiguous   = "contiguous"
	Unique       = "unique"
	TimeOrder    = "time-order"
	OneDigest    = "one-digest"
	OperatorCopy = "operator-copy"
	ArtifactSeen = "artifact"
	Previous     = "previous"
	Countersign  = "countersigned"
	LogInclusion = "log-inclusion"
	Unchanged    = "unchanged"
)

var checkNames = []string{Readable, Signature, Windows, Contiguous, Unique, TimeOrder, OneDigest, OperatorCopy, ArtifactSeen, Previous, Countersign, LogInclusion, Unchanged}

// Report is what the history shows.
type Report struct {
	Files      int64
	Statements int64 // of third parties, each counted once
	Checks     []CheckLine
	Namespaces []Namespace
	Problems   []Problem // at most maxProblems, sorted by namespace and epoch
	Faults     int64     // the number of all problems
	Evidence   []Pair
	PassedOver []Passed // files that were not looked at, by name

	fresh []freshEntry // what the record lacks
	load  func(*entry) (*bundle.Statement, error)
	names []string
	keys  []Key
}

// Passed is how many files were passed over because they are about another namespace
// than the one that is looked at. The namespace is as the file says: nothing of it was
// verified. It is empty for the rest where there are very many.
type Passed struct {
	Namespace string
	Files     int64
}

// CheckLine says on how many things a check was made, and how many failed.
type CheckLine struct {
	Name         string
	Checked, Bad int64
	Detail       string // why nothing was checked, or not all; empty if all was
}

// Namespace is one namespace's run of epochs.
type Namespace struct {
	Name                       string
	First, Last                uint64
	Epochs                     int64
	Artifacts, Bundles, Proofs int64
	FirstTime, LastTime        uint64
	Rows                       []Row      // the newest epochs, oldest first
	Retired                    []string   // fleets
	Void                       []uint64   // epochs that never came into force
	Parties                    []PartyRun // in the order of their first epoch, then of their keys
}

// Row is one epoch.
type Row struct {
	Epoch   uint64
	Time    uint64 // milliseconds, of the first signer
	Digest  [32]byte
	Signers []string
	Bundle  bool
	Counter bool
	Logged  bool
	Kind    string // fleet-keys, void, fleet-retirement or opaque; empty if the artifact wasn't given
	Fleet   string
	Delta   *bundle.Delta // nil if either artifact is missing
	First   bool          // the first epoch: the delta has all its keys
}

// Problem is one thing that is wrong.
type Problem struct {
	Check     string
	Namespace string
	Epoch     uint64
	What      string
	Where     []string

	ref uint64
}

// Pair is two statements, as they were saved, that can't both be honest.
type Pair struct {
	Namespace string
	Epoch     uint64
	Key       string
	A, B      []byte
}

// Good says whether something was checked and nothing was wrong.
func (r *Report) Good() bool { return r.Faults == 0 && r.Statements > 0 }

const (
	maxProblems = 1000
	maxPairs    = 100
)

// problems keeps those that come first by namespace and epoch, so that a report
// doesn't depend on which core was faster.
type problems struct {
	list []Problem
	n    int64
	bad  map[string]int64
}

func (p *problems) add(one Problem) {
	if p.bad == nil {
		p.bad = map[string]int64{}
	}
	p.n++
	p.bad[one.Check]++
	if p.list = append(p.list, one); len(p.list) >= 4*maxProblems {
		p.cut()
	}
}

func (p *problems) cut() {
	slices.SortFunc(p.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Epoch, b.Epoch),
			cmp.Compare(a.Check, b.Check), cmp.Compare(a.ref, b.ref), cmp.Compare(a.What, b.What))
	})
	p.list = p.list[:min(len(p.list), maxProblems)]
}

func (p Problem) String() string {
	s := p.What
	if p.Namespace != "" {
		s = fmt.Sprintf("%s epoch %d: %s", p.Namespace, p.Epoch, p.What)
	}
	return s
}
