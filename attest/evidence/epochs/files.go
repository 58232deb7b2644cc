package epochs

import (
	"path"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
)

// Group is an object among the files of a folder, with the log proofs beside it.
type Group struct {
	Path   string // the object's
	Folder bool   // an unpacked package, or a ceremony's folder
	Proofs []string
}

// Sort finds the objects of a chain among the paths of a folder's files: packages
// (NAME.tar, or a folder with a transcript, or with a plan and no NAME.tar), bundles and notices (NAME.json). It
// gives too the files of ours that belong to none, and those that are nothing of ours.
func Sort(paths []string) (groups []Group, ours, others []string) {
	paths = slices.Clone(paths)
	slices.Sort(paths)
	paths = slices.Compact(paths)
	folders, transcripts, archives := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, p := range paths {
		switch name := path.Base(p); {
		case name == ceremony.PlanFile:
			folders[path.Dir(p)] = true
		case name == ceremony.TranscriptFile:
			folders[path.Dir(p)], transcripts[path.Dir(p)] = true, true
		case isArchive(p):
			archives[path.Dir(p)] = true
		}
	}
	for d := range archives { // a plan beside a package is its copy, as a site has it
		if !transcripts[d] {
			delete(folders, d)
		}
	}
	// The outermost one: what lies in a package's folder is the package's.
	inside := func(p string) (folder string, ok bool) {
		for d := path.Dir(p); ; d = path.Dir(d) {
			if folders[d] {
				folder, ok = d, true
			}
			if d == path.Dir(d) {
				return folder, ok
			}
		}
	}
	seen := map[string]bool{}
	var rest []string
	for _, p := range paths {
		d, within := inside(p)
		switch {
		case within:
			if !seen[d] {
				groups, seen[d] = append(groups, Group{Path: d, Folder: true}), true
			}
		case isArchive(p) || isBundle(p):
			groups = append(groups, Group{Path: p})
		default:
			rest = append(rest, p)
		}
	}
	taken := map[string]bool{}
	there := map[string]bool{}
	for _, p := range rest {
		there[p] = true
	}
	for i := range groups {
		groups[i].beside(there, taken)
	}
	for _, p := range rest {
		switch {
		case taken[p]:
		case isProof(p) || strings.HasSuffix(p, rekorEnding):
			ours = append(ours, p)
		default:
			others = append(others, p)
		}
	}
	slices.SortFunc(groups, func(a, b Group) int { return strings.Compare(a.Path, b.Path) })
	return groups, ours, others
}

const (
	proofEnding = ".tlog-proof"
	rekorEnding = ".rekor.json"
)

func isArchive(p string) bool { return strings.HasSuffix(p, ".tar") }

func isBundle(p string) bool {
	return strings.HasSuffix(p, ".json") && !strings.HasSuffix(p, rekorEnding)
}

func isProof(p string) bool {
	_, after, found := strings.Cut(path.Base(p), proofEnding)
	return found && (after == "" || strings.HasPrefix(after, "-"))
}

// beside takes the proofs that lie beside the object.
func (g *Group) beside(there, taken map[string]bool) {
	base := g.Path + proofEnding
	if isArchive(g.Path) {
		base = evidence.ProofBeside(g.Path)
	}
	for n := 1; n <= evidence.MaxProofs; n++ {
		p := evidence.ProofNumber(base, n)
		if !there[p] {
			break
		}
		g.Proofs, taken[p] = append(g.Proofs, p), true
	}
	if p := g.Path + rekorEnding; !g.Folder && !isArchive(g.Path) && there[p] {
		taken[p] = true
	}
}
