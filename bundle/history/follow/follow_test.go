package follow

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/bundle/history/fetch"
)

const space = "example.backup.fleet_keys.v1"

var (
	key   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	pub   = [32]byte(key.Public().(ed25519.PublicKey))
	other = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))
	start = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
)

func statement(by ed25519.PrivateKey, epoch uint64, what string) []byte {
	s, err := bundle.NewStatement(bundle.Protobuf, space, 1795255200000+epoch, epoch, sha256.Sum256(fmt.Appendf(nil, "%s %d", what, epoch)))
	if err != nil {
		panic(err)
	}
	return s.Encode([64]byte(ed25519.Sign(by, s.Message())))
}

// auditor serves epochs as Cloudflare's does, and misbehaves as a test wants.
type auditor struct {
	last  uint64
	odd   map[uint64][]byte // answers for some epochs; nil: 404
	fails bool
	dies  uint64 // it fails for this epoch
}

func (a *auditor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var epoch uint64
	base := "/namespaces/" + space
	switch {
	case a.fails:
		w.WriteHeader(http.StatusBadGateway)
	case r.URL.Path == base:
		fmt.Fprintf(w, `{"name":%q,"root":"1/00","last_verified_epoch":%d,"status":"Online"}`, space, a.last)
	case strings.HasPrefix(r.URL.Path, base+"/audits/"):
		fmt.Sscan(strings.TrimPrefix(r.URL.Path, base+"/audits/"), &epoch)
		if epoch == a.dies {
			w.WriteHeader(http.StatusBadGateway)
		} else if data, odd := a.odd[epoch]; odd && data == nil || epoch > a.last {
			http.NotFound(w, r)
		} else if odd {
			w.Write(data)
		} else {
			w.Write(statement(key, epoch, "artifact"))
		}
	default:
		http.NotFound(w, r)
	}
}

// watch is an auditor, a clock and a follower's options.
type watch struct {
	t   *testing.T
	a   *auditor
	now time.Time
	c   *fetch.Client
	o   Options
	f   *Follower
}

func watching(t *testing.T, last uint64) *watch {
	t.Helper()
	w := &watch{t: t, a: &auditor{last: last, odd: map[uint64][]byte{}}, now: start}
	srv := httptest.NewServer(w.a)
	t.Cleanup(srv.Close)
	c, err := fetch.New(srv.URL, space, "fleetctl/test", 1000)
	if err != nil {
		t.Fatal(err)
	}
	c.Wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	c.Random = bytes.NewReader(make([]byte, 1<<16))
	w.c = c
	w.o = Options{State: filepath.Join(t.TempDir(), "state"), First: true, Now: func() time.Time { return w.now },
		Pins: history.Options{Only: space, Keys: []history.Key{{Name: "tp", Key: pub}}}}
	w.again()
	return w
}

