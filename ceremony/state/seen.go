package state

import (
	"bytes"
	"errors"
	"slices"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	seenFormat = "fleetctl second-screen v1"
	maxSeen    = 8 << 20
	// maxAlarms is how many refusals are kept: the first ones say what happened.
	maxAlarms = 64
)

// How a state is known.
const (
	Claimed  = "claimed"  // the ceremony's machine says so
	Chained  = "chained"  // records lead to it that can't be others later
	Replayed = "replayed" // the transcript says so, and was judged whole
)

// Seen is what a second screen keeps: every state that it was shown. It never goes
// back, and a machine that shows another past is told.
type Seen struct {
	Format string   `strict:"format"`
	Plan   [32]byte `strict:"plan,hex"`
	Points []Point  `strict:"points"`
	Alarms []Alarm  `strict:"alarms"`
	// Ceremony is the id of the ceremony that is followed, once records were shown.
	Ceremony string `strict:"ceremony,optional"`
}

// Point is a state that was seen.
type Point struct {
	State string `strict:"state"`
	How   string `strict:"how"`

	s State
}

// Alarm is something that was refused.
type Alarm struct {
	Name  string `strict:"name"`
	Text  string `strict:"text"`
	After int    `strict:"after"` // the last record that had been seen then
}

// NewSeen is what a screen has seen before it is shown anything.
func NewSeen(p *ceremony.Plan) *Seen {
	return &Seen{Format: seenFormat, Plan: p.Digest(), Points: []Point{}, Alarms: []Alarm{}}
}

// ParseSeen reads what a screen has kept of a plan's ceremony.
func ParseSeen(file string, data []byte, p *ceremony.Plan) (*Seen, error) {
	s := &Seen{}
	n, err := strict.DecodeFormat(file, data, maxSeen, seenFormat, s)
	if err != nil {
		return nil, err
	}
	if s.Plan != p.Digest() {
		return nil, strict.Errorf(file, "is of a ceremony by another plan, %x…", s.Plan[:8]).WithHint("each ceremony has a folder of its own: --dir names another")
	}
	if err := strict.CheckToken(s.Ceremony); s.Ceremony != "" && err != nil {
		return nil, strict.At(file, n.LineOf("ceremony"), "ceremony: %v", err)
	}
	last := -1
	for i := range s.Points {
		at := &s.Points[i]
		line := n.LineOf("points", i)
		if at.s, err = Parse(at.State); err != nil {
			return nil, strict.At(file, line, "point %d %v", i+1, err)
		}
		if err := at.s.fits(p); err != nil {
			return nil, strict.At(file, line, "point %d: %v", i+1, err)
		}
		if !slices.Contains([]string{Claimed, Chained, Replayed}, at.How) {
			return nil, strict.At(file, line, "point %d is known in an unknown way, %q", i+1, strict.Clip(at.How))
		}
		if at.s.Record <= last {
			return nil, strict.At(file, line, "point %d does not come after the one before it", i+1)
		}
		last = at.s.Record
	}
	for i, x := range s.Alarms {
		if x.Name == "" || x.Text == "" || i >= maxAlarms {
			return nil, strict.At(file, n.LineOf("alarms", i), "alarm %d says nothing, or there are more than %d", i+1, maxAlarms)
		}
	}
	return s, nil
}

// Encode is the file.
func (s *Seen) Encode() []byte { return strict.EncodeJSON(s) }

// Last is the newest state and how it is known; false before the first.
func (s *Seen) Last() (State, string, bool) {
	if len(s.Points) == 0 {
		return State{}, "", false
	}
	p := s.Points[len(s.Points)-1]
	return p.s, p.How, true
}

// alarm keeps what was refused, unless it is a repetition of what was taken.
func (s *Seen) alarm(err error) error {
	var r *Refusal
	if errors.As(err, &r) && !r.Known && len(s.Alarms) < maxAlarms {
		x := Alarm{Name: r.Name, Text: r.Text}
		if last, _, ok := s.Last(); ok {
			x.After = last.Record
		}
		if !slices.Contains(s.Alarms, x) {
			s.Alarms = append(s.Alarms, x)
		}
	}
	return err
}

// Claim takes a state that the ceremony's machine shows without its records.
func (s *Seen) Claim(p *ceremony.Plan, x State) error { return s.alarm(s.claim(p, x)) }

func (s *Seen) claim(p *ceremony.Plan, x State) error {
	if err := x.fits(p); err != nil {
		return err
	}
	if err := s.newer(x); err != nil {
		return err
	}
	s.add(x, Claimed)
	return nil
}

// newer says why a state that is no newer than the last can't be taken. The last one
// itself can be shown again.
func (s *Seen) newer(x State) error {
	last, _, ok := s.Last()
	switch {
	case !ok:
		return nil
	case x.Record > last.Record && last.ended():
		return refused(OtherState, "the ceremony was shown here as ended with record %d, and record %d is shown now", last.Record, x.Record)
	case x.Record > last.Record && x.Step < last.Step:
		return refused(OtherState, "record %d is at step %d, and record %d was shown here at step %d: no step comes again", x.Record, x.Step, last.Record, last.Step)
	case x.Record > last.Record && x.Resumed < last.Resumed:
		return refused(OtherState, "record %d was shown here after %d resumes, and record %d is shown after %d", last.Record, last.Resumed, x.Record, x.Resumed)
	case x.Record > last.Record:
		return nil
	}
	at := slices.IndexFunc(s.Points, func(p Point) bool { return p.s.Record == x.Record })
	switch {
	case at >= 0 && s.Points[at].s.Head != x.Head:
		return refused(AnotherHead, "record %d had the head %x… when it was seen here, and has %x… now", x.Record, s.Points[at].s.Head[:8], x.Head[:8])
	case at >= 0 && s.Points[at].s != x:
		return refused(OtherState, "record %d is shown again with its head, and with another step, other words or another number of resumes", x.Record)
	case x == last:
		return nil
	}
	r := refused(OlderState, "what is shown ends with record %d; record %d was seen here", x.Record, last.Record)
	r.Known = at >= 0
	return r
}

