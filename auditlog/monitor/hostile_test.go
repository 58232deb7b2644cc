//go:build unix

package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
)

// A state that was lost would let the log start over.
func TestAMonitorWithoutItsStateBeginsOnlyWhereItIsTold(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 3)
	state := filepath.Join(t.TempDir(), "seen")
	begin := func(first bool) (*Monitor, error) {
		return New(l.source(t), l.policy(t), func() Judge { return newCounter(t) }, Options{State: state, First: first})
	}
	if _, err := begin(false); err == nil || !strings.Contains(err.Error(), "state.json: does not exist: what was seen of this log isn't known") {
		t.Fatalf("without a state: %v", err)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the directory was made")
	}
	m, err := begin(true)
	check(t, err)
	for _, fresh := range []uint64{3, 0} {
		if seen, _, err := m.Pass(context.Background()); err != nil || seen.Entries != fresh {
			t.Fatalf("%+v, %v", seen, err)
		}
	}
	if _, err := begin(true); err == nil || !strings.Contains(err.Error(), "the log was followed before") {
		t.Errorf("begun a second time: %v", err)
	}
	// Gone while it runs, and gone between two runs.
	check(t, os.Remove(filepath.Join(state, "state.json")))
	if _, _, err := m.Pass(context.Background()); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("the state vanished: %v", err)
	}
	if _, err := begin(false); err == nil {
		t.Error("goes on without its state")
	}
}

// A file that is larger than any of its kind is named, and an alarm: from the
// first pass on, and for an audit too.
func TestAFileThatIsTooLargeIsNamedAndAnAlarm(t *testing.T) {
	for name, size := range map[string]int{"tile/0/000.p/5": maxTile + 32, "tile/entries/000.p/5": maxBundle + 1} {
		l := newLog(t)
		l.grow(t, "a", 3)
		later := []*watcher{newWatcher(t, l), newWatcher(t, l)}
		for _, w := range later {
			w.quiet(l.source(t), 3, 3)
		}
		l.grow(t, "b", 2)
		check(t, os.WriteFile(filepath.Join(l.dir, "log", filepath.FromSlash(name)), make([]byte, size), 0o644))
		h, err := tiled.Handler(l.dir)
		check(t, err)
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		remote, err := Open(srv.URL, nil)
		check(t, err)
		for i, src := range []*Source{l.source(t), remote} {
			for _, w := range []*watcher{later[i], newWatcher(t, l)} {
				if a := w.alarm(src, KindDamaged); !strings.Contains(a.Text, name+": has more than the") {
					t.Errorf("%s: the alarm says %q", name, a.Text)
				}
			}
			var damage *Broken
			if _, err := Audit(t.Context(), src, l.policy(t), newCounter(t), AuditOptions{}); !errors.As(err, &damage) || damage.Where != name {
				t.Errorf("%s: the audit says %v", name, err)
			}
		}
	}
	l := newLog(t)
	l.grow(t, "a", 3)
	check(t, os.WriteFile(filepath.Join(l.dir, "log/checkpoint"), make([]byte, auditlog.MaxText+1), 0o644))
	if a := newWatcher(t, l).alarm(l.source(t), KindCheckpoint); !strings.Contains(a.Text, "checkpoint: has more than") {
		t.Errorf("the alarm says %q", a.Text)
	}
}

