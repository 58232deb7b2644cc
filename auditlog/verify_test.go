package auditlog

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

func TestVerifySaysWhatTheProofShows(t *testing.T) {
	in, err := testPolicy(t, testPolicyText).Verify(testLeaf(5), goodProof(t))
	if err != nil {
		t.Fatal(err)
	}
	want := &Inclusion{
		Origin: testOrigin, Index: 5, Size: 11, Root: goodProof(t).Checkpoint.Root,
		Cosigning: Cosigning{
			Witnesses: []Cosigned{
				{"one", time.Unix(1000, 0).UTC()},
				{"two", time.Unix(3000, 0).UTC()},
				{"three", time.Unix(2000, 0).UTC()},
			},
			Demanded: true, Quorum: true,
			QuorumTime:       time.Unix(2000, 0).UTC(),
			NewestQuorumTime: time.Unix(2000, 0).UTC(),
		},
	}
	if len(in.logs) != 1 || in.logs[0].Name() != testOrigin {
		t.Errorf("signed by the logs %v", in.logs)
	}
	in.logs = nil
	if !reflect.DeepEqual(in, want) {
		t.Errorf("got  %+v\nwant %+v", in, want)
	}
}

func TestTooFewWitnessesIsNoErrorAndNoQuorum(t *testing.T) {
	p := goodProof(t)
	p.Checkpoint.Signatures = p.Checkpoint.Signatures[:2]
	in, err := testPolicy(t, testPolicyText).Verify(testLeaf(5), p)
	if err != nil {
		t.Fatal(err)
	}
	if in.Quorum || !in.Demanded || !in.QuorumTime.IsZero() || !in.NewestQuorumTime.IsZero() {
		t.Errorf("one cosignature of two makes %+v", in.Cosigning)
	}
	if want := []string{"two", "three"}; !reflect.DeepEqual(in.Missing, want) {
		t.Errorf("missing %q, want %q", in.Missing, want)
	}
}

func TestQuorumNoneIsNotQuorum(t *testing.T) {
	in, err := testPolicy(t, "log "+logKey.vkey()+"\nquorum none\n").Verify(testLeaf(5), goodProof(t))
	if err != nil {
		t.Fatal(err)
	}
	if in.Demanded || in.Quorum || in.Witnesses != nil {
		t.Errorf("quorum none gives %+v", in.Cosigning)
	}
}

func TestCosignatureWithoutTimeDoesNotCount(t *testing.T) {
	p := goodProof(t)
	p.Checkpoint.Signatures = p.Checkpoint.Signatures[:2]
	w3.sign(p.Checkpoint, 0)
	in, err := testPolicy(t, testPolicyText).Verify(testLeaf(5), p)
	if err != nil {
		t.Fatal(err)
	}
	if in.Quorum || len(in.Witnesses) != 1 {
		t.Errorf("a cosignature that states no time counted: %+v", in.Cosigning)
	}
}

func TestUnknownSignaturesAreIgnored(t *testing.T) {
	p := goodProof(t)
	sigs := p.Checkpoint.Signatures
	// The log's name with another key hash, and its hash under another name.
	p.Checkpoint.Signatures = append(p.Checkpoint.Signatures,
		Signature{Name: testOrigin, KeyHash: sigs[0].KeyHash + 1, Raw: []byte("junk")},
		Signature{Name: "other.example", KeyHash: sigs[0].KeyHash, Raw: []byte("junk")})
	in, err := testPolicy(t, testPolicyText).Verify(testLeaf(5), p)
	if err != nil || !in.Quorum {
		t.Errorf("got %+v, %v", in, err)
	}
}

