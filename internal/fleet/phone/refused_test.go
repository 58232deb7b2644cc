package phone

import (
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
)

func TestWhatIsWrongWithTheFleetOrTheDeviceIsNoOneNodesFault(t *testing.T) {
	for _, why := range []bundle.Reason{bundle.ReasonEquivocation, bundle.ReasonRetired, bundle.ReasonClock, device.ReasonState, "a reason of tomorrow", ""} {
		if alone(&bundle.Refusal{Reason: why}) {
			t.Errorf("%q is taken for the fault of one node, and another one is asked", why)
		}
	}
}
