package screen_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/screen"
	"github.com/fleetctl/fleetctl/internal/statepage"
)

// atStep is a state by a room's plan in which the next record belongs to an act's step.
func (x *room) atStep(act ceremony.Act, wants state.Wants) state.State {
	x.t.Helper()
	at := x.states[len(x.states)-1]
	for i, s := range x.plan.Steps() {
		if s.Act == act {
			at.Record, at.Head, at.Step, at.Wants, at.Subject = at.Record+9, [32]byte{7}, i+1, wants, [32]byte{}
			return at
		}
	}
	x.t.Fatalf("the plan has no step %s", act)
	return at
}

func TestWhileVerdictsAreGivenTheSecondScreenShowsTheirStep(t *testing.T) {
	x := held(t, "verdicts", "run", keys.Ed25519)
	at := x.atStep(ceremony.ActRequest, state.Records)
	text, _, _ := auditor(t).types(t, x, at.String())
	text = strings.Join(strings.Fields(text), " ")
	wants(t, text, "· release: verdicts")
	if strings.Contains(text, "nothing but listen and look") {
		t.Errorf("it says that the auditor does nothing\n%s", text)
	}
	release := x.plan.Steps()[at.Step-2]
	for _, part := range script.InstructionsFor(x.plan, release).Do {
		if part.Who == ceremony.Auditor {
			wants(t, text, strings.Join(strings.Fields(part.Text), " "))
		}
	}
	closed := x.atStep(ceremony.ActClose, state.Closed)
	closed.Step++
	text, _, _ = auditor(t).types(t, x, closed.String())
	wants(t, text, "The ceremony is closed; read it and sign the close.")
}

func TestAnAlarmInAFolderThatWasUsedBeforeNamesTheFolder(t *testing.T) {
	x, other := held(t, "two", "run", keys.Ed25519), held(t, "two", "another", keys.Ed25519)
	s := auditor(t)
	n := len(x.states) - 1
	lie := other.states[n].String()
	text, _, _ := s.types(t, x, x.states[n].String(), lie)
	wants(t, text, "the machine shows two pasts")
	if strings.Contains(text, "another ceremony") {
		t.Errorf("a folder that is new is doubted\n%s", text)
	}
	text, _, _ = s.types(t, x, lie)
	text = strings.Join(strings.Fields(text), " ")
	wants(t, text, "the machine shows two pasts; or "+s.dir+" is from another ceremony, which was seen up to record ")
}

func TestAResumeIsToldOnTheSecondScreen(t *testing.T) {
	x := held(t, "resumed", "run", keys.Ed25519)
	first := x.states[5]
	again := x.states[9]
	again.Resumed = 1
	text, _, _ := auditor(t).types(t, x, first.String(), again.String())
	if strings.Count(text, "goes on after a stop") != 1 {
		t.Errorf("a resume is told otherwise than once\n%s", text)
	}
	wants(t, strings.Join(strings.Fields(text), " "), "The ceremony goes on after a stop: officers have approved a resume, 1 time so far. Unless it had been adjourned, it was interrupted: ask why.")
}

func TestAnAlarmNamesTheCeremonyOnceItsRecordsWereShown(t *testing.T) {
	x, other := held(t, "named", "run", keys.Ed25519), held(t, "named", "another", keys.Ed25519)
	id := x.records[0].Content.(*ceremony.Open).Ceremony
	n := len(x.states) - 1
	file := filepath.Join(t.TempDir(), "transcript.jsonl")
	check(t, os.WriteFile(file, x.transcript(n), 0o600))
	for _, shown := range []string{x.states[n].String(), file} {
		s := auditor(t)
		text, _, _ := s.types(t, x, shown, other.states[n].String())
		text = strings.Join(strings.Fields(text), " ")
		if want := "This screen follows the ceremony " + id; strings.Contains(text, want) != (shown == file) {
			t.Errorf("%.20s: %q is said: %t\n%s", shown, want, shown != file, text)
		}
		if shown != file {
			continue
		}
		text, _, _ = s.types(t, x, other.states[n].String())
		wants(t, strings.Join(strings.Fields(text), " "), "is from another ceremony, "+id)
	}
}

// enters presses Enter, and does something before each time.
type enters struct{ before []func() }

func (e *enters) Read(b []byte) (int, error) {
	if len(e.before) == 0 {
		return 0, os.ErrClosed
	}
	e.before[0]()
	e.before = e.before[1:]
	b[0] = '\n'
	return 1, nil
}

func TestALostConnectionIsToldAndThatItIsBack(t *testing.T) {
	x := held(t, "lost", "run", keys.Ed25519)
	dir := t.TempDir()
	n := x.after(state.Words, 2)
	check(t, os.WriteFile(filepath.Join(dir, ceremony.TranscriptFile), x.transcript(n), 0o600))
	page := statepage.Handler(dir, x.plan)
	var down atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		page.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	nothing := func() {}
	in := &enters{[]func(){nothing, func() { down.Store(true) }, nothing, func() { down.Store(false) }, nothing}}
	var out, talk bytes.Buffer
	a := cli.New(in, &out, &talk)
	a.Format, a.Color = "text", "auto"
	a.Now = func() time.Time { return time.Date(2026, 11, 21, 15, 3, 0, 0, time.UTC) }
	check(t, a.SetUp())
	v := screen.Screen{App: a, Plan: x.plan, Role: ceremony.Auditor, Dir: filepath.Join(t.TempDir(), "screen"), From: srv.URL}
	_ = v.Run(context.Background()) // it ends with the input
	text := strings.Join(strings.Fields(talk.String()), " ")
	rest := text
	for _, want := range []string{"looked: nothing new", "15:03 no connection to the room: " + srv.URL, "looked: still no connection to the room", "15:03 connected again, still record ", "looked: nothing new"} {
		at := strings.Index(rest, want)
		if at < 0 {
			t.Fatalf("there is no %q in its place in\n%s", want, talk.String())
		}
		rest = rest[at+len(want):]
	}
}
