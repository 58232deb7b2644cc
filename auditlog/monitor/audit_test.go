//go:build unix

package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
)

func audit(tb testing.TB, l *testLog, s *Source, o AuditOptions) (*Report, error) {
	tb.Helper()
	return Audit(context.Background(), s, l.policy(tb), newCounter(tb), o)
}

func TestAuditReadsEverySize(t *testing.T) {
	l := newLog(t)
	size := 0
	for _, more := range []int{1, 2, 252, 1, 1, 255, 1, 300} {
		l.grow(t, fmt.Sprintf("at %d", size), more)
		size += more
		for _, workers := range []int{1, 3} {
			r, err := audit(t, l, l.source(t), AuditOptions{Workers: workers})
			if err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			c, err := l.Checkpoint()
			check(t, err)
			tiles := (size + 255) / 256
			if size > 256 {
				tiles++
			}
			if r.Size != uint64(size) || r.Entries != r.Size || r.Root != c.Root || r.Found != 0 || r.Tiles < uint64(tiles) {
				t.Errorf("size %d: %+v", size, r)
			}
		}
	}
}

func TestAuditOfThreeLevels(t *testing.T) {
	if testing.Short() {
		t.Skip("65,800 entries")
	}
	l := newLog(t)
	l.grow(t, "e", 65_800)
	state := filepath.Join(t.TempDir(), "state")
	r, err := audit(t, l, l.source(t), AuditOptions{State: state, Every: time.Nanosecond})
	if err != nil || r.Entries != 65_800 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Tiles != 258+2+1 {
		t.Errorf("%d tiles were computed again, there are %d", r.Tiles, 258+2+1)
	}
	again, err := audit(t, l, l.source(t), AuditOptions{State: state})
	if err != nil || again.Resumed != 65_800 || again.Entries != 0 {
		t.Errorf("%+v, %v", again, err)
	}
}

// TestAuditSeesEveryFlippedBitAndLostFile spoils each file of a log in turn.
func TestAuditSeesEveryFlippedBitAndLostFile(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 300)
	l.grow(t, "b", 300)
	p := l.policy(t)
	// Partial tiles that a larger one has replaced are read by nobody.
	needed := map[string]bool{}
	src := l.source(t)
	read := src.read
	record := *src
	seen := make(chan string, 1000)
	record.read = func(ctx context.Context, path string, limit int) ([]byte, error) {
		data, err := read(ctx, path, limit)
		if err == nil {
			seen <- path
		}
		return data, err
	}
	if _, err := Audit(context.Background(), &record, p, newCounter(t), AuditOptions{}); err != nil {
		t.Fatal(err)
	}
	close(seen)
	for path := range seen {
		needed[filepath.Join(l.dir, "log", path)] = true
	}
	bits, lost := 0, 0
	for _, path := range l.files(t) {
		if !needed[path] {
			continue
		}
		good, err := os.ReadFile(path)
		check(t, err)
		for at := 0; at < len(good); at += max(1, len(good)/40) {
			bad := bytes.Clone(good)
			bad[at] ^= 1 << (at % 8)
			check(t, os.WriteFile(path, bad, 0o644))
			bits++
			_, err := audit(t, l, l.source(t), AuditOptions{Workers: 2})
			var damage *Broken
			if !errors.As(err, &damage) {
				t.Errorf("%s, byte %d: %v", path, at, err)
			}
		}
		check(t, os.Remove(path))
		lost++
		_, err = audit(t, l, l.source(t), AuditOptions{})
		var damage *Broken
		if !errors.As(err, &damage) || !strings.Contains(err.Error(), "is missing") {
			t.Errorf("%s lost: %v", path, err)
		}
		check(t, os.WriteFile(path, good, 0o644))
	}
	if lost < 7 {
		t.Errorf("only %d files were tried", lost)
	}
	if _, err := audit(t, l, l.source(t), AuditOptions{}); err != nil {
		t.Errorf("the mended log: %v", err)
	}
	t.Logf("%d flipped bits and %d lost files, each seen", bits, lost)
}

func TestAuditRefusesOtherCheckpoints(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 10)
	path := filepath.Join(l.dir, "log", "checkpoint")
	older, err := os.ReadFile(path)
	check(t, err)
	other := newLog(t)
	other.grow(t, "b", 10)
	forged, err := os.ReadFile(filepath.Join(other.dir, "log", "checkpoint"))
	check(t, err)
	// Signed by the same key, of another tree.
	check(t, os.WriteFile(path, forged, 0o644))
	var damage *Broken
	if _, err := audit(t, l, l.source(t), AuditOptions{}); !errors.As(err, &damage) {
		t.Errorf("another tree's checkpoint: %v", err)
	}
	check(t, os.WriteFile(path, bytes.Replace(older, []byte("\n10\n"), []byte("\n9\n"), 1), 0o644))
	if _, err := audit(t, l, l.source(t), AuditOptions{}); err == nil || errors.As(err, &damage) {
		t.Errorf("a checkpoint whose signature is spoilt: %v", err)
	}
}

