package bundle

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestADeviceNeverGoesBackWhateverItIsHanded has devices see random artifacts of random
// histories, in any order and some never, and holds each state against all that the
// device has accepted.
func TestADeviceNeverGoesBackWhateverItIsHanded(t *testing.T) {
	r := rand.New(rand.NewPCG(24, 3))
	accepted, refused, back := 0, 0, 0
	for life := range 20000 {
		history := aHistory(r)
		var s *DeviceState
		var seen []*Bundle
		for range 12 {
			b := history[r.IntN(len(history))]
			next, err := s.after("b", b, now)
			if err != nil {
				refused++
				continue
			}
			accepted++
			next.Witnessed = now
			seen = append(seen, b)
			if s != nil && next.Keys.Epoch < s.Keys.Epoch {
				back++
			}
			if fault := wrongState(next, b, seen); fault != "" {
				t.Fatalf("life %d: %s\nstate %+v\nseen %s", life, fault, *next, told(seen))
			}
			s = next
		}
	}
	if accepted < 1000 || refused < 1000 || back < 100 {
		t.Errorf("%d accepted, %d refused, %d that brought earlier keys back", accepted, refused, back)
	}
}

// aHistory is a fleet's: key sets, voids, and sometimes a retirement at its end.
func aHistory(r *rand.Rand) (list []*Bundle) {
	var before [32]byte
	n := 2 + r.IntN(8)
	for epoch := uint64(1); epoch <= uint64(n); epoch++ {
		b := &Bundle{is: about{fleet: "fleet", epoch: epoch, digest: [32]byte{byte(epoch), 1}}}
		switch kind := r.IntN(3); {
		case epoch == uint64(n) && epoch > 1 && kind == 0:
			b.Notice = &Notice{Format: RetirementFormat, Epoch: epoch, Previous: before, Effective: &now}
			b.is.retires = true
		case epoch > 1 && kind == 1:
			b.Notice = &Notice{Format: VoidFormat, Epoch: epoch, Previous: before}
		default:
			b.KeySet = &KeySet{Epoch: epoch, Previous: before[:]}
		}
		before = b.is.digest
		list = append(list, b)
	}
	return list
}

// wrongState says what a state that followed the last of those seen must not be.
func wrongState(s *DeviceState, last *Bundle, seen []*Bundle) string {
	newest, void, retired := uint64(0), map[uint64]bool{}, false
	for _, b := range seen {
		newest = max(newest, b.is.epoch)
		retired = retired || b.is.retires
		if b.Notice != nil && b.Notice.Voids() {
			void[b.is.epoch-1] = true
		}
	}
	switch {
	case s.Fault() != "":
		return s.Fault()
	case s.Epoch != newest:
		return "the newest epoch is another one"
	case void[s.Keys.Epoch]:
		return "keys of a void epoch are in force"
	case last.KeySet != nil && (void[last.is.epoch] || s.Keys.Epoch != last.is.epoch):
		return "keys were accepted that are not in force"
	case retired && last.KeySet != nil:
		return "keys of a retired fleet were accepted"
	}
	for _, b := range seen {
		if b.KeySet != nil && b.is.epoch > s.Keys.Epoch && !void[b.is.epoch] {
			return fmt.Sprintf("the keys in force were superseded by epoch %d", b.is.epoch)
		}
	}
	return ""
}

func told(seen []*Bundle) (text string) {
	for _, b := range seen {
		kind := "keys"
		if b.Notice != nil {
			kind = b.Notice.Format
		}
		text += fmt.Sprintf("%d %s; ", b.is.epoch, kind)
	}
	return text
}
