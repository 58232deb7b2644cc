//go:build unix

package tiled

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const manifestHeader = "fleetctl log index v1"

// manifest says of which runs the index consists, and binds each to the tree.
type manifest struct {
	log    string // the log's key
	scheme string // of its entries' keys
	runs   []run
}

// run is a file with the keys of the entries from one place in the log to
// another.
type run struct {
	from, end uint64
	root      [32]byte // of the tree that has the first end entries
	pages     uint64
	top       [32]byte // SHA-256 of the top page
}

func (r *run) entries() uint64 { return r.end - r.from }
func (r *run) name() string    { return fmt.Sprintf("%d-%d-%x", r.from, r.end, r.top) }

// name is the name of the manifest's file. Each tree size has its own, so that no
// file is replaced.
func (m *manifest) name() string {
	return fmt.Sprintf("%s%d", manifestName, m.runs[len(m.runs)-1].end)
}

func (m *manifest) marshal() []byte {
	b := fmt.Appendf(nil, "%s\nlog %s\nkeys %s\n", manifestHeader, m.log, m.scheme)
	for _, r := range m.runs {
		b = fmt.Appendf(b, "run %d %s %d %x\n", r.end, base64.StdEncoding.EncodeToString(r.root[:]), r.pages, r.top)
	}
	return b
}

func parseManifest(path string, data []byte) (*manifest, error) {
	l := strict.NewLines(path, data)
	l.Literal(manifestHeader)
	m := &manifest{log: l.After("log "), scheme: l.Token("keys ")}
	from := uint64(0)
	for l.More() {
		f := strings.Split(l.After("run "), " ")
		if len(f) != 4 {
			l.Failf("has %d fields after run; there are four", len(f))
			break
		}
		r := run{from: from}
		var err error
		r.end, err = strict.ParseUint(f[0])
		l.Check(err)
		root, err := strict.ParseBase64(f[1])
		l.Check(err)
		r.pages, err = strict.ParseUint(f[2])
		l.Check(err)
		r.top, err = strict.ParseHash(f[3])
		l.Check(err)
		if l.Err() == nil && (len(root) != 32 || r.end <= from || r.pages == 0) {
			l.Failf("is not a run that follows the %d entries before it", from)
		}
		if l.Err() != nil {
			break
		}
		r.root = [32]byte(root)
		m.runs, from = append(m.runs, r), r.end
	}
	if err := l.Done(); err != nil {
		return nil, err
	}
	return m, nil
}

// manifestsIn are the names of a directory's manifests, the newest first.
func manifestsIn(dir string) (names []string) {
	list, err := durable.ReadDir(dir)
	if err != nil {
		return nil
	}
	size := func(name string) uint64 {
		n, err := strict.ParseUint(strings.TrimPrefix(name, manifestName))
		if err != nil {
			return 0
		}
		return n
	}
	for _, f := range list {
		if strings.HasPrefix(f.Name(), manifestName) {
			names = append(names, f.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(size(b), size(a)) })
	return names
}

// runsIn finds the runs in a directory by their files' names.
func runsIn(dir string) (runs []run) {
	list, err := durable.ReadDir(dir)
	if err != nil {
		return nil
	}
	longest := map[uint64]run{} // by where it begins
	for _, f := range list {
		r, err := parseRunName(f.Name())
		info, ierr := f.Info()
		if err == nil && ierr == nil && r.end > longest[r.from].end {
			r.pages = uint64(info.Size()+pageSize-1) / pageSize
			longest[r.from] = *r
		}
	}
	for from := uint64(0); longest[from].pages > 0; from = runs[len(runs)-1].end {
		runs = append(runs, longest[from])
	}
	return runs
}

func parseRunName(name string) (*run, error) {
	f := strings.Split(name, "-")
	if len(f) != 3 {
		return nil, strict.Errorf(name, "is no run's name")
	}
	r := &run{}
	var errs [3]error
	r.from, errs[0] = strict.ParseUint(f[0])
	r.end, errs[1] = strict.ParseUint(f[1])
	r.top, errs[2] = strict.ParseHash(f[2])
	if err := errors.Join(errs[:]...); err != nil || r.end <= r.from {
		return nil, strict.Errorf(name, "is no run's name")
	}
	return r, nil
}
