package folder

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Wish is what somebody wants to sign: the approval of an act, or a verdict on a stage.
type Wish struct {
	Act            string
	Stage, Verdict string
	Exceptions     []int // those agreed to, or the one to accept with ApproveException
}

// ToSign is a text that a person signs, with the place of its signature.
type ToSign struct {
	Text                    []byte
	Namespace, Folder, Name string
	// Names are the things that the text names only by their digests. Each of their files
	// is in the ceremony's folder, and has that digest.
	Names []Named
}

// Named is something that a signed text names by its digest.
type Named struct {
	What   string
	File   string // empty if it isn't a file
	Digest [32]byte
}

// NotDue is the error of an approval before its time: it would be over another head than
// the act's, and not count. Due is the act that can be approved now; empty if none can.
type NotDue struct{ Act, Due string }

func (e *NotDue) Error() string {
	return fmt.Sprintf("it is not the turn of %q, and its approval would count for nothing", e.Act)
}

// The errors of signing something that isn't there.
var (
	ErrNotAborted = errors.New("is no aborted ceremony")
	ErrNoRequest  = errors.New("has no request yet")
)

// TextToSign is the text that a person of this role signs for a wish, as the ceremony in
// dir stands. It is parsed again as a verifier will parse it.
func TextToSign(dir string, c *ceremony.Account, w Wish, role string) (*ToSign, error) {
	if w.Stage != "" {
		s, err := c.WantedSignoff(w.Stage)
		if err != nil {
			return nil, err
		}
		if s.Exceptions, err = agreedTo(w, s.Exceptions); err != nil {
			return nil, err
		}
		s.Role, s.Verdict = role, w.Verdict
		if _, err = ceremony.ParseSignoff("the sign-off", s.Text()); err != nil {
			return nil, err
		}
		set := Named{"the key set", ceremony.ArtifactFile, s.Artifact}
		if c.Plan.Destroys != nil {
			set = Named{"the key set whose keys were destroyed", "", s.Artifact} // it stands in the bundle that brought them
		}
		names, err := namedOf(dir, set)
		return &ToSign{s.Text(), s.Namespace(), ceremony.SignoffDir(w.Stage), "", names}, err
	}
	switch aborted := c.Abort != nil; {
	case !slices.Contains(ceremony.Acts(), w.Act):
		return nil, fmt.Errorf("%q is no act that is approved", w.Act)
	case aborted && w.Act != ceremony.ApproveAbort:
		return nil, fmt.Errorf("the ceremony was aborted: only that can be signed, with --approve abort")
	case !aborted && w.Act == ceremony.ApproveAbort:
		return nil, ErrNotAborted
	case role != ceremony.Officer && w.Act != ceremony.ApproveAbort:
		return nil, fmt.Errorf("officers approve acts; a %s signs stages off, with --signoff", role)
	}
	if err := inDueTime(dir, c, w.Act); err != nil {
		return nil, err
	}
	p, err := approvalOf(dir, c, w)
	if err != nil {
		return nil, err
	}
	p.Role = role
	if _, err = ceremony.ParseApproval("the approval", p.Text()); err != nil {
		return nil, err
	}
	names, err := namedBy(dir, c, p)
	return &ToSign{p.Text(), p.Namespace(), ceremony.ApprovalsDir, ApprovalName(p), names}, err
}

// namedBy are the things that an approval names.
func namedBy(dir string, c *ceremony.Account, p ceremony.Approval) ([]Named, error) {
	switch p.Act {
	case ceremony.ApproveRequest:
		data, err := durable.ReadFile(filepath.Join(dir, ceremony.CoreFile))
		if err != nil {
			return nil, err
		}
		core, err := bundle.ParseCore(filepath.Join(dir, ceremony.CoreFile), data)
		if err != nil {
			return nil, err
		}
		if core.KeySet.Digest() != c.Release.Artifact || core.Plan != c.Plan.Digest() || core.Release.Hash != c.ReleaseHash {
			return nil, strict.Errorf(filepath.Join(dir, ceremony.CoreFile), "asks for something else than was released").
				WithHint("it is made anew by\nfleetctl bundle request %s --out request.json", dir)
		}
		return namedOf(dir, Named{"the request's core", ceremony.CoreFile, p.Subject}, Named{"it asks for the key set", ceremony.ArtifactFile, c.Release.Artifact})
	case ceremony.ApproveCountersign:
		return namedOf(dir, Named{"the text that the operator's HSM signs", "", p.Subject}, Named{"it is about the key set", ceremony.ArtifactFile, c.Release.Artifact})
	case ceremony.ApproveException:
		return namedOf(dir, Named{"the exception's record", "", p.Subject})
	case ceremony.ApproveAbort:
		return namedOf(dir, Named{"the abort's record", "", p.Subject})
	}
	return nil, nil
}

