package ceremony

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
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
		return fmt.Errorf("it tells of a torn line; only a resume, an abort or an exception about the clock does")
	}
	if err := a.takeProgram(Program{c.Version, c.Binary}); err != nil {
		return err
	}
	a.Exceptions = append(a.Exceptions, c)
	return nil
}

// takeUnreached checks the list of claims that a ceremony goes on without. People
// decide that before the first HSM is unlocked, while no key is made.
func (a *Account) takeUnreached(c *Exception) error {
	switch {
	case c.Unreached == nil:
		return nil
	case len(c.Unreached) == 0:
		return fmt.Errorf("its list of claims to go on without is empty; then the list is left out")
	case a.opened:
		return fmt.Errorf("it goes on without claims, and an HSM was unlocked before; people decide that before the first unlocking")
	}
	for i, name := range c.Unreached {
		if slices.Contains(c.Unreached[:i], name) {
			return fmt.Errorf("it names the claim %q twice", name)
		}
	}
	return nil
}

// WithoutClaims are the claims that people decided to go on without.
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

// CheckSeals demands that no two of the plan's HSMs have one number, and that in
// production each is under a seal, listed by the HSM's name. Other things may be sealed
// too.
func (a *Account) CheckSeals(seals []Seal) error {
	if err := OnOneHSM(a.Plan, seals); err != nil {
		return err
	}
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
		return fmt.Errorf("it has no seal of %s; in production every HSM is under a seal while a ceremony is adjourned", strings.Join(bare, ", "))
	}
	return nil
}

func (a *Account) takeReconvene(c *Reconvene) error {
	if err := a.CheckReconvene(c); err != nil {
		return err
	}
	a.Adjourned, a.reconvenedN = false, a.N+1
	return nil
}

// Reconvened says that the last record reconvened the ceremony: what goes on with the
// HSMs then was adjourned as planned, and not interrupted.
func (a *Account) Reconvened() bool { return a.N > 0 && a.reconvenedN == a.N }

// CheckReconvene demands that the seals are those of the adjournment. If one was
// broken, people record an exception first, and officers accept it.
func (a *Account) CheckReconvene(c *Reconvene) error {
	if !a.Adjourned {
		return fmt.Errorf("the ceremony is not adjourned")
	}
	if err := a.CheckSeals(c.Seals); err != nil {
		return err
	}
	if !slices.Equal(c.Seals, a.adjourn.Seals) && len(a.Exceptions) == a.exceptionsThen {
		return fmt.Errorf("its seals are not those of the adjournment, and no exception was made of that: %s", strict.Said(otherSeals(a.adjourn.Seals, c.Seals)))
	}
	return nil
}

// Sealed are the seals of the last adjournment; nil if there was none.
func (a *Account) Sealed() []Seal {
	if a.adjourn == nil {
		return nil
	}
	return slices.Clone(a.adjourn.Seals)
}

// otherSeals says which seals differ from those of the adjournment, with both numbers.
func otherSeals(then, now []Seal) string {
	var list []string
	number := func(seals []Seal, what string) string {
		if i := slices.IndexFunc(seals, func(s Seal) bool { return s.What == what }); i >= 0 {
			return seals[i].Number
		}
		return "no seal"
	}
	told := map[string]bool{}
	for _, s := range slices.Concat(then, now) {
		if was, is := number(then, s.What), number(now, s.What); was != is && !told[s.What] {
			told[s.What] = true
			list = append(list, fmt.Sprintf("%s had %s then and has %s now", s.What, was, is))
		}
	}
	if len(list) == 0 {
		return "they are listed in another order, or twice"
	}
	return strings.Join(list, "; ")
}

// The states of a key in an Abort record, beside Destroyed.
const (
	Absent       = "absent"          // its token doesn't hold it
	NotDestroyed = "not destroyed: " // begins the state; the reason follows
)

