//go:build unix

package monitor

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
)

const origin = "log.example/fleet"

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

type testLog struct {
	dir string
	*tiled.Log
}

var logKey = ed25519.NewKeyFromSeed([]byte("a seed of thirty-two bytes, here"))

func newLog(tb testing.TB) *testLog {
	tb.Helper()
	vkey, err := tiled.VKey(origin, logKey.Public().(ed25519.PublicKey))
	check(tb, err)
	dir := filepath.Join(tb.TempDir(), "log")
	check(tb, tiled.Init(dir, vkey, tiled.Options{}))
	return openLog(tb, dir)
}

func openLog(tb testing.TB, dir string) *testLog {
	tb.Helper()
	s, err := tiled.NewSigner(origin, logKey.Public().(ed25519.PublicKey), func(msg []byte) ([]byte, error) { return ed25519.Sign(logKey, msg), nil })
	check(tb, err)
	l, err := tiled.Open(dir, s, tiled.Options{Timeout: time.Hour})
	check(tb, err)
	return &testLog{dir, l}
}

// grow adds entries "prefix 0", "prefix 1", …
func (l *testLog) grow(tb testing.TB, prefix string, n int) {
	tb.Helper()
	leaves := make([][]byte, n)
	for i := range leaves {
		leaves[i] = fmt.Appendf(nil, "%s %d", prefix, i)
	}
	_, err := l.Append(context.Background(), leaves...)
	check(tb, err)
}

// copyOf is the log with its guard elsewhere: what no guard can see.
func (l *testLog) copyOf(tb testing.TB) *testLog {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "log")
	check(tb, os.CopyFS(to, os.DirFS(l.dir)))
	check(tb, os.CopyFS(to+".guard", os.DirFS(l.dir+".guard")))
	return openLog(tb, to)
}

func (l *testLog) policy(tb testing.TB) *auditlog.Policy {
	tb.Helper()
	p, err := auditlog.ParsePolicy("policy", []byte("log "+l.VKey()+"\nquorum none\n"))
	check(tb, err)
	return p
}

func (l *testLog) source(tb testing.TB) *Source {
	tb.Helper()
	s, err := Open(l.dir, nil)
	check(tb, err)
	return s
}

// isFirst says whether a pass with this state is to be the first.
func isFirst(state string) bool {
	_, err := os.Lstat(filepath.Join(state, "state.json"))
	return err != nil
}

// counter is a judge that finds fault with entries that say "bad", and checks
// that it is told of each entry once and in order.
type counter struct {
	tb   testing.TB
	read *atomic.Int64
	next uint64
	from uint64 // where the first walk begins
	late bool
}

func newCounter(tb testing.TB) *counter { return &counter{tb: tb, read: new(atomic.Int64)} }

func (c *counter) Read(_ uint64, leaf []byte) any {
	c.read.Add(1)
	return strings.HasPrefix(string(leaf), "bad")
}

func (c *counter) Take(index uint64, made any) []Finding {
	if index != c.next {
		c.tb.Errorf("told of entry %d, %d is next", index, c.next)
	}
	c.next = index + 1
	if made.(bool) {
		return []Finding{{"bad", index, fmt.Sprintf("entry %d is bad", index)}}
	}
	return nil
}

func (c *counter) Overdue() []Finding {
	if c.late {
		return []Finding{{"late", 0, "something is late"}}
	}
	return nil
}

func (c *counter) State() string { return strconv.FormatUint(c.next, 10) }

func (c *counter) Restore(s string) (err error) {
	c.next = c.from
	if s != "" {
		c.next, err = strconv.ParseUint(s, 10, 64)
	}
	return err
}

// files are all the files of the log's tree, but its state and locks.
func (l *testLog) files(tb testing.TB) (list []string) {
	tb.Helper()
	check(tb, filepath.WalkDir(filepath.Join(l.dir, "log", "tile"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			list = append(list, path)
		}
		return err
	}))
	return list
}
