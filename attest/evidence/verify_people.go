package evidence

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
)

// folders checks every file in the folders of what people signed, whatever the policy
// demands and whomever it pins. A person who disagrees is a problem: each of the policy's
// people, whatever their key's window, and each of the plan's, pinned or not.
func (v *verifier) folders(files Files, a *ceremony.Account) {
	read := func(dir string) ([]ceremony.Signing, error) { return v.signings(files, dir) }
	if err := a.CheckSigned(read); err != nil {
		v.fault(ceremony.ApprovalsDir, err)
		return
	}
	pinned, err := v.policy.everyone()
	if err != nil {
		v.fault(v.policy.File, err)
		return
	}
	planned, err := a.People()
	if err != nil {
		v.fault(ceremony.PlanFile, err)
		return
	}
	for _, stage := range []string{ceremony.StageRelease, ceremony.StageClose} {
		where := ceremony.SignoffDir(stage)
		want, err := a.WantedSignoff(stage)
		if err != nil {
			continue // CheckSigned allows no file in its folder then
		}
		list, err := v.signings(files, where)
		if err != nil {
			v.fault(where, err)
			continue
		}
		v.against(pinned, a, want, list)
		v.against(planned, a, want, list)
	}
}

// voices grades what people signed: who approved the plan and each act, and who signed off
// the release and the close. Only people whom the policy pins count. Of the plan's and the
// policy's threshold, the larger one holds.
func (v *verifier) voices(files Files, a *ceremony.Account) {
	v.accepted(files, a)
	people, m := v.approved(files, a, ClaimReleaseSignoff, ClaimCloseSignoff)
	if people == nil {
		return
	}
	v.signoff(files, a, people, m, ceremony.StageRelease, ClaimReleaseSignoff)
	v.signoff(files, a, people, m, ceremony.StageClose, ClaimCloseSignoff)
}

// approved grades the plan's approvals, and returns the pinned people whose signatures
// count, and how many officers must agree. If the policy pins no people, it returns nil,
// and the other claims about people's signatures are not shown either.
func (v *verifier) approved(files Files, a *ceremony.Account, others ...string) (*ceremony.People, int) {
	if len(v.policy.people) == 0 {
		for _, c := range append([]string{ClaimPlanApproved}, others...) {
			v.lack(c, v.policy.File, "pin them under people:", "the policy pins no people")
		}
		return nil, 0
	}
	people, err := v.counting(a)
	if err != nil {
		v.fault(v.policy.File, err)
		return nil, 0
	}
	m := max(v.policy.threshold, a.Plan.Threshold)
	v.approvals(files, a, people, m)
	return people, m
}

// approvals grades plan.approved: m officers approved exactly the plan's bytes, and each
// act that needs approval.
func (v *verifier) approvals(files Files, a *ceremony.Account, people *ceremony.People, m int) {
	list, err := v.signings(files, ceremony.PlanApprovalsDir)
	if err != nil {
		v.fault(ceremony.PlanApprovalsDir, err)
		return
	}
	officers, err := people.PlanApprovals(a.Plan, list)
	if err != nil {
		v.fault(ceremony.PlanApprovalsDir, err)
		return
	}
	where := ceremony.PlanApprovalsDir
	if len(officers) < m {
		v.lack(ClaimPlanApproved, where, "", "%d of %d officers whom the policy pins approved the plan%s", len(officers), m, v.notCounted(where))
		return
	}
	if list, err = v.signings(files, ceremony.ApprovalsDir); err != nil {
		v.fault(ceremony.ApprovalsDir, err)
		return
	}
	acts, err := people.ReadApprovals(list)
	if err != nil {
		v.fault(ceremony.ApprovalsDir, err)
		return
	}
	unaccepted := 0
	for _, need := range a.Needs {
		have := acts.Officers(need)
		if len(have) < m && a.Abort != nil && need.Act == ceremony.ApproveException {
			unaccepted++ // perhaps the reason for the abort
			continue
		}
		if len(have) < m {
			v.lack(ClaimPlanApproved, ceremony.ApprovalsDir, "", "the plan is approved, but the act %q after record %d by %d of %d officers only%s", need.Act, need.Head.N, len(have), m, v.notCounted(ceremony.ApprovalsDir))
			return
		}
	}
	note := ""
	if unaccepted > 0 {
		note = fmt.Sprintf("; exceptions not accepted: %d", unaccepted)
	}
	v.show(ClaimPlanApproved, Proven, where, "%s signed plan %x…%s; officers approved each act that needs %d, %d in all%s",
		strings.Join(officers, ", "), short8(a.Plan.Digest()), v.atTheLatest(), m, len(a.Needs)-unaccepted, note)
}

