// Package entries judges the entries of a log, which are bundles and evidence leaves: each
// by a verifier's policy, and by the entries before it.
package entries

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Fault is something wrong with an entry of a log.
type Fault struct {
	Kind  string
	Index uint64
	Text  string
}

// The kinds of fault.
const (
	FaultUnreadable   = "unreadable"        // neither a bundle nor an evidence leaf
	FaultNamespace    = "unknown-namespace" // the policy doesn't pin it, or its mode is the other one
	FaultFleet        = "unknown-fleet"     // none of Judge.Fleets
	FaultSignatures   = "signatures"        // a bundle that doesn't verify under the policy
	FaultWindow       = "window"            // a bundle signed by a key whose window is over
	FaultEquivocation = "equivocation"      // one epoch, two digests
	FaultRepeated     = "repeated"          // an epoch or an ending that is in the log already
	FaultGap          = "gap"               // epochs don't rise by one
	FaultPredecessor  = "predecessor"       // an artifact that doesn't name the one before
	FaultRetired      = "retired"           // an artifact of a fleet that was retired before
	FaultEndings      = "two-endings"       // a ceremony or an epoch with two endings
	FaultNoEvidence   = "no-evidence"       // an epoch whose evidence isn't logged in time
)

// maxRemembered is how many epochs are remembered in all namespaces together; a fleet has
// one every few years. It keeps State within maxState. If an epoch that was forgotten
// comes again, it is below the last one and so is reported nevertheless.
const maxRemembered = 1 << 14

// maxState is the largest state that Restore takes, in bytes.
const maxState = 16 << 20

// Judge judges a log's entries by a policy: each by itself, and by the entries before it.
// Several goroutines may call Read at once; the other methods are for one.
type Judge struct {
	// Evidence is how long an epoch may be without evidence; 0 means for ever.
	Evidence time.Duration
	// Fleets are the known fleets; if empty, any fleet is accepted.
	Fleets []string
	Now    func() time.Time

	policy     *evidence.Policy
	namespaces []*followed
	endings    endings
}

// New returns a Judge with a policy.
func New(p *evidence.Policy, now func() time.Time) *Judge { return &Judge{policy: p, Now: now} }

// Entry is an entry that Read has read.
type Entry struct {
	faults    []Fault
	known     bool // a bundle or a leaf in a pinned namespace
	leaf      *evidence.Leaf
	namespace string
	epoch     uint64
	digest    [32]byte // of the artifact
	about     bundle.About
	notice    bool
}

// Read judges an entry by itself.
func (e *Judge) Read(index uint64, leaf []byte) *Entry {
	x := &Entry{}
	fault := func(kind, format string, args ...any) *Entry {
		x.faults = append(x.faults, Fault{kind, index, fmt.Sprintf("entry %d: ", index) + fmt.Sprintf(format, args...)})
		return x
	}
	if evidence.IsLeaf(leaf) {
		l, err := evidence.ParseLeaf("", leaf)
		if err != nil {
			return fault(FaultUnreadable, "%v", err)
		}
		x.leaf, x.namespace, x.epoch = l, l.Namespace, l.Epoch
		return e.pinned(x, l.Mode, fault)
	}
	b, err := bundle.ParseAny("", leaf)
	if err != nil {
		return fault(FaultUnreadable, "%v", err)
	}
	set := b.About()
	x.namespace, x.epoch, x.digest, x.about, x.notice = set.Namespace, set.Epoch, set.Digest, set, b.Notice != nil
	if e.pinned(x, set.Mode, fault); !x.known {
		return x
	}
	if len(e.Fleets) > 0 && !slices.Contains(e.Fleets, x.about.Fleet) {
		fault(FaultFleet, "fleet %s in %s, epoch %d, is not among those known", x.about.Fleet, x.namespace, x.epoch)
	}
	_, err = b.Verify(e.policy.Trust(x.namespace), e.Now(), nil)
	var short *bundle.Short
	switch {
	case errors.As(err, &short) && len(short.Result.Expired) > 0:
		// Only a witnessed proof shows that a signature was made inside the window.
		fault(FaultWindow, "%s, epoch %d: signed by a key whose window is over; verify the bundle with its own proof", x.namespace, x.epoch)
	case err != nil:
		fault(FaultSignatures, "%s, epoch %d: %v", x.namespace, x.epoch, err)
	case b.KeySet != nil:
		for _, shared := range e.policy.Voices(b.KeySet) { // also with people and witnesses
			fault(FaultSignatures, "%s, epoch %d: %s", x.namespace, x.epoch, shared)
		}
	}
	return x
}

func (e *Judge) pinned(x *Entry, mode string, fault func(string, string, ...any) *Entry) *Entry {
	if mode != e.policy.Mode || !e.policy.Pins(x.namespace) {
		return fault(FaultNamespace, "%s %s, epoch %d, which the policy does not pin", mode, x.namespace, x.epoch)
	}
	x.known = true
	return x
}

// followed is what the entries so far say about a namespace.
type followed struct {
	Namespace string         `strict:"namespace"`
	Last      uint64         `strict:"last"` // epoch; 0 before the first
	Epochs    []epochJSON    `strict:"epochs"`
	Retired   []string       `strict:"retired,optional"` // fleets
	byEpoch   map[uint64]int // index into Epochs
}

type epochJSON struct {
	Epoch  uint64    `strict:"epoch"`
	Index  uint64    `strict:"index"`
	Digest [32]byte  `strict:"digest,hex"`
	Seen   time.Time `strict:"seen"`            // when Take saw it
	Head   []byte    `strict:"head,hex,empty"`  // the close head; empty without evidence
	Notice bool      `strict:"notice,optional"` // a retirement or a void, which no ceremony made
	// Ceremony is the one that made it; states written by older versions lack it.
	Ceremony string `strict:"ceremony,token,optional"`
}

