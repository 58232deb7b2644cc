//go:build unix

package tiled

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/await"
)

// checkProof verifies a proof as somebody would who has only the policy.
func checkProof(tb testing.TB, text, leaf []byte, vkey string) *auditlog.Inclusion {
	tb.Helper()
	policy, err := auditlog.ParsePolicy("policy", []byte("log "+vkey+"\nquorum none\n"))
	if err != nil {
		tb.Fatal(err)
	}
	p, err := auditlog.ParseProof("proof", text)
	if err != nil {
		tb.Fatal(err)
	}
	in, err := policy.Verify(leaf, p)
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

func TestAppendedEntriesAreProven(t *testing.T) {
	dir, l := newTestLog(t)
	if at := mustAppend(t, l, "a:1"); at[0] != (Position{Index: 0}) {
		t.Errorf("the first entry is at %+v", at[0])
	}
	if got, want := mustAppend(t, l, "b:1", "c:1"), []Position{{Index: 1}, {Index: 2}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for i, leaf := range []string{"a:1", "b:1", "c:1"} {
		proof, err := l.Prove(context.Background(), uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		if in := checkProof(t, proof, []byte(leaf), testVKey(t)); in.Index != uint64(i) || in.Size != 3 {
			t.Errorf("%+v", in)
		}
	}
	assertClean(t, l.Reader)
	assertNoFork(t, dir, allEntries(t, l.Reader))
}

func TestReaderNeedsNoKeyAndNoGuard(t *testing.T) {
	dir, l := newTestLog(t)
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Checkpoint()
	wantRefusal(t, err, "does not exist")
	mustAppend(t, l, "a:1")
	if err := os.RemoveAll(dir + ".guard"); err != nil {
		t.Fatal(err)
	}
	leaf, err := r.Entry(context.Background(), 0)
	if err != nil || string(leaf) != "a:1" {
		t.Errorf("got %q, %v", leaf, err)
	}
	if _, err := r.Prove(context.Background(), 1); err == nil || !strings.Contains(err.Error(), "has no entry 1 under its checkpoint of 1") {
		t.Errorf("entry 1: %v", err)
	}
	if r.VKey() != testVKey(t) {
		t.Errorf("vkey %s", r.VKey())
	}
}

func TestSameKeyKeepsItsPlace(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, "a:1", "b:1")
	// Across runs, within one call, and with other bytes under the key.
	got := mustAppend(t, openTestLog(t, dir), "b:2", "c:1", "c:2", "a:1", ":x", ":x")
	want := []Position{{1, true, "b"}, {2, false, ""}, {2, true, "c"}, {0, true, "a"}, {3, false, ""}, {4, false, ""}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := mustAppend(t, l, "b:3"); got[0] != (Position{1, true, "b"}) {
		t.Errorf("got %+v", got)
	}
	if got := allEntries(t, l.Reader); len(got) != 5 || string(got[1]) != "b:1" || string(got[2]) != "c:1" {
		t.Errorf("entries %q", got)
	}
}

func TestWithoutKeyOfTheBytesAreTheKey(t *testing.T) {
	dir, _ := newTestLog(t)
	l, err := Open(dir, testSigner(t, dir), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := mustAppend(t, l, "a:1", "a:2", "a:1")
	if want := []Position{{0, false, ""}, {1, false, ""}, {0, true, BytesAlone.Of([]byte("a:1"))[0]}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEntrySizes(t *testing.T) {
	_, l := newTestLog(t)
	largest := bytes.Repeat([]byte{'x'}, maxEntry)
	at, err := l.Append(context.Background(), append([]byte("a:"), largest[2:]...), append([]byte("b:"), largest[2:]...))
	if err != nil || len(at) != 2 {
		t.Fatalf("got %+v, %v", at, err)
	}
	for _, bad := range [][][]byte{{}, {nil}, {{}}, {largest, append(largest, 'x')}} {
		if at, err := l.Append(context.Background(), bad...); err == nil || at != nil {
			t.Errorf("took %d entries", len(bad))
		}
	}
	leaf, err := l.Entry(context.Background(), 1)
	if err != nil || len(leaf) != maxEntry {
		t.Errorf("got %d bytes, %v", len(leaf), err)
	}
	proof, err := l.Prove(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	checkProof(t, proof, leaf, testVKey(t))
}

func TestInitRefuses(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "log")
	vkey := testVKey(t)
	if err := Init(dir, vkey, Options{}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, Init(dir, vkey, Options{}), "exists already")
	// The guard alone remains: its key has a history.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, Init(dir+"/", vkey, Options{}), "log.guard: exists already")
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused Init left something behind: %v", err)
	}
	for bad, says := range map[string]string{
		"":                                  "is not <name>",
		strings.Replace(vkey, "+", "+0", 1): "the key hash",
		cosigner(t, vkey):                   "signs with Ed25519 (0x01)",
	} {
		if err := Init(filepath.Join(parent, "other"), bad, Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// cosigner makes a witness's key (type 0x04) of a log's.
func cosigner(t *testing.T, vkey string) string {
	c, err := fnote.VKeyToCosignatureV1(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOpenRefuses(t *testing.T) {
	dir, _ := newTestLog(t)
	_, err := Open(filepath.Join(dir, "nowhere"), testSigner(t, dir), Options{})
	wantRefusal(t, err, "is no log")

	other := ed25519.NewKeyFromSeed(make([]byte, 32))
	for name, origin := range map[string]string{"other key": testOrigin, "other name": "other.example"} {
		key := other
		if name == "other name" {
			key = testKey
		}
		s, err := NewSigner(origin, key.Public().(ed25519.PublicKey), func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, s, Options{}); err == nil || !strings.Contains(err.Error(), "the signer has") {
			t.Errorf("%s: %v", name, err)
		}
	}
	edit(t, filepath.Join(dir, configName), func(b []byte) []byte { return append(b, "more\n"...) })
	if _, err := OpenReader(dir); err == nil || !strings.Contains(err.Error(), "config:3: has more lines") {
		t.Errorf("config: %v", err)
	}
}

func TestGuardElsewhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	o := Options{Guard: filepath.Join(t.TempDir(), "stick")}
	if err := Init(dir, testVKey(t), o); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir, testSigner(t, dir), Options{})
	wantRefusal(t, err, "log.guard/guard: does not exist")
	l, err := Open(dir, testSigner(t, dir), o)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, "a:1")
	if _, err := os.Stat(dir + ".guard"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a guard at the default place: %v", err)
	}
}

func TestSignerChecksItsSignatures(t *testing.T) {
	_, err := NewSigner("a b", testPub, nil)
	if err == nil {
		t.Error("a name with a space is taken")
	}
	if _, err := NewSigner("a", make([]byte, 32), nil); err == nil {
		t.Error("a key of small order is taken")
	}
	if _, err := NewSigner("a", testPub[1:], nil); err == nil {
		t.Error("a short key is taken")
	}
	for name, sign := range map[string]func([]byte) ([]byte, error){
		"fails":         func([]byte) ([]byte, error) { return nil, errors.New("token removed") },
		"wrong message": func([]byte) ([]byte, error) { return ed25519.Sign(testKey, nil), nil },
		"empty":         func([]byte) ([]byte, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := newTestLog(t)
			s, err := NewSigner(testOrigin, testPub, sign)
			if err != nil {
				t.Fatal(err)
			}
			l, err := Open(dir, s, testOptions)
			if err != nil {
				t.Fatal(err)
			}
			at, err := l.Append(context.Background(), []byte("a:1"))
			if err == nil || at != nil || !strings.Contains(err.Error(), "the key of log") {
				t.Errorf("got %v, %v", at, err)
			}
			// With the key back, the same command finishes what was begun.
			mustAppend(t, openTestLog(t, dir), "a:1")
		})
	}
}

func TestAppendWaitsForTheLockOnlySoLong(t *testing.T) {
	dir, l := newTestLog(t)
	l.opts.Timeout = 50 * time.Millisecond
	unlock, err := openTestLog(t, dir).lock(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(context.Background(), []byte("a:1")); err == nil || !strings.Contains(err.Error(), "another process holds the log") {
		t.Errorf("got %v", err)
	}
	unlock()
	l.opts.Timeout = await.Longest
	mustAppend(t, l, "a:1")
}

// TestDeadlineBeforeTheCheckpoint has the next run finish: a checkpoint
// younger than 100 ms is not replaced, so the second Append must wait.
func TestDeadlineBeforeTheCheckpoint(t *testing.T) {
	dir, l := newTestLog(t)
	late, _ := tooLate(t, l, "no checkpoint covers them yet", func() { mustAppend(t, l, "a"+rand.Text()+":1") })
	at := mustAppend(t, l, late)
	if c, err := l.Checkpoint(); err != nil || at[0] != (Position{c.Size - 1, true, keyOf([]byte(late))}) {
		t.Errorf("got %+v of %+v, %v", at[0], c, err)
	}
	assertNoFork(t, dir, allEntries(t, l.Reader))
}

// TestTesserasReasonIsTold: Tessera only logs why it can't publish.
func TestTesserasReasonIsTold(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, "a:1")
	lock := filepath.Join(dir, "log/.state/publish.lock")
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o755)); err != nil {
		t.Fatal(err)
	}
	_, err := tooLate(t, l, "publish.lock: is a directory", func() {})
	if n := strings.Count(err.Error(), "is a directory"); n != 1 {
		t.Errorf("it is told %d times: %v", n, err)
	}
}

// tooLate appends entries that have little time each, until one fails with these
// words, and gives it. How far an append comes in its time is the machine's
// business: one that comes too far, or not far enough, shows nothing.
func tooLate(t *testing.T, l *Log, words string, before func()) (leaf string, err error) {
	t.Helper()
	defer func() { l.opts.Timeout = await.Longest }()
	for i := range 200 {
		l.opts.Timeout = await.Longest
		before()
		l.opts.Timeout = 30 * time.Millisecond << (i % 8)
		leaf = fmt.Sprintf("late%d:1", i)
		_, err = l.Append(context.Background(), []byte(leaf))
		if err != nil && strings.Contains(err.Error(), words) {
			wantRefusal(t, err, words)
			return leaf, err
		}
	}
	t.Fatalf("no append ever failed with %q", words)
	return "", nil
}

// TestFullTilesReplacePartialOnes keeps a log of many runs small.
func TestFullTilesReplacePartialOnes(t *testing.T) {
	dir, l := newTestLog(t)
	partial := filepath.Join(dir, "log/tile/entries/000.p")
	mustAppend(t, l, numbered("a", 100)...)
	mustAppend(t, l, numbered("b", 155)...)
	if list, err := os.ReadDir(partial); err != nil || len(list) != 2 {
		t.Fatalf("partial bundles: %v, %v", list, err)
	}
	mustAppend(t, l, "c:1", "d:1")
	for _, gone := range []string{partial, filepath.Join(dir, "log/tile/0/000.p")} {
		if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
	assertClean(t, l.Reader)
	allEntries(t, l.Reader)
}

// TestTesserasTalkStaysOffStderr: what it says to slog is kept, what others say
// to package log isn't touched.
func TestTesserasTalkStaysOffStderr(t *testing.T) {
	var stderr bytes.Buffer
	out, flags := log.Writer(), log.Flags()
	log.SetOutput(&stderr)
	t.Cleanup(func() { log.SetOutput(out) })
	captureTalk()
	talked.clear()
	slog.Warn("Failed to remove temporary file", slog.String("name", "x"), slog.Any("error", errors.New("no space")))
	if stderr.Len() > 0 || talked.String() != "Failed to remove temporary file name=x error=no space" {
		t.Errorf("%q on stderr, %q kept", stderr.String(), talked.String())
	}
	log.Print("somebody else")
	if !strings.Contains(stderr.String(), "somebody else") || strings.Contains(talked.String(), "somebody") || log.Flags() != flags {
		t.Errorf("%q on stderr, %q kept", stderr.String(), talked.String())
	}
	talked.clear()
}
