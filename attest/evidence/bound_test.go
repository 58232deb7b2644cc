package evidence_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A close record has one list that is right: a file that stands in it twice, or
// before its turn, is a problem of its own, however well everything else fits.
func TestTheFilesOfACloseAreSortedAndDistinct(t *testing.T) {
	w := newWorld(t, testfleet.New)
	for what, change := range map[string]func([]ceremony.File) []ceremony.File{
		"a file twice": func(list []ceremony.File) []ceremony.File { return slices.Insert(list, 1, list[0]) },
		"two files in the wrong order": func(list []ceremony.File) []ceremony.File {
			list[0], list[1] = list[1], list[0]
			return list
		},
	} {
		files := reseal(w.good.Files, func(r *ceremony.Record) {
			if c, ok := r.Content.(*ceremony.Close); ok {
				c.Files = change(c.Files)
				rewrite(r, c)
			}
		})
		files[evidence.ManifestFile] = files.Manifest()
		r := must(w.verify(must(sealed(files))))
		named := slices.ContainsFunc(r.Problems, func(p evidence.Problem) bool {
			return strings.Contains(p.What, "the close record's files are not sorted and distinct")
		})
		if r.Verified || !named {
			t.Errorf("%s: verified %v, %+v", what, r.Verified, r.Problems)
		}
	}
}
