package bundle

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// DeviceState is what a device remembers of its fleet: the State of what it
// accepted last.
type DeviceState struct {
	Fleet   string
	Epoch   uint64   // newest seen
	Digest  [32]byte // of that epoch's artifact
	Retired bool     // a retirement of the fleet was seen: no further epoch of it is accepted
	Void    bool     // the newest epoch is a void: the epoch before it never came into force

	// Effective is from when on nobody may use the keys of a retired fleet. Until
	// then a device may go on with those that it has.
	Effective time.Time

	Keys    Held // the keys in force, as far as this device has seen; Epoch 0: it has none
	Earlier Held // those that Keys superseded: they are in force again if Keys are void

	// Closed is the newest epoch that was over before this device saw the newest one,
	// or the one that is void now: whatever becomes void, no key set up to it comes
	// into force again, but those of Keys and Earlier. 0: none.
	Closed uint64

	// Witnessed is the newest time of a quorum that this device has seen: its clock
	// can't be right before that.
	Witnessed time.Time
}

// Held is an epoch whose keys a device accepted.
type Held struct {
	Epoch  uint64
	Digest [32]byte // of the key set
}

// Accepted is a bundle that a device may trust. It brings keys only if
// Bundle.KeySet is set. A retirement says from when on the device must not use the
// keys that it has (Bundle.Notice.Effective); a void says that the keys of the
// epoch before never came into force: State.Keys are those in force now.
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

// Keys are those that the bundle brings: none of a retirement or a void.
func (a *Accepted) Keys() []FleetKey {
	if a.Bundle.KeySet == nil {
		return nil
	}
	return a.Bundle.KeySet.Keys
}

// Reason is why a device refuses a bundle, for programs.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	ReasonMalformed    Reason = "malformed"    // bundle or proof can't be read
	ReasonLog          Reason = "log"          // no pinned log is shown to have the bundle
	ReasonWitnesses    Reason = "witnesses"    // too few pinned witnesses have cosigned
	ReasonAge          Reason = "age"          // they did too long ago
	ReasonNamespace    Reason = "namespace"    // it is of another mode or namespace
	ReasonSignatures   Reason = "signatures"   // a signature is wrong, or too few count
	ReasonFleet        Reason = "fleet"        // it is of another fleet than the device's
	ReasonClock        Reason = "clock"        // the device's clock is before what witnesses have signed
	ReasonRetired      Reason = "retired"      // its fleet is retired
	ReasonVoid         Reason = "void"         // its epoch was declared void
	ReasonEpoch        Reason = "epoch"        // a newer epoch was seen
	ReasonEquivocation Reason = "equivocation" // one epoch has two artifacts: an alarm
)

// Refusal is the error of a bundle that a device refuses.
type Refusal struct {
	Reason Reason
	Err    error // what was wrong, for people
}

func (e *Refusal) Error() string { return e.Err.Error() }

// Unwrap is the error for people.
func (e *Refusal) Unwrap() error { return e.Err }

// Alarm says that the signers equivocate: whoever sees it keeps both bundles.
func (e *Refusal) Alarm() bool { return e.Reason == ReasonEquivocation }

// Named is the refusal with the names that the caller has for the two files, which
// [Check] calls bundle.json and bundle.json.tlog-proof.
func (e *Refusal) Named(bundleFile, proofFile string) *Refusal {
	rename := func(file string) string {
		for _, name := range [][2]string{{proofName, proofFile}, {bundleName, bundleFile}} {
			if rest, ok := strings.CutPrefix(file, name[0]); ok && (rest == "" || rest[0] == ' ') {
				return name[1] + rest // " artifact", " statements[0]"
			}
		}
		return file
	}
	if short := (*Short)(nil); errors.As(e.Err, &short) {
		named := *short
		named.File = rename(short.File)
		return &Refusal{e.Reason, &named}
	}
	return &Refusal{e.Reason, strict.Renamed(e.Err, rename)}
}

// What the two files are called where nobody names them otherwise.
const (
	bundleName = "bundle.json"
	proofName  = bundleName + ".tlog-proof"
)

func refused(why Reason, err error) error { return &Refusal{why, err} }

