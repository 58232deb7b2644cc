package evidence

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence/media"
	"github.com/fleetctl/fleetctl/attest/evidence/page"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/story"
)

// evidence verifies a package. sealed demands a manifest: archives have one,
// a folder still at work has none.
func (v *verifier) evidence(in Input, files Files, sealed bool) {
	v.sums = files.sums()
	if sealed {
		if err := files.checkManifest(v.sums); err != nil {
			v.fault(ManifestFile, err)
		}
	}
	for _, path := range files.Paths() {
		if !known(path) {
			v.problem(path, "", "is no file of an evidence package: it is unbound")
		}
	}
	if err := ceremony.CheckSignings(files); err != nil {
		v.fault(in.File, err)
		return
	}
	// Whether it was aborted decides what it has to hold.
	before := v.r.Problems
	v.r.Problems = nil
	a, t := v.replay(files[ceremony.PlanFile], files[ceremony.TranscriptFile])
	followed := v.r.Problems
	v.r.Problems = before
	v.tell(files, a, t)
	if a != nil && a.Abort != nil {
		v.r.Problems = append(v.r.Problems, followed...)
		v.folders(files, a)
		v.planVoices(a.Plan)
		v.aborted(in, files, a)
		return
	}
	if a != nil && a.Plan.Destroys != nil {
		v.r.Problems = append(v.r.Problems, followed...)
		v.destroyed(in, files, a, t)
		return
	}
	for _, path := range endFiles {
		if files[path] != nil {
			v.problem(path, "", "is of a ceremony that destroys keys, and this plan makes some")
		}
	}
	if a != nil {
		v.logged(in.File, files, a, in.Logged)
	}
	var b *bundle.Bundle
	var res *bundle.Result
	var err error
	if data, ok := files[ceremony.BundleFile]; !ok {
		v.problem(ceremony.BundleFile, "", "is missing")
	} else if b, err = v.packaged(data, a); err != nil {
		v.fault(ceremony.BundleFile, err)
	} else {
		res = v.bundle(ceremony.BundleFile, b, files[ceremony.ProofFile], files[RekorFile])
	}
	v.r.Problems = append(v.r.Problems, followed...)
	signed := false
	if res != nil {
		late := v.beside(in.Statements)
		if a != nil {
			late = slices.Concat(v.recorded(a), late)
		}
		signed = v.signers(ceremony.BundleFile, b, res, v.late(b, res, late))
	}
	if a == nil {
		return
	}
	v.identify(a)
	v.ended(a)
	v.planVoices(a.Plan)
	if b != nil {
		v.fleetVoices(ceremony.BundleFile, b.KeySet, a.Plan)
	}
	v.agree(files, a)
	v.folders(files, a)
	v.times(a)
	v.recordings(files, t, in.Media)
	v.voices(files, a)
	v.bound(files, a, t)
	v.attested(files, a)
	v.keyClaims(a, signed && v.clean())
	v.drills(files, a)
	v.lockdown(a)
	if v.r.Claim(ClaimMode).Grade == Proven && a.Plan.Mode != v.r.Mode {
		v.problem(ceremony.PlanFile, "", "is of a %s, the artifact of a %s", a.Plan.Mode, v.r.Mode)
	}
}

// recordings judges the index of the ceremony's recordings, and compares those that
// somebody has with it.
func (v *verifier) recordings(files Files, t *ceremony.Transcript, get func(string) (media.Seen, error)) {
	data, ok := files[media.File]
	if !ok {
		if get != nil {
			v.problem(media.File, "", "is missing: no recording can be compared with it")
		}
		return
	}
	x, err := media.Parse(media.File, data)
	if err != nil {
		v.fault(media.File, err)
		return
	}
	var made []time.Time
	for _, r := range t.Records {
		made = append(made, r.Time)
	}
	if err := x.Check(media.File, made); err != nil {
		v.fault(media.File, err)
	}
	if get != nil {
		if err := x.Compare(media.File, get); err != nil {
			v.fault(media.File, err)
		}
	}
	for _, m := range x.Media {
		v.r.Media = append(v.r.Media, Recording{m.Name, m.SHA256, m.Size, m.Start, len(m.Places), get != nil})
	}
}

// tell keeps how the ceremony went, where what people signed can be read; where it
// can't, that is told as a problem.
func (v *verifier) tell(files Files, a *ceremony.Account, t *ceremony.Transcript) {
	if a == nil {
		return
	}
	told, err := story.Tell(a, t.Records, func(dir string) ([]ceremony.Signing, error) { return v.signings(files, dir) })
	if err == nil {
		v.r.Story, v.r.NotPinned = told, v.policy.notPinned(a.Plan)
	}
}

