package service

import (
	"testing"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/simdisk"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// The process is killed before what it stored is durable, the owner sends the same again
// and is told that it waits, and then the power fails: it waits all the same.
func TestWhatAnOwnerIsToldToWaitIsThereAfterAPowerCut(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	policy := must(thirdparty.ParsePolicy("p", f.ThirdPartyPolicy()))
	set := f.Request.Core.KeySet
	x := &submission{submissionFormat, set.Namespace, set.Epoch, set.Digest()}
	for what, store := range map[string]func(q *Queue) error{
		"a request":    func(q *Queue) error { _, _, err := q.Put(f.Request.Raw()); return err },
		"a submission": func(q *Queue) error { _, err := q.keep(x); return err },
	} {
		for seed := range uint64(16) {
			disk := simdisk.New(t, seed)
			q := must(OpenQueue(disk.Path("queue"), policy, nil))
			linked := false
			disk.Fault = func(c simdisk.Call) simdisk.Fault {
				if linked && c.Kind == simdisk.SyncDir {
					return simdisk.Kill
				}
				linked = linked || c.Kind == simdisk.Link || c.Kind == simdisk.Rename
				return simdisk.None
			}
			if err := disk.Run(func() error { return store(q) }); err == nil {
				t.Fatal("nothing kills it")
			}
			disk.Fault = nil
			q = must(OpenQueue(disk.Path("queue"), policy, nil))
			if err := store(q); err != nil {
				t.Fatal(err)
			}
			disk.Cut()
			if list, err := List(q.Dir); err != nil || len(list) != 1 || list[0].Fault != "" {
				t.Fatalf("%s, seed %d: %+v, %v", what, seed, list, err)
			}
		}
	}
}
