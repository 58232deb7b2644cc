package ui

import (
	"bytes"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	var screen bytes.Buffer
	o := testOutput(t, Options{Stdout: &screen, Stderr: &screen, Width: 60})
	o.live = true
	now := time.Unix(0, 0)
	p := o.Progress("history  example\x1b")
	p.now, p.start = func() time.Time { return now }, now
	step := func(d time.Duration, done, total int64) string {
		screen.Reset()
		now = now.Add(d)
		p.Set(done, total)
		return screen.String()
	}
	for _, c := range []struct {
		after       time.Duration
		done, total int64
		want        string
	}{
		{0, 0, 118400, "\r\x1b[K  history  example\\x1b   0 of 118,400   0 %"},
		{50 * time.Millisecond, 10, 118400, ""},
		{1950 * time.Millisecond, 72224, 118400, "\r\x1b[K  history  example\\x1b   72,224 of 118,400   61 %   36 k/s…"},
		{time.Second, 118399, 118400, "\r\x1b[K  history  example\\x1b   118,399 of 118,400   99 %   39 k/…"},
		{97 * time.Second, 30, 0, "\r\x1b[K  history  example\\x1b   30   0/s"},
		{time.Second, 4, 4, "\r\x1b[K  history  example\\x1b   4 of 4   100 %   0/s"},
	} {
		if got := step(c.after, c.done, c.total); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
	p = o.Progress("audit")
	p.now, p.start = func() time.Time { return now }, now
	p.From(600_000)
	if got, want := step(10*time.Second, 700_000, 1_000_000), "\r\x1b[K  audit   700,000 of 1,000,000   70 %   10 k/s   30 s left"; got != want {
		t.Errorf("resumed: %q, not %q", got, want)
	}
	screen.Reset()
	if err := o.Print("result\n"); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if got := screen.String(); got != "\r\x1b[Kresult\n" {
		t.Errorf("%q", got)
	}
}

func TestProgressIsSilentInALog(t *testing.T) {
	var screen bytes.Buffer
	p := testOutput(t, Options{Stderr: &screen}).Progress("history")
	p.Set(1, 2)
	p.Stop()
	if screen.Len() > 0 {
		t.Errorf("%q", screen.String())
	}
}
