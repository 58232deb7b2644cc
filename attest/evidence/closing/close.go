// Package closing is the operator's side of an evidence package: it closes a
// ceremony, once the package that this makes verifies, and gives its files as
// they are published. Nobody who verifies needs it.
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

// Journal is what closing needs of the engine, which writes the record: a verifier
// that carries this package doesn't carry the engine.
type Journal interface {
	Dir() string
	Account() *ceremony.Account
	Finish(files []ceremony.File, judge func(*ceremony.Record) error) (*ceremony.Record, error)
}

// Close renders the page and records the digest of every file that will be
// published. The record's hash, the close head, is the package's identity.
//
// Nothing can be added to a ceremony that is closed, and everybody signs what
// was: so the package that the record would make is verified first, as a
// stranger would verify it, and the record isn't written if that fails.
//
// What is on the record can't be mended any more, a third party's second
// statement for one, and has to be published all the same. anyway is shown what
// is wrong and says, by nil, that people want it closed so; without it nothing
// is.
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
	delete(files, evidence.ManifestFile) // a package's, made when it is packed
	if unbound := files.Unbound(); len(unbound) > 0 {
		return nil, strict.Errorf(filepath.Join(j.Dir(), unbound[0]), "is no file of an evidence package").
			WithHint("everything in the folder is published: move it away, or into %s", filepath.Join(j.Dir(), ceremony.PrivateDir))
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
		// A page from a close that was cut off before its record is rendered anew.
		return folder.Temp(j.Dir()).Replace(filepath.Join(j.Dir(), evidence.PageFile), files[evidence.PageFile], 0o644)
	})
}

// judgeClose verifies the package that a close record would make, under a policy
// that pins whom the plan names: it demands all that can be shown before the
// close is signed off.
func judgeClose(dir string, files evidence.Files, plan *ceremony.Plan, r *ceremony.Record) error {
	would := maps.Clone(files)
	would[ceremony.TranscriptFile] = append(slices.Clone(files[ceremony.TranscriptFile]), r.Line()...)
	would[evidence.ManifestFile] = would.Manifest()
	policy, err := planPolicy(plan)
	if err != nil {
		return err
	}
	var only []string
	for _, d := range policy.Demands {
		if ofClose(d.Claim, plan) {
			only = append(only, d.Claim)
		}
	}
	report, err := evidence.Verify(evidence.Input{File: dir, Folder: would}, policy, evidence.Question{Now: r.Time, Expect: evidence.TypeEvidence, Only: only})
	if err != nil || report.Verified {
		return err
	}
	return refusedClose(dir, report)
}

// planPolicy pins whom a plan names, and takes what it tolerates: whether
// anybody else may is for their policies to say.
func planPolicy(plan *ceremony.Plan) (*evidence.Policy, error) {
	var tolerates []string
	for _, t := range plan.Tolerates() {
		if !slices.Contains(tolerates, t.Attempt) {
			tolerates = append(tolerates, t.Attempt)
		}
	}
	text, err := planned.NewPolicy(plan, "the plan's own keys: whether the close may be recorded", tolerates)
	if err != nil {
		return nil, err
	}
	return evidence.ParsePolicy("the plan's own policy", text)
}

// ofClose says that a claim can be shown before the close is signed off.
func ofClose(claim string, plan *ceremony.Plan) bool {
	switch claim {
	case evidence.ClaimKeyAttested, evidence.ClaimCountersignerAttested, evidence.ClaimLockdown, evidence.ClaimCloseSignoff, evidence.ClaimBound, evidence.ClaimPage, evidence.ClaimLogged, evidence.ClaimAbortSigned, evidence.ClaimRekor:
		return false
	case evidence.ClaimWitnessed:
		p, err := auditlog.ParsePolicy("log_policy", []byte(plan.LogPolicy))
		return err != nil || p.DemandsQuorum()
	}
	return true
}

// refusedClose says what a stranger would find wrong.
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

// PackFolder gives the files of a closed ceremony as they are published, the
// manifest among them. withhold leaves out what restricted records say.
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
	if withhold {
		if files[ceremony.TranscriptFile], err = ceremony.Withhold(a.Plan, files[ceremony.TranscriptFile]); err != nil {
			return nil, nil, err
		}
	}
	delete(files, evidence.ManifestFile)
	files[evidence.ManifestFile] = files.Manifest()
	return files, a, nil
}
