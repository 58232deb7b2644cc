package auditlog

import (
	"strings"
	"testing"
	"time"
)

// A witness that is discounted makes no quorum, whoever asks; its cosignature
// must verify all the same.
func TestADiscountedWitnessMakesNoQuorum(t *testing.T) {
	w1 := newTestKey("w1.example", Ed25519Cosignature)
	w2 := newTestKey("w2.example", Ed25519Cosignature)
	w3 := newTestKey("w3.example", MLDSA44Cosignature)
	text := func(quorum string) string {
		return "log " + logKey.vkey() + "\nwitness w1 " + w1.vkey() + "\nwitness w2 " + w2.vkey() + "\nwitness w3 " + w3.vkey() + "\n" + quorum
	}
	for name, c := range map[string]struct {
		quorum    string
		discount  []string
		reachable bool
	}{
		"nobody":               {"group q 2 w1 w2 w3\nquorum q\n", nil, true},
		"one of three":         {"group q 2 w1 w2 w3\nquorum q\n", []string{"w1"}, true},
		"two of three":         {"group q 2 w1 w2 w3\nquorum q\n", []string{"w1", "w3"}, false},
		"the only one":         {"quorum w2\n", []string{"w2"}, false},
		"one beside":           {"quorum w2\n", []string{"w1"}, true},
		"one of any":           {"group q any w1 w2\nquorum q\n", []string{"w1"}, true},
		"one of all":           {"group q all w1 w2\nquorum q\n", []string{"w1"}, false},
		"in a group of groups": {"group a any w1 w2\ngroup q all a w3\nquorum q\n", []string{"w1"}, true},
		"none demanded":        {"quorum none\n", nil, false},
	} {
		p := testPolicy(t, text(c.quorum))
		for _, w := range c.discount {
			if err := p.Discount(w, "it is one of us"); err != nil {
				t.Fatal(err)
			}
		}
		if p.Reachable() != c.reachable || p.Demanded() != (c.quorum != "quorum none\n") {
			t.Errorf("%s: reachable is %t", name, p.Reachable())
		}
	}
	if err := testPolicy(t, text("quorum w1\n")).Discount("w9", "x"); err == nil {
		t.Error("a witness that isn't there is discounted")
	}
}

func TestADiscountedCosignatureIsSaidAndCountsInNoPath(t *testing.T) {
	tree := newTestTree(t, testLeaves(20)...)
	proofs := []*Proof{cosignedProof(t, tree, 11, 1000, 3000)}
	p := testPolicy(t, testPolicyText)
	if in, err := p.Verify(testLeaf(5), proofs[0]); err != nil || !in.Quorum {
		t.Fatalf("%+v %v", in, err)
	}
	if err := p.Discount(p.Witnesses()[0].Name, "it is one of us"); err != nil {
		t.Fatal(err)
	}
	in, err := p.Verify(testLeaf(5), proofs[0])
	if err != nil || in.Quorum || len(in.Witnesses) != 1 || len(in.Uncounted) != 1 || !strings.Contains(in.Uncounted[0], "it is one of us") {
		t.Errorf("%+v %v", in, err)
	}
	if in, err = p.VerifyAt(testLeaf(5), time.Unix(5000, 0), proofs); err != nil || in.Quorum || len(in.Uncounted) == 0 {
		t.Errorf("%+v %v", in, err)
	}
	// Three are two strangers.
	if in, err = p.Verify(testLeaf(5), cosignedProof(t, tree, 11, 1000, 2000, 3000)); err != nil || !in.Quorum || !in.QuorumTime.Equal(time.Unix(3000, 0)) {
		t.Errorf("%+v %v", in, err)
	}
}
