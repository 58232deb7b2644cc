// Package saved reads the files of a history that somebody has saved: folders of
// files, and files of JSON lines, each a statement, an artifact or a bundle. It
// keeps the record of earlier runs and writes evidence.
package saved

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	proofSuffix = ".tlog-proof"
	linesSuffix = ".jsonl"

	// maxFile bounds, in bytes, a file of one thing and a line of a file of many.
	maxFile = 1 << 17

	offsetBits = 42 // bits of a ref for the place in a file of lines
	maxPaths   = 1 << 20
)

// Archive is a list of files and folders, in the order given.
type Archive struct {
	paths []path
}

type path struct {
	name     string
	operator bool
	lines    bool
	live     bool
}

// Open takes files and folders of the third party, and those that the operator
// published. Of a folder it takes every regular file, except hidden ones, and
// proofs, which belong to the bundle beside them.
func Open(thirdParty, operator []string) (*Archive, error) {
	a := &Archive{}
	for _, list := range []struct {
		roots    []string
		operator bool
	}{{thirdParty, false}, {operator, true}} {
		for _, root := range list.roots {
			if err := a.add(root, list.operator); err != nil {
				return nil, err
			}
		}
	}
	if len(a.paths) == 0 {
		return nil, strict.Errorf("", "there is no file to check")
	}
	return a, nil
}

func (a *Archive) add(root string, operator bool) error {
	info, err := durable.Lstat(root)
	if err != nil {
		return err
	}
	return a.walk(root, root, fs.FileInfoToDirEntry(info), operator)
}

func (a *Archive) walk(root, name string, d fs.DirEntry, operator bool) error {
	base := filepath.Base(name)
	switch {
	case name != root && strings.HasPrefix(base, "."):
		return nil
	case d.IsDir():
		list, err := durable.ReadDir(name)
		if err != nil {
			return err
		}
		for _, below := range list {
			if err := a.walk(root, filepath.Join(name, below.Name()), below, operator); err != nil {
				return err
			}
		}
		return nil
	case name != root && !d.Type().IsRegular() || strings.HasSuffix(base, proofSuffix):
		return nil
	case len(a.paths) == maxPaths:
		return strict.Errorf(root, "has more than %d files", maxPaths).WithHint("put statements into one file, a line each: cat *.json > all.jsonl")
	}
	a.paths = append(a.paths, path{name: name, operator: operator, lines: strings.HasSuffix(name, linesSuffix)})
	return nil
}

// Live marks a file as one of a live auditor's answers.
func (a *Archive) Live(file string) {
	for i := range a.paths {
		a.paths[i].live = a.paths[i].live || a.paths[i].name == file && !a.paths[i].operator
	}
}

// Each: see history.Archive.
func (a *Archive) Each(ctx context.Context, f func(history.Item) error) error {
	for i, p := range a.paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.each(uint64(i)<<offsetBits, p, f); err != nil {
			return err
		}
	}
	return nil
}

func (a *Archive) each(ref uint64, p path, f func(history.Item) error) error {
	if p.lines {
		return eachLine(p.name, func(at uint64, line []byte) error {
			return f(history.Item{Ref: ref | at, Operator: p.operator, Live: p.live, Data: line})
		})
	}
	data, err := readSmall(p.name)
	if err != nil {
		return err
	}
	it := history.Item{Ref: ref, Operator: p.operator, Live: p.live, Data: data}
	if it.Proof, err = readSmall(p.name + proofSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f(it)
}

func eachLine(name string, f func(at uint64, line []byte) error) error {
	file, err := durable.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	buf := bufio.NewReaderSize(file, maxFile)
	var at uint64
	for n := 1; ; n++ {
		line, err := buf.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return strict.At(name, n, "is longer than %d bytes", maxFile)
		}
		if err != nil && err != io.EOF {
			return err
		}
		if body := bytes.TrimSuffix(line, []byte("\n")); len(body) > 0 {
			if err := f(at, body); err != nil {
				return err
			}
		}
		if at += uint64(len(line)); err == io.EOF {
			return nil
		}
		if at >= 1<<offsetBits {
			return strict.Errorf(name, "is larger than %d bytes", uint64(1)<<offsetBits)
		}
	}
}

// readSmall reads a file of one thing. Of a larger file it reads no more than shows
// that it is too large.
func readSmall(name string) ([]byte, error) {
	f, err := durable.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		data = data[:maxFile] // too large for any reader, so it is reported as unreadable
	}
	return data, err
}

// Load: see history.Archive.
func (a *Archive) Load(ref uint64) ([]byte, error) {
	p := a.paths[ref>>offsetBits]
	if !p.lines {
		return readSmall(p.name)
	}
	f, err := durable.Open(p.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	at := int64(ref & (1<<offsetBits - 1))
	// A statement fits into the first size, a bundle doesn't.
	for size := 4 << 10; ; size = maxFile {
		buf := make([]byte, size)
		n, err := f.ReadAt(buf, at)
		if err != nil && err != io.EOF {
			return nil, err
		}
		line, _, whole := bytes.Cut(buf[:n], []byte("\n"))
		if whole || err == io.EOF || size == maxFile {
			return line, nil
		}
	}
}

// Name: see history.Archive.
func (a *Archive) Name(ref uint64) string {
	p := a.paths[ref>>offsetBits]
	if p.lines {
		return fmt.Sprintf("%s, byte %d", p.name, ref&(1<<offsetBits-1))
	}
	return p.name
}
