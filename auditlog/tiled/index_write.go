//go:build unix

package tiled

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// add takes the keys of the entries from the index's end to the tree's.
func (x *index) add(records []record, tree *auditlog.Checkpoint) error {
	n, err := x.prepare(records, tree.Size)
	if err != nil {
		return err
	}
	return x.take(n, tree)
}

// prepared is a run that is written but not yet part of the index.
type prepared struct {
	run
	keep int // how many runs stay before it
}

// prepare writes a run with the keys of the entries from the index's end on. It
// merges the newest runs into it, as long as one isn't twice as long as what comes
// after it.
func (x *index) prepare(records []record, end uint64) (*prepared, error) {
	n := &prepared{run{from: x.head().Size, end: end}, len(x.runs)}
	for n.keep > 0 && x.runs[n.keep-1].entries() < 2*n.entries() {
		n.keep--
		n.from = x.runs[n.keep].from
	}
	var files []*runFile
	for i := n.keep; i < len(x.runs); i++ {
		f, err := x.run(i)
		if err != nil {
			x.drop(i)
			return nil, err
		}
		files = append(files, f)
	}
	slices.SortFunc(records, compareRecords)
	err := x.write(&n.run, files, records)
	if isDamaged(err) {
		x.drop(n.keep)
	}
	return n, err
}

// take makes a prepared run part of the index, which then covers that tree.
func (x *index) take(n *prepared, tree *auditlog.Checkpoint) error {
	n.root = tree.Root
	x.drop(n.keep)
	x.runs, x.open = append(x.runs, n.run), append(x.open, nil)
	return x.commit()
}

// write makes a run's file. A short one, as most are, gets its final name at once.
func (x *index) write(r *run, files []*runFile, records []record) error {
	if err := durable.MkdirAll(x.dir, 0o755); err != nil {
		return err
	}
	if r.entries() <= 1024 {
		var text bytes.Buffer
		if err := merged(r, &text, files, records); err != nil {
			return err
		}
		return durable.WriteCache(filepath.Join(x.dir, r.name()), text.Bytes(), 0o644)
	}
	path := filepath.Join(x.dir, newName)
	f, err := durable.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 16*pageSize)
	if err = merged(r, b, files, records); err == nil {
		err = b.Flush()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return durable.Rename(path, filepath.Join(x.dir, r.name()))
}

func merged(r *run, w io.Writer, files []*runFile, records []record) (err error) {
	rw := &runWriter{w: w}
	if err := merge(files, records, rw.add); err != nil {
		return err
	}
	r.pages, r.top, err = rw.finish()
	return err
}

// commit writes the manifest that makes the runs the index. Until then the old
// index stands; its files are removed afterwards.
func (x *index) commit() error {
	m := x.manifest
	name := m.name()
	if err := durable.WriteCache(filepath.Join(x.guard, name), m.marshal(), 0o644); err != nil {
		return err
	}
	var old []string
	for _, other := range x.manifests {
		if other != name {
			old = append(old, filepath.Join(x.guard, other))
		}
	}
	x.manifests = []string{name}
	list, err := durable.ReadDir(x.dir)
	if err != nil {
		return err
	}
	for _, f := range list {
		if !slices.ContainsFunc(x.runs, func(r run) bool { return r.name() == f.Name() }) {
			old = append(old, filepath.Join(x.dir, f.Name()))
		}
	}
	if x.runs[0].from == 0 && len(x.runs) == 1 { // made from nothing, or merged into one
		more, err := x.otherSchemes()
		if err != nil {
			return err
		}
		old = append(old, more...)
	}
	for _, path := range old {
		if err := durable.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// otherSchemes are the files of indices with another scheme of keys, and of the
// index that older versions wrote.
func (x *index) otherSchemes() ([]string, error) {
	dir := filepath.Dir(x.dir)
	old := []string{filepath.Join(filepath.Dir(dir), oldIndexName)}
	list, err := durable.ReadDir(dir)
	for _, f := range list {
		if f.Name() != x.scheme {
			old = append(old, filepath.Join(dir, f.Name()))
		}
	}
	return old, err
}