func (e *Judge) namespace(name string) *followed {
	for _, f := range e.namespaces {
		if f.Namespace == name {
			return f
		}
	}
	f := &followed{Namespace: name, byEpoch: map[uint64]int{}}
	e.namespaces = append(e.namespaces, f)
	return f
}

func (f *followed) find(epoch uint64) *epochJSON {
	if i, ok := f.byEpoch[epoch]; ok {
		return &f.Epochs[i]
	}
	return nil
}

// forget makes room for one more epoch. If there are maxRemembered, it forgets the older
// half of the namespace with the most.
func (e *Judge) forget() {
	total := 0
	var longest *followed
	for _, f := range e.namespaces {
		total += len(f.Epochs)
		if longest == nil || len(f.Epochs) > len(longest.Epochs) {
			longest = f
		}
	}
	if total >= maxRemembered {
		longest.Epochs = slices.Delete(longest.Epochs, 0, (len(longest.Epochs)+1)/2)
		longest.index()
	}
}

func (f *followed) add(x epochJSON) {
	f.byEpoch[x.Epoch] = len(f.Epochs)
	f.Epochs = append(f.Epochs, x)
}

func (f *followed) index() {
	f.byEpoch = make(map[uint64]int, len(f.Epochs))
	for i, x := range f.Epochs {
		f.byEpoch[x.Epoch] = i
	}
}

// Take judges an entry by itself and by the entries taken before it.
func (e *Judge) Take(index uint64, x *Entry) []Fault {
	if !x.known {
		return x.faults
	}
	f := e.namespace(x.namespace)
	if x.leaf != nil {
		return append(x.faults, e.ending(f, index, x)...)
	}
	e.forget()
	faults := append(x.faults, e.released(index, x)...)
	return append(faults, f.epoch(index, x, e.Now().UTC().Truncate(time.Second))...)
}

func (f *followed) epoch(index uint64, x *Entry, now time.Time) (faults []Fault) {
	fault := func(kind, format string, args ...any) {
		faults = append(faults, Fault{kind, index, fmt.Sprintf("entry %d: ", index) + fmt.Sprintf(format, args...)})
	}
	if old := f.find(x.epoch); old != nil {
		if old.Digest != x.digest {
			fault(FaultEquivocation, "%s, epoch %d, has digest %x, and %x in entry %d", f.Namespace, x.epoch, x.digest, old.Digest, old.Index)
		} else {
			fault(FaultRepeated, "%s, epoch %d, is in entry %d already", f.Namespace, x.epoch, old.Index)
		}
		return faults
	}
	switch before := f.find(f.Last); {
	case x.epoch <= f.Last:
		fault(FaultRepeated, "%s, epoch %d, after epoch %d", f.Namespace, x.epoch, f.Last)
	case f.Last > 0 && x.epoch == f.Last+2 && x.about.Voids:
		// The epoch between was voided before it had a bundle.
	case f.Last > 0 && x.epoch != f.Last+1:
		fault(FaultGap, "%s, epoch %d, follows epoch %d", f.Namespace, x.epoch, f.Last)
	case before != nil && !bytes.Equal(x.about.Previous, before.Digest[:]):
		fault(FaultPredecessor, "%s, epoch %d, does not name the artifact of epoch %d, entry %d, as the one before", f.Namespace, x.epoch, f.Last, before.Index)
	}
	switch retired := slices.Contains(f.Retired, x.about.Fleet); {
	case retired:
		fault(FaultRetired, "%s, epoch %d, is of the fleet %s, which was retired before", f.Namespace, x.epoch, x.about.Fleet)
	case x.about.Retires && len(x.faults) == 0: // its signatures verified
		f.Retired = append(f.Retired, x.about.Fleet)
	}
	f.add(epochJSON{x.epoch, index, x.digest, now, nil, x.notice, x.about.Ceremony})
	f.Last = max(f.Last, x.epoch)
	return faults
}

// Overdue reports the epochs that have been without evidence for longer than Evidence.
func (e *Judge) Overdue() (faults []Fault) {
	if e.Evidence == 0 {
		return nil
	}
	for _, f := range e.namespaces {
		for _, x := range f.Epochs {
			if len(x.Head) == 0 && !x.Notice && e.Now().Sub(x.Seen) > e.Evidence {
				faults = append(faults, Fault{FaultNoEvidence, x.Index, fmt.Sprintf("entry %d: %s, epoch %d, seen %s, has no evidence logged", x.Index, f.Namespace, x.Epoch, strict.FormatTime(x.Seen))})
			}
		}
	}
	return faults
}

type judgeJSON struct {
	Namespaces []followed   `strict:"namespaces"`
	Endings    []endingJSON `strict:"endings,optional"`
}

// State is all that Take remembers.
func (e *Judge) State() string {
	s := judgeJSON{Endings: e.endings.list}
	for _, f := range e.namespaces {
		s.Namespaces = append(s.Namespaces, *f)
	}
	return string(strict.EncodeLine(&s))
}

// Restore sets the state that State returned.
func (e *Judge) Restore(state string) error {
	e.namespaces, e.endings = nil, endings{}
	if strings.TrimSpace(state) == "" {
		return nil
	}
	var s judgeJSON
	if err := strict.DecodeJSON("entries", []byte(state), maxState, &s); err != nil {
		return err
	}
	for i := range s.Namespaces {
		s.Namespaces[i].index()
		e.namespaces = append(e.namespaces, &s.Namespaces[i])
	}
	e.endings.restore(s.Endings)
	return nil
}

// Faults are the faults of the entry by itself.
func (x *Entry) Faults() []Fault { return slices.Clone(x.faults) }
