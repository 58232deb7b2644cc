package auditlog

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	fproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/formats/witness"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// TestOthersVerifyOurProof has the same file read by transparency-dev/formats
// and its entry verified by x/mod's tlog.
func TestOthersVerifyOurProof(t *testing.T) {
	var p fproof.TLogProof
	if err := p.Unmarshal(goodProof(t).Marshal()); err != nil {
		t.Fatal(err)
	}
	logV, err := fnote.NewVerifier(logKey.vkey())
	if err != nil {
		t.Fatal(err)
	}
	var others []note.Verifier
	for _, k := range []*testKey{w1, w2, w3} {
		v, err := fnote.NewVerifierForCosignatureV1(k.vkey())
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, v)
	}
	c, _, n, err := log.ParseCheckpoint(p.Checkpoint, testOrigin, logV, others...)
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Sigs) != 4 {
		t.Errorf("%d of 4 signatures verify elsewhere", len(n.Sigs))
	}
	var path tlog.RecordProof
	for _, h := range p.Hashes {
		path = append(path, h)
	}
	if err := tlog.CheckRecord(path, int64(c.Size), tlog.Hash(c.Hash), int64(p.Index), tlog.RecordHash(testLeaf(5))); err != nil {
		t.Error(err)
	}
}

// TestWeVerifyOthersSignatures takes every signature from other people's code.
func TestWeVerifyOthersSignatures(t *testing.T) {
	skey, vkey, err := note.GenerateKey(rand.Reader, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	logSigner, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	edSkey, edVkey, err := note.GenerateKey(rand.Reader, "ed.example")
	if err != nil {
		t.Fatal(err)
	}
	edSigner, err := fnote.NewSignerForCosignatureV1(edSkey)
	if err != nil {
		t.Fatal(err)
	}
	if edVkey, err = fnote.VKeyToCosignatureV1(edVkey); err != nil {
		t.Fatal(err)
	}
	pqSkey, pqVkey, err := fnote.GenerateMLDSAKey("pq.example")
	if err != nil {
		t.Fatal(err)
	}
	pqSigner, err := fnote.NewSignerForCosignatureV1(pqSkey)
	if err != nil {
		t.Fatal(err)
	}

	p := newTestTree(t, testLeaves(11)...).proof(t, 5, 11)
	signed, err := note.Sign(&note.Note{Text: p.Checkpoint.Text()}, logSigner, edSigner, pqSigner)
	if err != nil {
		t.Fatal(err)
	}
	text := fproof.TLogProof{Index: 5, Checkpoint: signed}
	for _, h := range p.Hashes {
		text.Hashes = append(text.Hashes, h)
	}
	parsed, err := ParseProof("theirs", text.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	policy := "log " + vkey + "\n" +
		"witness ed " + edVkey + " https://ed.example/\n" +
		"witness pq " + pqVkey + " https://pq.example/\n" +
		"group both all ed pq\nquorum both\n"
	in, err := testPolicy(t, policy).Verify(testLeaf(5), parsed)
	if err != nil || !in.Quorum || time.Since(in.QuorumTime) > time.Hour {
		t.Errorf("got %+v, %v", in, err)
	}
	group, err := witness.ParsePolicy([]byte(policy))
	if err != nil || !group.Satisfied(signed) {
		t.Errorf("formats' reading of the same policy: %v", err)
	}
}

func TestECDSALogAsRekorV1Signs(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		v := &Verifier{name: testOrigin, typ: ECDSA, key: der, hash: keyHash(testOrigin, ECDSA, der)}
		if _, err := fnote.NewECDSAVerifier(v.String()); err != nil {
			t.Errorf("others refuse our vkey: %v", err)
		}
		p := newTestTree(t, testLeaves(3)...).proof(t, 1, 3)
		for range 8 { // about half of the signatures have the higher S
			digest := sha256.Sum256([]byte(p.Checkpoint.Text()))
			sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			p.Checkpoint.Signatures = []Signature{{Name: testOrigin, KeyHash: v.hash, Raw: sig}}
			if _, err := testPolicy(t, "log "+v.String()+"\nquorum none\n").Verify(testLeaf(1), p); err != nil {
				t.Error(err)
			}
			sig[len(sig)-1] ^= 1
			_, err = testPolicy(t, "log "+v.String()+"\nquorum none\n").Verify(testLeaf(1), p)
			wantStrict(t, err, "does not verify")
		}
	}
}

func BenchmarkVerifyProof(b *testing.B) {
	policy, leaf, text := testPolicy(b, testPolicyText), testLeaf(5), goodProof(b).Marshal()
	for b.Loop() {
		p, err := ParseProof("", text)
		if err != nil {
			b.Fatal(err)
		}
		if in, err := policy.Verify(leaf, p); err != nil || !in.Quorum {
			b.Fatal(in, err)
		}
	}
}
