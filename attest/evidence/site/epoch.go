package site

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/page"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// epoch is one package and what is published of it.
type epoch struct {
	file       string // the package's name as it was given, for errors
	dir        string // its folder in the site
	plan       *ceremony.Plan
	account    *ceremony.Account
	transcript *ceremony.Transcript
	packed     evidence.Files
	story      *story.Story
	set        *bundle.KeySet // nil if the ceremony brings no keys: it was aborted, or destroyed some
	ended      *destruction   // of a ceremony that destroyed keys; else nil
	before     *epoch         // the epoch before, if it is on the site
	files      Files          // that are handed out
	report     *evidence.Report
	asked      bool // the report is by a policy of the publisher's
}

// packageFile is the name of every package in its folder.
const packageFile = "evidence.tar"

// read judges a package and reads what is published of it.
func read(in evidence.Input, q Question) (*epoch, error) {
	if in.Folder != nil {
		return nil, strict.Errorf(in.File, "is a folder, and an archive is published").
			WithHint("pack it first\nfleetctl evidence pack %s --withhold --out evidence.tar", in.File)
	}
	packed, err := evidence.Unpack(in.File, in.Data)
	if err != nil {
		return nil, err
	}
	e := &epoch{file: in.File, packed: packed, asked: q.Policy != nil}
	if e.plan, err = ceremony.ParsePlan(in.File+": "+ceremony.PlanFile, packed[ceremony.PlanFile]); err != nil {
		return nil, err
	}
	if e.account, e.transcript, err = ceremony.Replay(e.plan, in.File+": "+ceremony.TranscriptFile, packed[ceremony.TranscriptFile]); err != nil {
		return nil, err
	}
	if !e.account.Ended() {
		return nil, strict.Errorf(in.File, "its ceremony is neither closed nor aborted: there is nothing to publish yet")
	}
	if err := e.withheld(); err != nil {
		return nil, err
	}
	if err := e.judge(in, q); err != nil {
		return nil, err
	}
	e.dir = fmt.Sprintf("epoch-%d", e.plan.Epoch)
	if e.ended, err = e.destroys(); err != nil {
		return nil, err
	}
	if e.account.Abort != nil {
		e.dir += fmt.Sprintf("-aborted-%x", e.account.Head[:4])
	} else if e.ended != nil {
		e.dir += fmt.Sprintf("-destroyed-%x", e.account.Head[:4])
	} else if e.set, err = e.account.Artifact(); err != nil {
		return nil, err
	}
	if e.story, err = story.Tell(e.account, e.transcript.Records, e.signed); err != nil {
		return nil, err
	}
	e.collect(in)
	return e, nil
}

func (e *epoch) signed(dir string) ([]ceremony.Signing, error) {
	return ceremony.Signings(e.packed, dir)
}

// content is what the package's page is rendered from.
func (e *epoch) content() page.Content {
	return page.Content{Account: e.account, Transcript: e.transcript, Signed: e.signed, File: func(path string) []byte { return e.packed[path] }}
}

// withheld refuses a package that says what restricted records say: whoever reads a
// site is not among those who may see it.
func (e *epoch) withheld() error {
	open := 0
	for _, r := range e.transcript.Records {
		if r.Kind.Restricted() && !r.Withheld() {
			open++
		}
	}
	if open == 0 {
		return nil
	}
	return strict.Errorf(e.file, "says what %s", words.Count(int64(open), "restricted record says", "restricted records say")).
		WithHint("publish a copy without, which has the same identity and the same proofs\nfleetctl evidence pack DIR --withhold --out published.tar")
}

// judge verifies the package: by the publisher's policy, or for its own agreement by
// a policy that pins whom its plan names.
func (e *epoch) judge(in evidence.Input, q Question) (err error) {
	policy := q.Policy
	if policy == nil {
		if policy, err = planned.OwnPolicy(e.plan, "by the plan alone: whether the package holds together"); err != nil {
			return err
		}
	}
	ask := evidence.Question{Now: q.Now, Expect: evidence.TypeEvidence, TrustOnFirstUse: q.TrustOnFirstUse}
	if e.account.Abort != nil {
		ask.Expect = evidence.TypeAbort
	} else if e.plan.Destroys != nil {
		ask.Expect = evidence.TypeDestruction
	}
	if e.report, err = evidence.Verify(in, policy, ask); err != nil {
		return err
	}
	var faults strict.Errors
	for _, p := range e.report.Problems {
		faults.Add(strict.Errorf(in.File+": "+p.Where, "%s", p.What).WithHint("%s", p.Next))
	}
	if len(faults) == 0 && e.asked && !e.report.Verified {
		faults.Add(e.short())
	}
	return faults.Err()
}

