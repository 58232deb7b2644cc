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

// Wish is what somebody wants to sign: the approval of an act, or else a verdict
// on a stage.
type Wish struct {
	Act            string
	Stage, Verdict string
	Exceptions     []int // those agreed to; with the act exception, the one to accept
}

// ToSign is a text that a person signs, with where its signature belongs.
type ToSign struct {
	Text                    []byte
	Namespace, Folder, Name string
	// Names are what the text names by digests alone. Each file stands in the
	// ceremony's folder and has that digest.
	Names []Named
}

// Named is what a signed text names by its digest.
type Named struct {
	What   string
	File   string // empty where it is no file
	Digest [32]byte
}

// NotDue says that an act waits for nobody's approval now: one would be over
// another head than the act's, and count for nothing.
type NotDue struct{ Act, Due string } // what is due; empty where nothing is

func (e *NotDue) Error() string {
	return fmt.Sprintf("it is not the turn of %q, and its approval would count for nothing", e.Act)
}

// What can't be signed since it isn't there.
var (
	ErrNotAborted = errors.New("is no aborted ceremony")
	ErrNoRequest  = errors.New("has no request yet")
)

// TextToSign is the text that a person of this role signs for what they want, as
// the ceremony in dir stands. It is read back: what a person signs is what a
// verifier will take.
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
		names, err := namedOf(dir, Named{"the key set", ceremony.ArtifactFile, s.Artifact})
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

// namedBy is what an approval names.
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

// namedOf demands of each that is a file that it is the one with that digest: people
// look at the file, and sign the digest.
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

// Unnamed says that somebody agrees with exceptions, and not with which.
type Unnamed struct {
	Stage string
	There []int // those there are
}

func (e *Unnamed) Error() string {
	if len(e.There) == 0 {
		return fmt.Sprintf("there is no exception that %s could be agreed to with", e.Stage)
	}
	return fmt.Sprintf("which exceptions are agreed to has to be said; there are %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(e.There), " ", ", "), "[]"))
}

// agreedTo are the exceptions that a verdict is with, in their order. Each has to be
// one that the stage can be agreed to with: nobody's word for another would count.
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

// inDueTime refuses the approval of an act whose turn it isn't.
func inDueTime(dir string, c *ceremony.Account, act string) error {
	due := c.DueAct()
	switch act {
	case due, ceremony.ApproveException, ceremony.ApproveAbort:
		return nil
	case ceremony.ApproveResume:
		if _, err := Read(dir); err != nil || c.Opened() && !c.Adjourned && !c.Ended() {
			return nil // cut off: it may have to be resumed wherever it stands
		}
	}
	return &NotDue{act, due}
}

// ApprovalName is what an approval's file is named after.
func ApprovalName(p ceremony.Approval) string { return fmt.Sprintf("%s-%d", p.Act, p.Head.N) }

// approvalOf is an act's approval, but for the role.
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

// ExceptionToAccept is the number of the first exception that lacks officers and
// that who hasn't signed; the last one, if none waits for them.
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