// add puts a state behind the others; the last one can only become better known.
func (s *Seen) add(x State, how string) {
	if n := len(s.Points); n > 0 && s.Points[n-1].s == x {
		s.Points[n-1].How = better(s.Points[n-1].How, how)
		return
	}
	s.Points = append(s.Points, Point{x.String(), how, x})
}

func better(have, new string) string {
	if new == Replayed || have == Claimed {
		return new
	}
	return have
}

// LinkFile takes a chain as it is carried. One that doesn't follow itself is refused as a
// transcript is that breaks a rule: its machine made it so.
func (s *Seen) LinkFile(p *ceremony.Plan, file string, data []byte) error {
	c, err := ParseChain(file, data)
	if err != nil {
		return s.alarm(refused(BrokenChain, "%v", err))
	}
	return s.Link(p, c)
}

// Link takes a chain of records. Every state that was seen along it has to lie on it.
func (s *Seen) Link(p *ceremony.Plan, c *Chain) error { return s.alarm(s.link(p, c)) }

func (s *Seen) link(p *ceremony.Plan, c *Chain) error {
	if c.Plan != p.Digest() {
		return refused(AnotherPlan, "the chain is of a ceremony by plan %x…", c.Plan[:8])
	}
	if err := c.State.fits(p); err != nil {
		return err
	}
	heads := c.heads()
	for _, at := range s.Points {
		if i := at.s.Record - c.After; i >= 0 && i < len(heads) && heads[i] != at.s.Head {
			return refused(AnotherHead, "record %d had the head %x… when it was seen here, and has %x… in the chain", at.s.Record, at.s.Head[:8], heads[i][:8])
		} else if i >= 0 && i < len(heads) && min(at.s.Resumed+c.resumes(i), maxResumed) != c.State.Resumed {
			return refused(OtherState, "record %d was shown here after %d resumes, and by the chain record %d comes after %d", at.s.Record, at.s.Resumed, c.State.Record, c.State.Resumed)
		}
	}
	err := s.newer(c.State)
	if r := (*Refusal)(nil); err != nil && (!errors.As(err, &r) || !r.Known) {
		return err
	}
	if from := s.firmest(); c.After > from {
		return refused(BrokenChain, "it begins after record %d, and only up to record %d are records known here: ask for --since %d", c.After, from, from)
	}
	for i, at := range s.Points {
		if at.s.Record <= c.State.Record {
			s.Points[i].How = better(at.How, Chained)
		}
	}
	if err == nil { // else it ends at a state that was seen before the last
		s.add(c.State, Chained)
	}
	return nil
}

// firmest is the last record up to which a chain or a transcript was seen.
func (s *Seen) firmest() int {
	for _, at := range slices.Backward(s.Points) {
		if at.How != Claimed {
			return at.s.Record
		}
	}
	return 0
}

// Replay takes a transcript and judges it whole. Every state that was seen has to be
// what its records say.
func (s *Seen) Replay(p *ceremony.Plan, file string, data []byte) (*ceremony.Account, error) {
	a, err := s.replay(p, file, data)
	return a, s.alarm(err)
}

func (s *Seen) replay(p *ceremony.Plan, file string, data []byte) (*ceremony.Account, error) {
	t, err := ceremony.ParseTranscript(file, data, p.Digest())
	if err != nil {
		return nil, refused(s.broken(data), "%v", err)
	}
	a := ceremony.NewAccount(p)
	next := 0
	for {
		for next < len(s.Points) && s.Points[next].s.Record == a.N {
			is, err := Of(a)
			switch was := s.Points[next].s; {
			case err != nil:
				return nil, err
			case is.Head != was.Head:
				return nil, refused(AnotherHead, "record %d had the head %x… when it was seen here, and has %x… in the transcript", was.Record, was.Head[:8], is.Head[:8])
			case is != was:
				return nil, refused(OtherState, "after record %d another step was shown here, or other words, than the transcript has", was.Record)
			}
			next++
		}
		if a.N == len(t.Records) {
			break
		}
		r := t.Records[a.N]
		if err := a.Apply(r); err != nil {
			return nil, refused(BrokenChain, "record %d, %s, can't be the next: %v", r.N, r.Kind, err)
		}
	}
	is, err := Of(a)
	if err != nil {
		return nil, err
	}
	if err := s.newer(is); err != nil {
		return nil, err
	}
	for i := range s.Points {
		s.Points[i].How = Replayed
	}
	if a.Open != nil {
		s.Ceremony = a.Open.Ceremony
	}
	s.add(is, Replayed)
	return a, nil
}

// broken names what is wrong with a transcript that can't be read: one that begins at
// another plan is called that.
func (s *Seen) broken(data []byte) string {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	var r ceremony.Record
	if strict.DecodeJSON("", line, len(line), &r) == nil && r.N == 1 && r.Prev != s.Plan {
		return AnotherPlan
	}
	return BrokenChain
}