// namedOf demands that each file has its digest: people look at the file, but sign the
// digest.
func namedOf(dir string, names ...Named) ([]Named, error) {
	for _, n := range names {
		if n.File == "" {
			continue
		}
		path := filepath.Join(dir, n.File)
		data, err := durable.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if have := bundle.Digest(data); have != n.Digest {
			return nil, strict.Errorf(path, "has SHA-256 %x, and what is signed is %x: it isn't the file that the transcript tells of", have, n.Digest).
				WithHint("find out who changed it before anybody signs; move it into %s, and take the file from another copy of the folder", filepath.Join(dir, ceremony.PrivateDir))
		}
	}
	return names, nil
}

// Unnamed is the error of a verdict with exceptions that doesn't name them.
type Unnamed struct {
	Stage string
	There []int // the exceptions that can be agreed to
}

func (e *Unnamed) Error() string {
	if len(e.There) == 0 {
		return fmt.Sprintf("there is no exception that %s could be agreed to with", e.Stage)
	}
	return fmt.Sprintf("which exceptions are agreed to has to be said; there are %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(e.There), " ", ", "), "[]"))
}

// agreedTo are the exceptions of a verdict, sorted. The stage must have each of them,
// else the verdict would not count.
func agreedTo(w Wish, there []int) ([]int, error) {
	if w.Verdict != ceremony.AgreeWithExceptions {
		return w.Exceptions, nil
	}
	if len(w.Exceptions) == 0 || len(there) == 0 {
		return nil, &Unnamed{w.Stage, there}
	}
	list := slices.Sorted(slices.Values(w.Exceptions))
	for _, n := range list {
		if !slices.Contains(there, n) {
			return nil, fmt.Errorf("exception %d is none that %s could be agreed to with", n, w.Stage)
		}
	}
	return slices.Compact(list), nil
}

// inDueTime refuses the approval of an act that can't come next.
func inDueTime(dir string, c *ceremony.Account, act string) error {
	due := c.DueAct()
	switch act {
	case due, ceremony.ApproveException, ceremony.ApproveAbort:
		return nil
	case ceremony.ApproveResume:
		if _, err := Read(dir); err != nil || c.Opened() && !c.Adjourned && !c.Ended() {
			return nil // interrupted: it may have to be resumed at any point
		}
	}
	return &NotDue{act, due}
}

// ApprovalName is the name of an approval's file, without the signer's name.
func ApprovalName(p ceremony.Approval) string { return fmt.Sprintf("%s-%d", p.Act, p.Head.N) }

// approvalOf is an act's approval, without the role.
func approvalOf(dir string, c *ceremony.Account, w Wish) (p ceremony.Approval, err error) {
	var subject [32]byte
	switch w.Act {
	case ceremony.ApproveException:
		if len(w.Exceptions) != 1 {
			return p, fmt.Errorf("one exception is accepted at a time, and %d are named", len(w.Exceptions))
		}
		return c.ExceptionApproval(w.Exceptions[0])
	case ceremony.ApproveAbort:
		return c.AbortApproval(), nil
	case ceremony.ApproveRequest:
		data, err := durable.ReadFile(filepath.Join(dir, ceremony.CoreFile))
		if err != nil {
			return p, ErrNoRequest
		}
		subject = bundle.Digest(data)
	case ceremony.ApproveCountersign:
		text, err := c.CountersignText()
		if err != nil {
			return p, err
		}
		subject = bundle.Digest(text)
	}
	return c.Wanted(w.Act, subject), nil
}

// ExceptionToAccept is the number of the first exception that lacks acceptances and that
// this person hasn't accepted; if there is none, of the last exception.
func ExceptionToAccept(dir string, c *ceremony.Account, who string) (int, error) {
	accepted, err := ReadAcceptances(dir, c)
	if err != nil {
		return 0, err
	}
	for i, have := range accepted {
		if len(have) < c.Plan.Threshold && !slices.Contains(have, who) {
			return i + 1, nil
		}
	}
	return len(accepted), nil
}
