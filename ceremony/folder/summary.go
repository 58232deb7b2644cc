package folder

import (
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/story"
)

// Summary says how a ceremony went, by its transcript and signatures. A rehearsal's is
// compared with the production ceremony's.
type Summary struct {
	Ceremony  string
	Mode      string
	Plan      [32]byte
	Rehearses [32]byte
	State     string // running, aborted, closed
	Took      time.Duration
	Steps     []StepSummary // those done, in order
	Planned   int           // number of steps by the plan
	People    []string      // those who signed anything, sorted by name
	Story     *story.Story
}

// StepSummary says how a step went. Paused is the part of Took between an adjournment or
// an interruption and the record that went on.
type StepSummary struct {
	Title        string
	Took, Paused time.Duration
	Tries        int    // of its word challenge; 0 if it has none
	By           string // who typed the words
}

// ReadSummary reads how the ceremony in a folder went.
func ReadSummary(dir string) (*Summary, error) {
	a, t, err := ReadRecords(dir)
	if err != nil {
		return nil, err
	}
	c := summaryOf(a.Plan, t)
	if c.Story, err = story.Tell(a, t.Records, func(of string) ([]ceremony.Signing, error) { return ReadSignings(dir, of) }); err != nil {
		return nil, err
	}
	for _, p := range c.Story.People {
		if p.Signed() {
			c.People = append(c.People, p.Name)
		}
	}
	slices.Sort(c.People)
	return c, nil
}

func summaryOf(p *ceremony.Plan, t *ceremony.Transcript) *Summary {
	c := &Summary{Mode: p.Mode, Plan: p.Digest(), Rehearses: p.Rehearses, State: "running", Planned: len(p.Steps())}
	a := ceremony.NewAccount(p)
	var step StepSummary
	var began, last time.Time
	for i, r := range t.Records {
		if i == 0 {
			began, last = r.Time, r.Time
		}
		now, _ := a.Next()
		number := a.StepNumber()
		if a.Apply(r) != nil {
			return c // can't happen: the transcript was replayed before
		}
		step.Title = now.Title()
		step.Took += r.Time.Sub(last)
		note(r, &step, r.Time.Sub(last))
		last = r.Time
		if a.StepNumber() != number {
			c.Steps, step = append(c.Steps, step), StepSummary{}
		}
	}
	c.Took = last.Sub(began)
	if a.Open != nil {
		c.Ceremony = a.Open.Ceremony
	}
	switch {
	case a.Abort != nil:
		c.State = "aborted"
	case a.Close != nil:
		c.State = "closed"
	}
	return c
}

// note adds what a record says about its step.
func note(r *ceremony.Record, step *StepSummary, since time.Duration) {
	switch x := r.Content.(type) {
	case *ceremony.Challenge:
		step.Tries, step.By = x.Tries, x.By
	case *ceremony.Reconvene, *ceremony.Resume:
		step.Paused += since
	}
}
