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
	FaultBundle    = "unknown-bundle" // a pinned submitter logged what isn't among the bundles known
	FaultSubmitter = "submitter"      // a pinned submitter's key in an entry that is no bundle's
)

// maxOurs is how many entries by pinned submitters are remembered: a fleet has
// one every few years, and each that comes after is a fault in itself.
const maxOurs = 1 << 14

// Rekor judges a Rekor log's entries: those with a pinned submitter's
// key in them. All others are other people's, and no fault.
//
// Rekor stores digests. So the bundles have to be known: an entry of one that
// isn't is a fault, until it is. Which entries are ours is remembered, and all
// of them are judged again each time, with the bundles that are known then.
type Rekor struct {
	Fleets []string // as of [Judge]
	Now    func() time.Time

	policy  *evidence.Policy
	version int
	bundles map[[32]byte][]byte // by what the log stores of them
	ours    []ourJSON
	more    uint64 // beyond maxOurs
}

// ourJSON is an entry by one of ours.
type ourJSON struct {
	Index     uint64    `strict:"index"`
	Kind      string    `strict:"kind"`
	Digest    [32]byte  `strict:"digest,hex,empty"`
	Signature []byte    `strict:"signature,base64,optional"`
	Leaf      [32]byte  `strict:"leaf,hex"`
	Submitter string    `strict:"submitter"` // its key, SubjectPublicKeyInfo in base64
	Seen      time.Time `strict:"seen"`
}

// NewRekor judges the entries of a log that the policy pins, by the
// bundles that are known.
func NewRekor(p *evidence.Policy, log *auditlog.RekorLog, bundles [][]byte, now func() time.Time) *Rekor {
	e := &Rekor{Now: now, policy: p, version: log.Version(), bundles: map[[32]byte][]byte{}}
	for _, b := range bundles {
		e.bundles[auditlog.RekorDigest(e.version, b)] = b
	}
	return e
}

// Read gives nil for an entry that is nobody's of ours.
func (e *Rekor) Read(leaf []byte) *auditlog.RekorLeaf {
	return auditlog.ReadRekorLeaf(e.version, leaf, e.policy.Rekor.Keys())
}

// Take remembers an entry of ours; what is wrong with it [Rekor.Faults]
// says.
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
			continue // was pinned when it was read, and is no more
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
		// The same artifact may be logged by several submitters, and again; it
		// is the successor of others once.
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

// Restore takes it back.
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
