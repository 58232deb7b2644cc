package folder

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// Missing is an act or a stage that the ceremony waits for, with those who signed it so
// far.
type Missing struct {
	Pending
	Exception int // the number of the exception to be accepted; 0 for other acts
	Record    int // the number of the record that the act is about, or follows; 0 for a stage
}

func (w *Missing) Error() string {
	if w.Exception == 0 {
		return w.Pending.Error()
	}
	return fmt.Sprintf("exception %d, record %d: %d of %d officers signed", w.Exception, w.Record, len(w.Have), w.Want)
}

// Unwrap returns the Pending, for errors.As.
func (w *Missing) Unwrap() error { return &w.Pending }

// ReadAcceptances says for each exception which officers accepted it.
func ReadAcceptances(dir string, a *ceremony.Account) ([][]string, error) {
	people, list, err := readSignings(dir, a, ceremony.ApprovalsDir)
	if err != nil {
		return nil, err
	}
	acts, err := people.ReadApprovals(list)
	if err != nil {
		return nil, err
	}
	var accepted [][]string
	for i := range a.Exceptions {
		want, err := a.ExceptionApproval(i + 1)
		if err != nil {
			return nil, err
		}
		accepted = append(accepted, acts.Officers(want))
	}
	return accepted, nil
}

// ReadMissing says what the ceremony in a folder waits for: the exceptions that too few
// officers accepted, then the act or the stage that comes next.
func ReadMissing(dir string, a *ceremony.Account) ([]Missing, error) {
	if a.Open == nil || a.Abort != nil {
		return nil, nil
	}
	waits, err := MissingAcceptances(dir, a)
	if err != nil {
		return nil, err
	}
	stage := ""
	switch {
	case a.Close != nil:
		stage = ceremony.StageClose
	case a.NextKind() == ceremony.KindRequest && !a.Adjourned:
		stage = ceremony.StageRelease
	}
	if stage != "" {
		w, err := MissingSignoff(dir, a, stage)
		if err != nil || w != nil {
			return appendMissing(waits, w), err
		}
	}
	w, err := missingApproval(dir, a)
	return appendMissing(waits, w), err
}

// MissingAcceptances says which exceptions too few officers accepted.
func MissingAcceptances(dir string, a *ceremony.Account) (waits []Missing, err error) {
	if len(a.Exceptions) == 0 {
		return nil, nil
	}
	accepted, err := ReadAcceptances(dir, a)
	if err != nil {
		return nil, err
	}
	for i, have := range accepted {
		if want, err := a.ExceptionApproval(i + 1); err == nil && len(have) < a.Plan.Threshold {
			waits = append(waits, Missing{Pending{What: ceremony.ApproveException, Have: have, Want: a.Plan.Threshold}, i + 1, want.Head.N})
		}
	}
	return waits, nil
}

func appendMissing(list []Missing, w *Missing) []Missing {
	if w == nil {
		return list
	}
	return append(list, *w)
}

func readSignings(dir string, a *ceremony.Account, folder string) (*ceremony.People, []ceremony.Signing, error) {
	people, err := a.People()
	if err != nil {
		return nil, nil, err
	}
	list, err := ReadSignings(dir, folder)
	return people, list, err
}

// MissingSignoff says what a stage's sign-off lacks; nil if it is signed off.
func MissingSignoff(dir string, a *ceremony.Account, stage string) (*Missing, error) {
	w, err := SignoffSoFar(dir, a, stage)
	if err != nil || w.Why == "" {
		return nil, err
	}
	return w, nil
}

// SignoffSoFar says who has spoken on a stage, and in Why what its sign-off lacks: that
// is empty once it lacks nothing.
func SignoffSoFar(dir string, a *ceremony.Account, stage string) (*Missing, error) {
	want, err := a.WantedSignoff(stage)
	if err != nil {
		return nil, err
	}
	people, list, err := readSignings(dir, a, ceremony.SignoffDir(stage))
	if err != nil {
		return nil, err
	}
	v, err := people.Signoffs(want, list)
	if err != nil {
		return nil, err
	}
	approvals, err := ReadSignings(dir, ceremony.ApprovalsDir)
	if err != nil {
		return nil, err
	}
	acts, err := people.ReadApprovals(approvals)
	if err != nil {
		return nil, err
	}
	w := &Missing{Pending: Pending{What: stage, Want: a.Plan.Threshold, Against: v.Against}}
	why := a.SignedOff(stage, v, list, acts, a.Plan.Threshold)
	if why != nil {
		w.Why = why.Error()
	}
	var unheard *ceremony.UnheardError
	if errors.As(why, &unheard) {
		w.Unheard = unheard.Names
	}
	for _, s := range v.Said {
		w.Have = append(w.Have, s.Name)
	}
	return w, nil
}

// missingApproval says which act comes next and lacks officers' approvals; nil if none
// does.
func missingApproval(dir string, a *ceremony.Account) (*Missing, error) {
	act := a.DueAct()
	if act == "" {
		return nil, nil
	}
	subject := [32]byte{}
	switch act {
	case ceremony.ApproveRequest:
		core, err := durable.ReadFile(filepath.Join(dir, ceremony.CoreFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // the request isn't made yet
		}
		if err != nil {
			return nil, err
		}
		subject = bundle.Digest(core)
	case ceremony.ApproveCountersign:
		text, err := a.CountersignText()
		if err != nil {
			return nil, err
		}
		subject = sha256.Sum256(text)
	}
	people, list, err := readSignings(dir, a, ceremony.ApprovalsDir)
	if err != nil {
		return nil, err
	}
	have, err := people.Approvals(a.Wanted(act, subject), list)
	if err != nil || len(have) >= a.Plan.Threshold {
		return nil, err
	}
	return &Missing{Pending: Pending{What: act, Have: have, Want: a.Plan.Threshold}, Record: a.N}, nil
}

// Pending is the error of an act or a stage that lacks people's signatures. Once they
// are there, the ceremony goes on where it stopped.
type Pending struct {
	What    string   // an approval's act, or "release", "close", "plan"
	Have    []string // those who signed
	Want    int      // how many officers must sign
	Why     string   // why a stage is not signed off
	Against []string // those of Have who do not agree
	// Unheard are the witnesses and auditors whose verdict is missing.
	Unheard []string
}

func (p *Pending) Error() string {
	if p.Why != "" {
		return fmt.Sprintf("%s is not signed off: %s", p.What, p.Why)
	}
	return fmt.Sprintf("%d of %d officers have approved %s", len(p.Have), p.Want, p.What)
}
