//go:build unix

package tiled

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const testOrigin = "fleet.example/log1"

var (
	testKey = ed25519.NewKeyFromSeed([]byte("a seed of thirty-two bytes, here"))
	testPub = testKey.Public().(ed25519.PublicKey)
)

func testVKey(tb testing.TB) string {
	tb.Helper()
	vkey, err := VKey(testOrigin, testPub)
	if err != nil {
		tb.Fatal(err)
	}
	return vkey
}

// testSigner writes every tree head that it signs to dir.signed, so that a
// test can ask afterwards what the key has ever signed, by any process.
func testSigner(tb testing.TB, dir string) note.Signer {
	tb.Helper()
	s, err := NewSigner(testOrigin, testPub, func(msg []byte) ([]byte, error) {
		f, err := os.OpenFile(dir+".signed", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return nil, err
		}
		_, err = f.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
		return ed25519.Sign(testKey, msg), errors.Join(err, f.Close())
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// keyOf takes what stands before the first colon for the key.
func keyOf(leaf []byte) string {
	key, _, _ := strings.Cut(string(leaf), ":")
	return key
}

// keysOf is keyOf, and a second key of entries that have "+key" at their end;
// none of those whose first is empty.
func keysOf(leaf []byte) (list []string) {
	if k := keyOf(leaf); k != "" {
		list = append(list, k)
	}
	if _, more, ok := strings.Cut(string(leaf), "+"); ok {
		list = append(list, more)
	}
	return list
}

var testOptions = Options{Keys: Keys{"test-1", keysOf}, Timeout: await.Longest}

func newTestLog(tb testing.TB) (string, *Log) {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "log")
	if err := Init(dir, testVKey(tb), testOptions); err != nil {
		tb.Fatal(err)
	}
	return dir, openTestLog(tb, dir)
}

func openTestLog(tb testing.TB, dir string) *Log {
	tb.Helper()
	l, err := Open(dir, testSigner(tb, dir), testOptions)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func mustAppend(tb testing.TB, l *Log, leaves ...string) []Position {
	tb.Helper()
	at, err := l.Append(context.Background(), byteSlices(leaves)...)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

func byteSlices(list []string) [][]byte {
	b := make([][]byte, len(list))
	for i, s := range list {
		b[i] = []byte(s)
	}
	return b
}

func wantRefusal(tb testing.TB, err error, says string) {
	tb.Helper()
	var e *strict.Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), says) {
		tb.Fatalf("got %T %v, want a refusal that says %q", err, err, says)
	}
	if e.Hint == "" {
		tb.Errorf("the refusal %q does not say what to do next", err)
	}
}

// signed is every tree head the key has signed.
func signed(tb testing.TB, dir string) []*auditlog.Checkpoint {
	tb.Helper()
	data, err := os.ReadFile(dir + ".signed")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	var list []*auditlog.Checkpoint
	for len(data) >= 2 {
		n := 2 + int(binary.BigEndian.Uint16(data))
		if n > len(data) {
			break // killed while it wrote, before it signed
		}
		c, err := auditlog.ParseTreeHead("signed", data[2:n])
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, c)
		data = data[n:]
	}
	return list
}

// assertNoFork checks everything ever signed against the entries of a good
// log: each tree head must be a prefix of it.
func assertNoFork(tb testing.TB, dir string, entries [][]byte) {
	tb.Helper()
	var hashes hashReader
	roots := map[uint64][32]byte{0: [32]byte(rfc6962.DefaultHasher.EmptyRoot())}
	for i, e := range entries {
		h, err := tlog.StoredHashes(int64(i), e, hashes)
		if err != nil {
			tb.Fatal(err)
		}
		hashes = append(hashes, h...)
		root, err := tlog.TreeHash(int64(i)+1, hashes)
		if err != nil {
			tb.Fatal(err)
		}
		roots[uint64(i)+1] = root
	}
	heads := signed(tb, dir)
	if len(heads) == 0 {
		tb.Fatal("nothing was ever signed")
	}
	for i, c := range heads {
		root, ok := roots[c.Size]
		if !ok || root != c.Root {
			tb.Errorf("FORK: signature %d is of size %d, root %x; the log has %x", i, c.Size, c.Root, root)
		}
	}
}

type hashReader []tlog.Hash

func (r hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		list[i] = r[x]
	}
	return list, nil
}

// allEntries reads the log by its proofs.
func allEntries(tb testing.TB, r *Reader) [][]byte {
	tb.Helper()
	c, err := r.Checkpoint()
	if err != nil {
		tb.Fatal(err)
	}
	var list [][]byte
	for i := range c.Size {
		leaf, err := r.Entry(context.Background(), i)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, leaf)
	}
	return list
}

// assertClean has Tessera's own fsck look at the log.
func assertClean(tb testing.TB, r *Reader) {
	tb.Helper()
	v, err := note.NewVerifier(r.VKey())
	if err != nil {
		tb.Fatal(err)
	}
	hasher := func(b []byte) ([][]byte, error) {
		var bundle api.EntryBundle
		if err := bundle.UnmarshalText(b); err != nil {
			return nil, err
		}
		var list [][]byte
		for _, e := range bundle.Entries {
			list = append(list, rfc6962.DefaultHasher.HashLeaf(e))
		}
		return list, nil
	}
	captureTalk()
	if err := fsck.New(testOrigin, v, r.tree.files, hasher, fsck.Opts{N: 1}).Check(context.Background()); err != nil {
		tb.Errorf("fsck: %v", err)
	}
}

// copyPath copies a file, or a directory with all that is in it.
func copyPath(tb testing.TB, from, to string) {
	tb.Helper()
	fi, err := os.Stat(from)
	if err != nil {
		tb.Fatal(err)
	}
	if fi.IsDir() {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			tb.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(from)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		tb.Fatal(err)
	}
}

func replaceDir(tb testing.TB, with, dir string) {
	tb.Helper()
	if err := os.RemoveAll(dir); err != nil {
		tb.Fatal(err)
	}
	copyPath(tb, with, dir)
}

// edit changes a file of the log.
func edit(tb testing.TB, path string, change func([]byte) []byte) {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	changed := change(bytes.Clone(data))
	if bytes.Equal(changed, data) {
		tb.Fatal("the edit changes nothing")
	}
	if err := os.WriteFile(path, changed, 0o644); err != nil {
		tb.Fatal(err)
	}
}

func numbered(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%d: an entry", prefix, i)
	}
	return list
}
