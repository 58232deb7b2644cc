package evidence

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
)

// aborted verifies the package of an aborted ceremony. If the question doesn't expect an
// abort, that it was aborted is a problem: it is evidence of no fleet. If it does, the
// package is judged by who signed the abort.
func (v *verifier) aborted(in Input, files Files, a *ceremony.Account) {
	v.r.Object = TypeAbort
	v.identify(a)
	if v.expect != TypeAbort {
		v.ended(a)
	}
	if !v.mode(ceremony.PlanFile, a.Plan.Mode, a.Plan.Namespace) {
		return
	}
	for _, path := range files.Paths() {
		if known(path) && !ofAbort(path) {
			v.problem(path, "", "has no place in the package of an aborted ceremony: nothing that is signed commits to it")
		}
	}
	v.leftBehind(files, a)
	v.logged(in.File, files, a, in.Logged)
	v.times(a)
	people, m := v.approved(files, a, ClaimAbortSigned)
	if people == nil {
		return
	}
	if v.r.Claim(ClaimPlanApproved).Grade == Proven {
		v.show(ClaimMode, Proven, ceremony.PlanFile, "%s, in the plan that officers signed", a.Plan.Mode)
	} else {
		v.lack(ClaimMode, ceremony.PlanFile, "", "the plan that names it is not approved")
	}
	v.abortSigned(files, a, people, m)
}

// ofAbort says whether the package of an aborted ceremony may have this path.
func ofAbort(path string) bool {
	switch path {
	case ceremony.PlanFile, ceremony.TranscriptFile, ManifestFile, ceremony.ArtifactFile, ceremony.CoreFile:
		return true
	}
	if slices.Contains(endFiles, path) {
		return true // leftBehind compares them with the record
	}
	return slices.ContainsFunc([]string{ceremony.PlanApprovalsDir, ceremony.ApprovalsDir, ceremony.ReleaseSignoffDir, ceremony.AttestationsDir}, func(dir string) bool {
		return strings.HasPrefix(path, dir+"/")
	})
}

// leftBehind compares the files that were written before the abort with the transcript:
// devices' evidence, the key set, and the request's core, which was never sent.
func (v *verifier) leftBehind(files Files, a *ceremony.Account) {
	if err := a.CheckAttestations(files); err != nil {
		v.fault(ceremony.AttestationsDir, err)
	}
	v.agreeDestroyed(files, a)
	for _, path := range endFiles {
		if a.Retirement == nil && files[path] != nil {
			v.problem(path, "", "is there, and no record names it")
		}
	}
	set, err := a.Artifact()
	if _, there := files[ceremony.ArtifactFile]; err == nil && (there || a.Release != nil) {
		v.agree(files, a)
	} else if there {
		v.problem(ceremony.ArtifactFile, "", "is a key set of a ceremony that came to none")
	}
	core, ok := files[ceremony.CoreFile]
	switch {
	case !ok:
	case set == nil || a.Release == nil:
		v.problem(ceremony.CoreFile, "", "asks for what was never released")
	default:
		v.core(core, a)
	}
}

// abortSigned grades who signed the abort: proven if as many signed as could have released
// the keys, attested if two people did, one of them an officer, else not shown.
func (v *verifier) abortSigned(files Files, a *ceremony.Account, people *ceremony.People, m int) {
	where := recordOf(a.N)
	list, err := v.signings(files, ceremony.ApprovalsDir)
	if err != nil {
		v.fault(ceremony.ApprovalsDir, err)
		return
	}
	voices, err := people.Signers(a.AbortApproval(), list)
	if err != nil {
		v.fault(ceremony.ApprovalsDir, err)
		return
	}
	signed := ceremony.AbortVerdicts(voices)
	if err := signed.Attested(); err != nil {
		v.lack(ClaimAbortSigned, where, "fleetctl ceremony sign DIR --approve abort --key KEY", "of the people whom the policy pins %v%s", err, v.notCounted(ceremony.ApprovalsDir))
		return
	}
	grade, short := Proven, ""
	if err := signed.Enough(m); err != nil {
		grade, short = Attested, fmt.Sprintf("; not proven: %v", err)
	}
	if len(v.opposed) > 0 {
		short += "; against the release: " + strings.Join(v.opposed, ", ")
	}
	v.show(ClaimAbortSigned, grade, where, "%s; signed by %s%s", fate(a), strings.Join(signed.Names(), ", "), short)
}

// fate says how many keys are gone.
func fate(a *ceremony.Account) string {
	c, gone := a.Abort, 0
	if d := a.Plan.Destroys; d != nil {
		for _, x := range a.Doomed {
			if x.Destruction != nil && a.Fault == "" {
				gone++
			}
		}
		return fmt.Sprintf("aborted with %d of %d keys destroyed by the record", gone, len(d.Keys))
	}
	for _, k := range c.Keys {
		if k.State == ceremony.Destroyed || k.State == ceremony.Absent {
			gone++
		}
	}
	if len(c.Keys) == 0 {
		return "aborted before there was a key"
	}
	return fmt.Sprintf("aborted, %d of %d keys gone", gone, len(c.Keys))
}
