package thirdparty

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Refusable are what a policy may refuse to sign after: what can have happened up
// to the request. A verdict against the release is refused always, and what is
// tolerated has a field of its own.
func Refusable() []story.What {
	return []story.What{story.Exceptions, story.Absent, story.ClockSet, story.Reservations, story.Interruptions, story.OtherProgram, story.Adjournments, story.OtherSeals,
		story.DestroyedKeys, story.FailedKeys, story.Unattested, story.WrongPINs, story.WrongWords}
}

// checkRefuses says what is wrong with the list of what a policy refuses.
func checkRefuses(list []string) error {
	if list != nil && len(list) == 0 {
		return fmt.Errorf("refuses lists nothing: leave it out, then nothing but a fault is refused")
	}
	for i, name := range list {
		switch {
		case !slices.Contains(Refusable(), story.What(name)):
			return fmt.Errorf("refuses has %q; there are %s", name, Names(Refusable()))
		case slices.Contains(list[:i], name):
			return fmt.Errorf("refuses has %q twice", name)
		}
	}
	return nil
}

// Names lists what can go otherwise than planned, as a policy names it.
func Names(list []story.What) string {
	names := make([]string, len(list))
	for i, w := range list {
		names[i] = string(w)
	}
	return strings.Join(names, ", ")
}

// refused says what of a story the policy doesn't sign after. A login whose answer
// is withheld may be one with a wrong PIN.
func (p *Policy) refused(file string, s *story.Story) error {
	var faults strict.Errors
	for _, name := range p.Refuses {
		w := story.What(name)
		n := s.Count(w)
		if w == story.WrongPINs {
			if h := s.Count(story.WithheldPINs); h > 0 {
				faults.Add(strict.Errorf(file, "withholds what %d logins were answered, and the policy refuses %s: it can't be seen that there are none", h, w).
					WithHint("the operator gives the request with everything in it"))
			}
		}
		if n == 0 {
			continue
		}
		var where []string
		for _, e := range s.Of(w) {
			at := "by " + e.Who
			if e.Record != nil {
				at = fmt.Sprintf("record %d", e.Record.N)
			}
			where = append(where, at)
		}
		if len(where) > 5 {
			where = append(where[:5], "…")
		}
		faults.Add(strict.Errorf(file, "the policy refuses %s, and its ceremony had %d: %s", w, n, strings.Join(where, ", ")).
			WithHint("fleetctl show says of each what happened. If that is well, say so by a policy that doesn't refuse it; else ask the operator for another ceremony"))
	}
	return faults.Err()
}

// Unpinned are the plan's people none of whose keys the policy pins: what they
// signed counts for nothing here, and they are not absent.
func (in *Inspection) Unpinned() (names []string) {
	pinned := map[string]bool{}
	for _, x := range in.Account.Plan.People {
		if k, err := sshsig.ParsePublicKey(x.Key); err == nil {
			_, _, ok := in.policy.people.RoleOf(k)
			pinned[x.Name] = pinned[x.Name] || ok
		}
	}
	for _, x := range in.Account.Plan.People {
		if !pinned[x.Name] && !slices.Contains(names, x.Name) {
			names = append(names, x.Name)
		}
	}
	return names
}

// notPinned says of a release that isn't signed off by whom the policy pins who of
// the plan's people has signed it all the same: they are not absent, they are not
// pinned.
func notPinned(a *ceremony.Account, want ceremony.Signoff, signoffs []ceremony.Signing, said *ceremony.Verdicts, why *strict.Error) error {
	people, err := a.People()
	if err != nil {
		return why
	}
	all, err := people.Signoffs(want, signoffs)
	if err != nil || len(all.Against) > 0 {
		return why
	}
	var names []string
	for _, part := range []struct {
		is          string
		theirs, our []string
	}{{ceremony.Officer, all.Officers, said.Officers}, {ceremony.Witness, all.Witnesses, said.Witnesses}, {ceremony.Auditor, all.Auditors, said.Auditors}} {
		if len(part.our) < len(part.theirs) && (part.is == ceremony.Officer || len(part.our) == 0) {
			names = append(names, part.is+" "+strings.Join(part.theirs, ", "))
		}
	}
	if len(names) == 0 {
		return why
	}
	return strict.Errorf(why.File, "%s whom the policy pins; by the plan's keys it is signed by %s", why.Msg, strings.Join(names, "; ")).
		WithHint("they are not absent: the policy doesn't pin their keys. Confirm a key with its owner, then add it under people:; never because a request needs it")
}

// signed is what a request brings that people signed: each folder is read, and each
// signature verified, once.
type signed struct {
	files map[string][]byte
	lists map[string][]ceremony.Signing
}

func signedIn(r *bundle.Request) *signed {
	s := &signed{map[string][]byte{}, map[string][]ceremony.Signing{}}
	for _, f := range r.Files {
		s.files[f.Path] = f.Data
	}
	return s
}

func (s *signed) read(dir string) ([]ceremony.Signing, error) {
	if list, ok := s.lists[dir]; ok {
		return list, nil
	}
	list, err := ceremony.Signings(s.files, dir)
	if err == nil {
		s.lists[dir] = list
	}
	return list, err
}
