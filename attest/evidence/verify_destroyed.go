package evidence

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/token"
)

// destroyed verifies the package of a ceremony that destroyed the keys of a retired fleet.
// The bundle that it is graded by is the retirement's; the keys are those of a second
// bundle, which has to be verified too.
func (v *verifier) destroyed(in Input, files Files, a *ceremony.Account, t *ceremony.Transcript) {
	v.r.Object = TypeDestruction
	v.logged(in.File, files, a, in.Logged)
	for _, path := range files.Paths() {
		if known(path) && !ofDestruction(path) {
			v.problem(path, "", "has no place in the package of a ceremony that destroyed keys")
		}
	}
	retirement := v.retirement(files)
	v.witnessed = nil // by then witnesses had seen the retirement, and nothing of this ceremony
	brought := v.retired(files)
	v.identify(a)
	v.ended(a)
	v.planVoices(a.Plan)
	v.agreeDestroyed(files, a)
	v.folders(files, a)
	v.times(a)
	v.recordings(files, t, in.Media)
	v.accepted(files, a)
	if people, m := v.approved(files, a, ClaimCloseSignoff); people != nil {
		v.signoff(files, a, people, m, ceremony.StageClose, ClaimCloseSignoff)
	}
	v.bound(files, a, t)
	v.lockdown(a)
	if retirement != nil && brought != nil {
		if err := a.Plan.CheckRetirement(retirement, brought); err != nil {
			v.problem(ceremony.PlanFile, "", "%v", err)
		}
	}
	if v.r.Claim(ClaimMode).Grade == Proven && a.Plan.Mode != v.r.Mode {
		v.problem(ceremony.PlanFile, "", "is of a %s, the retirement of a %s", a.Plan.Mode, v.r.Mode)
	}
	v.keysDestroyed(a, brought)
}

// ofDestruction says whether the package of a ceremony that destroyed keys may have this
// path.
func ofDestruction(path string) bool {
	switch path {
	case ceremony.ArtifactFile, ceremony.CoreFile, ceremony.BundleFile, ceremony.ProofFile, RekorFile:
		return false
	}
	return !strings.HasPrefix(path, ceremony.ReleaseSignoffDir+"/") && !strings.HasPrefix(path, ceremony.AttestationsDir+"/") && !strings.HasPrefix(path, ceremony.DrillsDir+"/")
}

// endFiles are those that show why the keys of a fleet may be destroyed.
var endFiles = []string{ceremony.RetirementFile, ceremony.RetirementProofFile, ceremony.RetiredFile, ceremony.RetiredProofFile}

// retirement grades the bundle of the retirement; nil where it can't be read.
func (v *verifier) retirement(files Files) *bundle.Bundle {
	data, ok := files[ceremony.RetirementFile]
	if !ok {
		v.problem(ceremony.RetirementFile, "", "is missing")
		return nil
	}
	b, err := bundle.ParseAny(ceremony.RetirementFile, data)
	if err != nil {
		v.fault(ceremony.RetirementFile, err)
		return nil
	}
	if b.Notice == nil || !b.Notice.Retires() {
		v.problem(ceremony.RetirementFile, "", "retires no fleet")
		return nil
	}
	v.r.Notice = b.Notice
	if res := v.bundle(ceremony.RetirementFile, b, files[ceremony.RetirementProofFile], nil); res != nil {
		v.signers(ceremony.RetirementFile, b, res, nil)
	}
	return b
}

// retired is the bundle of the keys, verified under the same policy; nil where it can't be
// read.
func (v *verifier) retired(files Files) *bundle.Bundle {
	data, ok := files[ceremony.RetiredFile]
	if !ok {
		v.problem(ceremony.RetiredFile, "", "is missing")
		return nil
	}
	b, err := bundle.ParseBundle(ceremony.RetiredFile, data)
	if err != nil {
		v.fault(ceremony.RetiredFile, err)
		return nil
	}
	r, told := alone(Input{File: ceremony.RetiredFile, Data: data, Proof: files[ceremony.RetiredProofFile]}, v.policy, v.now)
	if !r.Met() {
		where, why := r.FirstFault()
		v.problem(ceremony.RetiredFile, "", "brings the keys, and is not verified: %s: %s", where, why)
	}
	v.told.gone, v.told.of = map[string]bool{}, told.About.Digest
	return b
}

