//go:build unix

package publish

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

const origin = "log.example/fleet"

func keyOf(name string) ed25519.PrivateKey {
	seed := make([]byte, 32)
	copy(seed, name)
	return ed25519.NewKeyFromSeed(seed)
}

func signWith(k ed25519.PrivateKey) func([]byte) ([]byte, error) {
	return func(msg []byte) ([]byte, error) { return ed25519.Sign(k, msg), nil }
}

func publicOf(name string) ed25519.PublicKey { return keyOf(name).Public().(ed25519.PublicKey) }

func logSigner(tb testing.TB) note.Signer {
	tb.Helper()
	return must(tiled.NewSigner(origin, publicOf(origin), signWith(keyOf(origin))))(tb)
}

func newLog(tb testing.TB) *Log {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "log")
	vkey := must(tiled.VKey(origin, publicOf(origin)))(tb)
	check(tb, Init(dir, vkey, Options{}))
	return openLog(tb, dir)
}

func openLog(tb testing.TB, dir string) *Log {
	tb.Helper()
	return must(Open(dir, Options{Timeout: await.Longest}))(tb)
}

// fork is a copy of the log and of its guard: what the guard can't see.
func (l *Log) fork(tb testing.TB) *Log {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "log")
	check(tb, os.CopyFS(to, os.DirFS(l.dir)))
	check(tb, os.CopyFS(to+".guard", os.DirFS(l.dir+".guard")))
	return openLog(tb, to)
}

// ending is the leaf of a ceremony that ended so.
func ending(id, how string, head byte) []byte {
	return (&evidence.Leaf{Mode: ceremony.Rehearsal, Namespace: testfleet.Namespace, Epoch: 1, Ceremony: id, Ending: how, Head: [32]byte{head}}).Marshal()
}

func (l *Log) mustAppend(tb testing.TB, id string) *Entry {
	tb.Helper()
	return must(l.Append(tb.Context(), logSigner(tb), ending(id, evidence.EndingClosed, 1)))(tb)
}

// testWitness is a witness that serves at a URL and whose clock the test sets.
type testWitness struct {
	*witness.Witness
	name string
	key  *auditlog.Verifier
	now  time.Time
	url  string
	stop func()
}

func newWitness(tb testing.TB, l *Log, name string) *testWitness {
	tb.Helper()
	s := must(witness.NewSigner(name, must(keys.FromEd25519(publicOf(name)))(tb), signWith(keyOf(name))))(tb)
	w := &testWitness{name: name, key: s.Key, now: time.Unix(1_700_000_000, 0)}
	logKey := must(auditlog.ParseVKey(l.VKey()))(tb)
	w.Witness = must(witness.Open(s, witness.Options{
		State: filepath.Join(tb.TempDir(), "seen"), Logs: []*auditlog.Verifier{logKey}, First: true,
		Now: func() time.Time { return w.now },
	}))(tb)
	srv := httptest.NewServer(w.Handler(func(err error) { tb.Log(err) }))
	tb.Cleanup(srv.Close)
	w.url, w.stop = srv.URL, srv.Close
	return w
}

// byFile cosigns a checkpoint without a network.
func (w *testWitness) byFile(tb testing.TB, l *Log) []byte {
	tb.Helper()
	req := must(l.Request(tb.Context(), must(w.Witness.Request("request", must(l.reader.Checkpoint())(tb).Marshal()))(tb).Old))(tb)
	sig := must(w.Cosign(req))(tb)
	return req.Checkpoint.With(sig).Marshal()
}

// policy demands k of the witnesses; those in offline have no URL in it.
func policy(tb testing.TB, l *Log, k int, offline string, witnesses ...*testWitness) *auditlog.Policy {
	tb.Helper()
	text, group := "log "+l.VKey()+"\n", fmt.Sprintf("group q %d", k)
	for _, w := range witnesses {
		url := w.url
		if strings.Contains(offline, w.name) {
			url = ""
		}
		text += strings.TrimSpace(fmt.Sprintf("witness %s %s %s", w.name, w.key, url)) + "\n"
		group += " " + w.name
	}
	return must(auditlog.ParsePolicy("policy", []byte(text+group+"\nquorum q\n")))(tb)
}

func otherVKey(tb testing.TB) string {
	tb.Helper()
	return must(tiled.VKey("other.example", publicOf("other.example")))(tb)
}

// signedBy is a checkpoint with the signature of the log of that name.
func signedBy(tb testing.TB, c *auditlog.Checkpoint, name string) *auditlog.Checkpoint {
	tb.Helper()
	s := must(tiled.NewSigner(name, publicOf(name), signWith(keyOf(name))))(tb)
	text := must(note.Sign(&note.Note{Text: c.Text()}, s))(tb)
	return must(auditlog.ParseCheckpoint("signed", text))(tb)
}

func wantRefusal(tb testing.TB, err error, says string) {
	tb.Helper()
	var r *Refusal
	if !errors.As(err, &r) || !strings.Contains(err.Error(), says) {
		tb.Errorf("got %T %v, want a refusal that says %q", err, err, says)
	}
}

func wantShort(tb testing.TB, err error, says string) *Short {
	tb.Helper()
	var s *Short
	if !errors.As(err, &s) || !strings.Contains(err.Error(), says) {
		tb.Fatalf("got %T %v, want a *Short that says %q", err, err, says)
	}
	return s
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		check(tb, err)
		return v
	}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
