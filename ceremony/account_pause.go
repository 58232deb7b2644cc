package ceremony

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

func (a *Account) takeException(c *Exception) error {
	if want := len(a.Exceptions) + 1; c.Number != want {
		return fmt.Errorf("it is numbered %d, the next exception is %d", c.Number, want)
	}
	if c.Number > maxExceptions {
		return fmt.Errorf("a ceremony has at most %d exceptions", maxExceptions)
	}
	if err := a.takeAbsent(c); err != nil {
		return err
	}
	if err := a.takeExcused(c); err != nil {
		return err
	}
	if err := a.takeUnreached(c); err != nil {
		return err
	}
	if c.Torn != 0 && c.Clock == nil {
		return fmt.Errorf("it tells of a torn line: that is for a resume, an abort, or an exception about the clock")
	}
	a.Exceptions = append(a.Exceptions, c)
	return nil
}

// takeUnreached judges what a ceremony goes on without: that is said before the
// first HSM is unlocked, while nothing is made.
func (a *Account) takeUnreached(c *Exception) error {
	switch {
	case c.Unreached == nil:
		return nil
	case len(c.Unreached) == 0:
		return fmt.Errorf("it goes on without no claim; then the list is left out")
	case a.opened:
		return fmt.Errorf("it goes on without claims after an HSM was unlocked: that is said before")
	}
	for i, name := range c.Unreached {
		if slices.Contains(c.Unreached[:i], name) {
			return fmt.Errorf("it names the claim %q twice", name)
		}
	}
	return nil
}

// WithoutClaims are the claims without which people went on.
func (a *Account) WithoutClaims() (list []string) {
	for _, e := range a.Exceptions {
		list = append(list, e.Unreached...)
	}
	return list
}

func (a *Account) takeAdjourn(c *Adjourn) error {
	if err := a.CheckSeals(c.Seals); err != nil {
		return err
	}
	a.Adjourned, a.adjourn, a.exceptionsThen = true, c, len(a.Exceptions)
	return nil
}

// CheckSeals demands that in production each HSM of the plan is under a seal, by
// its name: whatever else is sealed may be added.
func (a *Account) CheckSeals(seals []Seal) error {
	if a.Plan.Mode != Production {
		return nil
	}
	var bare []string
	for _, h := range a.Plan.HSMs {
		if !slices.ContainsFunc(seals, func(s Seal) bool { return s.What == h.Name && strings.TrimSpace(s.Number) != "" }) {
			bare = append(bare, h.Name)
		}
	}
	if len(bare) > 0 {
		return fmt.Errorf("it has no seal of %s: in production every HSM is adjourned and reconvened under one", strings.Join(bare, ", "))
	}
	return nil
}

func (a *Account) takeReconvene(c *Reconvene) error {
	if err := a.CheckReconvene(c); err != nil {
		return err
	}
	a.Adjourned = false
	return nil
}

// CheckReconvene demands the seals as they were: a broken one is an exception,
// exceptionsAccepted by officers before the ceremony goes on.
func (a *Account) CheckReconvene(c *Reconvene) error {
	if !a.Adjourned {
		return fmt.Errorf("the ceremony is not adjourned")
	}
	if err := a.CheckSeals(c.Seals); err != nil {
		return err
	}
	if !slices.Equal(c.Seals, a.adjourn.Seals) && len(a.Exceptions) == a.exceptionsThen {
		return fmt.Errorf("its seals are not those of the adjournment, and no exception was made of that")
	}
	return nil
}

// Absent is the state of a key that its token doesn't hold.
const Absent = "absent"

// NotDestroyed is how the state of a key begins that an abort could not destroy.
const NotDestroyed = "not destroyed: "

