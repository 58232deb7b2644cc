//go:build unix

package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

// rekorServer serves a Rekor log in memory, or another in its place.
type rekorServer struct {
	url     string
	handler atomic.Pointer[http.Handler]
}

func (s *rekorServer) show(l *testrekor.Log, closed ...*testrekor.Log) {
	h := l.Handler(closed...)
	s.handler.Store(&h)
}

func newRekorServer(tb testing.TB, l *testrekor.Log) *rekorServer {
	tb.Helper()
	s := &rekorServer{}
	s.show(l)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.handler.Load()).ServeHTTP(w, r) }))
	tb.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// rekorWatcher makes a new monitor for each pass, which has only what is on the
// disk.
type rekorWatcher struct {
	tb    testing.TB
	log   *auditlog.RekorLog
	url   string
	from  uint64
	state string
	o     Options
	read  atomic.Int64 // entries that the judges were shown
}

func watchRekor(tb testing.TB, l *testrekor.Log, url string) *rekorWatcher {
	tb.Helper()
	log, err := auditlog.NewRekorLog(l.Version, l.Host, l.PEM())
	check(tb, err)
	return &rekorWatcher{tb: tb, log: log, url: url, state: filepath.Join(tb.TempDir(), "seen")}
}

func (w *rekorWatcher) pass() (*Seen, []Alarm, error) {
	w.tb.Helper()
	o := w.o
	o.State, o.First = w.state, isFirst(w.state)
	m, err := NewRekor(w.url, nil, w.log, nil, w.from, func() Judge {
		c := newCounter(w.tb)
		c.read, c.from = &w.read, w.from
		return c
	}, o)
	check(w.tb, err)
	return m.Pass(context.Background())
}

func (w *rekorWatcher) quiet(size, fresh uint64) {
	w.tb.Helper()
	seen, alarms, err := w.pass()
	check(w.tb, err)
	if len(alarms) > 0 || seen.Size != size || seen.Entries != fresh {
		w.tb.Fatalf("%+v %+v, want size %d with %d new", seen, alarms, size, fresh)
	}
}

func (w *rekorWatcher) alarm(kind string) Alarm {
	w.tb.Helper()
	_, alarms, err := w.pass()
	check(w.tb, err)
	if len(alarms) != 1 || alarms[0].Kind != kind {
		w.tb.Fatalf("alarms %+v, want one of %s", alarms, kind)
	}
	return alarms[0]
}

func eachVersion(t *testing.T, test func(t *testing.T, version int)) {
	for version := 1; version <= 2; version++ {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) { test(t, version) })
	}
}

func grow(l *testrekor.Log, what string, n int) {
	for i := range n {
		l.Add(fmt.Appendf(nil, "%s %d", what, i))
	}
}

func TestMonitorFollowsRekor(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		l := testrekor.New(version, "rekor.test")
		w := watchRekor(t, l, newRekorServer(t, l).url)
		w.quiet(3, 3)
		for i, more := range []int{0, 1, 4, 1, 0, 300, 1, 250} {
			grow(l, fmt.Sprint(i), more)
			w.quiet(uint64(l.Size()), uint64(more))
		}
		if int64(w.read.Load()) != l.Size() {
			t.Errorf("%d entries were read of %d", w.read.Load(), l.Size())
		}
		grow(l, "bad", 1)
		if a := w.alarm("bad"); a.Index != uint64(l.Size()-1) || a.Log != "rekor.test" {
			t.Errorf("%+v", a)
		}
		w.quiet(uint64(l.Size()), 0)
	})
}

// What lies before is not read; what comes after is held to it all the same.
func TestMonitorBeginsLaterInRekor(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		for size := int64(3); size < 20; size++ {
			for from := uint64(0); from <= uint64(size); from++ {
				l := testrekor.New(version, "rekor.test")
				grow(l, "old", int(size)-3)
				w := watchRekor(t, l, newRekorServer(t, l).url)
				w.from = from
				w.quiet(uint64(size), uint64(size)-from)
				grow(l, "new", 3)
				w.quiet(uint64(size)+3, 3)
			}
		}
		l := testrekor.New(version, "rekor.test")
		grow(l, "old", 1000)
		srv := newRekorServer(t, l)
		w := watchRekor(t, l, srv.url)
		w.from = 1004
		if _, alarms, err := w.pass(); err == nil || len(alarms) > 0 || !strings.Contains(err.Error(), "has 1003 entries") {
			t.Errorf("%v, %v", alarms, err)
		}
		// A tree whose start was another than the log now signs.
		w.from = 700
		w.quiet(1003, 303)
		if _, err := os.Stat(filepath.Join(w.state, "hashes")); err == nil {
			t.Error("hashes are held of a log whose start was not read")
		}
		other := testrekor.New(version, "rekor.test")
		grow(other, "odd", 1)
		grow(other, "old", 1010)
		srv.show(other)
		w.alarm(KindSplit)
	})
	for _, version := range []int{1, 2} {
		l := testrekor.New(version, "rekor.test")
		w := watchRekor(t, l, newRekorServer(t, l).url)
		w.from = FromEnd
		w.o.Now = time.Now
		if seen, alarms, err := w.pass(); err != nil || len(alarms) > 0 || seen.Size != 3 || seen.Entries != 0 {
			t.Errorf("from the end: %+v %v %v", seen, alarms, err)
		}
	}
}

