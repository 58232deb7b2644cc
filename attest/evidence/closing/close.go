// Package closing is the operator's side of an evidence package: it closes a ceremony if
// the resulting package verifies, and collects the files that are published. Verifiers
// don't need it.
package closing

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Journal is the part of the engine's journal that closing needs, so that this package
// doesn't import the engine.
type Journal interface {
	Dir() string
	Account() *ceremony.Account
	Finish(files []ceremony.File, judge func(*ceremony.Record) error) (*ceremony.Record, error)
}

// Close renders the page and records the digest of every file that will be published. The
// hash of that record, the close head, is the package's identity.
//
// Nothing can be added to a closed ceremony. So Close first verifies the package that the
// record would make, as a stranger would, and doesn't write the record if that fails.
//
// Some faults can't be mended, such as a third party's second statement, which is on the
// record, and the package has to be published nevertheless. Then Close calls anyway with
// what is wrong, and closes if it returns nil. anyway may be nil.
func Close(j Journal, anyway func(wrong error) error) (r *ceremony.Record, err error) {
	err = folder.HoldSigners(j.Dir(), func() error {
		r, err = closeNow(j, anyway)
		return err
	})
	return r, err
}

func closeNow(j Journal, anyway func(wrong error) error) (*ceremony.Record, error) {
	files, err := evidence.ReadFolder(j.Dir())
	if err != nil {
		return nil, err
	}
	delete(files, evidence.ManifestFile) // PackFolder makes it
	if err := publishable(j.Dir(), files); err != nil {
		return nil, err
	}
	if files[evidence.PageFile], err = evidence.Page(files); err != nil {
		return nil, err
	}
	return j.Finish(files.Listed(), func(r *ceremony.Record) error {
		err := judgeClose(j.Dir(), files, j.Account().Plan, r)
		var wrong strict.Errors
		if errors.As(err, &wrong) && anyway != nil {
			err = anyway(err)
		}
		if err != nil {
			return err
		}
		// Replace the page of a close that was interrupted before its record.
		return folder.Temp(j.Dir()).Replace(filepath.Join(j.Dir(), evidence.PageFile), files[evidence.PageFile], 0o644)
	})
}

// judgeClose verifies the package that a close record would make, under a policy that pins
// whom the plan names and demands all claims that can be shown before the close is signed
// off.
func judgeClose(dir string, files evidence.Files, plan *ceremony.Plan, r *ceremony.Record) error {
	would := maps.Clone(files)
	would[ceremony.TranscriptFile] = append(slices.Clone(files[ceremony.TranscriptFile]), r.Line()...)
	would[evidence.ManifestFile] = would.Manifest()
	policy, err := planned.OwnPolicy(plan, "the plan's own keys: whether the close may be recorded")
	if err != nil {
		return err
	}
	var only []string
	expect := evidence.TypeEvidence
	if plan.Destroys != nil {
		expect = evidence.TypeDestruction
	}
	for _, d := range policy.Demands {
		if ofClose(d.Claim, plan) && evidence.Carries(expect, d.Claim) {
			only = append(only, d.Claim)
		}
	}
	report, err := evidence.Verify(evidence.Input{File: dir, Folder: would}, policy, evidence.Question{Now: r.Time, Expect: expect, Only: only})
	if err != nil || report.Verified {
		return err
	}
	return refusedClose(dir, report)
}

// ofClose says whether a claim can be shown before the close is signed off.
func ofClose(claim string, plan *ceremony.Plan) bool {
	switch claim {
	case evidence.ClaimKeyAttested, evidence.ClaimCountersignerAttested, evidence.ClaimDrilled, evidence.ClaimLockdown, evidence.ClaimCloseSignoff, evidence.ClaimBound, evidence.ClaimPage, evidence.ClaimLogged, evidence.ClaimAbortSigned, evidence.ClaimDestroyed, evidence.ClaimRekor:
		return false
	case evidence.ClaimWitnessed:
		p, err := auditlog.ParsePolicy("log_policy", []byte(plan.LogPolicy))
		return err != nil || p.DemandsQuorum()
	}
	return true
}

// refusedClose lists what a verifier would find wrong.
func refusedClose(dir string, report *evidence.Report) error {
	var faults strict.Errors
	add := func(where, what, next string) {
		hint := "nothing was recorded: mend that, then close again"
		if strings.HasPrefix(where, ceremony.TranscriptFile) {
			hint = "nothing was recorded. What is on the record stays: if it is that, publish it as it is with --unverified"
		}
		if next != "" {
			hint = next + "\n" + hint
		}
		faults.Add(strict.Errorf(filepath.Join(dir, where), "would not verify: %s", what).WithHint("%s", hint))
	}
	for _, p := range report.Problems {
		add(p.Where, p.What, p.Next)
	}
	for _, c := range report.Claims {
		if c.Short() {
			add(c.Where, fmt.Sprintf("%s is %s, not %s: %s", c.Name, c.Grade, c.Least, c.Detail), c.Next)
		}
	}
	return faults.Err()
}

// PackFolder returns the files of a ceremony that has ended as they are published, with
// the manifest. withhold leaves out the bodies of restricted records.
func PackFolder(dir string, withhold bool) (files evidence.Files, a *ceremony.Account, err error) {
	if err = folder.SettleClosed(dir); err != nil {
		return nil, nil, err
	}
	if a, err = folder.Read(dir); err != nil {
		return nil, nil, err
	}
	if !a.Ended() {
		s, _ := a.Next()
		return nil, nil, strict.Errorf(dir, "the ceremony is not closed: its next step is %q", s.Act).
			WithHint("when all is done, close it with\nfleetctl ceremony close %s", dir)
	}
	err = folder.HoldSigners(dir, func() error {
		files, err = evidence.ReadFolder(dir)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	delete(files, evidence.ManifestFile)
	if err := publishable(dir, files); err != nil {
		return nil, nil, err
	}
	if err := asClosed(dir, files, a); err != nil {
		return nil, nil, err
	}
	if withhold {
		if files[ceremony.TranscriptFile], err = ceremony.Withhold(a.Plan, files[ceremony.TranscriptFile]); err != nil {
			return nil, nil, err
		}
	}
	files[evidence.ManifestFile] = files.Manifest()
	return files, a, nil
}

// asClosed demands the files that the close record lists, and no other but what people
// signed since: nothing would bind it.
func asClosed(dir string, files evidence.Files, a *ceremony.Account) error {
	if a.Close == nil {
		return nil
	}
	var faults strict.Errors
	listed := map[string][32]byte{}
	for _, f := range a.Close.Files {
		listed[f.Path] = f.SHA256
	}
	for _, f := range files.Listed() {
		switch sum, ok := listed[f.Path]; {
		case !ok:
			faults.Add(strict.Errorf(filepath.Join(dir, f.Path), "is not in the close record's list: nothing would bind it").WithHint("it came after the close: move it away"))
		case sum != f.SHA256:
			faults.Add(strict.Errorf(filepath.Join(dir, f.Path), "is not the file that the close record lists").WithHint("it was changed after the close: take it from another copy of the folder"))
		}
		delete(listed, f.Path)
	}
	for _, path := range slices.Sorted(maps.Keys(listed)) {
		faults.Add(strict.Errorf(filepath.Join(dir, path), "is missing, and the close record lists it").WithHint("take it from another copy of the folder"))
	}
	return faults.Err()
}
