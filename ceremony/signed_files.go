package ceremony

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// signedDirs are the folders of what people sign before the bundle is made.
// The records "request" and "countersignature" list their files with digests:
// a signature is then as old as the record, and not only as old as its signer
// says.
var signedDirs = []string{PlanApprovalsDir, ApprovalsDir, ReleaseSignoffDir}

func (a *Account) takeRequest(c *Request) error {
	if err := checkSigned(c.Files, nil); err != nil {
		return err
	}
	a.Request, a.exceptionsAsked = c, len(a.Exceptions)
	return nil
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
