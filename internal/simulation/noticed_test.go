package simulation

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// A simulation that finds nothing shows nothing. These are the mistakes that it is
// there to find, made on purpose: each must be noticed.
func TestASyncThatIsLeftOutIsNoticed(t *testing.T) {
	named := func(kind simdisk.Kind, name string) func(simdisk.Call) bool {
		return func(c simdisk.Call) bool { return c.Kind == kind && strings.Contains(c.Path, name) }
	}
	for what, leave := range map[string]func(simdisk.Call) bool{
		"a record is not synced before what it announces":   named(simdisk.Sync, "transcript.jsonl"),
		"an entry of the ledger is not synced":              named(simdisk.Sync, "ledger.jsonl"),
		"no folder is synced":                               named(simdisk.SyncDir, ""),
		"the ceremony's folder is not synced":               named(simdisk.SyncDir, "ceremony"),
		"the folder of a result is not synced":              named(simdisk.SyncDir, "published"),
		"a file gets its name before its data is synced":    named(simdisk.Sync, "(no name)"),
		"a file replaces another before its data is synced": named(simdisk.Sync, ".fleetctl-"),
		"nothing is synced":                                 func(simdisk.Call) bool { return true },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if n, err := notices(t, leave); err != nil {
				t.Logf("noticed in life %d: %v", n, err)
			} else {
				t.Errorf("nobody noticed it in %d lives", n)
			}
		})
	}
}

// notices leads lives with a mistake, which the power fails in, until one of them
// goes wrong.
func notices(t *testing.T, leave func(simdisk.Call) bool) (n int, err error) {
	base := newLife(t, 1)
	base.leave(leave)
	if err := base.live(); err != nil {
		return 1, err
	}
	lives := base.every()
	for i, hits := range lives {
		if hits[0].fault != simdisk.Cut {
			continue
		}
		n++
		l := newLife(t, uint64(i))
		l.leave(leave)
		l.suffer(hits)
		if err := l.live(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// leave has all computers make a mistake.
func (l *life) leave(what func(simdisk.Call) bool) {
	for _, name := range l.computers() {
		l.on(name).Leave = what
	}
}
