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

// After the run a ceremony's folder goes through these steps, one call each,
// in the one order that the account allows. Each writes its file first and its
// record after, so that a step cut off in between can be repeated: the same
// content may be saved again, other content never.

// Build has the artifact's digest read aloud, writes it and records its
// release.
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

// mayRelease demands that the devices' evidence is all there and that what it
// lacks was decided about, before anybody reads the key set aloud.
func (j *Journal) mayRelease() error {
	if list := j.account.Unexcused(); len(list) > 0 {
		o := list[0]
		return strict.Errorf(j.dir, "the attestation of record %d, device %s, has problems, and no exception is about them: %s", o.N, o.Identity, o.Problems[0]).
			WithHint("if officers accept that, record it, and have it accepted:\nfleetctl ceremony exception %s --attestation %d --expected … --happened … --decided …\nelse end the ceremony with fleetctl ceremony abort", j.dir, o.N)
	}
	files, err := folder.ReadAttestations(j.dir)
	if err != nil {
		return err
	}
	return j.account.CheckAttestations(files)
}

// Request writes the core and records it; the request is for the third
// parties. The predecessor's artifact and the third parties' own statements
// about it are needed from epoch 2 on.
//
// It waits for people twice: the release has to be signed off before anything
// leaves the room, and m officers have to approve exactly this core.
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
	// Kept before it is recorded, so that it can be had again. One that a run
	// left which was cut off before the record was given to nobody.
	if err := folder.Temp(j.dir).Replace(filepath.Join(j.dir, requestFile), request.Raw(), 0o644); err != nil {
		return nil, err
	}
	_, err = j.Append(&ceremony.Request{Core: core.Subject(), Files: signedOf(files)})
	return request, err
}

// PrepareRequest writes the core of the request, which is there to be looked at before
// it is approved. It stays in the folder: what leaves it, [Journal.Request] writes.
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

// Unfit says that what was given of the epoch before isn't what the artifact
// follows. Nothing was written.
type Unfit struct{ Err error }

func (e *Unfit) Error() string { return e.Err.Error() }
func (e *Unfit) Unwrap() error { return e.Err }

const requestFile = ceremony.PrivateDir + "/request.json"

// requestAgain gives the request that was made: the transcript in it ends
// before its record, so it can't be made anew.
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
		return nil, strict.Errorf(path, "is not the request that the transcript tells of")
	}
	return r, nil
}

// newCore takes the predecessor's exact bytes: a key set, or a notice.
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

// requestFiles are what a third party checks before it signs: the plan, the
// transcript up to the release, and everything that people signed so far.
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

// CountersignApproved demands m officers' approvals of exactly the text that is to
// be countersigned: before anybody is asked for the PIN of the operator's HSM, and
// again before its key signs.
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

// Countersign has the operator's key sign exactly the text that the account
// gives, once m officers have approved that text; the signature is verified
// again in software and recorded.
func (j *Journal) Countersign(ctx context.Context, ask Approver, public *keys.Public, sign func(text []byte) ([]byte, error)) error {
	a := j.account
	if err := a.Expects(ceremony.KindCountersignature); err != nil {
		return err
	}
	want := a.Plan.Countersigner
	if !bytes.Equal(public.SPKI(), want.Key) {
		return fmt.Errorf("the key given is not the plan's for %s", want.Name)
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
	sig, err := sign(text)
	if err != nil {
		return err
	}
	_, err = j.Append(&ceremony.Countersignature{Key: want.Key, Form: want.Form, Signature: sig, Files: signedOf(files)})
	return err
}

// signedOf are those of the files that people signed, by path.
func signedOf(files []bundle.File) (list []ceremony.File) {
	for _, f := range files {
		if ceremony.IsSigned(f.Path) {
			list = append(list, ceremony.File{Path: f.Path, SHA256: sha256.Sum256(f.Data)})
		}
	}
	return list
}

// Assemble writes the bundle and has its digest read aloud: what is logged is
// what was heard.
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

// ImportProof verifies that a log holds the bundle, keeps the proof and
// records it.
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
			return nil, strict.Errorf(file, "has a cosignature of %s at %s, which is yet to come by this computer's clock, %s: nobody could verify that", w.Name, strict.FormatTime(w.Time), strict.FormatTime(now)).
				WithHint("set right the clock that is wrong, this computer's or the witness's, and take the proof again")
		}
	}
	if in.Quorum && a.CounterTime.After(in.QuorumTime.Add(keys.ClockTolerance)) {
		return nil, strict.Errorf(file, "says that witnesses had seen the bundle by %s, and it was countersigned at %s: nobody could verify that", strict.FormatTime(in.QuorumTime), strict.FormatTime(a.CounterTime)).
			WithHint("the witnesses' clocks or this machine's were wrong: have the checkpoint cosigned anew, and take that proof")
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

// Finish records the close: files is everything the package will hold but the
// transcript, the manifest and the close sign-offs. judge is shown the record
// before it is written, and refuses one that would make no evidence.
func (j *Journal) Finish(files []ceremony.File, judge func(*ceremony.Record) error) (*ceremony.Record, error) {
	if err := j.account.Expects(ceremony.KindClose); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, strict.Errorf(j.dir, "there is no file to close over")
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
