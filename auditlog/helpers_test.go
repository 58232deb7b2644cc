package auditlog

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// testKey signs as a log or as a witness. Seeds are fixed, so that vectors
// come out the same every time.
type testKey struct {
	name string
	typ  KeyType
	ed   ed25519.PrivateKey
	ml   *mldsa.PrivateKey
}

func newTestKey(name string, typ KeyType) *testKey {
	seed := make([]byte, 32)
	copy(seed, name)
	seed[31] = byte(typ)
	k := &testKey{name: name, typ: typ}
	if typ == MLDSA44Cosignature {
		var err error
		if k.ml, err = mldsa.NewPrivateKey(mldsa.MLDSA44(), seed); err != nil {
			panic(err)
		}
		return k
	}
	k.ed = ed25519.NewKeyFromSeed(seed)
	return k
}

func (k *testKey) public() []byte {
	if k.ml != nil {
		return k.ml.PublicKey().Bytes()
	}
	return k.ed.Public().(ed25519.PublicKey)
}

func (k *testKey) hash() uint32 { return keyHash(k.name, k.typ, k.public()) }

func (k *testKey) vkey() string {
	return (&Verifier{name: k.name, typ: k.typ, hash: k.hash(), key: k.public()}).String()
}

// sign adds a signature; stamp is the time of a cosignature.
func (k *testKey) sign(c *Checkpoint, stamp uint64) {
	raw := binary.BigEndian.AppendUint64(nil, stamp)
	switch k.typ {
	case Ed25519:
		raw = ed25519.Sign(k.ed, []byte(c.Text()))
	case Ed25519Cosignature:
		raw = append(raw, ed25519.Sign(k.ed, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", stamp, c.Text()))...)
	case MLDSA44Cosignature:
		sig, err := k.ml.SignDeterministic(cosignedMessage(k.name, stamp, c), nil)
		if err != nil {
			panic(err)
		}
		raw = append(raw, sig...)
	}
	c.Signatures = append(c.Signatures, Signature{Name: k.name, KeyHash: k.hash(), Raw: raw})
}

const testOrigin = "fleet.example/log1"

var (
	logKey = newTestKey(testOrigin, Ed25519)
	w1     = newTestKey("w1.example", Ed25519Cosignature)
	w2     = newTestKey("w2.example", Ed25519Cosignature)
	w3     = newTestKey("w3.example", MLDSA44Cosignature)
)

// testTree builds proofs with x/mod's tlog, which the package itself does not
// verify with.
type testTree struct {
	hashes []tlog.Hash
	size   int64
}

func (t *testTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		list[i] = t.hashes[x]
	}
	return list, nil
}

func newTestTree(tb testing.TB, leaves ...[]byte) *testTree {
	tb.Helper()
	t := &testTree{}
	for _, leaf := range leaves {
		h, err := tlog.StoredHashes(t.size, leaf, t)
		if err != nil {
			tb.Fatal(err)
		}
		t.hashes = append(t.hashes, h...)
		t.size++
	}
	return t
}

func (t *testTree) checkpoint(tb testing.TB, size int64) *Checkpoint {
	tb.Helper()
	root, err := tlog.TreeHash(size, t)
	if err != nil {
		tb.Fatal(err)
	}
	return &Checkpoint{Origin: testOrigin, Size: uint64(size), Root: root}
}

func (t *testTree) proof(tb testing.TB, index, size int64) *Proof {
	tb.Helper()
	path, err := tlog.ProveRecord(size, index, t)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proof{Index: uint64(index), Checkpoint: t.checkpoint(tb, size)}
	for _, h := range path {
		p.Hashes = append(p.Hashes, h)
	}
	return p
}

func testLeaf(i int) []byte { return fmt.Appendf(nil, "leaf %d\n", i) }

func testLeaves(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = testLeaf(i)
	}
	return list
}

var testPolicyText = "# a test's policy\n" +
	"log " + logKey.vkey() + " https://log.example/\n" +
	"witness one " + w1.vkey() + " https://w1.example/\n" +
	"witness two " + w2.vkey() + "\n" +
	"witness three " + w3.vkey() + "\n" +
	"group two-of-three 2 one two three\n" +
	"quorum two-of-three\n"

func testPolicy(tb testing.TB, text string) *Policy {
	tb.Helper()
	p, err := ParsePolicy("policy.txt", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// goodProof is of leaf 5 of 11, cosigned by all three witnesses.
func goodProof(tb testing.TB) *Proof {
	tb.Helper()
	p := newTestTree(tb, testLeaves(11)...).proof(tb, 5, 11)
	logKey.sign(p.Checkpoint, 0)
	w1.sign(p.Checkpoint, 1000)
	w2.sign(p.Checkpoint, 3000)
	w3.sign(p.Checkpoint, 2000)
	return p
}

// wantStrict checks that err is a refusal of this package's kind that says.
func wantStrict(tb testing.TB, err error, says string) {
	tb.Helper()
	var e *strict.Error
	if !errors.As(err, &e) {
		tb.Fatalf("error is %T (%v), want a *strict.Error that says %q", err, err, says)
	}
	if !strings.Contains(err.Error(), says) {
		tb.Fatalf("error says %q, want %q", err, says)
	}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func lines(b []byte) []string {
	return strings.SplitAfter(string(bytes.TrimSuffix(b, []byte("\n"))), "\n")
}
