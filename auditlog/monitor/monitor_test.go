//go:build unix

package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
)

// watcher is a monitor whose clock is the test's; each pass is a new process,
// so to speak: it has only what is on the disk.
type watcher struct {
	tb    testing.TB
	state string
	now   time.Time
	l     *testLog // whose policy
	o     Options
	late  bool
}

func newWatcher(tb testing.TB, l *testLog) *watcher {
	return &watcher{tb: tb, l: l, state: filepath.Join(tb.TempDir(), "seen"), now: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)}
}

func (w *watcher) pass(src *Source) (*Seen, []Alarm, error) {
	w.tb.Helper()
	o := w.o
	o.State, o.Now, o.First = w.state, func() time.Time { return w.now }, isFirst(w.state)
	m, err := New(src, w.l.policy(w.tb), func() Judge { c := newCounter(w.tb); c.late = w.late; return c }, o)
	check(w.tb, err)
	return m.Pass(context.Background())
}

func (w *watcher) quiet(src *Source, size, fresh uint64) {
	w.tb.Helper()
	seen, alarms, err := w.pass(src)
	check(w.tb, err)
	if len(alarms) > 0 || seen.Size != size || seen.Entries != fresh {
		w.tb.Errorf("%+v %+v, want size %d with %d new", seen, alarms, size, fresh)
	}
}

func (w *watcher) alarm(src *Source, kind string) Alarm {
	w.tb.Helper()
	_, alarms, err := w.pass(src)
	check(w.tb, err)
	if len(alarms) != 1 || alarms[0].Kind != kind {
		w.tb.Fatalf("alarms %+v, want one of %s", alarms, kind)
	}
	return alarms[0]
}

func TestMonitorFollowsALog(t *testing.T) {
	l := newLog(t)
	w := newWatcher(t, l)
	size := uint64(0)
	for _, more := range []int{1, 3, 0, 251, 1, 1, 600, 0, 5} {
		if more > 0 {
			l.grow(t, time.Duration(size).String(), more)
		}
		size += uint64(more)
		w.quiet(l.source(t), size, uint64(more))
	}
	l.grow(t, "bad", 1)
	if a := w.alarm(l.source(t), "bad"); a.Index != size || a.Log != origin {
		t.Errorf("%+v", a)
	}
	w.quiet(l.source(t), size+1, 0)
	w.late = true
	w.alarm(l.source(t), "late")
	w.quiet(l.source(t), size+1, 0) // it stands, and is not raised again
	w.late = false
	w.quiet(l.source(t), size+1, 0)
	w.late = true
	w.alarm(l.source(t), "late")
	lines, err := os.ReadFile(filepath.Join(w.state, "alarms.jsonl"))
	check(t, err)
	if n := bytes.Count(lines, []byte("\n")); n != 3 {
		t.Errorf("%d alarms are on the disk", n)
	}
	for line := range bytes.Lines(lines) {
		if !json.Valid(line) || !bytes.Contains(line, []byte(`"format":"fleetctl alarm v1"`)) {
			t.Errorf("%s", line)
		}
	}
}

// TestForkIsProven is the last of the three: the guard and the witness
// were off, and the monitor proves the split from two files.
func TestForkIsProven(t *testing.T) {
	for name, c := range map[string]struct{ before, here, there int }{
		"same size":         {10, 5, 5},
		"larger":            {10, 5, 9},
		"other bundle":      {250, 100, 400},
		"shown one longer":  {3, 1, 1000},
		"on a bundle's end": {256, 256, 512},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t)
			l.grow(t, "a", c.before)
			fork := l.copyOf(t)
			l.grow(t, "here", c.here)
			fork.grow(t, "there", c.there)
			w := newWatcher(t, l)
			w.quiet(l.source(t), uint64(c.before+c.here), uint64(c.before+c.here))
			a := w.alarm(fork.source(t), KindSplit)
			if a.Evidence == "" {
				t.Fatal("no evidence was kept")
			}
			w.quiet2(fork.source(t)) // stands
			data, err := os.ReadFile(a.Evidence)
			check(t, err)
			s, err := auditlog.ParseSplitView(a.Evidence, data)
			check(t, err)
			if err := l.policy(t).VerifySplit(s); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(s.Marshal(), data) {
				t.Error("it doesn't come back as it was")
			}
			// The true log goes on, and the alarm's cause is gone.
			l.grow(t, "on", 2)
			w.quiet(l.source(t), uint64(c.before+c.here+2), 2)
			// And the same seen from the fork's side.
			other := newWatcher(t, l)
			other.quiet(fork.source(t), uint64(c.before+c.there), uint64(c.before+c.there))
			// A smaller tree is another history too, though it serves nothing of
			// the larger one.
			a = other.alarm(l.source(t), KindSplit)
			data, err = os.ReadFile(a.Evidence)
			check(t, err)
			s, err = auditlog.ParseSplitView(a.Evidence, data)
			check(t, err)
			if err := l.policy(t).VerifySplit(s); err != nil {
				t.Error(err)
			}
		})
	}
}

