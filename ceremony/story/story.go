package story

import (
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
)

// Story is how a ceremony went, as far as its records go.
type Story struct {
	Account     *ceremony.Account
	Records     []*ceremony.Record
	Began, Last time.Time
	// Paused is how long it stood between an adjournment or an interruption and the
	// record that went on.
	Paused time.Duration
	Events []Event // what went otherwise than planned, in the records' order
	Logins int     // into HSMs, with what PIN ever

	// People are the plan's, with what each signed; nil where what people signed
	// isn't at hand.
	People []Person
	// Accepted are the officers who accepted each exception.
	Accepted [][]string
}

// Event is one thing that went otherwise than planned.
type Event struct {
	What   What
	Record *ceremony.Record // nil of a verdict: it is no record
	Who    string           // whose verdict it is
}

// Signed gives what people signed in a folder of a package: see ceremony.Signings.
type Signed func(dir string) ([]ceremony.Signing, error)

// Tell tells the story of a ceremony that was replayed. records are the
// transcript's, or its first ones. signed is nil where nothing that people signed
// is at hand. Whose signatures count follows from the plan's keys: who else pins
// these people is for a verifier's policy to say. pending are acts that officers
// may have approved and that are not on the record yet.
func Tell(a *ceremony.Account, records []*ceremony.Record, signed Signed, pending ...ceremony.Approval) (*Story, error) {
	s := &Story{Account: a, Records: records}
	var thread Thread
	for i, r := range records {
		if i == 0 {
			s.Began = r.Time
		} else if goesOn(r) {
			s.Paused += max(0, r.Time.Sub(s.Last))
		}
		s.Last = r.Time
		if r.Kind == ceremony.KindUnlock {
			s.Logins++
		}
		for _, w := range thread.Next(r) {
			s.Events = append(s.Events, Event{What: w, Record: r})
		}
	}
	if signed == nil {
		return s, nil
	}
	return s, s.readPeople(signed, pending)
}

// goesOn says that nothing happened between the record before and this one.
func goesOn(r *ceremony.Record) bool {
	return r.Kind == ceremony.KindReconvene || r.Kind == ceremony.KindResume
}

// Of are the events of one sort.
func (s *Story) Of(w What) (list []Event) {
	for _, e := range s.Events {
		if e.What == w {
			list = append(list, e)
		}
	}
	return list
}

// Count is how many of a sort there are.
func (s *Story) Count(w What) int { return len(s.Of(w)) }

// PlannedLogins is how many logins a ceremony takes in which nothing goes
// otherwise: one an HSM.
func (s *Story) PlannedLogins() int { return len(s.Account.Plan.HSMs) }

// Person is one of the plan's people, with what they signed.
type Person struct {
	Name, Role string
	Plan       bool     // approved it
	Acts       []string // approved, by name, in the records' order
	Accepted   []int    // exceptions
	Release    []string // verdicts on it, each once; none where empty
	Close      []string
	Abort      bool // signed that it ended so
}

// Signed says whether they signed anything.
func (p *Person) Signed() bool {
	return p.Plan || p.Abort || len(p.Acts)+len(p.Accepted)+len(p.Release)+len(p.Close) > 0
}

func (s *Story) readPeople(signed Signed, pending []ceremony.Approval) error {
	a := s.Account
	people, err := a.People()
	if err != nil {
		return err
	}
	s.People = []Person{}
	for _, p := range a.Plan.People {
		if s.person(p.Name) == nil { // several keys are one person
			s.People = append(s.People, Person{Name: p.Name, Role: p.Role})
		}
	}
	list, err := signed(ceremony.PlanApprovalsDir)
	if err != nil {
		return err
	}
	names, err := people.PlanApprovals(a.Plan, list)
	if err != nil {
		return err
	}
	for _, name := range names {
		s.person(name).Plan = true
	}
	if err := s.readActs(people, signed, pending); err != nil {
		return err
	}
	for _, stage := range []string{ceremony.StageRelease, ceremony.StageClose} {
		if err := s.readVerdicts(people, signed, stage); err != nil {
			return err
		}
	}
	return nil
}

func (s *Story) person(name string) *Person {
	i := slices.IndexFunc(s.People, func(p Person) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &s.People[i]
}

// readActs reads who approved what.
func (s *Story) readActs(people *ceremony.People, signed Signed, pending []ceremony.Approval) error {
	list, err := signed(ceremony.ApprovalsDir)
	if err != nil {
		return err
	}
	acts, err := people.ReadApprovals(list)
	if err != nil {
		return err
	}
	for _, need := range slices.Concat(s.Account.Needs, pending) {
		officers := acts.Officers(need)
		if need.Act == ceremony.ApproveException {
			s.Accepted = append(s.Accepted, officers)
		}
		for _, name := range officers {
			p := s.person(name)
			if need.Act == ceremony.ApproveException {
				p.Accepted = append(p.Accepted, len(s.Accepted))
				continue
			}
			p.Acts = append(p.Acts, need.Act)
		}
	}
	if s.Account.Abort != nil {
		for _, who := range acts.Signers(s.Account.AbortApproval()) {
			s.person(who.Name).Abort = true
		}
	}
	return nil
}

func (s *Story) readVerdicts(people *ceremony.People, signed Signed, stage string) error {
	want, err := s.Account.WantedSignoff(stage)
	if err != nil {
		return nil // the ceremony didn't come to it: nobody can have signed it off
	}
	list, err := signed(ceremony.SignoffDir(stage))
	if err != nil {
		return err
	}
	said, err := people.Signoffs(want, list)
	if err != nil {
		return err
	}
	for _, one := range said.Said {
		p := s.person(one.Name)
		to := &p.Release
		if stage == ceremony.StageClose {
			to = &p.Close
		}
		if slices.Contains(*to, one.Verdict) {
			continue // by a second key of theirs
		}
		*to = append(*to, one.Verdict)
		switch one.Verdict {
		case ceremony.Agree:
		case ceremony.DoNotAgree:
			s.Events = append(s.Events, Event{What: Disagreements, Who: one.Name})
		default:
			s.Events = append(s.Events, Event{What: Reservations, Who: one.Name})
		}
	}
	return nil
}
