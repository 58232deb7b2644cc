package auditlog

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

func pqSigner(t *testing.T, seed byte) (*keys.Public, func([]byte) ([]byte, error)) {
	t.Helper()
	k, err := keys.NewMLDSA(keys.MLDSA44, append(make([]byte, 31), seed))
	if err != nil {
		t.Fatal(err)
	}
	return k.Public(), func(msg []byte) ([]byte, error) { return k.Sign(keys.ForLog, msg) }
}

// A log and a witness with ML-DSA-44 keys sign what every reader of C2SP's formats
// verifies, the log without a time, so that it is never taken for a witness.
func TestALogAndAWitnessSignWithMLDSA44(t *testing.T) {
	logPublic, logSign := pqSigner(t, 1)
	witnessPublic, witnessSign := pqSigner(t, 2)
	log, err := VerifierOf(testOrigin, logPublic, false)
	if err != nil {
		t.Fatal(err)
	}
	w, err := VerifierOf("pq.example", witnessPublic, true)
	if err != nil {
		t.Fatal(err)
	}
	pr := newTestTree(t, testLeaves(11)...).proof(t, 5, 11)
	raw, err := pr.Checkpoint.SignAsLog(log, logSign)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := pr.Checkpoint.Cosign(w, time.Unix(2000, 0), witnessSign)
	if err != nil {
		t.Fatal(err)
	}
	pr.Checkpoint.Signatures = []Signature{{Name: log.Name(), KeyHash: log.KeyHash(), Raw: raw}, sig}
	pr, err = ParseProof("proof", pr.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	p, err := testPolicy(t, "log "+log.String()+"\nwitness w "+w.String()+"\nquorum w\n").PostQuantum()
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.Verify(testLeaf(5), pr)
	if err != nil || !in.Quorum || !in.QuorumTime.Equal(time.Unix(2000, 0)) {
		t.Fatalf("%+v, %v", in, err)
	}
	if logs, witnesses := p.Classical(); len(logs)+len(witnesses) > 0 {
		t.Errorf("classical are %q, %q", logs, witnesses)
	}
	// The log's own signature in a witness's place states no time, and makes no quorum.
	own := testPolicy(t, "log "+logKey.vkey()+"\nwitness w "+log.String()+"\nquorum w\n")
	again := *pr.Checkpoint
	again.Signatures = slices.Clone(pr.Checkpoint.Signatures)
	logKey.sign(&again, 0)
	if c, err := own.VerifyCheckpoint(&again); err != nil || c.Quorum {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestKeysThatNoLogOrWitnessSignsWith(t *testing.T) {
	big, err := keys.NewMLDSA(keys.MLDSA65, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, witness := range []bool{false, true} {
		if _, err := VerifierOf("x.example", big.Public(), witness); err == nil || !strings.Contains(err.Error(), "the key is ml-dsa-65; logs and witnesses sign with ed25519 or ml-dsa-44") {
			t.Error(err)
		}
	}
	// A signature for another use is found out before anybody gets it.
	public, _ := pqSigner(t, 3)
	k, err := keys.NewMLDSA(keys.MLDSA44, append(make([]byte, 31), 3))
	if err != nil {
		t.Fatal(err)
	}
	v, err := VerifierOf("w.example", public, true)
	if err != nil {
		t.Fatal(err)
	}
	c := newTestTree(t, testLeaves(3)...).checkpoint(t, 3)
	if _, err := c.Cosign(v, time.Unix(2000, 0), func(msg []byte) ([]byte, error) { return k.Sign(keys.ForThirdParty, msg) }); err == nil || !strings.Contains(err.Error(), "gave a wrong signature") {
		t.Error(err)
	}
}

// Of a policy that requires post-quantum signatures only such witnesses count.
func TestClassicalWitnessesMakeNoPostQuantumQuorum(t *testing.T) {
	head := "log " + logKey.vkey() + "\nwitness one " + w1.vkey() + "\nwitness two " + w2.vkey() + "\nwitness three " + w3.vkey() + "\n"
	for quorum, want := range map[string]string{
		"quorum none\n":                       "it names no quorum of witnesses",
		"quorum one\n":                        "its quorum can't be met by witnesses whose keys are ML-DSA-44",
		"group g 2 one two three\nquorum g\n": "its quorum can't be met by witnesses whose keys are ML-DSA-44",
		"group g any one three\nquorum g\n":   "",
		"quorum three\n":                      "",
	} {
		p, err := testPolicy(t, head+quorum).PostQuantum()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", quorum, err)
		}
		if err != nil {
			continue
		}
		in, err := p.Verify(testLeaf(5), goodProof(t))
		if err != nil || !in.Quorum || len(in.Uncounted) != 2 || !in.QuorumTime.Equal(time.Unix(2000, 0)) {
			t.Errorf("%q: %+v, %v", quorum, in, err)
		}
		if logs, witnesses := p.Classical(); len(logs) != 1 || strings.Join(witnesses, " ") != "one two" {
			t.Errorf("%q, %q", logs, witnesses)
		}
	}
}