// A server answers for itself: neither monitor nor audit is sent to another.
func TestALogsServerSendsNobodyElsewhere(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 3)
	h, err := tiled.Handler(l.dir)
	check(t, err)
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked++
		h.ServeHTTP(rw, r)
	}))
	defer elsewhere.Close()
	target := ""
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/moved") {
			http.StripPrefix("/moved", h).ServeHTTP(rw, r)
			return
		}
		http.Redirect(rw, r, target+r.URL.Path, http.StatusFound)
	}))
	defer srv.Close()
	here, err := url.Parse(srv.URL)
	check(t, err)
	for _, target = range []string{elsewhere.URL, "https://" + here.Host, "http://localhost:" + here.Port()} {
		for _, client := range []*http.Client{nil, {}} {
			src, err := Open(srv.URL, client)
			check(t, err)
			if _, alarms, err := newWatcher(t, l).pass(src); err == nil || len(alarms) > 0 || !strings.Contains(err.Error(), "sends us to another one") {
				t.Errorf("%s: the monitor says %v, %v", target, alarms, err)
			}
			if _, err := audit(t, l, src, AuditOptions{}); err == nil || !strings.Contains(err.Error(), "sends us to another one") {
				t.Errorf("%s: the audit says %v", target, err)
			}
		}
	}
	if asked != 0 {
		t.Errorf("the other server was asked %d times", asked)
	}
	src, err := Open(srv.URL, nil)
	check(t, err)
	target = "/moved"
	newWatcher(t, l).quiet(src, 3, 3)
	target = "/again"
	if _, _, err := newWatcher(t, l).pass(src); err == nil || !strings.Contains(err.Error(), "more than 3 times") {
		t.Errorf("sent in a circle: %v", err)
	}
}

// Whoever may write into a log doesn't fill the disk of its monitor.
func TestManyFindingsAreFewAlarms(t *testing.T) {
	const junk = 5000
	l := newLog(t)
	l.grow(t, "good", 2)
	w := newWatcher(t, l)
	w.quiet(l.source(t), 2, 2)
	l.grow(t, "bad", junk)
	seen, alarms, err := w.pass(l.source(t))
	check(t, err)
	if len(alarms) != maxEach+1 || seen.Standing != maxEach+1 {
		t.Fatalf("%d alarms, %d stand", len(alarms), seen.Standing)
	}
	for i, a := range alarms[:maxEach] {
		if a.Index != uint64(2+i) || a.Count != 0 {
			t.Errorf("%+v", a)
		}
	}
	rest := alarms[maxEach]
	want := fmt.Sprintf("%d more of this kind, the last of them: entry %d is bad", junk-maxEach, junk+1)
	if rest.Kind != "bad" || rest.Count != junk-maxEach || rest.Index != junk+1 || rest.Text != want {
		t.Errorf("%+v", rest)
	}
	if !bytes.Contains(rest.JSON(), fmt.Appendf(nil, `"count":%d`, junk-maxEach)) {
		t.Errorf("%s", rest.JSON())
	}
	info, err := os.Stat(filepath.Join(w.state, "state.json"))
	check(t, err)
	if info.Size() > 32<<10 {
		t.Errorf("the state has %d bytes", info.Size())
	}
	w.quiet(l.source(t), junk+2, 0)
}

// What is proven rests on no file of the monitor's own: with hashes that are
// lost or spoilt there is an alarm all the same, and both checkpoints are kept.
func TestASmallerForkIsAnAlarmWithoutTheHashesHeld(t *testing.T) {
	for name, spoil := range map[string]func(path string, data []byte) error{
		"gone":  func(path string, _ []byte) error { return os.Remove(path) },
		"short": func(path string, data []byte) error { return os.WriteFile(path, data[:len(data)-1], 0o600) },
		"spoilt": func(path string, data []byte) error {
			data[32*305] ^= 1
			return os.WriteFile(path, data, 0o600)
		},
	} {
		l := newLog(t)
		l.grow(t, "a", 300)
		fork := l.copyOf(t)
		l.grow(t, "here", 700)
		fork.grow(t, "there", 10)
		w := newWatcher(t, l)
		w.quiet(l.source(t), 1000, 1000)
		path := filepath.Join(w.state, "hashes")
		data, err := os.ReadFile(path)
		check(t, err)
		if len(data) != 32*1000 {
			t.Fatalf("%d bytes are held", len(data))
		}
		check(t, spoil(path, data))
		a := w.alarm(fork.source(t), KindBack)
		kept, err := os.ReadFile(a.Evidence)
		check(t, err)
		s, err := auditlog.ParseSplitView(a.Evidence, kept)
		check(t, err)
		if s.Smaller.Size != 310 || s.Larger.Size != 1000 || l.policy(t).VerifySplit(s) == nil {
			t.Errorf("%s: %+v", name, s)
		}
		// It goes on, with what it holds or without.
		l.grow(t, "on", 1)
		w.quiet(l.source(t), 1001, 1)
	}
}
