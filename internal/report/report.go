// Package report is what a command checked, as continuous integration wants to
// be told: one check after the other, each passed or failed, with the place to
// look at. The packages below it write it in the forms that such services read.
package report

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Outcome is what came of a check.
type Outcome int

// The outcomes. The zero value is a failure: nothing passes by being left out.
const (
	Failed Outcome = iota
	Passed
	// NoVerdict: the check could not be made, a policy is malformed or a file missing.
	NoVerdict
	// NotAsked: it would be demanded, and this run left it out.
	NotAsked
)

// The rules that several commands have in common.
const (
	RuleWrong     = "wrong"            // something is malformed or contradicts something else
	RuleConfirmed = "policy.confirmed" // keys that were compared with their owners
	RuleNoVerdict = "no-verdict"       // the command could not check anything
)

// Check is one thing that was demanded, or one that is wrong.
type Check struct {
	Rule    string // its name for programs, the same in each run
	Title   string // what is demanded, in words
	Outcome Outcome
	Message string // why it failed, or by what it is shown
	Next    string // what to do about it
	At      Place
}

// Place is where to look. Line, Offset and Length are zero where they aren't known.
type Place struct {
	File   string // a path or an address
	Member string // the file inside File, where that is an archive
	Line   int    // of Member, or of File where there is no member; counted from 1
	Region *Region
}

// Region is the part of an archive's bytes that holds the member's line, or all of it.
type Region struct {
	Offset, Length int
	Line           int // of the archive as a text, for services that know lines only
}

// String is the place as a compiler would write it.
func (p Place) String() string {
	s := p.File
	if p.Member != "" {
		s += "!" + p.Member
	}
	if p.Line > 0 {
		s += fmt.Sprintf(":%d", p.Line)
	}
	return s
}

// ParsePlace reads a place as errors write it: a file, with a line behind it or without.
func ParsePlace(where string) Place {
	if i := strings.LastIndexByte(where, ':'); i >= 0 {
		if n, err := strconv.Atoi(where[i+1:]); err == nil && n > 0 && strconv.Itoa(n) == where[i+1:] {
			return Place{File: where[:i], Line: n}
		}
	}
	return Place{File: where}
}

// Run is one run of a command that checks something.
type Run struct {
	Command string // fleetctl verify
	Version string // of fleetctl
	Subject string // the file, folder or address that was checked
	Summary string // the verdict in a line
	Time    time.Time
	Good    bool // the command's own verdict
	Code    int  // its exit code
	Checks  []Check
}

// Complete makes the run's checks say what its verdict says: where the verdict is no, or
// nothing was checked, there is a check that failed, and where one failed the verdict is
// no. A service that counts checks must not come to another result than the exit code.
func (r *Run) Complete() {
	passed := slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Outcome == Passed })
	switch {
	case len(r.Failures()) > 0:
		r.Good = false
	case !passed:
		r.Good = false
		r.Checks = append(r.Checks, Check{Rule: RuleNoVerdict, Title: "Something is checked", Outcome: NoVerdict, Message: "nothing was checked", At: Place{File: r.Subject}})
	case !r.Good:
		r.Checks = append(r.Checks, Check{Rule: RuleWrong, Title: "Nothing is wrong", Message: r.Summary, At: Place{File: r.Subject}})
	}
}

// Failures are the checks that did not pass, but for those that nobody asked for.
func (r *Run) Failures() (list []Check) {
	for _, c := range r.Checks {
		if c.Outcome != Passed && c.Outcome != NotAsked {
			list = append(list, c)
		}
	}
	return list
}

// Judged says whether the command came to a verdict.
func (r *Run) Judged() bool {
	return !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Outcome == NoVerdict })
}

// OfError are the checks that an error is made of: one for each fault of a list. A fault
// without a file is about the subject.
func OfError(err error, o Outcome, subject string) (checks []Check) {
	var list strict.Errors
	if errors.As(err, &list) {
		for _, e := range list {
			checks = append(checks, OfError(e, o, subject)...)
		}
		return checks
	}
	c := Check{Rule: RuleWrong, Title: "Nothing is wrong", Outcome: o, Message: err.Error(), At: Place{File: subject}}
	if o == NoVerdict {
		c.Rule, c.Title = RuleNoVerdict, "The command comes to a verdict"
	}
	var e *strict.Error
	if errors.As(err, &e) {
		c.Next = e.Hint
		if e.File != "" {
			c.At = Place{File: e.File, Line: e.Line}
			c.Message = strings.TrimPrefix(c.Message, c.At.String()+": ")
		}
	}
	var hinted interface{ Hint() string }
	if c.Next == "" && errors.As(err, &hinted) {
		c.Next = hinted.Hint()
	}
	return []Check{c}
}
