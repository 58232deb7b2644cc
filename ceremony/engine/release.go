package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The steps after the run, one call each, in the order that the account allows. Each
// writes its file first and its record afterwards, so that a step that was interrupted
// in between can be repeated: save accepts a file with the same content.

// Build has people read the artifact's digest aloud, writes the artifact and records
// its release.
func (j *Journal) Build(ctx context.Context, people Participants) (*bundle.KeySet, error) {
	if err := j.mayRelease(); err != nil {
		return nil, err
	}
	artifact, err := j.account.Artifact()
	if err != nil {
		return nil, err
	}
	if j.expectsChallenge(ceremony.ActRelease) {
		if _, err := j.challenge(ctx, people); err != nil {
			return nil, err
		}
	}
	if err := j.account.Expects(ceremony.KindRelease); err != nil {
		return nil, err
	}
	if err := j.save(ceremony.ArtifactFile, artifact.Raw()); err != nil {
		return nil, err
	}
	_, err = j.Append(&ceremony.Release{Artifact: artifact.Digest()})
	return artifact, err
}

// mayRelease demands, before people read the key set aloud, that all evidence of devices
// is there and that exceptions are about each attestation with problems.
func (j *Journal) mayRelease() error {
	if list := j.account.Unexcused(); len(list) > 0 {
		o := list[0]
		return strict.Errorf(j.dir, "the attestation of record %d, device %s, has problems, and no exception is about them: %s", o.N, o.Identity, o.Problems[0]).
			WithHint("if officers will accept it, record an exception, and let them accept it:\nfleetctl ceremony exception %s --attestation %d --expected … --happened … --decided …\nelse end the ceremony with fleetctl ceremony abort", j.dir, o.N)
	}
	files, err := folder.ReadAttestations(j.dir)
	if err != nil {
		return err
	}
	return j.account.CheckAttestations(files)
}

// Request writes the request's core, records it, and returns the request for the third
// parties. From epoch 2 on it needs the predecessor's artifact and the third parties'
// statements about that.
//
// It demands people's signatures twice: the release must be signed off before anything
// leaves the room, and the threshold of officers must approve exactly this core.
func (j *Journal) Request(ctx context.Context, predecessor []byte, previous []bundle.Signed, ask Approver) (*bundle.Request, error) {
	a := j.account
	if a.Request != nil {
		return j.requestAgain()
	}
	if err := a.Expects(ceremony.KindRequest); err != nil {
		return nil, err
	}
	if err := j.mayRequest(); err != nil {
		return nil, err
	}
	core, err := j.PrepareRequest(predecessor, previous)
	if err != nil {
		return nil, err
	}
	if err := j.Approved(ctx, a.Wanted(ceremony.ApproveRequest, core.Subject()), ask); err != nil {
		return nil, err
	}
	files, err := j.requestFiles()
	if err != nil {
		return nil, err
	}
	request, err := bundle.NewRequest(core, files)
	if err != nil {
		return nil, err
	}
	// Written before its record, so that requestAgain can return it. If there is one
	// without a record, its run was interrupted and it was given to nobody.
	if err := folder.Temp(j.dir).Replace(filepath.Join(j.dir, requestFile), request.Raw(), 0o644); err != nil {
		return nil, err
	}
	_, err = j.Append(&ceremony.Request{Core: core.Subject(), Files: signedOf(files)})
	return request, err
}

// PrepareRequest writes the core of the request into the folder, so that officers can
// look at it before they approve it.
func (j *Journal) PrepareRequest(predecessor []byte, previous []bundle.Signed) (*bundle.Core, error) {
	a := j.account
	if err := a.Expects(ceremony.KindRequest); err != nil {
		return nil, err
	}
	artifact, err := a.Artifact()
	if err != nil {
		return nil, err
	}
	core, err := newCore(artifact, predecessor, previous, bundle.Head{Hash: a.ReleaseHash, N: uint64(a.ReleaseN)})
	if err != nil {
		return nil, &Unfit{err}
	}
	return core, j.save(ceremony.CoreFile, core.Raw())
}

// Unfit says that what was given of the epoch before is not what this artifact follows.
// Nothing was written.
type Unfit struct{ Err error }

func (e *Unfit) Error() string { return e.Err.Error() }
func (e *Unfit) Unwrap() error { return e.Err }

const requestFile = ceremony.PrivateDir + "/request.json"

