package simulation

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// found are faults at which a ceremony or a ledger was lost once, each with the
// call that was hit: by the step that made it, and the call before it.
var found = []struct {
	what  string
	on    string
	fault simdisk.Fault
	nth   int // of the calls
	at    func(step string, before, c simdisk.Call) bool
}{
	{"a signature whose folder can't be synced keeps its text", operator, simdisk.EIO, 1, func(step string, before, c simdisk.Call) bool {
		return c.Kind == simdisk.SyncDir && before.Kind == simdisk.Link && strings.HasSuffix(before.Path, "signoffs/close/olga.sig")
	}},
	{"an entry of a third party that was killed before its sync is there before its guard", thirdParty, simdisk.Kill, 1, func(step string, before, c simdisk.Call) bool {
		return c.Kind == simdisk.Sync && c.Path == "ledger.jsonl"
	}},
	{"a ledger whose guard's folder can't be synced is begun", thirdParty, simdisk.EIO, 1, func(step string, before, c simdisk.Call) bool {
		return c.Kind == simdisk.SyncDir && before.Kind == simdisk.Link && before.Path == "ledger.jsonl.guard"
	}},
	{"a record that could not be synced is there once somebody went on", operator, simdisk.SyncDropped, 1, func(step string, before, c simdisk.Call) bool {
		return c.Kind == simdisk.Sync && c.Path == "ceremony/transcript.jsonl"
	}},
	{"an entry that could not be synced is there once its question is asked again", thirdParty, simdisk.SyncDropped, 1, func(step string, before, c simdisk.Call) bool {
		return c.Kind == simdisk.Sync && c.Path == "ledger.jsonl"
	}},
	{"the folder of a ceremony that was killed as it began is there", operator, simdisk.Kill, 1, func(step string, before, c simdisk.Call) bool {
		return c.Kind == simdisk.SyncDir && before.Kind == simdisk.Mkdir && before.Path == "ceremony"
	}},
	{"a signature whose signer was killed before it was durable is there once it was listed", operator, simdisk.Kill, 1, func(step string, before, c simdisk.Call) bool {
		return c.Kind == simdisk.SyncDir && before.Kind == simdisk.Link && strings.HasSuffix(before.Path, "signoffs/release/ada.sig")
	}},
	{"a close that was killed before its sync is there once it was signed off", operator, simdisk.Kill, 2, func(step string, before, c simdisk.Call) bool {
		return step == "close" && c.Kind == simdisk.Sync && c.Path == "ceremony/transcript.jsonl" // the second: the first settles
	}},
	{"a package that was packed again is there", operator, simdisk.Kill, 1, func(step string, before, c simdisk.Call) bool {
		return c.Kind == simdisk.SyncDir && c.Path == "published"
	}},
}

// What is lost of what was not synced is up to the seed.
func TestWhatWasFoundStaysMended(t *testing.T) {
	for _, x := range found {
		t.Run(x.what, func(t *testing.T) {
			for seed := range uint64(5) {
				l := newLife(t, seed)
				var before simdisk.Call
				n := 0
				l.on(x.on).Fault = func(c simdisk.Call) simdisk.Fault {
					if x.at(l.steps[len(l.steps)-1], before, c) {
						n++
					}
					if before = c; n == x.nth && l.hits == 0 {
						l.hits++
						return x.fault
					}
					return simdisk.None
				}
				if err := l.live(); err != nil {
					t.Fatalf("seed %d: %v\nafter %s", seed, err, strings.Join(l.steps, "\n      "))
				}
				if l.hits != 1 {
					t.Fatal("there was no such call")
				}
			}
		})
	}
}
