package bundle

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// DeviceState is what a device remembers of its fleet: the State of what was
// accepted last.
type DeviceState struct {
	Fleet   string
	Epoch   uint64   // newest seen
	Digest  [32]byte // of that epoch's artifact
	Retired bool     // a retirement of the fleet was seen: nothing of it is taken any more
}

// Accepted is a bundle that a device may believe. Only where Bundle.KeySet is
// set does it bring keys: a retirement says from when on those it has are not
// to be used (Bundle.Notice.Effective), a void that those of the epoch before
// never came into force.
type Accepted struct {
	Bundle    *Bundle
	Signers   *Result
	Inclusion *auditlog.Inclusion
	Age       time.Duration // since the newest witness quorum in the proof
	State     DeviceState   // to be kept for the next check

	// FirstContact says that nothing was remembered, so that nothing shows
	// this to be the fleet's latest epoch.
	FirstContact bool
}

// Check is a device's whole check: the bundle's form and signatures, its place
// in a pinned log, a quorum of pinned witnesses, at most maxAge old, and that
// the fleet's epoch doesn't go back and continues the one seen before it. It
// needs no network. proof is the bundle's .tlog-proof file. state is nil at first
// contact, and only then: one that is empty was lost, and is refused. On error
// nothing may be used, and the state stays as it was.
func Check(bundle, proof []byte, trust *Trust, log *auditlog.Policy, state *DeviceState, now time.Time, maxAge time.Duration) (*Accepted, error) {
	const file = "bundle.json"
	if log == nil {
		return nil, fmt.Errorf("%w: no log is pinned", ErrTrust)
	}
	b, err := ParseAny(file, bundle)
	if err != nil {
		return nil, err
	}
	p, err := auditlog.ParseProof(file+".tlog-proof", proof)
	if err != nil {
		return nil, err
	}
	in, err := log.VerifyAt(bundle, now, []*auditlog.Proof{p})
	if err != nil {
		return nil, err
	}
	if in.LogOutside != "" {
		return nil, strict.Errorf(file+".tlog-proof", "does not count: %s", in.LogOutside)
	}
	if !in.Quorum {
		err := strict.Errorf(file+".tlog-proof", "lacks a quorum of pinned witnesses: %d cosigned, missing are %q", len(in.Witnesses), in.Missing)
		if len(in.Uncounted) > 0 {
			err = strict.Errorf(file+".tlog-proof", "lacks a quorum of pinned witnesses; not counted: %s", strings.Join(in.Uncounted, "; ")).
				WithHint("Set this device's clock and try again, if it is wrong.")
		}
		return nil, err
	}
	age := now.Sub(in.NewestQuorumTime)
	if age > maxAge {
		return nil, strict.Errorf(file+".tlog-proof", "was last witnessed %s ago, %s is allowed", age.Round(time.Second), maxAge).
			WithHint("Fetch a newer proof of the same bundle.")
	}
	signers, err := b.verify(trust, log, now, in.Witnessed())
	if err != nil {
		return nil, err
	}
	about := b.about()
	if err := state.admits(file, about, b.previous()); err != nil {
		return nil, err
	}
	return &Accepted{
		Bundle: b, Signers: signers, Inclusion: in, Age: age,
		State: DeviceState{
			Fleet: about.fleet, Epoch: about.epoch, Digest: about.digest,
			Retired: about.retires,
		},
		FirstContact: state == nil,
	}, nil
}

// admits is the rule against going back, per fleet, and against another past
// than the one that was seen: the artifact after the one remembered names it.
// Of one further on, nothing here can tell.
func (s *DeviceState) admits(file string, a about, previous []byte) error {
	switch {
	case s == nil:
		return nil
	case s.Fleet == "" || s.Epoch == 0:
		return fmt.Errorf("%w: what this device remembers of its fleet names no fleet or epoch; at first contact there is no state at all", ErrTrust)
	case a.fleet != s.Fleet:
		return strict.Errorf(file, "is of fleet %s, this device's is %s", a.fleet, s.Fleet)
	case s.Retired && !(a.retires && a.epoch == s.Epoch): // the retirement itself may come again
		return strict.Errorf(file, "is of fleet %s, which was retired", a.fleet)
	case a.epoch < s.Epoch:
		return strict.Errorf(file, "is epoch %d of fleet %s; epoch %d was seen already", a.epoch, a.fleet, s.Epoch)
	case a.epoch == s.Epoch && a.digest != s.Digest:
		return strict.Errorf(file, "is a second artifact for epoch %d of fleet %s: the signers equivocate", a.epoch, a.fleet).
			WithHint("Keep both bundles: together they are the proof.")
	case a.epoch == s.Epoch+1 && !bytes.Equal(previous, s.Digest[:]):
		return strict.Errorf(file, "is epoch %d of fleet %s and follows another artifact of epoch %d than the one that was seen: the signers equivocate", a.epoch, a.fleet, s.Epoch).
			WithHint("Keep both bundles: together they are the proof.")
	}
	return nil
}