// again is the next start of the program.
func (w *watch) again() {
	w.t.Helper()
	f, err := New(w.c, w.o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.f, w.o.First = f, false
}

// pass wants these alarms, as "kind epoch: part of its text".
func (w *watch) pass(want ...string) *Seen {
	w.t.Helper()
	seen, alarms, err := w.f.Pass(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var got []string
	for _, a := range alarms {
		got = append(got, fmt.Sprintf("%s %d: %s", a.Kind, a.Epoch, a.Text))
	}
	if len(got) != len(want) {
		w.t.Fatalf("alarms %q, want %q", got, want)
	}
	for i := range want {
		kind, text, _ := strings.Cut(want[i], ": ")
		if !strings.HasPrefix(got[i], kind+": ") || !strings.Contains(got[i], text) {
			w.t.Errorf("alarm %q, want %q", got[i], want[i])
		}
	}
	w.now = w.now.Add(5 * time.Minute)
	return seen
}

func TestAQuietNamespaceRaisesNothingAndIsSavedWhole(t *testing.T) {
	w := watching(t, 3)
	if s := w.pass(); s.Newest != 3 || s.New != 3 || s.Statements != 3 || s.Asked != 0 {
		t.Errorf("%+v", s)
	}
	if s := w.pass(); s.New != 0 || s.Asked != 3 || s.Statements != 3 {
		t.Errorf("%+v", s)
	}
	w.again()
	w.a.last = 5
	if s := w.pass(); s.Newest != 5 || s.New != 2 || s.Statements != 5 || s.Standing != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat(filepath.Join(w.o.State, "alarms.jsonl")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file of alarms was made, and none was raised")
	}
}

func TestARewrittenEpochRaisesOneAlarmWithBothStatements(t *testing.T) {
	w := watching(t, 3)
	w.pass()
	w.a.odd[2] = statement(key, 2, "another artifact")
	seen, alarms, err := w.f.Pass(t.Context())
	if err != nil || len(alarms) == 0 {
		t.Fatal(alarms, err)
	}
	var proven bool
	for _, a := range alarms {
		if a.Epoch != 2 {
			t.Errorf("%+v", a)
		}
		for _, f := range a.Evidence {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			s, err := bundle.ParseServed(f, data)
			if err != nil || s.Epoch != 2 || s.Verify(pub) != nil {
				t.Errorf("%s proves nothing: %v", f, err)
			}
		}
		proven = proven || len(a.Evidence) == 2
	}
	if !proven || seen.Standing != len(alarms) {
		t.Errorf("%+v, of alarms %+v", seen, alarms)
	}
	log, err := os.ReadFile(filepath.Join(w.o.State, "alarms.jsonl"))
	if err != nil || bytes.Count(log, []byte("\n")) != len(alarms) || !bytes.HasPrefix(log, append(alarms[0].JSON(), '\n')) {
		t.Errorf("%v: %s", err, log)
	}
	// The auditor takes it back: what was signed stays signed.
	delete(w.a.odd, 2)
	w.again()
	if s := w.pass(); s.Standing == 0 {
		t.Error("the two statements are forgotten")
	}
}

func TestWhatIsWrongIsAnAlarmOfItsKind(t *testing.T) {
	for name, c := range map[string]struct {
		wrong func(*auditor)
		want  []string
	}{
		"gone":           {func(a *auditor) { a.odd[2] = nil }, []string{"unchanged 2: it is gone"}},
		"shorter":        {func(a *auditor) { a.last = 2 }, []string{"unchanged 3: the history got shorter"}},
		"another's key":  {func(a *auditor) { a.last = 4; a.odd[4] = statement(other, 4, "artifact") }, []string{"signature 4: no pinned key"}},
		"no JSON":        {func(a *auditor) { a.last = 4; a.odd[4] = []byte("<html>") }, []string{"answer 4: is not JSON"}},
		"another epoch":  {func(a *auditor) { a.last = 4; a.odd[4] = statement(key, 7, "artifact") }, []string{"answer 4: it answers with epoch 7"}},
		"a gap":          {func(a *auditor) { a.last = 5; a.odd[4] = nil }, []string{"answer 4: has no such epoch"}},
		"a digest twice": {func(a *auditor) { a.last = 4; a.odd[4] = sameDigest(4, 3) }, []string{"unique 4: that of epoch 3 too"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := watching(t, 3)
			w.pass()
			c.wrong(w.a)
			w.pass(c.want...)
			if s := w.pass(); s.Standing != len(c.want) {
				t.Errorf("%d stand", s.Standing)
			}
			w.again() // nor does another process raise it again
			w.pass()
		})
	}
}

// sameDigest is a statement over another epoch's artifact.
func sameDigest(epoch, of uint64) []byte {
	s, err := bundle.NewStatement(bundle.Protobuf, space, 1795255200000+epoch, epoch, sha256.Sum256(fmt.Appendf(nil, "artifact %d", of)))
	if err != nil {
		panic(err)
	}
	return s.Encode([64]byte(ed25519.Sign(key, s.Message())))
}

func TestAnAuditorThatCanNotBeReachedIsNoAlarmUntilItIsSilence(t *testing.T) {
	w := watching(t, 2)
	w.o.Silence = time.Hour
	w.o.First = true
	w.again()
	w.pass()
	w.a.fails = true
	if _, alarms, err := w.f.Pass(t.Context()); err == nil || len(alarms) > 0 {
		t.Errorf("%v, %v", alarms, err)
	}
	w.now = w.now.Add(2 * time.Hour)
	w.pass("silence 2: there was no new epoch since 2027-01-01T00:00:00Z")
	if _, alarms, err := w.f.Pass(t.Context()); err == nil || len(alarms) > 0 {
		t.Errorf("raised again: %v, %v", alarms, err)
	}
	w.a.fails, w.a.last = false, 3
	if s := w.pass(); s.Standing != 0 || s.Newest != 3 {
		t.Errorf("%+v", s)
	}
}

func TestAClockThatWasAheadPutsNoSilenceOff(t *testing.T) {
	w := watching(t, 2)
	w.o.Silence, w.o.First = time.Hour, true
	w.now = start.AddDate(50, 0, 0)
	w.again()
	w.pass()
	w.now = start
	w.a.last = 2
	w.pass()
	w.now = start.Add(2 * time.Hour)
	w.pass("silence 2: ")
}

// An auditor that rewrote an epoch could have kept the alarm away by failing ever after:
// the next pass finds the rewritten statement among those that were saved.
func TestWhatAnAuditorAnsweredBeforeItFailedIsJudged(t *testing.T) {
	w := watching(t, 3)
	w.pass()
	w.a.odd[1] = statement(key, 1, "other")
	w.a.dies = 2
	w.pass("unchanged 1: it is rewritten", "unchanged 1: the statement of tp is rewritten")
	for range 2 { // the cause stands, and nothing could be asked
		if _, alarms, err := w.f.Pass(t.Context()); err == nil || len(alarms) > 0 {
			t.Errorf("%v, %v", alarms, err)
		}
	}
	w.a.dies = 0
	if s := w.pass(); s.Standing != 1 {
		t.Errorf("%+v", s)
	}
	// The same while it comes along with new epochs: those before the one it fails for.
	w.a.last, w.a.dies = 6, 6
	w.a.odd[5] = sameDigest(5, 4)
	w.pass("unique 5: ")
	// And where the process was killed between the answer and the judgement.
	f, err := os.OpenFile(filepath.Join(w.o.State, statementsName), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s\n", statement(key, 3, "other"))
	}
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	w.a.fails = true
	w.again()
	w.pass("unchanged 3: the statement of tp is rewritten")
}

// Where all but state.json was put back from an older copy, an alarm says once that
// some of what was seen isn't known any more.
func TestARecordThatWasPutBackFromAnOlderCopyIsAnAlarm(t *testing.T) {
	w := watching(t, 2)
	w.pass()
	copies := map[string][]byte{}
	for _, name := range []string{recordName, statementsName} {
		data, err := os.ReadFile(filepath.Join(w.o.State, name))
		if err != nil {
			t.Fatal(err)
		}
		copies[name] = data
	}
	w.a.last = 4
	w.pass()
	for name, data := range copies {
		if err := os.WriteFile(filepath.Join(w.o.State, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.a.odd[4] = statement(key, 4, "other") // rewritten: nothing is left that shows it
	w.again()
	w.pass("record 4: it was put back from an older copy")
	w.again()
	w.pass()
}

func TestWhatWasSeenIsNeverBegunAnewSilently(t *testing.T) {
	w := watching(t, 2)
	w.pass()
	w.o.First = true
	if _, err := New(w.c, w.o); err == nil || !strings.Contains(err.Error(), "followed before") {
		t.Errorf("--first a second time: %v", err)
	}
	w.o.First = false
	for _, lost := range []string{"record", "state.json"} {
		from, to := filepath.Join(w.o.State, lost), filepath.Join(t.TempDir(), lost)
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		f, err := New(w.c, w.o)
		if err == nil {
			_, _, err = f.Pass(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), lost+": does not exist") {
			t.Errorf("without %s: %v", lost, err)
		}
		if err := os.Rename(to, from); err != nil {
			t.Fatal(err)
		}
	}
	// Without the statements, which are asked for again, rewriting is noticed by the record.
	if err := os.Remove(filepath.Join(w.o.State, "statements.jsonl")); err != nil {
		t.Fatal(err)
	}
	w.a.odd[1] = statement(key, 1, "another artifact")
	w.again()
	w.pass("unchanged 1: is rewritten")
	w.o.State = filepath.Join(w.o.State, "elsewhere")
	if _, err := New(w.c, w.o); err == nil || !strings.Contains(err.Error(), "isn't known") {
		t.Errorf("a mistyped folder: %v", err)
	}
}

func TestManyOfOneKindAreFewAlarms(t *testing.T) {
	w := watching(t, 60)
	for e := uint64(1); e <= 60; e++ {
		w.a.odd[e] = statement(other, e, "artifact")
	}
	seen, alarms, err := w.f.Pass(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := alarms[len(alarms)-1]
	if len(alarms) != maxEach+1 || last.Count != 40 || seen.Standing != maxEach+1 {
		t.Errorf("%d alarms, the last %+v, %d stand", len(alarms), last, seen.Standing)
	}
}
