package auditlog

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/fleetctl/fleetctl/internal/keys"
)

func unix(sec int64) time.Time { return time.Unix(sec, 0).UTC() }

func end(sec int64) *time.Time { t := unix(sec); return &t }

// cosignedProof is of leaf 5 in the tree of a size, by the log and those who
// cosign at these times; 0: they don't.
func cosignedProof(tb testing.TB, tree *testTree, size int64, times ...uint64) *Proof {
	tb.Helper()
	p := tree.proof(tb, 5, size)
	logKey.sign(p.Checkpoint, 0)
	for i, w := range []*testKey{w1, w2, w3} {
		if i < len(times) && times[i] != 0 {
			w.sign(p.Checkpoint, times[i])
		}
	}
	return p
}

// continuing is the witness's request from an older size to a newer one.
func continuing(tb testing.TB, tree *testTree, old, size int64, times ...uint64) *Request {
	tb.Helper()
	path, err := tlog.ProveTree(size, old, tree)
	if err != nil {
		tb.Fatal(err)
	}
	r := &Request{Old: uint64(old), Checkpoint: cosignedProof(tb, tree, size, times...).Checkpoint}
	for _, h := range path {
		r.Hashes = append(r.Hashes, h)
	}
	return r
}

func TestWhatCountsAtATime(t *testing.T) {
	tree := newTestTree(t, testLeaves(20)...)
	other := newTestTree(t, append(testLeaves(11), []byte("a fork"), []byte("of it"))...)
	all := []*Proof{cosignedProof(t, tree, 11, 1000, 3000, 2000)}
	two := []*Proof{cosignedProof(t, tree, 11, 1000, 3000)}
	const year = 31_536_000
	for name, c := range map[string]struct {
		windows    map[*testKey]keys.Window
		now        int64
		proofs     []*Proof
		later      []*Request
		quorum     bool
		first      int64 // the quorum's time
		newest     int64
		logOutside bool
	}{
		"no windows":                       {nil, year, all, nil, true, 2000, 2000, false},
		"within the tolerance":             {nil, 2700, two, nil, true, 3000, 1000, false},
		"one is after now":                 {nil, 2699, two, nil, false, 0, 0, false},
		"one is after now, two are before": {nil, 2000, all, nil, true, 2000, 1000, false},

		"compromised later than its time": {map[*testKey]keys.Window{w1: {CompromisedAfter: end(5000)}}, year, two, nil, false, 0, 0, false},
		"compromised, others are enough":  {map[*testKey]keys.Window{w1: {CompromisedAfter: end(5000)}}, year, all, nil, true, 3000, 2000, false},
		"not compromised yet":             {map[*testKey]keys.Window{w1: {CompromisedAfter: end(year + 1)}}, year, two, nil, true, 3000, 1000, false},
		"ended before it cosigned":        {map[*testKey]keys.Window{w1: {NotAfter: end(900)}}, year, two, nil, false, 0, 0, false},
		"not begun when it cosigned":      {map[*testKey]keys.Window{w1: {NotBefore: end(1001)}}, year, two, nil, false, 0, 0, false},
		"ended since, nobody else":        {map[*testKey]keys.Window{w1: {NotAfter: end(1500)}}, year, two, nil, false, 0, 0, false},
		"ended since, others support it":  {map[*testKey]keys.Window{w1: {NotAfter: end(1500)}}, year, all, nil, true, 2000, 2000, false},
		// How young a proof is, is said by keys that count now alone.
		"ended since, the others' is older": {map[*testKey]keys.Window{w1: {NotAfter: end(2600)}}, year, []*Proof{cosignedProof(t, tree, 11, 2500, 3000, 2000)}, nil, true, 2500, 2000, false},
		"ended since, a later one does":     {map[*testKey]keys.Window{w1: {NotAfter: end(1500)}}, year, two, []*Request{continuing(t, tree, 11, 17, 0, 9000, 9000)}, true, 3000, 1000, false},
		"ended since, the same one later":   {map[*testKey]keys.Window{w1: {NotAfter: end(1500)}}, year, append([]*Proof{cosignedProof(t, tree, 11, 0, 8000, 8000)}, two...), nil, true, 3000, 8000, false},
		"ended since, the later has none":   {map[*testKey]keys.Window{w1: {NotAfter: end(1500)}}, year, two, []*Request{continuing(t, tree, 11, 17, 0, 9000)}, false, 0, 0, false},
		"ended since, the later's ended":    {map[*testKey]keys.Window{w1: {NotAfter: end(1500)}}, year, two, []*Request{continuing(t, tree, 11, 17, 1400, 9000)}, false, 0, 0, false},
		"compromised, a later one no help":  {map[*testKey]keys.Window{w1: {CompromisedAfter: end(5000)}}, year, two, []*Request{continuing(t, tree, 11, 17, 0, 9000, 9000)}, false, 0, 0, false},

		"two proofs, the earliest counts": {nil, year, []*Proof{cosignedProof(t, tree, 17, 7000, 7000, 7000), two[0]}, nil, true, 3000, 7000, false},

		"the log's ended later":  {map[*testKey]keys.Window{logKey: {NotAfter: end(2000)}}, year, all, nil, true, 2000, 2000, false},
		"the log's ended before": {map[*testKey]keys.Window{logKey: {NotAfter: end(1999)}}, year, all, nil, true, 2000, 2000, true},
		"the log's, no quorum":   {map[*testKey]keys.Window{logKey: {NotAfter: end(1999)}}, year, []*Proof{cosignedProof(t, tree, 11, 1000)}, nil, false, 0, 0, true},
		"the log's, now inside":  {map[*testKey]keys.Window{logKey: {NotAfter: end(year)}}, year, []*Proof{cosignedProof(t, tree, 11, 1000)}, nil, false, 0, 0, false},
	} {
		p := testPolicy(t, testPolicyText)
		for key, w := range c.windows {
			if err := p.SetWindow(key.vkey(), w); err != nil {
				t.Fatal(err)
			}
		}
		in, err := p.VerifyAt(testLeaf(5), unix(c.now), c.proofs, c.later...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if in.Quorum != c.quorum || (in.LogOutside != "") != c.logOutside || c.quorum && (!in.QuorumTime.Equal(unix(c.first)) || !in.NewestQuorumTime.Equal(unix(c.newest))) {
			t.Errorf("%s: %+v", name, in)
		}
		if !c.quorum && len(c.windows) == 0 && len(in.Uncounted) == 0 {
			t.Errorf("%s: nothing says why", name)
		}
	}

	p := testPolicy(t, testPolicyText)
	for name, c := range map[string]struct {
		now    time.Time
		proofs []*Proof
		later  []*Request
		says   string
	}{
		"no time":              {time.Time{}, all, nil, "no time"},
		"no proof":             {unix(year), nil, nil, "no proof"},
		"one is of others":     {unix(year), []*Proof{all[0], cosignedProof(t, other, 12)}, nil, ""},
		"a fork continues it":  {unix(year), []*Proof{cosignedProof(t, tree, 12, 1000, 1000, 1000)}, []*Request{continuing(t, other, 12, 13, 9, 9, 9)}, "is not shown to hold"},
		"it continues another": {unix(year), all, []*Request{continuing(t, tree, 10, 17, 9, 9, 9)}, "no proof here has one"},
	} {
		_, err := p.VerifyAt(testLeaf(5), c.now, c.proofs, c.later...)
		if c.says == "" {
			if err != nil { // leaf 5 is in both trees: that they are forks is a monitor's to find
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWindowIsOfAKeyOfThePolicyAndGivenOnce(t *testing.T) {
	p := testPolicy(t, testPolicyText)
	if err := p.SetWindow(newTestKey("w9.example", Ed25519Cosignature).vkey(), keys.Window{}); err == nil {
		t.Error("a stranger's key got a window")
	}
	if err := p.SetWindow(w1.vkey(), keys.Window{}); err != nil {
		t.Error(err)
	}
	if err := p.SetWindow(w1.vkey(), keys.Window{}); err == nil {
		t.Error("a key got two windows")
	}
	if err := p.SetWindow("w1", keys.Window{}); err == nil {
		t.Error("a name got a window")
	}
}
