package ceremony

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// signedDirs are the folders of what people sign before the bundle is made.
// The records "request" and "countersignature" list their files with digests:
// a signature is then as old as the record, and not only as old as its signer
// says.
var signedDirs = []string{PlanApprovalsDir, ApprovalsDir, ReleaseSignoffDir}

func (a *Account) takeRequest(c *Request, r *Record) error {
	if err := checkSigned(c.Files, nil); err != nil {
		return err
	}
	a.Request, a.requestN, a.exceptionsAsked, a.asked = c, r.N, len(a.Exceptions), pathsOf(c.Files)
	return nil
}

func pathsOf(list []File) map[string]bool {
	paths := make(map[string]bool, len(list))
	for _, f := range list {
		paths[f.Path] = true
	}
	return paths
}

// checkSigned demands that a record's list is sorted, distinct, of those
// folders alone, and still has all of the list before it.
func checkSigned(list, before []File) error {
	last, has := "", map[File]bool{}
	for _, f := range list {
		if f.Path <= last {
			return fmt.Errorf("its files are not sorted and distinct: %q comes after %q", f.Path, last)
		}
		last, has[f] = f.Path, true
		if !isSigned(f.Path) {
			return fmt.Errorf("it lists %q, which is no file of %s", f.Path, strings.Join(signedDirs, ", "))
		}
	}
	for _, f := range before {
		if !has[f] {
			return fmt.Errorf("%q, which the request lists, is missing or another file", f.Path)
		}
	}
	return nil
}

func isSigned(path string) bool {
	return slices.ContainsFunc(signedDirs, func(dir string) bool {
		name, ok := strings.CutPrefix(path, dir+"/")
		return ok && strict.CheckToken(name) == nil && name != "." && name != ".."
	})
}

// Dated are the files of people's signatures that the bundle commits to, by
// way of the countersignature's record. Whoever saw the bundle had them.
func (a *Account) Dated() map[string][32]byte {
	dated := map[string][32]byte{}
	if a.Counter != nil {
		for _, f := range a.Counter.Files {
			dated[f.Path] = f.SHA256
		}
	}
	return dated
}

// Afterwards says which record lacks a file of people's signatures that was to be
// there before it, by the signature's path: "request" for all that leads to the
// request, "countersignature" for what came between the two. Empty where the
// file was there in time, or need not have been. An act that was done first and
// approved later was done without approval.
func (a *Account) Afterwards(path string) Kind {
	dir, name := "", ""
	for _, d := range signedDirs {
		if rest, ok := strings.CutPrefix(path, d+"/"); ok {
			dir, name = d, rest
		}
	}
	before := 0 // the record after which an act of this signature was done
	if dir == ApprovalsDir {
		_, rest, _ := strings.Cut(name, "-")
		number, _, _ := strings.Cut(rest, "-")
		n, err := strconv.Atoi(number)
		if err != nil {
			n = 0 // of no shape that counts: CheckSigned refuses it
		}
		before = n
	}
	switch {
	case dir == "":
		return ""
	case a.Request != nil && before < a.requestN && !a.asked[path]:
		return KindRequest
	case a.Counter != nil && strings.HasPrefix(name, ApproveException+"-"):
		return "" // one of an exception made since the request is due at the close
	case a.Counter != nil && before < a.CounterHead.N && !a.counted[path]:
		return KindCountersignature
	}
	return ""
}

// InTime are the same people, of whose signatures only those count that were there
// before what they approve: see Afterwards.
func (p *People) InTime(a *Account) *People {
	counts := p.counts
	return p.Counting(func(k *sshsig.Key, file string) bool {
		return a.Afterwards(file) == "" && (counts == nil || counts(k, file))
	})
}
