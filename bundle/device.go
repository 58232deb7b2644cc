package bundle

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// DeviceState is what a device remembers of its fleet: the State of the bundle that
// it accepted last.
type DeviceState struct {
	Fleet   string
	Epoch   uint64   // newest seen
	Digest  [32]byte // of that epoch's artifact
	Retired bool     // a retirement of the fleet was seen: no further bundle of it is accepted
}

// Accepted is a bundle that a device may trust. It brings keys only if
// Bundle.KeySet is set. A retirement says from when on the device must not use the
// keys that it has (Bundle.Notice.Effective); a void says that the keys of the
// epoch before never came into force.
type Accepted struct {
	Bundle    *Bundle
	Signers   *Result
	Inclusion *auditlog.Inclusion
	Age       time.Duration // since the proof's newest quorum of witnesses
	State     DeviceState   // the device keeps it for the next check

	// FirstContact says that the device remembered nothing, so nothing shows that
	// this is the fleet's latest epoch.
	FirstContact bool
}

// Check is a device's whole check. It verifies the bundle's form and signatures,
// that a pinned log has it, that a quorum of pinned witnesses cosigned the log at
// most maxAge ago, and that the fleet's epoch continues the one that the device saw
// last. It needs no network. proof is the bundle's .tlog-proof file. state is nil
// at first contact and only then: an empty state is one that was lost, and is
// refused. On error the device must use nothing of the bundle and keep its state.
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
		return nil, strict.Errorf(file+".tlog-proof", "was last witnessed %s ago; at most %s is allowed", age.Round(time.Second), maxAge).
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

// admits refuses an artifact of another fleet, of an older epoch, or with another
// past than the one that was seen: the artifact directly after the remembered one
// must name it. For a later one this can't be checked.
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
		return strict.Errorf(file, "is epoch %d of fleet %s and follows another artifact of epoch %d than the one that this device has seen: the signers equivocate", a.epoch, a.fleet, s.Epoch).
			WithHint("Keep both bundles: together they are the proof.")
	}
	return nil
}
