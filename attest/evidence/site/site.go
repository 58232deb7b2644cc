// Package site makes a folder for a static host of evidence packages: for each of
// them a page that tells it, its files with their digests, and an index over the
// epochs. The story is told by evidence/page, in the same words as in the package. A
// page proves nothing: each says so, and says how to verify the package.
package site

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// sumsFile lists every other file of a folder in the format of sha256sum. Its first
// line says that the folder was made here.
const sumsFile = "SHA256SUMS"

// sumsHead begins sumsFile; to sha256sum it is a comment.
const sumsHead = "# fleetctl evidence site v1"

// Files is a folder's content by path.
type Files map[string][]byte

// Question says how the packages are judged before they are published.
type Question struct {
	Now time.Time
	// Policy is the publisher's. The pages say what came of it, as the publisher's
	// word. Without one, a package has to hold together under its own plan's keys.
	Policy *evidence.Policy
	// TrustOnFirstUse is evidence.Question's.
	TrustOnFirstUse bool
	// Beside are retirements and voids of the packages' namespace, which say what became
	// of their keys. Every package is judged with them.
	Beside []evidence.Input
}

// Build makes the files of a site of packages, each with the proofs beside it. The
// same packages, policy and time give the same bytes. It refuses a package that
// doesn't verify, that tells what is restricted, or that contradicts another.
func Build(packages []evidence.Input, q Question) (Files, error) {
	if len(packages) == 0 {
		return nil, strict.Errorf("", "no package is given to be published")
	}
	notices, err := readNotices(q.Beside)
	if err != nil {
		return nil, err
	}
	var list []*epoch
	for _, in := range packages {
		in.Beside = q.Beside
		e, err := read(in, q)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	slices.SortStableFunc(list, func(a, b *epoch) int {
		return cmp.Or(cmp.Compare(a.plan.Epoch, b.plan.Epoch), a.account.Time.Compare(b.account.Time), cmp.Compare(a.dir, b.dir))
	})
	if err := chained(list); err != nil {
		return nil, err
	}
	files := Files{}
	for _, n := range notices {
		maps.Copy(files, n.files)
	}
	for _, e := range list {
		for path, data := range e.files {
			files[e.dir+"/"+path] = data
		}
		page, err := e.page()
		if err != nil {
			return nil, err
		}
		files[e.dir+"/"+pageFile] = page
	}
	index, err := indexPage(list, notices)
	if err != nil {
		return nil, err
	}
	files[pageFile] = index
	if files[verifyPage], err = checkPage(list); err != nil {
		return nil, err
	}
	files[sumsFile] = files.sums()
	return files, nil
}

const pageFile = "index.html"

// chained finds each epoch's predecessor, and refuses packages that can't be of one
// history.
func chained(list []*epoch) error {
	first := list[0]
	for i, e := range list {
		if e.plan.Namespace != first.plan.Namespace {
			return strict.Errorf(e.file, "is of the namespace %s, and %s of %s", e.plan.Namespace, first.file, first.plan.Namespace).
				WithHint("a site is of one namespace: publish each in a folder of its own")
		}
		for _, other := range list[:i] {
			switch {
			case e.account.Head == other.account.Head:
				return strict.Errorf(e.file, "is the ceremony that %s is", other.file).WithHint("give each once")
			case e.dir == other.dir:
				return strict.Errorf(e.file, "and %s both end epoch %d, otherwise: one of them should not exist", other.file, e.plan.Epoch).
					WithHint("keep both: together they are evidence. Say which is which with\nfleetctl verify %s --policy POLICY --beside %s", e.file, other.file)
			case other.set != nil && other.plan.Epoch+1 == e.plan.Epoch:
				e.before = other
			}
		}
		if b := e.before; b != nil && e.plan.Previous != b.set.Digest() {
			return strict.Errorf(e.file, "names %x as the epoch before it, and %s is %x", e.plan.Previous, b.file, b.set.Digest()).
				WithHint("epochs of one history name each other: one of the two is of another")
		}
	}
	return nil
}

// sums lists the files, but for the list itself.
func (f Files) sums() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; check with: sha256sum -c %s\n", sumsHead, sumsFile)
	for _, path := range slices.Sorted(maps.Keys(f)) {
		if path != sumsFile {
			fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(f[path]), path)
		}
	}
	return []byte(b.String())
}