// quiet2 demands no new alarm.
func (w *watcher) quiet2(src *Source) {
	w.tb.Helper()
	seen, alarms, err := w.pass(src)
	check(w.tb, err)
	if len(alarms) != 0 || seen.Standing == 0 {
		w.tb.Errorf("%+v %+v", seen, alarms)
	}
}

func TestRolledBackAndDamagedLogs(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 300)
	older := l.copyOf(t)
	l.grow(t, "b", 300)
	w := newWatcher(t, l)
	w.quiet(l.source(t), 600, 600)
	a := w.alarm(older.source(t), KindBack)
	data, err := os.ReadFile(a.Evidence)
	check(t, err)
	s, err := auditlog.ParseSplitView("split", data)
	check(t, err)
	if err := l.policy(t).VerifySplit(s); err == nil {
		t.Error("an older checkpoint of the same history passes for a split")
	}
	w.quiet(l.source(t), 600, 0)

	// A new entry under a spoilt bundle: nothing is taken, then all of it.
	l.grow(t, "c", 5)
	path := filepath.Join(l.dir, "log/tile/entries/002.p/93")
	good, err := os.ReadFile(path)
	check(t, err)
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	check(t, os.WriteFile(path, bad, 0o644))
	w.alarm(l.source(t), KindDamaged)
	check(t, os.WriteFile(path, good, 0o644))
	w.quiet(l.source(t), 605, 5)

	check(t, os.WriteFile(filepath.Join(l.dir, "log/checkpoint"), []byte("x"), 0o644))
	w.alarm(l.source(t), KindCheckpoint)
}

func TestSilence(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 1)
	w := newWatcher(t, l)
	w.o.Silence = time.Hour
	w.quiet(l.source(t), 1, 1)
	w.now = w.now.Add(50 * time.Minute)
	w.quiet(l.source(t), 1, 0)
	w.now = w.now.Add(11 * time.Minute)
	w.alarm(l.source(t), KindSilence)
	w.quiet(l.source(t), 1, 0)
	l.grow(t, "b", 1)
	w.quiet(l.source(t), 2, 1)
	// A log that can't be reached is silent too, in the end.
	h, err := tiled.Handler(l.dir)
	check(t, err)
	down := false
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if down {
			http.Error(rw, "down", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(rw, r)
	}))
	defer srv.Close()
	s, err := Open(srv.URL, nil)
	check(t, err)
	w.quiet(s, 2, 0)
	down = true
	if _, alarms, err := w.pass(s); err == nil || len(alarms) > 0 || !strings.Contains(err.Error(), "503") {
		t.Errorf("%v, %v", alarms, err)
	}
	w.now = w.now.Add(61 * time.Minute)
	w.alarm(s, KindSilence)
}

func TestUnwitnessed(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 1)
	w := newWatcher(t, l)
	w.o.Unwitnessed = true
	w.alarm(l.source(t), KindUnwitnessed)
}

func TestMonitorsStateIsNotGuessed(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 3)
	w := newWatcher(t, l)
	w.quiet(l.source(t), 3, 3)
	path := filepath.Join(w.state, "state.json")
	good, err := os.ReadFile(path)
	check(t, err)
	for name, data := range map[string][]byte{
		"empty":         nil,
		"truncated":     good[:len(good)-3],
		"checkpoint":    bytes.Replace(good, []byte(`"checkpoint": "log`), []byte(`"checkpoint": "\nlog`), 1),
		"unknown field": bytes.Replace(good, []byte(`"found"`), []byte(`"x": 1, "found"`), 1),
	} {
		check(t, os.WriteFile(path, data, 0o644))
		if _, _, err := w.pass(l.source(t)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	check(t, os.WriteFile(path, good, 0o644))
	w.quiet(l.source(t), 3, 0)
}