// packaged is a package's bundle: the one that the transcript makes, if it is that
// to the byte.
func (v *verifier) packaged(data []byte, a *ceremony.Account) (*bundle.Bundle, error) {
	if a != nil {
		v.seen = a.Seen()
		if b, err := a.Bundle(); err == nil && bytes.Equal(b.Raw(), data) {
			return b.Named(ceremony.BundleFile), nil
		}
	}
	return bundle.ParseBundle(ceremony.BundleFile, data)
}

func (v *verifier) clean() bool { return len(v.r.Problems) == 0 }

// replay goes through plan and transcript; nil where they can't be followed.
func (v *verifier) replay(plan, transcript []byte) (*ceremony.Account, *ceremony.Transcript) {
	if plan == nil {
		v.problem(ceremony.PlanFile, "", "is missing")
		return nil, nil
	}
	if transcript == nil {
		v.problem(ceremony.TranscriptFile, "", "is missing")
		return nil, nil
	}
	p, err := ceremony.ParsePlan(ceremony.PlanFile, plan)
	if err != nil {
		v.fault(ceremony.PlanFile, err)
		return nil, nil
	}
	a, t, err := ceremony.Replay(p, ceremony.TranscriptFile, transcript)
	if err != nil {
		v.fault(ceremony.TranscriptFile, err)
		return nil, nil
	}
	if len(t.Torn) > 0 {
		v.problem(ceremony.TranscriptFile, "", "is cut off after record %d: %d bytes of a record that was never finished", a.N, len(t.Torn))
	}
	if a.Open == nil {
		v.problem(ceremony.TranscriptFile, "", "has no record")
		return nil, nil
	}
	return a, t
}

func (v *verifier) identify(a *ceremony.Account) {
	v.tells(nil, a)
	v.r.Identity = fmt.Sprintf("%x", a.Head)
	if v.r.Fleet == "" {
		v.r.Mode, v.r.Fleet, v.r.Namespace, v.r.Epoch = a.Plan.Mode, a.Plan.Fleet, a.Plan.Namespace, a.Plan.Epoch
	}
}

// ended says how the ceremony ended, where it did not end well.
func (v *verifier) ended(a *ceremony.Account) {
	switch {
	case a.Abort != nil:
		v.problem(recordOf(a.N), "its keys are not to be used; who signed the abort says --expect abort", "the ceremony was aborted: %s", a.Abort.Reason)
	case a.Fault != "":
		v.problem(recordOf(a.N), "", "a check failed: %s", a.Fault)
	case a.Close == nil:
		s, _ := a.Next()
		v.problem(recordOf(a.N), "", "the ceremony is not closed: its next step is %q", s.Act)
	}
}

func recordOf(n int) string { return fmt.Sprintf("%s, record %d", ceremony.TranscriptFile, n) }

// agree demands that each file is what the transcript gives: artifact and
// bundle can be made again from it, core and proof are named by their digests.
func (v *verifier) agree(files Files, a *ceremony.Account) {
	if set, err := a.Artifact(); err == nil {
		v.same(files, ceremony.ArtifactFile, sha256.Sum256(set.Raw()))
	}
	if a.Request != nil {
		v.same(files, ceremony.CoreFile, a.Request.Core)
		v.core(files[ceremony.CoreFile], a)
		for _, f := range a.Request.Files {
			v.same(files, f.Path, f.SHA256)
		}
	}
	if a.Counter != nil {
		for _, f := range a.Counter.Files {
			v.same(files, f.Path, f.SHA256)
		}
	}
	if a.LogProof != nil {
		v.same(files, ceremony.BundleFile, a.LogProof.Bundle)
		v.same(files, ceremony.ProofFile, a.LogProof.Proof)
	}
}

func (v *verifier) same(files Files, path string, want [32]byte) {
	switch {
	case files[path] == nil:
		v.problem(path, "", "is missing")
	case v.sums[path] != want:
		v.problem(path, "", "is not the one that the transcript tells of")
	}
}

// core demands that what the third parties were asked is what was released.
func (v *verifier) core(data []byte, a *ceremony.Account) {
	c, err := bundle.ParseCore(ceremony.CoreFile, data)
	if err != nil {
		v.fault(ceremony.CoreFile, err)
		return
	}
	if c.KeySet.Digest() != a.Release.Artifact || c.Plan != a.Plan.Digest() ||
		c.Release.Hash != a.ReleaseHash || c.Release.N != uint64(a.ReleaseN) {
		v.problem(ceremony.CoreFile, "", "asks for something else than was released")
	}
	if err := c.Fresh(); err != nil {
		v.problem(ceremony.CoreFile, "", "%v", err)
	}
}

