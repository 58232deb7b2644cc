//go:build unix

package tiled

import (
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
)

func testCosign(tb testing.TB, c *auditlog.Checkpoint, name string, at int64) *auditlog.Checkpoint {
	tb.Helper()
	seed := make([]byte, 32)
	copy(seed, name)
	k := ed25519.NewKeyFromSeed(seed)
	v, err := auditlog.NewVerifier(name, auditlog.Ed25519Cosignature, k.Public().(ed25519.PublicKey))
	if err != nil {
		tb.Fatal(err)
	}
	s, err := c.Cosign(v, time.Unix(at, 0), func(msg []byte) ([]byte, error) { return ed25519.Sign(k, msg), nil })
	if err != nil {
		tb.Fatal(err)
	}
	return c.With(s)
}

func mustCheckpoint(tb testing.TB, l *Log) *auditlog.Checkpoint {
	tb.Helper()
	c, err := l.Checkpoint()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func mustKeep(tb testing.TB, l *Log, c *auditlog.Checkpoint, witnessed bool) {
	tb.Helper()
	if err := l.Keep(context.Background(), testOptions, c, witnessed); err != nil {
		tb.Fatal(err)
	}
}

func TestCosignaturesStayWithTheCheckpoint(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, "a:1")
	first := testCosign(t, mustCheckpoint(t, l), "w1", 1000)
	mustKeep(t, l, first, false)
	if c := mustCheckpoint(t, l); len(c.Signatures) != 2 {
		t.Errorf("%d signatures are published", len(c.Signatures))
	}
	if c, err := l.Witnessed(); c != nil || err != nil {
		t.Errorf("witnessed by no quorum: %v, %v", c, err)
	}
	both := testCosign(t, first, "w2", 1001)
	mustKeep(t, l, both, true)

	// Tessera goes on from it, and an entry witnessed before stays proven so.
	mustAppend(t, openTestLog(t, dir), "b:1")
	if c := mustCheckpoint(t, l); c.Size != 2 || len(c.Signatures) != 1 {
		t.Errorf("%+v", c)
	}
	last, err := l.Witnessed()
	if err != nil || last.Size != 1 || len(last.Signatures) != 3 {
		t.Fatalf("%+v, %v", last, err)
	}
	text, err := l.ProveUnder(context.Background(), 0, last)
	if err != nil {
		t.Fatal(err)
	}
	if in := checkProof(t, text, []byte("a:1"), testVKey(t)); in.Size != 1 {
		t.Errorf("%+v", in)
	}
	if _, err := l.ProveUnder(context.Background(), 1, last); err == nil {
		t.Error("entry 1 is proven under a checkpoint of one entry")
	}
	// Late cosignatures of an older checkpoint don't touch the one published.
	mustKeep(t, l, testCosign(t, both, "w3", 1002), true)
	if c := mustCheckpoint(t, l); c.Size != 2 || len(c.Signatures) != 1 {
		t.Errorf("%+v", c)
	}
	if last, err := l.Witnessed(); err != nil || len(last.Signatures) != 4 {
		t.Errorf("%+v, %v", last, err)
	}
	assertClean(t, l.Reader)
	assertNoFork(t, dir, allEntries(t, l.Reader))

	other := *both
	other.Root[0] ^= 1
	if err := l.Keep(context.Background(), testOptions, &other, true); err == nil {
		t.Error("kept a checkpoint that the log didn't sign")
	}
	path := filepath.Join(dir, witnessedName)
	if err := os.WriteFile(path, []byte("junk\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Witnessed(); err == nil {
		t.Error("junk is taken for a checkpoint")
	}
}