// short says what is missing for a verdict of the publisher's policy.
func (e *epoch) short() error {
	hint := "what falls short, and what to do, says\nfleetctl verify " + words.ShellWord(e.file) + " --policy " + words.ShellWord(e.report.Policy.File)
	if keys := e.report.Policy.TellUnpinned(); keys != "" && e.report.Met() {
		return strict.Errorf(e.file, "is not verified by %s: %s", e.report.Policy.File, keys).WithHint("%s", hint)
	}
	var names []string
	for _, c := range e.report.Claims {
		if c.Short() {
			names = append(names, c.Name)
		}
	}
	return strict.Errorf(e.file, "is not verified by %s: not shown as demanded: %s", e.report.Policy.File, strings.Join(names, ", ")).WithHint("%s", hint)
}

// download is a file that is handed out.
type download struct{ path, what string }

// downloads are the files of a package's folder, in the order in which they are shown.
func (e *epoch) downloads() (list []download) {
	what := map[string]string{
		packageFile:                       "the evidence package: everything below, and all that it is told from",
		ceremony.BundleFile:               "the validation bundle: the fleet's public keys with everybody's signatures",
		ceremony.ProofFile:                "proof that the bundle is in the log",
		evidence.RekorFile:                "the bundle's entry in a Rekor log",
		ceremony.PlanFile:                 "the plan that the officers approved",
		ceremony.RetirementFile:           "the retirement, with everybody's signatures",
		ceremony.RetirementProofFile:      "proof that the retirement is in the log",
		ceremony.RetiredFile:              "the validation bundle that brought the keys",
		ceremony.RetiredProofFile:         "proof that this bundle is in the log",
		evidence.ProofBeside(packageFile): "proof that the log knows how the ceremony ended",
	}
	order := []string{packageFile, evidence.ProofBeside(packageFile), ceremony.BundleFile, ceremony.ProofFile, evidence.RekorFile, ceremony.RetirementFile, ceremony.RetirementProofFile, ceremony.RetiredFile, ceremony.RetiredProofFile, ceremony.PlanFile}
	for _, path := range order {
		if e.files[path] != nil {
			list = append(list, download{path, what[path]})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(e.files)) {
		if !slices.Contains(order, path) {
			list = append(list, download{path, "a further proof"})
		}
	}
	return list
}

// collect takes the files that are handed out.
func (e *epoch) collect(in evidence.Input) {
	e.files = Files{packageFile: in.Data}
	for _, path := range []string{ceremony.PlanFile, ceremony.BundleFile, ceremony.ProofFile, evidence.RekorFile, ceremony.RetirementFile, ceremony.RetirementProofFile, ceremony.RetiredFile, ceremony.RetiredProofFile} {
		if data := e.packed[path]; data != nil {
			e.files[path] = data
		}
	}
	base := evidence.ProofBeside(packageFile)
	if in.Logged != nil {
		e.files[base] = in.Logged
	}
	for i, p := range in.Proofs {
		e.files[evidence.ProofNumber(base, i+2)] = p.Data
	}
}

// fleetKey is a key with its place.
type fleetKey struct {
	hsm  *ceremony.PlanHSM
	role string
	alg  string
	sum  [32]byte
}

// keys are the fleet's keys, in the order of the plan's HSMs.
func (e *epoch) keys() (list []fleetKey, err error) {
	if e.set == nil {
		return nil, nil
	}
	for _, k := range e.set.Keys {
		h := e.plan.HSM(k.HSM)
		if h == nil {
			return nil, errors.New("the key set has an HSM that the plan doesn't name: " + k.HSM)
		}
		list = append(list, fleetKey{h, k.Role, string(k.Algorithm), sha256.Sum256(k.SPKI)})
	}
	return list, nil
}

// sites are the plan's sites with their HSMs, in the plan's order.
func (e *epoch) sites() (names []string, hsms map[string][]string) {
	hsms = map[string][]string{}
	for _, h := range e.plan.HSMs {
		if hsms[h.Site] == nil {
			names = append(names, h.Site)
		}
		hsms[h.Site] = append(hsms[h.Site], h.Name)
	}
	return names, hsms
}
