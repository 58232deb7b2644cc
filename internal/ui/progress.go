package ui

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/fleetctl/fleetctl/internal/words"
)

// Progress is one line on standard error, rewritten while something long
// runs and gone when it is over. Where that can't be done (no terminal, plain)
// it says nothing at all: a log wants the result.
type Progress struct {
	out     *Output
	label   string
	now     func() time.Time
	start   time.Time
	written time.Time
	before  int64 // done when it began
}

// pause is the least time between two rewritings: more often only flickers.
const pause = 100 * time.Millisecond

// Progress begins. The label says what is being done to what. Call Stop when
// it's over; Print, Say and the prompts clear the line by themselves.
func (o *Output) Progress(label string) *Progress {
	return &Progress{out: o, label: words.Clean(label), now: time.Now, start: time.Now()}
}

// From says how many were done when it began: what an earlier run did says
// nothing about this one's pace.
func (p *Progress) From(done int64) { p.before = done }

// Set says how many of how many are done; a total of 0 is one not known yet.
func (p *Progress) Set(done, total int64) {
	if !p.out.live {
		return
	}
	now := p.now()
	if now.Sub(p.written) < pause {
		return
	}
	p.written = now
	line := "  " + p.label + "   " + pace(done, total, p.before, now.Sub(p.start))
	p.out.rewrite(ansi.Truncate(line, p.out.Talk.width-1, "…"))
}

// Stop takes the line away.
func (p *Progress) Stop() { p.out.clearLine() }

// pace puts progress into words: how far, how fast, how much longer.
func pace(done, total, before int64, since time.Duration) string {
	parts := []string{words.Number(done)}
	if total > 0 {
		parts = []string{words.Number(done) + " of " + words.Number(total), fmt.Sprintf("%d %%", int(100*float64(done)/float64(total)))}
	}
	rate := float64(done-before) / since.Seconds()
	if since < time.Second || rate <= 0 { // a guess from too little misleads
		return strings.Join(parts, "   ")
	}
	parts = append(parts, perSecond(rate))
	if total > done {
		left := time.Duration(math.Ceil(float64(total-done)/rate)) * time.Second
		parts = append(parts, short(left)+" left")
	}
	return strings.Join(parts, "   ")
}

func perSecond(rate float64) string {
	if rate >= 1000 {
		return fmt.Sprintf("%.0f k/s", rate/1000)
	}
	return fmt.Sprintf("%.0f/s", rate)
}

const eraseLine = "\r\x1b[K"

func (o *Output) rewrite(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = io.WriteString(o.err, eraseLine+line)
	o.pending = true
}

// clearLine makes room before anything else is written.
func (o *Output) clearLine() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending {
		_, _ = io.WriteString(o.err, eraseLine)
		o.pending = false
	}
}

// short is a duration in the little room of a line: 30 s, 5 min, 2 h 5 min.
func short(d time.Duration) string {
	switch h, m := int(d/time.Hour), int(d/time.Minute)%60; {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int64(d/time.Second))
	case h == 0:
		return fmt.Sprintf("%d min", m)
	default:
		return fmt.Sprintf("%d h %d min", h, m)
	}
}
