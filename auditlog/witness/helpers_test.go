//go:build unix

package witness_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/keys"
)

const origin = "log.example/fleet"

func key(name string) ed25519.PrivateKey {
	seed := make([]byte, 32)
	copy(seed, name)
	return ed25519.NewKeyFromSeed(seed)
}

// testLog is a log that grows on demand.
type testLog struct {
	dir  string
	vkey string
	*tiled.Log
}

func newLog(tb testing.TB) *testLog {
	tb.Helper()
	k := key(origin)
	vkey := must(tiled.VKey(origin, k.Public().(ed25519.PublicKey)))
	dir := filepath.Join(tb.TempDir(), "log")
	check(tb, tiled.Init(dir, vkey, tiled.Options{}))
	return openLog(tb, dir)
}

func openLog(tb testing.TB, dir string) *testLog {
	tb.Helper()
	k := key(origin)
	pub := k.Public().(ed25519.PublicKey)
	s := must(tiled.NewSigner(origin, pub, func(msg []byte) ([]byte, error) { return ed25519.Sign(k, msg), nil }))
	l, err := tiled.Open(dir, s, tiled.Options{})
	check(tb, err)
	return &testLog{dir, must(tiled.VKey(origin, pub)), l}
}

// grow adds n entries and gives the checkpoint over them.
func (l *testLog) grow(tb testing.TB, prefix string, n int) *auditlog.Checkpoint {
	tb.Helper()
	leaves := make([][]byte, n)
	for i := range leaves {
		leaves[i] = fmt.Appendf(nil, "%s %d", prefix, i)
	}
	_, err := l.Append(context.Background(), leaves...)
	check(tb, err)
	c, err := l.Checkpoint()
	check(tb, err)
	return c
}

// fork is a copy of the log and of its guard: what the guard can't see.
func (l *testLog) fork(tb testing.TB) *testLog {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "log")
	check(tb, os.CopyFS(to, os.DirFS(l.dir)))
	check(tb, os.CopyFS(to+".guard", os.DirFS(l.dir+".guard")))
	return openLog(tb, to)
}

func (l *testLog) request(tb testing.TB, old uint64) *auditlog.Request {
	tb.Helper()
	c, err := l.Checkpoint()
	check(tb, err)
	hashes, err := l.Consistency(context.Background(), old, c.Size)
	check(tb, err)
	return &auditlog.Request{Old: old, Hashes: hashes, Checkpoint: c}
}

func (l *testLog) key(tb testing.TB) *auditlog.Verifier {
	tb.Helper()
	v, err := auditlog.ParseVKey(l.vkey)
	check(tb, err)
	return v
}

func signer(name string) *witness.Signer {
	k := key(name)
	return must(witness.NewSigner(name, must(keys.FromEd25519(k.Public().(ed25519.PublicKey))), func(msg []byte) ([]byte, error) { return ed25519.Sign(k, msg), nil }))
}

// ours is a witness of ours for the log, and where it serves.
func ours(tb testing.TB, l *testLog, name string) (w *witness.Witness, line, url string) {
	tb.Helper()
	s := signer(name)
	w, err := witness.Open(s, witness.Options{State: filepath.Join(tb.TempDir(), "seen"), Logs: []*auditlog.Verifier{l.key(tb)}, First: true})
	check(tb, err)
	srv := httptest.NewServer(w.Handler(func(err error) { tb.Log(err) }))
	tb.Cleanup(srv.Close)
	return w, fmt.Sprintf("witness %s %s %s\n", short(name), s.Key, srv.URL), srv.URL
}

func short(name string) string { return strings.NewReplacer(".", "-", "/", "-").Replace(name) }

func policy(tb testing.TB, l *testLog, lines, quorum string) *auditlog.Policy {
	tb.Helper()
	p, err := auditlog.ParsePolicy("policy", []byte("log "+l.vkey+"\n"+lines+quorum))
	check(tb, err)
	return p
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