// takeAbort demands that the record says what became of each key: people sign it,
// and no other record tells of keys that are left.
func (a *Account) takeAbort(c *Abort) error {
	untold := a.untold()
	if len(c.Keys) != len(untold) {
		return fmt.Errorf("it says what became of %d keys, and there are %d", len(c.Keys), len(untold))
	}
	for i, k := range untold {
		x := c.Keys[i]
		if x.HSM != k.HSM || x.Role != k.Role || !bytes.Equal(x.ID, k.Intent.ID) {
			return fmt.Errorf("it does not say what became of the key of %s %s", k.HSM, k.Role)
		}
		if why, left := strings.CutPrefix(x.State, NotDestroyed); x.State != Destroyed && x.State != Absent && (!left || why == "") {
			return fmt.Errorf("the state of the key of %s %s is %q; it must be %q, %q, or %q and a reason", k.HSM, k.Role, x.State, Destroyed, Absent, NotDestroyed)
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
		return fmt.Errorf("its since is not the time of record %d, %s", a.N, strict.FormatTime(a.Time))
	case c.Intent != open:
		return fmt.Errorf("it is about intent %d, the open one is %d", c.Intent, open)
	}
	if err := a.takeProgram(Program{c.Version, c.Binary}); err != nil {
		return err
	}
	a.Resumed++
	if a.doomed != nil {
		a.doomed.interrupted = true
	}
	return nil
}

// takeProgram takes the program that a record says goes on; none if it is empty.
func (a *Account) takeProgram(p Program) error {
	switch {
	case p == Program{}:
		return nil
	case p.Binary == [32]byte{} || p.Version == "":
		return fmt.Errorf("of another program it must give both version and binary, and it gives one of them")
	case p.Binary == a.Program().Binary:
		return fmt.Errorf("it names the program that ran before as another one; then version and binary are left out")
	}
	a.program = p
	return nil
}

// Program is the fleetctl that runs a ceremony.
type Program struct {
	Version string
	Binary  [32]byte // the SHA-256 of its file
}

// Program is the one that opened the ceremony, or the last one that people agreed to
// since.
func (a *Account) Program() Program {
	if a.program == (Program{}) && a.Open != nil {
		return Program{a.Open.Version, a.Open.Binary}
	}
	return a.program
}

// Opened says that an HSM was unlocked. From then on officers must approve that an
// interrupted ceremony goes on.
func (a *Account) Opened() bool { return a.opened }

// OpenIntent is the key whose step has begun and is not finished; nil if there is
// none.
func (a *Account) OpenIntent() *Key { return a.key }

// Wanted is the approval that an act would need if it were done now.
func (a *Account) Wanted(act string, subject [32]byte) Approval {
	return a.about(Approval{Act: act, Head: Head{a.Head, a.N}, Subject: subject})
}

// AbortApproval is the text by which people attest the abort. They sign the abort's
// own record: an abort needs no approval beforehand.
func (a *Account) AbortApproval() Approval {
	return a.Wanted(ApproveAbort, a.Head)
}

// WantedSignoff is the text that a person signs at a stage, without role and verdict.
// Its exceptions are those that the person may agree to.
func (a *Account) WantedSignoff(stage string) (Signoff, error) {
	s := Signoff{Stage: stage, Mode: a.Plan.Mode, Plan: a.Plan.Digest()}
	switch {
	case a.Plan.Destroys != nil && stage == StageClose && a.Open != nil:
		s.Artifact = a.Plan.Destroys.Artifact
	case a.Release == nil:
		return s, fmt.Errorf("nothing has been released yet")
	default:
		s.Artifact = a.Release.Artifact
	}
	s.Ceremony = a.Open.Ceremony
	exceptions := a.Exceptions
	if stage == StageRelease && a.Request != nil {
		// The release was signed off before the request, so nobody could agree to
		// later exceptions.
		exceptions = exceptions[:a.exceptionsAsked]
	}
	for _, e := range exceptions {
		s.Exceptions = append(s.Exceptions, e.Number)
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

// Expects says whether the next record may be of this kind. The engine asks before
// it writes files for the record.
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

// ExceptionApproval is the text by which officers accept an exception. They sign
// the exception's own record, whatever was recorded since.
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
// from its last record; empty if it goes on without approval. For a run that was
// interrupted it is ApproveResume.
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
	case s.Act == ActUnlock || s.Act == ActGenerate || s.Act == ActAttest || s.Act == ActFleetCheck || s.Act == ActDestroy || s.Act == ActGone:
		return ApproveResume
	}
	return ""
}
