package entries

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
)

// TestAJudgesMemoryIsBounded takes more epochs of several namespaces than are
// remembered: what is written down must be taken back, and an epoch that was
// forgotten is still none that may come again.
func TestAJudgesMemoryIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	e := New(&evidence.Policy{}, func() time.Time { return now })
	digest := func(epoch uint64) (d [32]byte) {
		binary.BigEndian.PutUint64(d[:], epoch)
		return d
	}
	entry := func(space string, epoch uint64) *Entry {
		x := &Entry{known: true, namespace: space, epoch: epoch, digest: digest(epoch)}
		if epoch > 1 {
			d := digest(epoch - 1)
			x.about.Previous = d[:]
		}
		return x
	}
	spaces := []string{"one", "two", "three"}
	index := uint64(0)
	for epoch := uint64(1); epoch <= maxRemembered/2; epoch++ {
		for _, space := range spaces {
			if faults := e.Take(index, entry(space, epoch)); len(faults) > 0 {
				t.Fatalf("%s, epoch %d: %v", space, epoch, faults)
			}
			index++
		}
	}
	total := 0
	for _, f := range e.namespaces {
		if len(f.Epochs) == 0 || len(f.Epochs) != len(f.byEpoch) || f.Last != maxRemembered/2 {
			t.Errorf("%s: %d epochs, %d in the index, last %d", f.Namespace, len(f.Epochs), len(f.byEpoch), f.Last)
		}
		total += len(f.Epochs)
	}
	if total > maxRemembered || total < maxRemembered/2 {
		t.Errorf("%d epochs are remembered, the bound is %d", total, maxRemembered)
	}
	state := e.State()
	if len(state) > maxState {
		t.Fatalf("%d bytes are written down, %d are taken back", len(state), maxState)
	}
	again := New(&evidence.Policy{}, e.Now)
	if err := again.Restore(state); err != nil {
		t.Fatal(err)
	}
	for _, judge := range []*Judge{e, again} {
		if faults := judge.Take(index, entry("one", 1)); len(faults) != 1 || faults[0].Kind != FaultRepeated {
			t.Errorf("an epoch that was forgotten, again: %v", faults)
		}
	}
	if again.State() != e.State() {
		t.Error("the two judges have come apart")
	}
}