func TestAuditGoesOnWhereItWasInterrupted(t *testing.T) {
	l := newLog(t)
	l.grow(t, "good", 700)
	l.grow(t, "bad", 2)
	l.grow(t, "more", 1000)
	whole, err := audit(t, l, l.source(t), AuditOptions{})
	check(t, err)
	if whole.Found != 2 || whole.Findings[0].Index != 700 {
		t.Fatalf("%+v", whole)
	}
	state := filepath.Join(t.TempDir(), "state")
	parts := 0
	for from := uint64(0); ; parts++ {
		ctx, stop := context.WithCancel(context.Background())
		judge := newCounter(t)
		r, err := Audit(ctx, l.source(t), l.policy(t), judge, AuditOptions{State: state, Every: time.Nanosecond, Workers: 2,
			Progress: func(done, _ uint64) {
				if done > from+300 {
					stop()
				}
			}})
		stop()
		if err == nil {
			if parts < 1 || r.Resumed == 0 || r.Found != whole.Found || !reflect.DeepEqual(r.Findings, whole.Findings) || r.Root != whole.Root {
				t.Errorf("after %d interruptions: %+v", parts, r)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		s, err := readState(state, origin)
		check(t, err)
		if s.Size <= from && parts > 10 {
			t.Fatalf("stands still at %d", s.Size)
		}
		from = s.Size
	}
	// The log grows, within the last bundle; only what is new is read.
	l.grow(t, "late", 3)
	judge := newCounter(t)
	r, err := Audit(context.Background(), l.source(t), l.policy(t), judge, AuditOptions{State: state})
	if err != nil || r.Entries != 3 || judge.read.Load() != 3 {
		t.Errorf("%+v, %v, %d read", r, err, judge.read.Load())
	}
}

func TestAuditsStateIsNotBelieved(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 300)
	state := filepath.Join(t.TempDir(), "state")
	_, err := audit(t, l, l.source(t), AuditOptions{State: state})
	check(t, err)
	good, err := os.ReadFile(state)
	check(t, err)
	other := newLog(t)
	other.grow(t, "b", 300)
	elsewhere := filepath.Join(t.TempDir(), "state")
	_, err = audit(t, other, other.source(t), AuditOptions{State: elsewhere})
	check(t, err)
	foreign, err := os.ReadFile(elsewhere)
	check(t, err)
	for name, data := range map[string][]byte{
		"empty":          nil,
		"truncated":      good[:len(good)/2],
		"of size 44":     bytes.Replace(good, []byte(`"size": 300`), []byte(`"size": 44`), 1),
		"of size 301":    bytes.Replace(good, []byte(`"size": 300`), []byte(`"size": 301`), 1),
		"other log":      bytes.Replace(good, []byte(origin), []byte("x"), 1),
		"other format":   bytes.Replace(good, []byte("state v1"), []byte("state v2"), 1),
		"of other tree":  foreign,
		"judge's spoilt": bytes.Replace(good, []byte(`"judge": "300"`), []byte(`"judge": "x"`), 1),
	} {
		if bytes.Equal(data, good) {
			t.Fatalf("%s: changes nothing", name)
		}
		check(t, os.WriteFile(state, data, 0o644))
		l.grow(t, name, 1)
		if r, err := audit(t, l, l.source(t), AuditOptions{State: state}); err == nil {
			t.Errorf("%s: taken, %+v", name, r)
		}
	}
}

func TestAuditOverHTTP(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 600)
	h, err := tiled.Handler(l.dir)
	check(t, err)
	srv := httptest.NewServer(h)
	defer srv.Close()
	s, err := Open(srv.URL+"/", nil)
	check(t, err)
	r, err := audit(t, l, s, AuditOptions{})
	if err != nil || r.Entries != 600 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"http://", "http://user@host/", "http://host/?q", filepath.Join(l.dir, "config"), filepath.Join(l.dir, "nowhere")} {
		if _, err := Open(bad, nil); err == nil {
			t.Errorf("%s: opened", bad)
		}
	}
	srv.Close()
	var damage *Broken
	if _, err := audit(t, l, s, AuditOptions{}); err == nil || errors.As(err, &damage) {
		t.Errorf("a server that is down: %v", err)
	}
}

func FuzzTile(f *testing.F) {
	f.Add(make([]byte, 64))
	f.Add([]byte("\x00\x03abc\x00\x00"))
	f.Add([]byte("\x00\x03ab"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, err := parseTile("f", data); err == nil {
			var back []byte
			for _, h := range list {
				back = append(back, h[:]...)
			}
			if !bytes.Equal(back, data) {
				t.Fatalf("%x comes back as %x", data, back)
			}
		}
		list, err := parseEntries("f", data)
		if err != nil {
			if list != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		var back []byte
		for _, e := range list {
			back = append(append(back, byte(len(e)>>8), byte(len(e))), e...)
		}
		if !bytes.Equal(back, data) || len(list) > width {
			t.Fatalf("%x comes back as %x", data, back)
		}
	})
}

func TestAnAuditVerifiesALogThatHasEntriesNoFaultsAndItsQuorum(t *testing.T) {
	good := Report{Size: 1, Cosigning: auditlog.Cosigning{Demanded: true, Quorum: true}}
	for name, c := range map[string]struct {
		change func(*Report)
		want   bool
	}{
		"good":                   {func(*Report) {}, true},
		"no quorum is demanded":  {func(r *Report) { r.Demanded, r.Quorum = false, false }, true},
		"the quorum is missing":  {func(r *Report) { r.Quorum = false }, false},
		"the log has no entries": {func(r *Report) { r.Size = 0 }, false},
		"something is wrong":     {func(r *Report) { r.Found = 1 }, false},
	} {
		r := good
		c.change(&r)
		if r.Verified(true) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
		if r.Verified(false) {
			t.Errorf("%s, under keys that nobody confirmed: verified", name)
		}
	}
}
