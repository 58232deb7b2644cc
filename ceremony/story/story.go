package story

import (
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
)

// Story says how a ceremony went, by its records and signatures.
type Story struct {
	Account     *ceremony.Account
	Records     []*ceremony.Record
	Began, Last time.Time
	// Paused is the time between an adjournment or an interruption and the record that
	// went on.
	Paused time.Duration
	Pauses []Pause
	Events []Event // what went otherwise than planned, in the records' order
	Logins int     // tries to log in to HSMs, also refused ones

	// People are the plan's, with what each signed; nil if the signatures aren't
	// available.
	People []Person
	// Accepted are the officers who accepted each exception.
	Accepted [][]string
}

// Pause is a standstill: from the last record before it to the one that went on.
type Pause struct{ From, To *ceremony.Record }

// Event is one thing that went otherwise than planned.
type Event struct {
	What   What
	Record *ceremony.Record // nil for a verdict, which is no record
	Who    string           // the person who gave the verdict
}

// Signed returns the signings in a folder of a package: see ceremony.Signings.
type Signed func(dir string) ([]ceremony.Signing, error)

// Tell tells the story of a ceremony that was replayed. records are all records of its
// transcript, or the first of them. signed is nil if the signatures aren't available.
// Signatures count by the plan's keys; whether a verifier trusts these people is for its
// policy to say. pending are acts that officers may have approved and that have no
// record yet.
func Tell(a *ceremony.Account, records []*ceremony.Record, signed Signed, pending ...ceremony.Approval) (*Story, error) {
	s := &Story{Account: a, Records: records}
	var thread Thread
	for i, r := range records {
		if i == 0 {
			s.Began = r.Time
		} else if goesOn(r) {
			s.Paused += max(0, r.Time.Sub(s.Last))
			s.Pauses = append(s.Pauses, Pause{records[i-1], r})
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

// goesOn says whether a record ends a pause.
func goesOn(r *ceremony.Record) bool {
	return r.Kind == ceremony.KindReconvene || r.Kind == ceremony.KindResume
}

// Of are the events of one kind.
func (s *Story) Of(w What) (list []Event) {
	for _, e := range s.Events {
		if e.What == w {
			list = append(list, e)
		}
	}
	return list
}

// Count is how many events of a kind there are.
func (s *Story) Count(w What) int { return len(s.Of(w)) }

// PlannedLogins is how many logins a ceremony takes if all goes as planned: one for each
// HSM.
func (s *Story) PlannedLogins() int { return len(s.Account.Plan.HSMs) }

// Person is one of the plan's people, with what they signed.
type Person struct {
	Name, Role string
	Plan       bool     // approved the plan
	Acts       []string // names of the acts approved, in the records' order
	Accepted   []int    // numbers of the exceptions accepted
	Release    []string // different verdicts on the release
	Close      []string // different verdicts on the close
	Abort      bool     // signed the abort
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
		return nil // the ceremony has not reached this stage
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
			continue // signed with another key of this person
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