// agreeDestroyed demands that the files are those that the records name.
func (v *verifier) agreeDestroyed(files Files, a *ceremony.Account) {
	c := a.Retirement
	if c == nil {
		return // then the ceremony did not end well, and that is told
	}
	for i, sum := range [][32]byte{c.Bundle, c.Proof, c.Keys, c.KeysProof} {
		v.same(files, endFiles[i], sum)
	}
}

// keysDestroyed grades that the keys are destroyed: of every key of the bundle the record
// shows that it was in its HSM, was destroyed, and was found no more; and people who were
// in the room sign that. It is the HSMs' word, and nothing here shows that there is no copy.
func (v *verifier) keysDestroyed(a *ceremony.Account, brought *bundle.Bundle) {
	where := recordOf(a.N)
	if brought == nil || a.Close == nil || a.Fault != "" {
		v.lack(ClaimDestroyed, where, "", "the ceremony did not come to its end")
		return
	}
	gone := map[string]bool{}
	for _, d := range a.Doomed {
		if d.Destruction != nil && d.Gone {
			gone[string(d.Outcome.PublicKey)] = true
		}
	}
	var left []string
	for _, k := range brought.KeySet.Keys {
		if !gone[string(k.SPKI)] {
			left = append(left, k.HSM+" "+k.Role)
		}
	}
	switch {
	case v.r.Claim(ClaimCloseSignoff).Grade < Proven:
		v.lack(ClaimDestroyed, where, "", "it is on the record of %d of %d keys, but the close is not signed off", len(gone), len(brought.KeySet.Keys))
		return
	case !v.clean():
		v.lack(ClaimDestroyed, where, "", "something in the package is wrong")
		return
	}
	v.told.gone = gone
	if len(left) > 0 {
		v.lack(ClaimDestroyed, ceremony.PlanFile, "", "%d of %d keys of epoch %d are destroyed; nothing here shows that of %s", len(gone), len(brought.KeySet.Keys), brought.KeySet.Epoch, strings.Join(left, ", "))
		return
	}
	v.show(ClaimDestroyed, Attested, where, "all %d keys of epoch %d, by the HSMs' own word and signed by the people in the room%s. It does not show that there is no backup, copy or clone of a key%s",
		len(gone), brought.KeySet.Epoch, howDestroyed(a), outside(a))
}

// deadHandles are the codes by which a token says that a handle means no key any more.
var deadHandles = []string{"CKR_KEY_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID"}

// howDestroyed tells what was otherwise than that a token destroyed a key in one go and
// refused its old handle by name.
func howDestroyed(a *ceremony.Account) (text string) {
	interrupted, unsaid := 0, []string(nil)
	for _, d := range a.Doomed {
		if len(d.Destruction.Held) < 2 {
			interrupted++
		}
		for _, x := range d.Destruction.Attempts {
			if x.Name == token.TryUse && !slices.Contains(deadHandles, x.Code) && !slices.Contains(unsaid, x.Code) {
				unsaid = append(unsaid, x.Code)
			}
		}
	}
	if interrupted > 0 {
		text += fmt.Sprintf("; %d of them were found gone after an interruption", interrupted)
	}
	if len(unsaid) > 0 {
		text += "; a use of the old handle was answered " + strings.Join(unsaid, ", ") + ", which says little of the key"
	}
	return text
}

// outside names the HSMs whose keys are kept outside of the device.
func outside(a *ceremony.Account) string {
	var list []string
	for _, h := range a.Plan.HSMs {
		if in := a.Intakes[h.Name]; in != nil && strings.Contains(in.Library, "TPM2.0 Cryptoki") {
			list = append(list, h.Name)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "; the keys of " + strings.Join(list, ", ") + " lie in a file, wrapped by a TPM: whoever has a copy of it has them together with that TPM, until the TPM is cleared (TPM2_Clear)"
}
