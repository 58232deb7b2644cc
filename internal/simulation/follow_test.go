package simulation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/bundle/history/follow"
	"github.com/fleetctl/fleetctl/bundle/history/saved"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/simdisk"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// following follows the same auditor, pass by pass.
type following struct {
	*saving
	state  string
	newest uint64 // epoch, as somebody was told
	told   int    // passes
}

func newFollowing(t testing.TB, d *simdisk.Disk) follower {
	h := newHistory(t, d).(*saving)
	f := &following{saving: h, state: d.Path("follow")}
	h.file, h.record = d.Path("follow", "statements.jsonl"), d.Path("follow", "record")
	return f
}

func (f *following) pass() (*follow.Seen, []follow.Alarm, error) {
	_, err := durable.Stat(filepath.Join(f.state, "state.json"))
	c, cerr := f.client()
	if cerr != nil {
		return nil, nil, cerr
	}
	x, err := follow.New(c, follow.Options{
		State: f.state, First: errors.Is(err, fs.ErrNotExist) && f.told == 0,
		Pins: history.Options{Only: testfleet.Namespace, Keys: []history.Key{{Name: "auditor", Key: [32]byte(f.key.Public().(ed25519.PublicKey))}}},
		Now:  func() time.Time { return time.Unix(1772528400, 0) },
	})
	if err != nil {
		return nil, nil, err
	}
	return x.Pass(context.Background())
}

func (f *following) act() func() error {
	if f.told == rounds {
		return nil
	}
	return func() error {
		seen, _, err := f.pass()
		if err != nil {
			return f.beginAnew(err)
		}
		f.tell()
		f.newest = seen.Newest
		f.told++
		if f.told < rounds {
			f.saving.newest, f.rewritten = f.saving.newest+2, f.told >= 3
		}
		return nil
	}
}

// end has all that was saved, a record that fits, and of the epoch that was rewritten an
// alarm with both statements.
func (f *following) end() error {
	if err := f.holds(); err != nil {
		return err
	}
	data, err := durable.ReadFile(filepath.Join(f.state, "alarms.jsonl"))
	if err != nil {
		return fmt.Errorf("lost: the alarms: %w", err)
	}
	proof := map[string]bool{}
	for line := range bytes.Lines(data) {
		var a struct {
			Epoch    uint64
			Evidence []string
		}
		if err := json.Unmarshal(line, &a); err != nil {
			return fmt.Errorf("unreadable: %q among the alarms: %w", line, err)
		}
		for _, file := range a.Evidence {
			one, err := durable.ReadFile(file)
			if err != nil || a.Epoch != 2 || !f.saved[string(one)] {
				return fmt.Errorf("lost: %s is evidence, and has %q: %w", file, one, err)
			}
			proof[file] = true
		}
	}
	if len(proof) != 2 {
		return fmt.Errorf("lost: the two statements of epoch 2, there are %d", len(proof))
	}
	seen, alarms, err := f.pass()
	if err == nil && (seen.Newest != f.newest || seen.New > 0 || len(alarms) > 0) {
		err = fmt.Errorf("lost: what was seen: %+v, %v", seen, alarms)
	}
	if err != nil {
		return err
	}
	r, err := saved.OpenRecord(f.record)
	if err == nil {
		r.Close()
	}
	return err
}