// Check is a device's whole check. It verifies the bundle's form and signatures,
// that a pinned log has it, that a quorum of pinned witnesses cosigned the log at
// most maxAge ago, and that the fleet's epoch continues the one that the device saw
// last. It needs no network. proof is the bundle's .tlog-proof file. state is nil
// at first contact and only then: a state of which something is missing was lost, and
// is refused. On error the device must use nothing of the bundle and keep its state.
// The error is an ErrTrust where nothing can be judged by what is pinned or
// remembered, otherwise a *Refusal.
func Check(bundle, proof []byte, trust *Trust, log *auditlog.Policy, state *DeviceState, now time.Time, maxAge time.Duration) (*Accepted, error) {
	switch {
	case log == nil:
		return nil, fmt.Errorf("%w: no log is pinned", ErrTrust)
	case now.IsZero():
		return nil, fmt.Errorf("%w: the device's time is missing", ErrTrust)
	case state != nil:
		if fault := state.Fault(); fault != "" {
			return nil, fmt.Errorf("%w: what this device remembers of its fleet %s; at first contact there is no state at all", ErrTrust, fault)
		}
	}
	if trust == nil {
		return nil, fmt.Errorf("%w: nothing is pinned", ErrTrust)
	}
	log, err := trust.dating(log)
	if err != nil {
		return nil, err
	}
	b, err := ParseAny(bundleName, bundle)
	if err != nil {
		return nil, refused(ReasonMalformed, err)
	}
	in, err := witnessed(proofName, bundle, proof, log, now, maxAge)
	if err != nil {
		return nil, err
	}
	about := b.about()
	signers, err := b.verify(trust, log, now, in.Witnessed())
	switch {
	case errors.Is(err, ErrTrust):
		return nil, err
	case err != nil && (about.mode != trust.Mode || about.namespace != trust.Namespace):
		return nil, refused(ReasonNamespace, err)
	case err != nil:
		return nil, refused(ReasonSignatures, err)
	}
	next, err := state.after(bundleName, b, now)
	if err != nil {
		return nil, err
	}
	if in.NewestQuorumTime.After(next.Witnessed) {
		next.Witnessed = in.NewestQuorumTime
	}
	return &Accepted{Bundle: b, Signers: signers, Inclusion: in, Age: now.Sub(in.NewestQuorumTime), State: *next, FirstContact: state == nil}, nil
}

// witnessed verifies that a pinned log has the bundle, and that a quorum of pinned
// witnesses saw it lately.
func witnessed(file string, bundle, proof []byte, log *auditlog.Policy, now time.Time, maxAge time.Duration) (*auditlog.Inclusion, error) {
	p, err := auditlog.ParseProof(file, proof)
	if err != nil {
		return nil, refused(ReasonMalformed, err)
	}
	in, err := log.VerifyAt(bundle, now, []*auditlog.Proof{p})
	if err != nil {
		return nil, refused(ReasonLog, err)
	}
	if in.LogOutside != "" {
		return nil, refused(ReasonLog, strict.Errorf(file, "does not count: %s", in.LogOutside))
	}
	if !in.Quorum {
		err := strict.Errorf(file, "lacks a quorum of pinned witnesses: %d cosigned, missing are %q", len(in.Witnesses), in.Missing)
		if len(in.Uncounted) > 0 {
			err = strict.Errorf(file, "lacks a quorum of pinned witnesses; not counted: %s", strings.Join(in.Uncounted, "; ")).
				WithHint("Set this device's clock and try again, if it is wrong.")
		} else if len(in.OtherKeys) > 0 {
			err = strict.Errorf(file, "lacks a quorum of pinned witnesses: %d cosigned, missing are %q; %s", len(in.Witnesses), in.Missing, strings.Join(in.OtherKeys, "; ")).
				WithHint("Either a witness has a new key, or somebody poses as it: the app's policy needs an update, or the proof is forged.")
		}
		return nil, refused(ReasonWitnesses, err)
	}
	if age := now.Sub(in.NewestQuorumTime); age > maxAge {
		return nil, refused(ReasonAge, strict.Errorf(file, "was last witnessed %s ago; at most %s is allowed", strict.FormatDuration(age.Round(time.Second)), strict.FormatDuration(maxAge)).
			WithHint("Fetch a newer proof of the same bundle."))
	}
	return in, nil
}