// requestAgain returns the request that was made. It can't be made again: the
// transcript in it ends before the request's record.
func (j *Journal) requestAgain() (*bundle.Request, error) {
	path := filepath.Join(j.dir, requestFile)
	data, err := durable.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := bundle.ParseRequest(path, data)
	if err != nil {
		return nil, err
	}
	if r.Core.Subject() != j.account.Request.Core {
		return nil, strict.Errorf(path, "is not the request that the transcript records")
	}
	return r, nil
}

// newCore makes the core from the predecessor's exact bytes: a key set or a notice.
func newCore(artifact *bundle.KeySet, predecessor []byte, previous []bundle.Signed, release bundle.Head) (*bundle.Core, error) {
	if predecessor == nil {
		return bundle.NewCore(artifact, nil, previous, release)
	}
	if n, err := bundle.ParseNotice("predecessor", predecessor); err == nil {
		return bundle.NewCoreAfter(artifact, n, previous, release)
	}
	before, err := bundle.ParseKeySet("predecessor", predecessor)
	if err != nil {
		return nil, err
	}
	core, err := bundle.NewCore(artifact, before, previous, release)
	if err == nil {
		err = core.Fresh()
	}
	return core, err
}

// requestFiles are the files that a third party checks before it signs: the plan, the
// transcript so far, the devices' evidence, and everything that people signed so far.
func (j *Journal) requestFiles() (list []bundle.File, err error) {
	var files map[string][]byte
	err = folder.HoldSigners(j.dir, func() error {
		files, err = folder.ReadPublishedSignatures(j.dir)
		return err
	})
	if err != nil {
		return nil, err
	}
	evidence, err := folder.ReadAttestations(j.dir)
	if err == nil {
		err = j.account.CheckAttestations(evidence)
	}
	if err != nil {
		return nil, err
	}
	maps.Copy(files, evidence)
	for _, path := range []string{ceremony.PlanFile, ceremony.TranscriptFile} {
		if files[path], err = durable.ReadFile(filepath.Join(j.dir, path)); err != nil {
			return nil, err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		list = append(list, bundle.File{Path: path, Data: files[path]})
	}
	return list, nil
}

// CountersignApproved demands that the threshold of officers approved exactly the text
// that is to be countersigned. It is called before the PIN of the operator's HSM is
// asked for, and again before its key signs.
func (j *Journal) CountersignApproved(ctx context.Context, ask Approver) error {
	if err := j.account.Expects(ceremony.KindCountersignature); err != nil {
		return err
	}
	text, err := j.account.CountersignText()
	if err != nil {
		return err
	}
	return j.Approved(ctx, j.account.Wanted(ceremony.ApproveCountersign, sha256.Sum256(text)), ask)
}

// CountersignKey is a key of the operator's beside the first one.
type CountersignKey struct {
	Public *keys.Public
	Sign   func(text []byte) ([]byte, error)
}

// Countersign has the operator's key sign the account's text, which the threshold of
// officers must have approved, and records the signature. Where the plan names a
// post-quantum key too, that one is given beside, and signs the same text: there is a
// record of both signatures, or none. The rules verify them first.
func (j *Journal) Countersign(ctx context.Context, ask Approver, public *keys.Public, sign func(text []byte) ([]byte, error), beside ...CountersignKey) error {
	a := j.account
	if err := a.Expects(ceremony.KindCountersignature); err != nil {
		return err
	}
	want := a.Plan.Countersigner
	switch q := want.PostQuantum; {
	case !bytes.Equal(public.SPKI(), want.Key):
		return fmt.Errorf("the key given is not the plan's for %s", want.Name)
	case q == nil && len(beside) > 0:
		return fmt.Errorf("a post-quantum key is given, and the plan names none for %s", want.Name)
	case q != nil && len(beside) == 0:
		return fmt.Errorf("the plan names a post-quantum key for %s too, %s, and none is given", want.Name, q.Algorithm)
	case q != nil && (len(beside) > 1 || !q.Is(beside[0].Public)):
		return fmt.Errorf("the post-quantum key given is not the plan's for %s", want.Name)
	}
	if err := j.CountersignApproved(ctx, ask); err != nil {
		return err
	}
	text, err := a.CountersignText()
	if err != nil {
		return err
	}
	if err := j.clockStands(&ceremony.Countersignature{}); err != nil {
		return err
	}
	files, err := j.requestFiles()
	if err != nil {
		return err
	}
	c := &ceremony.Countersignature{Key: want.Key, Form: want.Form, Files: signedOf(files)}
	if c.Signature, err = sign(text); err != nil {
		return err
	}
	for _, k := range beside {
		if c.PostQuantum, err = k.Sign(text); err != nil {
			return err
		}
	}
	_, err = j.Append(c)
	return err
}

// signedOf lists those of the files that people signed, with their digests.
func signedOf(files []bundle.File) (list []ceremony.File) {
	for _, f := range files {
		if ceremony.IsSigned(f.Path) {
			list = append(list, ceremony.File{Path: f.Path, SHA256: sha256.Sum256(f.Data)})
		}
	}
	return list
}

// Assemble writes the bundle and has people read its digest aloud before it is logged.
func (j *Journal) Assemble(ctx context.Context, people Participants) (*bundle.Bundle, error) {
	b, err := j.account.Bundle()
	if err != nil {
		return nil, err
	}
	if err := j.save(ceremony.BundleFile, b.Raw()); err != nil {
		return nil, err
	}
	if j.expectsChallenge(ceremony.ActLog) {
		_, err = j.challenge(ctx, people)
	}
	return b, err
}

// ImportProof verifies a proof that a log holds the bundle, writes it and records it.
func (j *Journal) ImportProof(file string, proof []byte) (*auditlog.Inclusion, error) {
	a := j.account
	if err := a.Expects(ceremony.KindLogProof); err != nil {
		return nil, err
	}
	b, err := a.Bundle()
	if err != nil {
		return nil, err
	}
	policy, err := auditlog.ParsePolicy("log_policy", []byte(a.Plan.LogPolicy))
	if err != nil {
		return nil, err
	}
	p, err := auditlog.ParseProof(file, proof)
	if err != nil {
		return nil, err
	}
	in, err := policy.Verify(b.Raw(), p)
	if err != nil {
		return nil, err
	}
	if in.Demanded && !in.Quorum {
		return nil, strict.Errorf(file, "the plan's quorum of witnesses has not cosigned yet: missing %s", strings.Join(in.Missing, ", ")).
			WithHint("the bundle is logged; take the proof again when they have")
	}
	now := j.now()
	for _, w := range in.Witnesses {
		if w.Time.After(now.Add(keys.ClockTolerance)) {
			return nil, strict.Errorf(file, "has a cosignature of %s at %s, which is in the future by this computer's clock, %s: verifiers would refuse it", w.Name, strict.FormatTime(w.Time), strict.FormatTime(now)).
				WithHint("set right the clock that is wrong, this computer's or the witness's, and take the proof again")
		}
	}
	if in.Quorum && a.CounterTime.After(in.QuorumTime.Add(keys.ClockTolerance)) {
		return nil, strict.Errorf(file, "says that witnesses had seen the bundle by %s, and it was countersigned at %s: verifiers would refuse it", strict.FormatTime(in.QuorumTime), strict.FormatTime(a.CounterTime)).
			WithHint("the witnesses' clocks or this computer's were wrong: have the checkpoint cosigned again, and take that proof")
	}
	if err := j.save(ceremony.BundleFile, b.Raw()); err != nil {
		return nil, err
	}
	if err := j.save(ceremony.ProofFile, proof); err != nil {
		return nil, err
	}
	_, err = j.Append(&ceremony.LogProof{Bundle: sha256.Sum256(b.Raw()), Proof: sha256.Sum256(proof)})
	return in, err
}

// Finish records the close. files are all that the package will hold, without the
// transcript, the manifest and the close sign-offs. judge gets the record before it is
// written, and refuses it if the package would not verify.
func (j *Journal) Finish(files []ceremony.File, judge func(*ceremony.Record) error) (*ceremony.Record, error) {
	if err := j.account.Expects(ceremony.KindClose); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, strict.Errorf(j.dir, "there are no files to list in the close record")
	}
	if err := j.exceptionsAccepted(); err != nil {
		return nil, err
	}
	r, err := j.next(&ceremony.Close{Files: files})
	if err != nil {
		return nil, err
	}
	if err := judge(r); err != nil {
		return nil, err
	}
	if err := j.write(r); err != nil {
		return nil, err
	}
	return r, nil
}
