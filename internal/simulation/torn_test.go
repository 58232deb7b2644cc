package simulation

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// Whatever record is torn, in whatever act: what is left of it is kept aside, and the
// ceremony goes on.
func TestARecordThatIsTornInAnyActIsDropped(t *testing.T) {
	base := newLife(t, adjourned.seed(0))
	acts := map[string]int{}
	base.op.Fault = func(c simdisk.Call) simdisk.Fault {
		if c.Kind == simdisk.Write && c.Path == "ceremony/transcript.jsonl" {
			acts[base.steps[len(base.steps)-1]]++
		}
		return simdisk.None
	}
	if err := base.live(); err != nil {
		t.Fatal(err)
	}
	for act, writes := range acts {
		for nth := 1; nth <= writes; nth++ {
			l := newLife(t, adjourned.seed(uint64(nth)))
			n := 0
			l.op.Fault = func(c simdisk.Call) simdisk.Fault {
				if c.Kind == simdisk.Write && c.Path == "ceremony/transcript.jsonl" && l.steps[len(l.steps)-1] == act && l.hits == 0 {
					if n++; n == nth {
						l.hits++
						return simdisk.KillTorn
					}
				}
				return simdisk.None
			}
			if err := l.live(); err != nil {
				t.Errorf("%s, write %d: %v\nafter %s", act, nth, err, strings.Join(l.steps[:min(len(l.steps), 12)], "\n      "))
			}
		}
	}
	if len(acts) < 10 {
		t.Errorf("records are written in %v alone", acts)
	}
}