// Both of Rekor's histories under one key, proven by one file.
func TestForkOfRekorIsProven(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		for name, c := range map[string]struct{ before, here, there int }{
			"same size":        {7, 5, 5},
			"larger":           {7, 5, 9},
			"much larger":      {0, 1, 600},
			"at a power of 2":  {3, 2, 4},
			"at another":       {253, 0, 10},
			"one behind it":    {254, 0, 300},
			"first is changed": {0, 1, 1},
		} {
			t.Run(name, func(t *testing.T) {
				l := testrekor.New(version, "rekor.test")
				if c.here == 0 { // the fork goes back before the last entry
					grow(l, "a", c.before-1)
				} else {
					grow(l, "a", c.before)
				}
				fork := l.Clone()
				if c.here == 0 {
					c.here = 1
				}
				grow(l, "here", c.here)
				grow(fork, "there", c.there)
				srv := newRekorServer(t, l)
				w := watchRekor(t, l, srv.url)
				w.quiet(uint64(l.Size()), uint64(l.Size()))
				srv.show(fork)
				a := w.alarm(KindSplit)
				data, err := os.ReadFile(a.Evidence)
				check(t, err)
				s, err := auditlog.ParseSplitView(a.Evidence, data)
				check(t, err)
				if err := w.log.VerifySplit(s); err != nil {
					t.Error(err)
				}
				other := testrekor.New(version, "rekor.other")
				if stranger := watchRekor(t, other, srv.url); stranger.log.VerifySplit(s) == nil {
					t.Error("another log's pin takes it")
				}
				srv.show(l)
				grow(l, "on", 2)
				w.quiet(uint64(l.Size()), 2)
				// Whichever is smaller, and serves nothing of the other.
				srv.show(fork)
				reverse := watchRekor(t, l, srv.url)
				reverse.quiet(uint64(fork.Size()), uint64(fork.Size()))
				srv.show(l)
				reverse.alarm(KindSplit)
			})
		}
	})
}

func TestRolledBackAndDamagedRekor(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		l := testrekor.New(version, "rekor.test")
		grow(l, "a", 20)
		older := l.Clone()
		grow(l, "b", 10)
		srv := newRekorServer(t, l)
		w := watchRekor(t, l, srv.url)
		w.quiet(33, 33)
		srv.show(older)
		a := w.alarm(KindBack)
		data, err := os.ReadFile(a.Evidence)
		check(t, err)
		s, err := auditlog.ParseSplitView("split", data)
		check(t, err)
		if w.log.VerifySplit(s) == nil {
			t.Error("an older checkpoint of the same history passes for a split")
		}
		srv.show(l)
		w.quiet(33, 0)

		// What is served of a new entry isn't what was signed: not taken, then is.
		grow(l, "c", 3)
		spoilt := l.Clone()
		spoilt.Spoil(34, []byte("something else"))
		srv.show(spoilt)
		w.alarm(KindDamaged)
		srv.show(l)
		w.quiet(36, 3)

		// Another log's checkpoint.
		srv.show(testrekor.New(version, "rekor.stranger"))
		w.alarm(KindCheckpoint)
		var nothing http.Handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "<html>") })
		srv.handler.Store(&nothing)
		w.alarm(KindCheckpoint)
		var down http.Handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "down", http.StatusBadGateway) })
		srv.handler.Store(&down)
		if _, alarms, err := w.pass(); err == nil || len(alarms) > 0 || !strings.Contains(err.Error(), "502") {
			t.Errorf("%v %v", alarms, err)
		}
		w.o.Silence, w.o.Now = time.Hour, func() time.Time { return time.Now().Add(2 * time.Hour) }
		w.alarm(KindSilence)
	})
}