// Somebody with another key under a pinned name is not told as an absence: whoever
// pins the old key of a witness, or is lied to, would look for the wrong fault.
func TestAPinnedNameWithAnotherKeyIsSaidToBeThat(t *testing.T) {
	p := goodProof(t)
	policy := testPolicy(t, testPolicyText)
	sigs := p.Checkpoint.Signatures
	p.Checkpoint.Signatures = append(sigs[:1:1], Signature{Name: "w1.example", KeyHash: 0x01020304, Raw: []byte("junk")})
	in, err := policy.VerifyAt(testLeaf(5), time.Unix(1<<31, 0), []*Proof{p})
	want := fmt.Sprintf("w1.example signed with the key 01020304, and the policy pins its key %08x", w1.hash())
	if err != nil || in.Quorum || len(in.OtherKeys) != 1 || in.OtherKeys[0] != want {
		t.Errorf("%+v, %v", in, err)
	}
	p.Checkpoint.Signatures[0].KeyHash = 0x05060708
	_, err = policy.Verify(testLeaf(5), p)
	if want := fmt.Sprintf("no log of the policy signed it: %s signed with the key 05060708, and the policy pins its key %08x", testOrigin, logKey.hash()); err == nil || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	other := newTestKey("other.example/log", Ed25519)
	for name, test := range map[string]struct {
		policy string
		change func(*Proof)
		says   string
	}{
		"no checkpoint":   {change: func(p *Proof) { p.Checkpoint = nil }, says: "has no checkpoint"},
		"index too large": {change: func(p *Proof) { p.Index = 11 }, says: "only 11 entries"},
		"index at 2^64-1": {change: func(p *Proof) { p.Index = 1<<64 - 1 }, says: "only 11 entries"},
		"other index":     {change: func(p *Proof) { p.Index = 4 }, says: "does not show"},
		"size 2^62":       {change: func(p *Proof) { p.Checkpoint.Size = 1 << 62 }, says: "has 4 hashes"},
		"size 2^63":       {change: func(p *Proof) { p.Checkpoint.Size = 1 << 63 }, says: "has 4 hashes"},
		"size 2^64-1":     {change: func(p *Proof) { p.Checkpoint.Size = 1<<64 - 1 }, says: "has 4 hashes"},
		"size 0":          {change: func(p *Proof) { p.Checkpoint.Size = 0 }, says: "only 0 entries"},
		"other size":      {change: func(p *Proof) { p.Checkpoint.Size = 12 }, says: "does not verify"},
		"other root":      {change: func(p *Proof) { p.Checkpoint.Root[31] ^= 1 }, says: "does not verify"},
		"other origin":    {change: func(p *Proof) { p.Checkpoint.Origin = "fleet.example/log2" }, says: "does not verify"},
		"hash missing":    {change: func(p *Proof) { p.Hashes = p.Hashes[1:] }, says: "has 3 hashes"},
		"hash more":       {change: func(p *Proof) { p.Hashes = append(p.Hashes, p.Hashes[0]) }, says: "has 5 hashes"},
		"hashes swapped":  {change: func(p *Proof) { p.Hashes[0], p.Hashes[1] = p.Hashes[1], p.Hashes[0] }, says: "does not show"},
		"unsigned":        {change: func(p *Proof) { p.Checkpoint.Signatures = p.Checkpoint.Signatures[1:] }, says: "no log of the policy signed it"},
		"only witnesses are known": {
			policy: "witness one " + w1.vkey() + "\nquorum one\n", says: "no log of the policy signed it"},
		"signed by another log of the policy": {
			policy: "log " + other.vkey() + "\nlog " + logKey.vkey() + "\nquorum none\n",
			change: func(p *Proof) {
				p.Checkpoint.Signatures = nil
				other.sign(p.Checkpoint, 0)
			},
			says: "no log of the policy signed it"},
		"log's signature spoilt": {change: func(p *Proof) { p.Checkpoint.Signatures[0].Raw[40] ^= 1 }, says: "does not verify"},
		"cosignature spoilt":     {change: func(p *Proof) { p.Checkpoint.Signatures[2].Raw[40] ^= 1 }, says: "does not verify"},
		"ML-DSA spoilt":          {change: func(p *Proof) { p.Checkpoint.Signatures[3].Raw[400] ^= 1 }, says: "does not verify"},
		"time changed":           {change: func(p *Proof) { p.Checkpoint.Signatures[1].Raw[7] ^= 1 }, says: "does not verify"},
		"time changed, ML-DSA":   {change: func(p *Proof) { p.Checkpoint.Signatures[3].Raw[7] ^= 1 }, says: "does not verify"},
		"time after 9999":        {change: func(p *Proof) { w1.sign(p.Checkpoint, maxTimestamp+1); dropSignature(p, 1) }, says: "after the year 9999"},
		"time 2^64-1":            {change: func(p *Proof) { w1.sign(p.Checkpoint, 1<<64-1); dropSignature(p, 1) }, says: "after the year 9999"},
		"cosignature cut":        {change: func(p *Proof) { cut(p, 1) }, says: "has 71 bytes"},
		"log's signature cut":    {change: func(p *Proof) { cut(p, 0) }, says: "has 63 bytes"},
		"ML-DSA cut":             {change: func(p *Proof) { cut(p, 3) }, says: "has 2427 bytes"},
		"signed twice":           {change: func(p *Proof) { w1.sign(p.Checkpoint, 1001) }, says: "signed twice"},
	} {
		t.Run(name, func(t *testing.T) {
			p := goodProof(t)
			if test.change != nil {
				test.change(p)
			}
			policy := testPolicyText
			if test.policy != "" {
				policy = test.policy
			}
			in, err := testPolicy(t, policy).Verify(testLeaf(5), p)
			wantStrict(t, err, test.says)
			if in != nil {
				t.Errorf("there is a result beside the error: %+v", in)
			}
		})
	}
}

