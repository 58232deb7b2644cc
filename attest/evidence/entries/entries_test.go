package entries_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/entries"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// leafOf is that of a closed ceremony, unless it is changed.
func leafOf(ceremonyID string, head byte, epoch uint64, change ...func(*evidence.Leaf)) []byte {
	l := &evidence.Leaf{Mode: ceremony.Rehearsal, Namespace: testfleet.Namespace, Epoch: epoch, Ceremony: ceremonyID, Ending: evidence.EndingClosed, Head: [32]byte{head}}
	for _, c := range change {
		c(l)
	}
	return l.Marshal()
}

func aborted(l *evidence.Leaf) { l.Ending = evidence.EndingAborted }

// loggedFleets are bundles as logs have them: a fleet's first and second epoch,
// a first one under the same keys and another under a stranger's.
type loggedFleets struct {
	one, two                       *testfleet.Fleet
	first, second, forked, strange []byte
}

func newLoggedFleets(t *testing.T) *loggedFleets {
	t.Helper()
	one := testfleet.New(t, testfleet.Options{Name: "one"})
	same := *one.Parties
	same.Ledger = t.TempDir() + "/ledger.jsonl"
	bundleOf := func(f *testfleet.Fleet) []byte { return f.Files[ceremony.BundleFile] }
	two := testfleet.New(t, testfleet.Options{Name: "two", After: one})
	return &loggedFleets{one, two, bundleOf(one), bundleOf(two),
		bundleOf(testfleet.New(t, testfleet.Options{Name: "other", Parties: &same})), bundleOf(testfleet.New(t, testfleet.Options{Name: "stranger"}))}
}

func kinds(faults []entries.Fault) (list []string) {
	for _, f := range faults {
		list = append(list, f.Kind)
	}
	return list
}

// TestEntriesOfALog gives a judge sequences of real bundles and leaves.
func TestEntriesOfALog(t *testing.T) {
	f := newLoggedFleets(t)
	one, two, first, second, forked, strange := f.one, f.two, f.first, f.second, f.forked, f.strange
	policy := must(evidence.ParsePolicy("policy.yaml", one.Policy))
	foreign := bytes.ReplaceAll(one.Policy, []byte(testfleet.Namespace), []byte("rehearsal.example.other"))
	head := must(evidence.PackageLeaf("evidence.tar", one.Archive))
	id, now := one.Account.Open.Ceremony, two.Now()

	for name, c := range map[string]struct {
		entries [][]byte
		want    string // kinds of fault, a comma between, a semicolon between entries
	}{
		"as it should be":     {[][]byte{first, head.Marshal(), second}, ";;"},
		"equivocation":        {[][]byte{first, forked}, ";equivocation"},
		"repeated":            {[][]byte{first, first}, ";repeated"},
		"back":                {[][]byte{second, first}, ";repeated"},
		"two heads":           {[][]byte{first, leafOf(id, 1, 1), leafOf(id, 1, 1), leafOf(id, 2, 1)}, ";;;two-endings"},
		"evidence of nothing": {[][]byte{leafOf(id, 1, 1)}, "gap"},
		"other signatures":    {[][]byte{first, leafOf(id, 1, 1), leafOf(id, 1, 1, func(l *evidence.Leaf) { l.Signatures[0] = 1 })}, ";;repeated"},
		"another ceremony":    {[][]byte{first, leafOf("x.1", 1, 1)}, ";two-endings"},
		"an abort and again":  {[][]byte{leafOf("x.1", 1, 1, aborted), first, head.Marshal(), second}, ";;;"},
		"aborts of one epoch": {[][]byte{leafOf("x.1", 1, 1, aborted), leafOf("y.1", 2, 1, aborted)}, ";"},
		"aborted twice":       {[][]byte{leafOf("x.1", 1, 1, aborted), leafOf("x.1", 2, 1, aborted)}, ";two-endings"},
		"aborted and closed":  {[][]byte{leafOf("x.1", 1, 1, aborted), first, leafOf("x.1", 1, 1)}, ";;two-endings,two-endings"},
		"released, aborted":   {[][]byte{first, leafOf(id, 1, 1, aborted)}, ";two-endings"},
		"closed, aborted":     {[][]byte{first, head.Marshal(), leafOf(id, 1, 1, aborted)}, ";;two-endings,two-endings"},
		"aborted, released":   {[][]byte{leafOf(id, 1, 1, aborted), first}, ";two-endings"},
		"in another epoch":    {[][]byte{leafOf("x.1", 1, 1, aborted), leafOf("x.1", 2, 7, aborted)}, ";two-endings"},
		"other predecessor":   {[][]byte{forked, second}, ";predecessor"},
		"other's signatures":  {[][]byte{strange}, "signatures"},
		"junk": {[][]byte{nil, []byte("{}"), []byte("fleetctl evidence v2\n"), []byte("fleetctl evidence v1\nrehearsal\na\n1\n"), bytes.Replace(first, []byte("v1"), []byte("v2"), 1)},
			"unreadable;unreadable;unreadable;unreadable;unreadable"},
		"spoilt": {[][]byte{bytes.Replace(first, []byte(`"signature": "`), []byte(`"signature": "A`), 1)}, "unreadable"},
		"other mode": {[][]byte{leafOf(id, 1, 1, func(l *evidence.Leaf) { l.Mode = ceremony.Production })},
			"unknown-namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			judge := entries.New(policy, func() time.Time { return now })
			var got []string
			for i, leaf := range c.entries {
				// Each is taken by a judge that has only what was written down.
				again := entries.New(policy, func() time.Time { return now })
				if err := again.Restore(judge.State()); err != nil {
					t.Fatal(err)
				}
				judge = again
				got = append(got, strings.Join(kinds(judge.Take(uint64(i), judge.Read(uint64(i), leaf))), ","))
			}
			if s := strings.Join(got, ";"); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}

	judge := entries.New(must(evidence.ParsePolicy("policy.yaml", foreign)), func() time.Time { return now })
	if got := kinds(judge.Read(0, first).Faults()); !slices.Equal(got, []string{entries.FaultNamespace}) {
		t.Errorf("another namespace: %v", got)
	}
	judge = entries.New(policy, func() time.Time { return now })
	judge.Fleets, judge.Evidence = []string{"no-such-fleet"}, time.Hour
	if got := kinds(judge.Take(0, judge.Read(0, first))); !slices.Equal(got, []string{entries.FaultFleet}) {
		t.Errorf("an unknown fleet: %v", got)
	}
	if got := judge.Overdue(); len(got) > 0 {
		t.Errorf("overdue at once: %v", got)
	}
	now = now.Add(61 * time.Minute)
	for range 2 {
		if got := kinds(judge.Overdue()); !slices.Equal(got, []string{entries.FaultNoEvidence}) {
			t.Errorf("after an hour: %v", got)
		}
	}
	judge.Take(1, judge.Read(1, head.Marshal()))
	if got := judge.Overdue(); len(got) > 0 {
		t.Errorf("with evidence: %v", got)
	}
	if err := judge.Restore("{"); err == nil {
		t.Error("a spoilt state is taken")
	}
}
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