// signings are a folder's signings, the same ones at each call, so that each is verified
// once.
func (v *verifier) signings(files Files, dir string) ([]ceremony.Signing, error) {
	if list, ok := v.signed[dir]; ok {
		return list, nil
	}
	list, err := ceremony.Signings(files, dir)
	if err != nil {
		return nil, err
	}
	if v.signed == nil {
		v.signed = map[string][]ceremony.Signing{}
	}
	v.signed[dir] = list
	return list, nil
}

// accepted demands that the plan's own officers accepted every exception, whomever the
// policy pins: without that the engine writes no request and no close.
func (v *verifier) accepted(files Files, a *ceremony.Account) {
	if len(a.Exceptions) == 0 {
		return
	}
	people, err := a.People()
	if err != nil {
		v.fault(ceremony.PlanFile, err)
		return
	}
	list, err := v.signings(files, ceremony.ApprovalsDir)
	if err != nil {
		v.fault(ceremony.ApprovalsDir, err)
		return
	}
	given, err := people.InTime(a).ReadApprovals(list)
	if err != nil {
		v.fault(ceremony.ApprovalsDir, err)
		return
	}
	for i := range a.Exceptions {
		want, err := a.ExceptionApproval(i + 1)
		if err != nil {
			v.fault(ceremony.TranscriptFile, err)
			return
		}
		have := given.Officers(want)
		if len(have) < a.Plan.Threshold {
			v.problem(recordOf(want.Head.N), "", "exception %d is accepted by %d of the %d officers that the plan demands", i+1, len(have), a.Plan.Threshold)
		}
	}
}

func short8(d [32]byte) []byte { return d[:4] }

// signoff grades a stage's sign-offs.
func (v *verifier) signoff(files Files, a *ceremony.Account, people *ceremony.People, m int, stage, claim string) {
	where := ceremony.SignoffDir(stage)
	want, err := a.WantedSignoff(stage)
	if err != nil {
		v.lack(claim, where, "", "%v", err)
		return
	}
	list, err := v.signings(files, where)
	if err != nil {
		v.fault(where, err)
		return
	}
	said, err := people.Signoffs(want, list)
	if err != nil {
		v.fault(where, err)
		return
	}
	approvals, err := v.signings(files, ceremony.ApprovalsDir)
	if err != nil {
		v.fault(ceremony.ApprovalsDir, err)
		return
	}
	acts, err := people.ReadApprovals(approvals)
	if err != nil {
		v.fault(ceremony.ApprovalsDir, err)
		return
	}
	if stage == ceremony.StageRelease {
		v.auditors = said.Auditors
	}
	if err := a.SignedOff(stage, said, list, acts, m); err != nil {
		v.lack(claim, where, "", "%v%s", err, v.notCounted(where))
		return
	}
	verdict := "agree"
	if said.Exceptions {
		verdict = "agree, with exceptions"
	}
	// A stage passes without the other officers' verdicts, and without those of people
	// whom an exception names as absent. The report names them.
	silent := slices.DeleteFunc(said.Silent, func(name string) bool {
		return !slices.ContainsFunc(a.Plan.People, func(p ceremony.Person) bool { return p.Name == name })
	})
	if len(silent) > 0 {
		verdict += "; no verdict by " + strings.Join(silent, ", ")
	}
	v.show(claim, Proven, where, "%s, %s, %s: %s",
		count(said.Officers, "officer"), count(said.Witnesses, "witness"), count(said.Auditors, "auditor"), verdict)
}

// against reports the people who disagreed with a stage, whatever the policy demands. In
// an aborted ceremony, where this may be the reason, it only notes their names.
func (v *verifier) against(people *ceremony.People, a *ceremony.Account, want ceremony.Signoff, list []ceremony.Signing) {
	where := ceremony.SignoffDir(want.Stage)
	all, err := people.Signoffs(want, list)
	if err != nil {
		v.fault(where, err)
		return
	}
	for _, name := range all.Against {
		switch {
		case a.Abort == nil:
			v.problem(where, "", "%s does not agree", name)
		case !slices.Contains(v.opposed, name):
			v.opposed = append(v.opposed, name)
		}
	}
}

func count(list []string, what string) string {
	switch {
	case len(list) == 1:
		return "1 " + what
	case strings.HasSuffix(what, "s"):
		return fmt.Sprintf("%d %ses", len(list), what)
	}
	return fmt.Sprintf("%d %ss", len(list), what)
}