func dropSignature(p *Proof, i int) {
	s := p.Checkpoint.Signatures
	p.Checkpoint.Signatures = append(s[:i:i], s[i+1:]...)
}

func cut(p *Proof, i int) {
	s := &p.Checkpoint.Signatures[i]
	s.Raw = s.Raw[:len(s.Raw)-1]
}

func TestOtherLeavesAreRefused(t *testing.T) {
	policy := testPolicy(t, testPolicyText)
	for _, leaf := range [][]byte{nil, {}, testLeaf(4), bytes.TrimSuffix(testLeaf(5), []byte("\n")), append(testLeaf(5), '\n')} {
		_, err := policy.Verify(leaf, goodProof(t))
		wantStrict(t, err, "does not show")
	}
}

// TestNegativeControl replaces a key by one that accepts everything, which is
// what a broken verifier would do.
func TestNegativeControl(t *testing.T) {
	p := testPolicy(t, testPolicyText)
	p.logs[0].Key.verify = func(*Checkpoint, []byte) (time.Time, error) { return time.Time{}, nil }
	_, err := p.Verify(testLeaf(5), goodProof(t))
	wantStrict(t, err, "negative control: the signature of "+testOrigin)

	p = testPolicy(t, testPolicyText)
	p.logs[0].Key.name = impossibleOrigin
	c := goodProof(t).Checkpoint
	wantStrict(t, p.control(c, []verified{{key: p.logs[0].Key}}), "negative control: the policy accepts any origin")
}

// TestEveryProofOfSmallTrees runs over every entry of every tree of up to 70
// entries, with proofs made by another implementation, and over every wrong
// number of hashes.
func TestEveryProofOfSmallTrees(t *testing.T) {
	const most = 70
	tree := newTestTree(t, testLeaves(most)...)
	policy := testPolicy(t, "log "+logKey.vkey()+"\nquorum none\n")
	for size := int64(1); size <= most; size++ {
		signed := tree.checkpoint(t, size)
		logKey.sign(signed, 0)
		for index := range size {
			p := tree.proof(t, index, size)
			p.Checkpoint = signed
			if _, err := policy.Verify(testLeaf(int(index)), p); err != nil {
				t.Fatalf("%d of %d: %v", index, size, err)
			}
			if len(p.Hashes) > 0 {
				p.Hashes = p.Hashes[1:]
				wantStrict(t, p.check(), "hashes, entry")
			}
		}
	}
}

func TestConsistencyOfEveryPairOfSmallTrees(t *testing.T) {
	const most = 40
	tree := newTestTree(t, testLeaves(most)...)
	fork := newTestTree(t, append([][]byte{[]byte("x")}, testLeaves(most)[1:]...)...)
	for newer := int64(0); newer <= most; newer++ {
		for older := int64(0); older <= newer; older++ {
			var hashes [][32]byte
			if older > 0 {
				path, err := tlog.ProveTree(newer, older, tree)
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range path {
					hashes = append(hashes, h)
				}
			}
			a, b := tree.checkpoint(t, older), tree.checkpoint(t, newer)
			if err := VerifyConsistency(a, b, hashes); err != nil {
				t.Fatalf("%d to %d: %v", older, newer, err)
			}
			if VerifyConsistency(a, b, append(hashes, [32]byte{})) == nil {
				t.Fatalf("%d to %d: a hash too many is taken", older, newer)
			}
			if older == 0 {
				continue
			}
			if VerifyConsistency(a, fork.checkpoint(t, newer), hashes) == nil {
				t.Fatalf("%d to %d: a fork passes", older, newer)
			}
			if older < newer {
				wantStrict(t, VerifyConsistency(b, a, hashes), "fewer than")
			}
		}
	}
}

func TestConsistencyRefusesOtherOriginAndFalseEmptyRoot(t *testing.T) {
	tree := newTestTree(t, testLeaves(3)...)
	a, b := tree.checkpoint(t, 0), tree.checkpoint(t, 3)
	a.Root[0] ^= 1
	wantStrict(t, VerifyConsistency(a, b, nil), "not the empty tree's root")
	a.Origin = "x"
	wantStrict(t, VerifyConsistency(a, b, nil), "is of log")
	c, d := tree.checkpoint(t, 3), tree.checkpoint(t, 3)
	d.Root[0] ^= 1
	wantStrict(t, VerifyConsistency(c, d, nil), "forked")
}
