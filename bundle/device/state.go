package device

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// stateFormat is the first field of a device's state.
const stateFormat = "fleetctl device-state v1"

// maxState bounds a state's file, in bytes.
const maxState = 4096

// What stands behind a fleet's newest epoch.
const (
	StandingKeys    = "keys"
	StandingVoid    = "void"
	StandingRetired = "retired"
)

// State is what a device keeps of one fleet from one check to the next.
type State struct {
	Mode      string
	Namespace string
	bundle.DeviceState

	raw []byte
}

type stateFile struct {
	Format    string     `strict:"format"`
	Mode      string     `strict:"mode"`
	Namespace string     `strict:"namespace,token"`
	Fleet     string     `strict:"fleet,token"`
	Epoch     uint64     `strict:"epoch"`
	Artifact  [32]byte   `strict:"artifact,hex"`
	Standing  string     `strict:"standing"`
	Effective *time.Time `strict:"effective,optional"`
	Keys      *heldFile  `strict:"keys,optional"`
	Earlier   *heldFile  `strict:"earlier,optional"`
	Closed    uint64     `strict:"closed,optional"`
	Witnessed time.Time  `strict:"witnessed"`
}

type heldFile struct {
	Epoch    uint64   `strict:"epoch"`
	Artifact [32]byte `strict:"artifact,hex"`
}

func held(f *heldFile) bundle.Held {
	if f == nil {
		return bundle.Held{}
	}
	return bundle.Held{Epoch: f.Epoch, Digest: f.Artifact}
}

func heldAs(h bundle.Held) *heldFile {
	if h == (bundle.Held{}) {
		return nil
	}
	return &heldFile{h.Epoch, h.Digest}
}

// Standing is what stands behind the newest epoch.
func (s *State) Standing() string {
	switch {
	case s.Retired:
		return StandingRetired
	case s.Void:
		return StandingVoid
	}
	return StandingKeys
}

// Raw is the state's file. It must not be changed.
func (s *State) Raw() []byte { return s.raw }

// digest is what the guard has of the state.
func (s *State) digest() [32]byte { return sum(s.raw) }

// newState is the state of what was accepted.
func newState(p *Policy, d bundle.DeviceState) (*State, error) {
	f := &stateFile{
		Format: stateFormat, Mode: p.Trust.Mode, Namespace: p.Trust.Namespace, Fleet: d.Fleet, Epoch: d.Epoch, Artifact: d.Digest,
		Standing: (&State{DeviceState: d}).Standing(), Keys: heldAs(d.Keys), Earlier: heldAs(d.Earlier), Closed: d.Closed, Witnessed: d.Witnessed,
	}
	if d.Retired {
		f.Effective = &d.Effective
	}
	return ParseState("device state", strict.EncodeJSON(f))
}

// ParseState reads a state of at most maxState bytes. It has one form: that in
// which fleetctl writes it. file names it in errors.
func ParseState(file string, data []byte) (*State, error) {
	f := new(stateFile)
	if err := decode(file, data, maxState, stateFormat, f); err != nil {
		return nil, err
	}
	if !bytes.Equal(strict.EncodeJSON(f), data) {
		return nil, strict.Errorf(file, "is not in the form in which a state is written")
	}
	s := &State{Mode: f.Mode, Namespace: f.Namespace, raw: append([]byte{}, data...)}
	s.DeviceState = bundle.DeviceState{
		Fleet: f.Fleet, Epoch: f.Epoch, Digest: f.Artifact, Retired: f.Standing == StandingRetired, Void: f.Standing == StandingVoid,
		Keys: held(f.Keys), Earlier: held(f.Earlier), Closed: f.Closed, Witnessed: f.Witnessed,
	}
	if f.Effective != nil {
		s.Effective = *f.Effective
	}
	if fault := s.fault(f); fault != "" {
		return nil, strict.Errorf(file, "%s", fault)
	}
	return s, nil
}

// fault is what no accepted bundle can leave behind; empty where there is nothing.
func (s *State) fault(f *stateFile) string {
	switch {
	case s.Mode != bundle.Production && s.Mode != bundle.Rehearsal:
		return "mode is neither production nor rehearsal"
	case strings.HasPrefix(s.Namespace, bundle.RehearsalPrefix) != (s.Mode == bundle.Rehearsal):
		return "mode and namespace don't fit"
	case f.Standing != s.Standing():
		return "standing is none of keys, void and retired"
	case f.Keys != nil && s.Keys == bundle.Held{} || f.Earlier != nil && s.Earlier == bundle.Held{}:
		return "an epoch or a digest is zero"
	case f.Effective != nil && f.Effective.IsZero():
		return "effective is no time"
	}
	return s.DeviceState.Fault()
}

// sum is what a guard has of a state's file.
func sum(text []byte) [32]byte { return sha256.Sum256(text) }
