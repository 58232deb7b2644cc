package evidence_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func leafOf(head byte, epoch uint64) []byte {
	return (&evidence.Leaf{Mode: ceremony.Rehearsal, Namespace: testfleet.Namespace, Epoch: epoch, Head: [32]byte{head}}).Marshal()
}

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

func kinds(faults []evidence.Fault) (list []string) {
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
	now := two.Now()

	for name, c := range map[string]struct {
		entries [][]byte
		want    string // kinds of fault, a comma between, a semicolon between entries
	}{
		"as it should be":     {[][]byte{first, head.Marshal(), second}, ";;"},
		"equivocation":        {[][]byte{first, forked}, ";equivocation"},
		"repeated":            {[][]byte{first, first}, ";repeated"},
		"back":                {[][]byte{second, first}, ";repeated"},
		"two endings":         {[][]byte{first, leafOf(1, 1), leafOf(1, 1), leafOf(2, 1)}, ";;;two-endings"},
		"evidence of nothing": {[][]byte{leafOf(1, 1)}, "gap"},
		"other predecessor":   {[][]byte{forked, second}, ";predecessor"},
		"other's signatures":  {[][]byte{strange}, "signatures"},
		"junk":                {[][]byte{nil, []byte("{}"), []byte("fleetctl evidence v1\n"), bytes.Replace(first, []byte("v1"), []byte("v2"), 1)}, "unreadable;unreadable;unreadable;unreadable"},
		"spoilt":              {[][]byte{bytes.Replace(first, []byte(`"signature": "`), []byte(`"signature": "A`), 1)}, "unreadable"},
		"other mode": {[][]byte{(&evidence.Leaf{Mode: ceremony.Production, Namespace: testfleet.Namespace, Epoch: 1}).Marshal()},
			"unknown-namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			judge := evidence.NewEntries(policy, func() time.Time { return now })
			var got []string
			for i, leaf := range c.entries {
				// Each is taken by a judge that has only what was written down.
				again := evidence.NewEntries(policy, func() time.Time { return now })
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

	judge := evidence.NewEntries(must(evidence.ParsePolicy("policy.yaml", foreign)), func() time.Time { return now })
	if got := kinds(judge.Read(0, first).Faults()); !slices.Equal(got, []string{evidence.FaultNamespace}) {
		t.Errorf("another namespace: %v", got)
	}
	judge = evidence.NewEntries(policy, func() time.Time { return now })
	judge.Fleets, judge.Evidence = []string{"no-such-fleet"}, time.Hour
	if got := kinds(judge.Take(0, judge.Read(0, first))); !slices.Equal(got, []string{evidence.FaultFleet}) {
		t.Errorf("an unknown fleet: %v", got)
	}
	if got := judge.Overdue(); len(got) > 0 {
		t.Errorf("overdue at once: %v", got)
	}
	now = now.Add(61 * time.Minute)
	for range 2 {
		if got := kinds(judge.Overdue()); !slices.Equal(got, []string{evidence.FaultNoEvidence}) {
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

// TestEvidenceLogged grades a package by the proof of its identity.
func TestEvidenceLogged(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "logged"})
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	leaf := must(evidence.PackageLeaf("evidence.tar", f.Archive))
	if fmt.Sprintf("%x", leaf.Head) != fmt.Sprintf("%x", f.Account.Head) || leaf.Epoch != 1 {
		t.Errorf("%+v", leaf)
	}
	good := must(f.Parties.Log.Append(leaf.Marshal()))
	leaf.Head[0] ^= 1
	other := must(f.Parties.Log.Append(leaf.Marshal()))
	for name, c := range map[string]struct {
		proof    []byte
		grade    evidence.Grade
		verified bool
	}{
		"its proof":      {good, evidence.Proven, true},
		"none":           {nil, evidence.NotShown, true},
		"another ending": {other, evidence.NotShown, false},
		"the bundle's":   {f.Files[ceremony.ProofFile], evidence.NotShown, false},
		"junk":           {[]byte("junk\n"), evidence.NotShown, false},
	} {
		r := must(evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive, Logged: c.proof}, policy, evidence.Question{Now: f.Now()}))
		if got := r.Claim(evidence.ClaimLogged); got.Grade != c.grade || r.Verified != c.verified {
			t.Errorf("%s: %+v, verified %v %+v", name, got, r.Verified, r.Problems)
		}
	}
	// The policy's quorum counts here as it does for the bundle.
	wanting := bytes.Replace(f.Policy, []byte("  quorum none"), []byte("  witness w witness.example/w+1c5b5f3f+BAAA\n  quorum w"), 1)
	if _, err := evidence.ParsePolicy("policy.yaml", wanting); err == nil {
		t.Error("a spoilt witness key is taken")
	}
}

func FuzzLeaf(f *testing.F) {
	f.Add(leafOf(1, 7))
	f.Add([]byte("fleetctl evidence v1\nproduction\na\n1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := evidence.ParseLeaf("f", data)
		if err != nil {
			if l != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if !bytes.Equal(l.Marshal(), data) {
			t.Fatalf("%q comes back as %q", data, l.Marshal())
		}
	})
}
