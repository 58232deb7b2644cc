package auditlog

import (
	"bytes"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// testSplit is of a log that signed leaves 0…m-1 and, in another history that
// parts from it at entry 3, n leaves.
func testSplit(tb testing.TB, m, n int) *SplitView {
	tb.Helper()
	here := newTestTree(tb, testLeaves(m)...)
	leaves := testLeaves(n)
	leaves[3] = []byte("another entry\n")
	there := newTestTree(tb, leaves...)
	s := &SplitView{Smaller: here.checkpoint(tb, int64(m)), Larger: there.checkpoint(tb, int64(n))}
	logKey.sign(s.Smaller, 0)
	logKey.sign(s.Larger, 0)
	if m < n {
		s.Root = there.checkpoint(tb, int64(m)).Root
		path, err := tlog.ProveTree(int64(n), int64(m), there)
		if err != nil {
			tb.Fatal(err)
		}
		for _, h := range path {
			s.Hashes = append(s.Hashes, h)
		}
	}
	return s
}

func TestSplitViewIsProven(t *testing.T) {
	p := testPolicy(t, testPolicyText)
	for m := 4; m <= 9; m++ {
		for n := m; n <= 12; n++ {
			s, err := ParseSplitView("split.json", testSplit(t, m, n).Marshal())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.VerifySplit(s); err != nil {
				t.Errorf("%d, %d: %v", m, n, err)
			}
		}
	}
}

// TestSplitViewOfAnHonestLog: no two checkpoints of one history make one,
// whatever stands beside them.
func TestSplitViewOfAnHonestLog(t *testing.T) {
	p := testPolicy(t, testPolicyText)
	tree := newTestTree(t, testLeaves(11)...)
	sign := func(size int64) *Checkpoint {
		c := tree.checkpoint(t, size)
		logKey.sign(c, 0)
		return c
	}
	honest := func() *SplitView {
		s := &SplitView{Smaller: sign(5), Larger: sign(11), Root: tree.checkpoint(t, 5).Root}
		path, err := tlog.ProveTree(11, 5, tree)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range path {
			s.Hashes = append(s.Hashes, h)
		}
		return s
	}
	for name, c := range map[string]struct {
		change func(*SplitView)
		says   string
	}{
		"as it is":           {func(*SplitView) {}, "continues the smaller"},
		"another root":       {func(s *SplitView) { s.Root[0] ^= 1 }, "nothing is proven"},
		"another hash":       {func(s *SplitView) { s.Root[0] ^= 1; s.Hashes[0][0] ^= 1 }, "nothing is proven"},
		"no proof":           {func(s *SplitView) { s.Root, s.Hashes = [32]byte{}, nil }, "nothing is proven"},
		"swapped":            {func(s *SplitView) { s.Smaller, s.Larger = s.Larger, s.Smaller }, "the smaller checkpoint has 11"},
		"the same twice":     {func(s *SplitView) { s.Larger, s.Root, s.Hashes = s.Smaller, [32]byte{}, nil }, "are the same"},
		"same size, a proof": {func(s *SplitView) { s.Larger = s.Smaller }, "need none"},
		"empty tree":         {func(s *SplitView) { s.Smaller = sign(0) }, "has 0 entries"},
		"unsigned":           {func(s *SplitView) { s.Smaller.Signatures = nil }, "no log of the policy signed it"},
		"signature spoilt":   {func(s *SplitView) { s.Larger.Signatures[0].Raw[0] ^= 1 }, "signature of"},
		"witness alone": {func(s *SplitView) {
			s.Smaller.Signatures = nil
			w1.sign(s.Smaller, 1000)
		}, "no log of the policy signed it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := honest()
			c.change(s)
			wantStrict(t, p.VerifySplit(s), c.says)
		})

	}
}

func FuzzSplitView(f *testing.F) {
	f.Add(testSplit(f, 4, 4).Marshal())
	f.Add(testSplit(f, 5, 11).Marshal())
	p := testPolicy(f, testPolicyText)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSplitView("f", data)
		if isStrict(t, err) {
			if s != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		again, err := ParseSplitView("f", s.Marshal())
		if err != nil || !bytes.Equal(again.Marshal(), s.Marshal()) {
			t.Fatalf("%q comes back as another: %v", s.Marshal(), err)
		}
		isStrict(t, p.VerifySplit(s))
	})
}

// A proof may have as many hashes as that of the largest tree, and no more.
func TestASplitViewHasAsManyHashesAsAProof(t *testing.T) {
	s := testSplit(t, 5, 11)
	s.Hashes = make([][32]byte, maxHashes)
	if _, err := ParseSplitView("split.json", s.Marshal()); err != nil {
		t.Error(err)
	}
	s.Hashes = append(s.Hashes, [32]byte{})
	_, err := ParseSplitView("split.json", s.Marshal())
	wantStrict(t, err, "has more than 63 hashes")
}