// takeAbort demands that it says of each key what became of it: people sign that
// record, and nothing else tells of keys that are left.
func (a *Account) takeAbort(c *Abort) error {
	if len(c.Keys) != len(a.Keys) {
		return fmt.Errorf("it says of %d keys what became of them, and there are %d", len(c.Keys), len(a.Keys))
	}
	for i, k := range a.Keys {
		x := c.Keys[i]
		if x.HSM != k.HSM || x.Role != k.Role || !bytes.Equal(x.ID, k.Intent.ID) {
			return fmt.Errorf("it says nothing of the key of %s %s", k.HSM, k.Role)
		}
		if why, left := strings.CutPrefix(x.State, NotDestroyed); x.State != Destroyed && x.State != Absent && (!left || why == "") {
			return fmt.Errorf("it calls the key of %s %s %q; it is destroyed, absent, or not destroyed and why", k.HSM, k.Role, x.State)
		}
	}
	a.Abort = c
	return nil
}

func (a *Account) takeResume(c *Resume) error {
	open := 0
	if a.key != nil {
		open = a.key.N
	}
	switch {
	case !c.Since.Equal(a.Time):
		return fmt.Errorf("it goes on since another time than that of record %d", a.N)
	case c.Intent != open:
		return fmt.Errorf("it is about intent %d, the open one is %d", c.Intent, open)
	case (c.Binary == [32]byte{}) != (c.Version == ""):
		return fmt.Errorf("another program that goes on is told of by version and digest, and the one stands without the other")
	case c.Binary != [32]byte{} && c.Binary == a.Program().Binary:
		return fmt.Errorf("it says that another program goes on, and names the one before")
	}
	if c.Version != "" {
		a.program = Program{c.Version, c.Binary}
	}
	return nil
}

// Program is what runs a ceremony.
type Program struct {
	Version string
	Binary  [32]byte // the SHA-256 of its file
}

// Program is the one that the ceremony was opened with, or gone on with since.
func (a *Account) Program() Program {
	if a.program == (Program{}) && a.Open != nil {
		return Program{a.Open.Version, a.Open.Binary}
	}
	return a.program
}

// Opened says that an HSM was unlocked: from then on an interrupted ceremony
// takes the officers' approval to go on.
func (a *Account) Opened() bool { return a.opened }

// OpenIntent is the key whose step was begun and not finished; nil where none.
func (a *Account) OpenIntent() *Key { return a.key }

// Wanted is the approval that the next act of this kind would need now.
func (a *Account) Wanted(act string, subject [32]byte) Approval {
	return a.about(Approval{Act: act, Head: Head{a.Head, a.N}, Subject: subject})
}

// AbortApproval is the text by which people sign that the ceremony ended with
// its abort: over the record itself, since it needs nobody's leave to be made.
func (a *Account) AbortApproval() Approval {
	return a.Wanted(ApproveAbort, a.Head)
}

// WantedSignoff is the text that a person signs at a stage, but for role and
// verdict.
func (a *Account) WantedSignoff(stage string) (Signoff, error) {
	s := Signoff{Stage: stage, Mode: a.Plan.Mode, Plan: a.Plan.Digest()}
	if a.Release == nil {
		return s, fmt.Errorf("nothing has been released yet")
	}
	s.Ceremony, s.Artifact = a.Open.Ceremony, a.Release.Artifact
	exceptions := a.Exceptions
	if stage == StageRelease && a.Request != nil {
		// The release was signed off before the request: what came after it
		// nobody could agree to.
		exceptions = exceptions[:a.exceptionsAsked]
	}
	for _, e := range exceptions {
		s.Exceptions = append(s.Exceptions, e.Number) // those that can be agreed to
	}
	switch {
	case stage == StageRelease:
		s.Head = Head{a.ReleaseHash, a.ReleaseN}
	case a.Close == nil:
		return s, fmt.Errorf("the ceremony is not closed yet")
	default:
		s.Head = Head{a.Head, a.N}
	}
	return s, nil
}

// Expects says whether the next record may be of this kind, before anything is
// CheckWritten to a file for it.
func (a *Account) Expects(k Kind) error {
	if a.Ended() {
		return fmt.Errorf("the ceremony has ended")
	}
	if a.Adjourned {
		return errAdjourned
	}
	if s, _ := a.Next(); a.NextKind() != k {
		return fmt.Errorf("it is not the turn of %q: the next step is %q", k, s.String())
	}
	return nil
}

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
	case s.Act == ActUnlock || s.Act == ActGenerate || s.Act == ActAttest || s.Act == ActFleetCheck:
		return ApproveResume
	}
	return ""
}
