package ceremony

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fleetctl/fleetctl/bundle"
)

// Wait is what a ceremony waits for: an act, or a stage, with those who have
// signed it so far.
type Wait struct {
	Pending
	Exception int // the number of the one to be accepted; 0 for any other act
	Record    int // which the act is about, or follows; 0 for a stage
}

func (w *Wait) Error() string {
	if w.Exception == 0 {
		return w.Pending.Error()
	}
	return fmt.Sprintf("exception %d, record %d: %d of %d officers signed", w.Exception, w.Record, len(w.Have), w.Want)
}

// Unwrap lets whoever asks see that it waits.
func (w *Wait) Unwrap() error { return &w.Pending }

// ExceptionApproval is the text by which officers accept an exception: over its
// own record, whatever was recorded since.
func (a *Account) ExceptionApproval(number int) (Approval, error) {
	n := 0
	for _, need := range a.Needs {
		if need.Act != ApproveException {
			continue
		}
		if n++; n == number {
			return need, nil
		}
	}
	switch n {
	case 0:
		return Approval{}, fmt.Errorf("no exception is on the record")
	case 1:
		return Approval{}, fmt.Errorf("there is no exception %d: there is one, number 1", number)
	}
	return Approval{}, fmt.Errorf("there is no exception %d: they are numbered 1 to %d", number, n)
}

// ReadAccepted says which officers accepted each exception, in the exceptions'
// order.
func ReadAccepted(dir string, a *Account) ([][]string, error) {
	people, list, err := readVoices(dir, a, ApprovalsDir)
	if err != nil {
		return nil, err
	}
	var accepted [][]string
	for i := range a.Exceptions {
		want, err := a.ExceptionApproval(i + 1)
		if err != nil {
			return nil, err
		}
		have, err := people.Approvals(want, list)
		if err != nil {
			return nil, err
		}
		accepted = append(accepted, have)
	}
	return accepted, nil
}

// ReadWaits says what the ceremony in a folder waits for: the exceptions that
// too few officers accepted, then the act or stage that is due.
func ReadWaits(dir string, a *Account) ([]Wait, error) {
	if a.Open == nil || a.Abort != nil {
		return nil, nil
	}
	waits, err := exceptionWaits(dir, a)
	if err != nil {
		return nil, err
	}
	stage := ""
	switch {
	case a.Close != nil:
		stage = StageClose
	case a.NextKind() == KindRequest && !a.Adjourned:
		stage = StageRelease
	}
	if stage != "" {
		w, err := stageWait(dir, a, stage)
		if err != nil || w != nil {
			return appendWait(waits, w), err
		}
	}
	w, err := actWait(dir, a)
	return appendWait(waits, w), err
}

// exceptionWaits are the exceptions that too few officers accepted.
func exceptionWaits(dir string, a *Account) (waits []Wait, err error) {
	if len(a.Exceptions) == 0 {
		return nil, nil
	}
	accepted, err := ReadAccepted(dir, a)
	if err != nil {
		return nil, err
	}
	for i, have := range accepted {
		if want, err := a.ExceptionApproval(i + 1); err == nil && len(have) < a.Plan.Threshold {
			waits = append(waits, Wait{Pending{What: ApproveException, Have: have, Want: a.Plan.Threshold}, i + 1, want.Head.N})
		}
	}
	return waits, nil
}

func appendWait(list []Wait, w *Wait) []Wait {
	if w == nil {
		return list
	}
	return append(list, *w)
}

func readVoices(dir string, a *Account, folder string) (*People, []Signing, error) {
	people, err := NewPeople(a.Plan.People, a.Plan.Threshold)
	if err != nil {
		return nil, nil, err
	}
	list, err := ReadSignings(dir, folder)
	return people, list, err
}

// stageWait is the stage if it isn't signed off yet.
func stageWait(dir string, a *Account, stage string) (*Wait, error) {
	want, err := a.WantedSignoff(stage)
	if err != nil {
		return nil, err
	}
	people, list, err := readVoices(dir, a, SignoffDir(stage))
	if err != nil {
		return nil, err
	}
	v, err := people.Signoffs(want, list)
	if err != nil {
		return nil, err
	}
	approvals, err := ReadSignings(dir, ApprovalsDir)
	if err != nil {
		return nil, err
	}
	acts, err := people.Given(approvals)
	if err != nil {
		return nil, err
	}
	why := a.SignedOff(stage, v, list, acts, a.Plan.Threshold)
	if why == nil {
		return nil, nil
	}
	w := &Wait{Pending: Pending{What: stage, Why: why.Error(), Want: a.Plan.Threshold}}
	var unheard *UnheardError
	if errors.As(why, &unheard) {
		w.Unheard = unheard.Names
	}
	for _, s := range v.Said {
		w.Have = append(w.Have, s.Name)
	}
	return w, nil
}

// actWait is the act that is due if too few officers approved it.
func actWait(dir string, a *Account) (*Wait, error) {
	act := a.DueAct()
	if act == "" {
		return nil, nil
	}
	subject := [32]byte{}
	switch act {
	case ApproveRequest:
		core, err := os.ReadFile(filepath.Join(dir, CoreFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // there is nothing yet to be approved
		}
		if err != nil {
			return nil, err
		}
		subject = bundle.Digest(core)
	case ApproveCountersign:
		text, err := a.CountersignText()
		if err != nil {
			return nil, err
		}
		subject = textDigest(text)
	}
	people, list, err := readVoices(dir, a, ApprovalsDir)
	if err != nil {
		return nil, err
	}
	have, err := people.Approvals(a.Wanted(act, subject), list)
	if err != nil || len(have) >= a.Plan.Threshold {
		return nil, err
	}
	return &Wait{Pending: Pending{What: act, Have: have, Want: a.Plan.Threshold}, Record: a.N}, nil
}

// DueAct is the act that officers have to approve before the ceremony goes on
// from its last record; empty where it takes none. Of a run that stands, it is
// to resume it.
func (a *Account) DueAct() string {
	s, ok := a.Next()
	switch kind := a.NextKind(); {
	case !ok || a.Open == nil || a.Ended() || a.Fault != "":
		return ""
	case a.Adjourned:
		return ApproveReconvene
	case kind == KindUnlock && !a.opened:
		return ApproveOpen
	case kind == KindRequest:
		return ApproveRequest
	case kind == KindCountersignature:
		return ApproveCountersign
	case s.Act == ActUnlock || s.Act == ActGenerate || s.Act == ActFleetCheck:
		return ApproveResume
	}
	return ""
}