// A server of version 1 closes a tree and begins another: the old one is
// followed to its end, and that there is a new one is said.
func TestClosedTreeOfRekorIsFollowedToItsEnd(t *testing.T) {
	old := testrekor.New(1, "rekor.test")
	srv := newRekorServer(t, old)
	w := watchRekor(t, old, srv.url)
	w.quiet(3, 3)
	grow(old, "last", 4)
	fresh := testrekor.New(1, "rekor.test")
	fresh.Tree++
	grow(fresh, "new", 9)
	srv.show(fresh, old)
	a := w.alarm(KindRotated)
	if !strings.Contains(a.Text, "ends with 7 entries") {
		t.Error(a.Text)
	}
	w.quiet(7, 0)
	if w.read.Load() != 7 {
		t.Errorf("%d entries were read of 7", w.read.Load())
	}
	// The new tree's entries are counted after the old one's.
	second := watchRekor(t, fresh, srv.url)
	second.quiet(12, 12)
	// A server that knows the old tree no more.
	srv.show(fresh)
	w.alarm(KindCheckpoint)
	// One tree alone is pinned.
	pinned, err := auditlog.NewRekorLog(1, old.Origin(), old.PEM())
	check(t, err)
	srv.show(fresh, old)
	third := watchRekor(t, old, srv.url)
	third.log = pinned
	third.alarm(KindRotated)
	third.quiet(7, 0)
}

// No change of an answer makes a log that has changed nothing look otherwise
// than it is: an alarm or an error, never quiet.
func TestEveryAnswerOfRekorMatters(t *testing.T) {
	l := testrekor.New(1, "rekor.test")
	grow(l, "a", 6)
	h := l.Handler()
	ofLog := func(change func(m map[string]any)) func(string, map[string]any) {
		return func(path string, m map[string]any) {
			if path == "/api/v1/log" {
				change(m)
			}
		}
	}
	changes := map[string]func(path string, m map[string]any){
		"size":             ofLog(func(m map[string]any) { m["treeSize"] = 1 }), // unsigned, and not used of the active tree
		"tree":             ofLog(func(m map[string]any) { m["treeID"] = "1" }),
		"no tree":          ofLog(func(m map[string]any) { delete(m, "treeID") }),
		"no checkpoint":    ofLog(func(m map[string]any) { delete(m, "signedTreeHead") }),
		"closed tree":      ofLog(func(m map[string]any) { m["inactiveShards"] = []any{map[string]any{"treeID": "5", "treeSize": 1}} }),
		"no body":          func(p string, m map[string]any) { delete(entryIn(m), "body") },
		"another body":     func(p string, m map[string]any) { entryIn(m)["body"] = "QQ==" },
		"body no base64":   func(p string, m map[string]any) { entryIn(m)["body"] = "!" },
		"two entries":      func(p string, m map[string]any) { m["more"] = map[string]any{"body": "QQ=="} },
		"proof of another": func(p string, m map[string]any) { proofIn(m)["logIndex"] = 4 },
		"proof's size":     func(p string, m map[string]any) { proofIn(m)["treeSize"] = 2 },
		"proof's hashes":   func(p string, m map[string]any) { proofIn(m)["hashes"] = []string{"00"} },
		"proof is short":   func(p string, m map[string]any) { proofIn(m)["hashes"] = []string{} },
		"proof is long": func(p string, m map[string]any) {
			proofIn(m)["hashes"] = append(proofIn(m)["hashes"].([]any), strings.Repeat("00", 32))
		},
		"no entry":     func(p string, m map[string]any) { _ = entryIn(m)["body"].(string); delete(m, "0123") },
		"null entry":   func(p string, m map[string]any) { _ = entryIn(m)["body"].(string); m["0123"] = nil },
		"another hash": func(p string, m map[string]any) { proofIn(m)["hashes"].([]any)[0] = strings.Repeat("00", 32) },
	}
	for name, change := range changes {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			var m map[string]any
			check(t, json.Unmarshal(rec.Body.Bytes(), &m))
			func() {
				defer func() { _ = recover() }() // a change that is about the other answer
				change(r.URL.Path, m)
			}()
			check(t, json.NewEncoder(w).Encode(m))
		}))
		w := watchRekor(t, l, srv.URL)
		w.from = 4
		seen, alarms, err := w.pass()
		if quiet := err == nil && len(alarms) == 0; quiet != (name == "size") {
			t.Errorf("%s: %+v %v %v", name, seen, alarms, err)
		}
		srv.Close()
	}
}

func entryIn(m map[string]any) map[string]any {
	e, _ := m["0123"].(map[string]any)
	return e
}

func proofIn(m map[string]any) map[string]any {
	return entryIn(m)["verification"].(map[string]any)["inclusionProof"].(map[string]any)
}
