//go:build unix

package tiled

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/fleetctl/fleetctl/auditlog"
)

// add takes the keys of the entries from the index's end to the tree's. The
// newest runs are merged with them as long as one isn't twice as long as what
// comes after it.
func (x *index) add(records []record, tree *auditlog.Checkpoint) error {
	r := run{from: x.head().Size, end: tree.Size, root: tree.Root}
	keep := len(x.runs)
	for keep > 0 && x.runs[keep-1].entries() < 2*(r.end-r.from) {
		keep--
		r.from = x.runs[keep].from
	}
	var files []*runFile
	for i := keep; i < len(x.runs); i++ {
		f, err := x.run(i)
		if err != nil {
			x.drop(i)
			return err
		}
		files = append(files, f)
	}
	slices.SortFunc(records, compareRecords)
	if err := x.write(&r, files, records); err != nil {
		if isDamaged(err) {
			x.drop(keep)
		}
		return err
	}
	x.drop(keep)
	x.runs, x.open = append(x.runs, r), append(x.open, nil)
	return x.commit()
}

func (x *index) write(r *run, files []*runFile, records []record) error {
	if err := os.MkdirAll(x.dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(x.dir, newName)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 16*pageSize)
	w := &runWriter{w: b}
	err = merge(files, records, w.add)
	if err == nil {
		r.pages, r.top, err = w.finish()
	}
	if err == nil {
		err = b.Flush()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(x.dir, r.name()))
}

// commit makes the runs the index. Before it the old one stands: its files are
// removed after.
func (x *index) commit() error {
	text := x.marshal()
	for _, path := range []string{x.kept, filepath.Join(x.dir, manifestName)} {
		if err := os.WriteFile(path+"."+newName, text, 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+"."+newName, path); err != nil {
			return err
		}
	}
	names := []string{manifestName}
	for _, r := range x.runs {
		names = append(names, r.name())
	}
	list, err := os.ReadDir(x.dir)
	if err != nil {
		return err
	}
	for _, f := range list {
		if !slices.Contains(names, f.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(x.dir, f.Name())))
		}
	}
	if old := os.Remove(filepath.Join(filepath.Dir(x.dir), oldIndexName)); !errors.Is(old, fs.ErrNotExist) {
		err = errors.Join(err, old)
	}
	return err
}