// bound demands that the close record lists every file there is, and nothing
// that isn't there.
func (v *verifier) bound(files Files, a *ceremony.Account, t *ceremony.Transcript) {
	if a.Close == nil {
		return
	}
	where := recordOf(a.N)
	before := len(v.r.Problems)
	listed, last := map[string]bool{}, ""
	for _, f := range a.Close.Files {
		if f.Path <= last {
			v.problem(where, "", "the close record's files are not sorted and distinct")
		}
		last, listed[f.Path] = f.Path, true
		switch {
		case unlisted(f.Path):
			v.problem(where, "", "the close record lists %s, which comes after it", f.Path)
		case files[f.Path] == nil:
			v.problem(f.Path, "", "is missing, and the close record lists it")
		case v.sums[f.Path] != f.SHA256:
			v.problem(f.Path, "", "is not the file that the close record lists")
		}
	}
	for _, path := range files.Paths() {
		if !listed[path] && !unlisted(path) {
			v.problem(path, "", "is unbound: the close record does not list it")
		}
	}
	again := v.samePage(files, a, t)
	if len(v.r.Problems) > before {
		v.lack(ClaimBound, where, "", "the files are not what the close record lists")
		v.lack(ClaimPage, PageFile, "", "the files are not what the close record lists")
		return
	}
	// Without people's signatures on the close, its hash is bound to nobody's
	// key: whoever rewrites the transcript's end can rewrite the list too.
	if v.r.Claim(ClaimCloseSignoff).Grade < Proven {
		v.lack(ClaimBound, where, "", "%d files are as the close record lists them, but the close is not signed off", len(a.Close.Files))
		if again {
			v.lack(ClaimPage, PageFile, "", "it says what the data says, but the close is not signed off")
		}
		return
	}
	v.show(ClaimBound, Proven, where, "%d files, each as the signed close record lists it", len(a.Close.Files))
	if again {
		v.show(ClaimPage, Proven, PageFile, "rendered again from the data, and the same")
	}
}

// unlisted are the files that the close record can't list: those that hold or
// sign it, and the manifest made after it.
func unlisted(path string) bool {
	return path == ceremony.TranscriptFile || path == ManifestFile ||
		len(path) > len(closeSignoffs) && path[:len(closeSignoffs)] == closeSignoffs
}

// pageFiles are the files that the close record can list, but for the page.
func pageFiles(files Files, sums map[string][32]byte) (list []page.File) {
	for _, path := range files.Paths() {
		if path != PageFile && !unlisted(path) {
			list = append(list, page.File{Path: path, Size: len(files[path]), Sum: sums[path]})
		}
	}
	return list
}

func (f Files) file(path string) []byte { return f[path] }

// Page renders the page of a package that has none yet.
func Page(files Files) ([]byte, error) {
	plan, err := ceremony.ParsePlan(ceremony.PlanFile, files[ceremony.PlanFile])
	if err != nil {
		return nil, err
	}
	a, t, err := ceremony.Replay(plan, ceremony.TranscriptFile, files[ceremony.TranscriptFile])
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.Render(&b, page.Content{Account: a, Transcript: t, Signed: files.signed, Listed: pageFiles(files, files.sums()), File: files.file})
	return b.Bytes(), err
}

// samePage compares the published page with what the data gives. One of another
// version can't be compared: it is not shown, whatever else is, and may do nothing.
func (v *verifier) samePage(files Files, a *ceremony.Account, t *ceremony.Transcript) (again bool) {
	have, ok := files[PageFile]
	if !ok {
		v.problem(PageFile, "", "is missing")
		return false
	}
	if page.IsCurrent(have) {
		signed := func(dir string) ([]ceremony.Signing, error) { return v.signings(files, dir) }
		same, err := page.Same(have, page.Content{Account: a, Transcript: t, Signed: signed, Listed: pageFiles(files, v.sums), File: files.file})
		switch {
		case err != nil: // what people signed can't be read, and that is told already
			v.lack(ClaimPage, PageFile, "", "can't be rendered from this data: %v", err)
		case !same:
			v.problem(PageFile, "", "does not say what the data says")
		}
		return same
	}
	version, err := page.Passive(have)
	if err != nil {
		v.problem(PageFile, "do not open it", "is of another version than %s, and more than text that could be read: it %v", page.Version, err)
		return false
	}
	named := "it names no version"
	if version != "" {
		named = fmt.Sprintf("its version is %q", version)
	}
	v.lack(ClaimPage, PageFile, "read what this report says, and not the page", "%s, this verifier knows %s: it was compared with nothing and may say anything", named, page.Version)
	return false
}

// transcript verifies a transcript beside its plan. Nothing that is pinned
// signs it here, so its claims are no more than the devices' own.
func (v *verifier) transcript(in Input) {
	if in.Plan == nil {
		v.problem(in.File, "put plan.yaml beside it, or name it with --plan", "can't be followed without the plan it begins at")
		return
	}
	a, _ := v.replay(in.Plan, in.Data)
	if a == nil {
		return
	}
	v.identify(a)
	if !v.mode(in.File, a.Plan.Mode, a.Plan.Namespace) {
		return
	}
	v.ended(a)
	v.times(a)
	v.keyClaims(a, false)
}
