package entries

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The kinds of fault that only a Rekor log has.
const (
	FaultBundle    = "unknown-bundle" // a pinned submitter logged something that is no known bundle
	FaultSubmitter = "submitter"      // a pinned submitter's key in an entry that is not a bundle's
)

// maxOurs is how many entries by pinned submitters are remembered. A fleet has one every
// few years; more than these are a fault.
const maxOurs = 1 << 14

// Rekor judges the entries of a Rekor log that have a pinned submitter's key. All other
// entries are other people's and are not judged.
//
// Rekor stores only digests, so the bundles must be known from elsewhere. An entry of an
// unknown bundle is a fault until the bundle is known: the entries by pinned submitters
// are remembered, and each call of Faults judges all of them again with the bundles known
// then.
type Rekor struct {
	Fleets []string // as in [Judge]
	Now    func() time.Time

	policy  *evidence.Policy
	version int
	bundles map[[32]byte][]byte // by the digest that the log stores
	ours    []ourJSON
	more    uint64 // how many entries beyond maxOurs
}

// ourJSON is an entry by a pinned submitter.
type ourJSON struct {
	Index     uint64    `strict:"index"`
	Kind      string    `strict:"kind"`
	Digest    [32]byte  `strict:"digest,hex,empty"`
	Signature []byte    `strict:"signature,base64,optional"`
	Leaf      [32]byte  `strict:"leaf,hex"`
	Submitter string    `strict:"submitter"` // its key, SubjectPublicKeyInfo in base64
	Seen      time.Time `strict:"seen"`
}

// NewRekor returns a Rekor for a log that the policy pins, with the bundles that are
// known.
func NewRekor(p *evidence.Policy, log *auditlog.RekorLog, bundles [][]byte, now func() time.Time) *Rekor {
	e := &Rekor{Now: now, policy: p, version: log.Version(), bundles: map[[32]byte][]byte{}}
	for _, b := range bundles {
		e.bundles[auditlog.RekorDigest(e.version, b)] = b
	}
	return e
}

// Read reads an entry; nil if it has no pinned submitter's key.
func (e *Rekor) Read(leaf []byte) *auditlog.RekorLeaf {
	return auditlog.ReadRekorLeaf(e.version, leaf, e.policy.Rekor.Keys())
}

// Take remembers an entry that Read returned. [Rekor.Faults] judges it.
func (e *Rekor) Take(index uint64, x *auditlog.RekorLeaf) {
	switch {
	case x == nil:
	case len(e.ours) == maxOurs:
		e.more++
	default:
		e.ours = append(e.ours, ourJSON{index, x.Kind, x.Digest, x.Signature, x.Leaf, base64.StdEncoding.EncodeToString(x.Submitter.SPKI()), e.Now().UTC().Truncate(time.Second)})
	}
}

// Ours is how many entries are by pinned submitters.
func (e *Rekor) Ours() uint64 { return uint64(len(e.ours)) + e.more }

// Faults judges all entries that were taken, in the log's order.
func (e *Rekor) Faults() (faults []Fault) {
	judge := New(e.policy, e.Now)
	judge.Fleets = e.Fleets
	seen := map[string]bool{}
	for _, x := range e.ours {
		fault := func(kind, format string, args ...any) {
			faults = append(faults, Fault{kind, x.Index, fmt.Sprintf("entry %d: ", x.Index) + fmt.Sprintf(format, args...)})
		}
		i := slices.IndexFunc(e.policy.Rekor.Submitters, func(s evidence.Submitter) bool {
			return base64.StdEncoding.EncodeToString(s.Key.SPKI()) == x.Submitter
		})
		if i < 0 {
			continue // its key isn't pinned any more
		}
		s := e.policy.Rekor.Submitters[i]
		leaf := &auditlog.RekorLeaf{Version: e.version, Digest: x.Digest, Signature: x.Signature, Leaf: x.Leaf, Submitter: s.Key}
		known, ok := e.bundles[x.Digest]
		switch {
		case x.Signature == nil:
			fault(FaultSubmitter, "%s's key is in an entry of kind %s, which is no bundle's: was it stolen?", s.Name, x.Kind)
			continue
		case !ok:
			fault(FaultBundle, "%s logged something that is none of the bundles known; the log stores its digest, %x", s.Name, x.Digest)
			continue
		case !leaf.Of(known):
			fault(FaultSubmitter, "it has the digest of a bundle that %s could have logged, and is not the entry that the log makes of it", s.Name)
			continue
		}
		if !s.Window.Counts(x.Seen, nil) {
			fault(FaultWindow, "%s logged it; the window of that key does not cover %s, when it was first seen here", s.Name, strict.FormatTime(x.Seen))
		}
		// An artifact may be logged several times. It is compared with the entries before it
		// once.
		made := judge.Read(x.Index, known)
		if key := fmt.Sprintf("%s %d %x", made.namespace, made.epoch, made.digest); made.known && !seen[key] {
			seen[key] = true
			faults = append(faults, judge.Take(x.Index, made)...)
		} else {
			faults = append(faults, made.Faults()...)
		}
	}
	if e.more > 0 {
		faults = append(faults, Fault{FaultSubmitter, e.ours[len(e.ours)-1].Index, fmt.Sprintf("entries by pinned submitters beyond the %d that are remembered: no fleet has as many", maxOurs)})
	}
	return faults
}

type rekorJSON struct {
	Ours []ourJSON `strict:"ours"`
	More uint64    `strict:"more"`
}

// State is all that Take remembers.
func (e *Rekor) State() string {
	return string(strict.EncodeLine(&rekorJSON{e.ours, e.more}))
}

// Restore sets the state that State returned.
func (e *Rekor) Restore(state string) error {
	e.ours, e.more = nil, 0
	if strings.TrimSpace(state) == "" {
		return nil
	}
	var s rekorJSON
	if err := strict.DecodeJSON("entries", []byte(state), maxState, &s); err != nil {
		return err
	}
	e.ours, e.more = s.Ours, s.More
	return nil
}
