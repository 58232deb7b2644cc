package monitor

import (
	"errors"
	"io/fs"
	"math/bits"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	stateFormat = "fleetctl log state v1"
	maxState    = 64 << 20
	maxFindings = 1000 // kept word for word; all are counted
)

// state is how far a log was read, as it lies on the disk.
type state struct {
	Format     string        `strict:"format"`
	Log        string        `strict:"log"` // its origin
	Size       uint64        `strict:"size"`
	Levels     []levelJSON   `strict:"levels"`
	Range      [][32]byte    `strict:"range,optional,base64"` // instead of levels, of a log without tiles: its perfect subtrees
	Checkpoint string        `strict:"checkpoint,empty"`      // the last one that the walk arrived at; its text with signatures
	Judge      string        `strict:"judge,empty"`
	Found      uint64        `strict:"found"`
	Findings   []findingJSON `strict:"findings"`
	Grown      time.Time     `strict:"grown,optional"` // when the log was last seen to grow
	Standing   []string      `strict:"standing"`       // alarms that were raised and whose cause is still there
}

type levelJSON struct {
	Hashes [][32]byte `strict:"hashes,base64"`
}

type findingJSON struct {
	Kind  string `strict:"kind"`
	Index uint64 `strict:"index"`
	Text  string `strict:"text"`
}

// readState gives nil if there is no state.
func readState(path, origin string) (*state, error) {
	data, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &state{}
	if err := strict.DecodeJSON(path, data, maxState, s); err != nil {
		return nil, spoilt(path, err.Error())
	}
	switch {
	case s.Format != stateFormat:
		return nil, spoilt(path, "its format is "+s.Format)
	case s.Log != origin:
		return nil, strict.Errorf(path, "is of the log %s, this is %s", s.Log, origin).WithHint("give each log a state of its own")
	case !s.valid():
		return nil, spoilt(path, "its hashes are not those of a tree of its size")
	}
	if s.Checkpoint != "" {
		if _, err := s.checkpoint(path); err != nil {
			return nil, spoilt(path, err.Error())
		}
	}
	return s, nil
}

func spoilt(path, why string) error {
	return strict.Errorf(path, "is not as it was written: %s", why).
		WithHint("Put it back from a copy. Without it the log is read from its start again, and nobody notices if it went back.")
}

func (s *state) checkpoint(path string) (*auditlog.Checkpoint, error) {
	if s == nil || s.Checkpoint == "" {
		return nil, nil
	}
	return auditlog.ParseCheckpoint(path, []byte(s.Checkpoint))
}

// valid says whether the hashes are those of a tree of that size.
func (s *state) valid() bool {
	if len(s.Range) > 0 {
		return len(s.Levels) == 0 && len(s.Range) == bits.OnesCount64(s.Size)
	}
	return s.edge().valid()
}

func (s *state) edge() *edge {
	e := &edge{}
	if s == nil {
		return e
	}
	e.size = s.Size
	for _, l := range s.Levels {
		e.levels = append(e.levels, l.Hashes)
	}
	return e.clone()
}

func (s *state) setEdge(e *edge) {
	s.Size, s.Levels, s.Range = e.size, nil, nil
	for _, l := range e.clone().levels {
		s.Levels = append(s.Levels, levelJSON{l})
	}
}

func (s *state) write(path string) error {
	s.Format = stateFormat
	return durable.Replace(path, strict.EncodeJSON(s), 0o644)
}
