package follow

import (
	"errors"
	"io/fs"
	"time"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	stateFormat = "fleetctl history state v1"
	maxState    = 4 << 20 // bytes

	stateName      = "state.json"
	statementsName = "statements.jsonl"
	recordName     = "record"
	evidenceName   = "evidence"
)

// state is what a pass leaves for the next.
type state struct {
	Format    string    `strict:"format"`
	Namespace string    `strict:"namespace"`
	Newest    uint64    `strict:"newest"`            // epoch, 0 if none was seen
	Grown     time.Time `strict:"grown"`             // when there was last a new epoch, or the first pass
	Standing  []string  `strict:"standing"`          // alarms that were raised and whose cause is still there
	Recorded  uint64    `strict:"recorded,optional"` // bytes of the record, which only grows
}

func (f *Follower) readState() (*state, error) {
	path := f.path(stateName)
	data, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !f.o.First {
			return nil, f.unknown() // it vanished since the follower was made
		}
		return &state{Format: stateFormat, Namespace: f.client.Namespace, Grown: f.o.Now().UTC().Truncate(time.Second)}, nil
	}
	if err != nil {
		return nil, err
	}
	s := &state{}
	err = strict.DecodeJSON(path, data, maxState, s)
	switch {
	case err != nil:
	case s.Format != stateFormat:
		err = strict.Errorf(path, "its format is %q, not %s", s.Format, stateFormat)
	case s.Namespace != f.client.Namespace:
		return nil, strict.Errorf(path, "is of the namespace %s, this is %s", s.Namespace, f.client.Namespace).WithHint("give each namespace a --state of its own")
	default:
		// A clock that was ahead once would put every silence off until it is reached.
		if now := f.o.Now().UTC().Truncate(time.Second); s.Grown.After(now) {
			s.Grown = now
		}
		return s, nil
	}
	return nil, strict.Errorf(path, "is not as it was written: %v", err).WithHint("put it back from a copy")
}

func (s *state) write(path string) error { return durable.Replace(path, strict.EncodeJSON(s), 0o644) }
