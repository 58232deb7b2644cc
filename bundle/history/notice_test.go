package history

import (
	"slices"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
)

// TestAHistorySaysWhatIsVoidAndRetired: of an epoch that never came into force,
// and of a fleet that has ended, the history stays good and says so.
func TestAHistorySaysWhatIsVoidAndRetired(t *testing.T) {
	f := newFleet(2)
	after := f.sets[1]
	notice := func(format string, epoch uint64, previous [32]byte) (data, statement []byte, digest [32]byte) {
		n := &bundle.Notice{Format: format, Mode: after.Mode, Fleet: after.Fleet, Namespace: space, Epoch: epoch,
			Previous: previous, Created: time.UnixMilli(start).UTC(), Reason: "a test"}
		if format == bundle.RetirementFormat {
			n.Effective = new(now)
		}
		n = must(bundle.ParseNotice("notice", n.Encode()))
		return n.Raw(), sealed("tp", space, epoch, start+epoch*3600_000, n.Digest()).Raw(), n.Digest()
	}
	void, voided, digest := notice(bundle.VoidFormat, 3, after.Digest())
	end, ended, _ := notice(bundle.RetirementFormat, 4, digest)
	all := [][]byte{f.bundles[0].Raw(), f.bundles[1].Raw(), void, voided, end, ended}
	for n, want := range map[int]struct {
		void    []uint64
		retired []string
	}{2: {nil, nil}, 4: {[]uint64{2}, nil}, 6: {[]uint64{2}, []string{"backup"}}} {
		r := check(t, items(all[:n]...), options())
		ns := r.Namespaces[0]
		if !r.Good() || !slices.Equal(ns.Void, want.void) || !slices.Equal(ns.Retired, want.retired) {
			t.Errorf("of %d files: void %v, retired %v, %+v", n, ns.Void, ns.Retired, r.Problems)
		}
	}
}
