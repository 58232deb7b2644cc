//go:build unix

package tiled

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// index knows the key of every entry. Its file has a line for each, in order;
// it is a cache, so nothing in it is believed that an entry doesn't confirm,
// and what is torn, damaged or missing is read from the entries again.
type index struct {
	path  string
	keyOf func([]byte) string
	keys  []string          // by entry
	first map[string]uint64 // the first entry with a key
	saved int               // of keys: in the file already
	dirty bool              // the file has more or other lines than these

	readOnly bool // for a reader: nothing is saved
}

type indexLine struct {
	Index uint64 `strict:"index"`
	Key   string `strict:"key,empty"`
}

// maxIndexLine is more than any sensible key needs.
const maxIndexLine = 4096

func openIndex(path string, keyOf func([]byte) string) (*index, error) {
	x := &index{path: path, keyOf: keyOf, first: map[string]uint64{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return x, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		var l indexLine
		if line[len(line)-1] != '\n' ||
			strict.DecodeJSON(path, line, maxIndexLine, &l) != nil || l.Index != uint64(len(x.keys)) {
			x.dirty = true
			break
		}
		x.add(l.Key)
	}
	x.saved = len(x.keys)
	return x, nil
}

func (x *index) add(key string) {
	n := uint64(len(x.keys))
	x.keys = append(x.keys, key)
	if _, known := x.first[key]; !known && key != "" {
		x.first[key] = n
	}
}

// reset forgets everything.
func (x *index) reset() {
	x.keys, x.saved, x.dirty = nil, 0, true
	x.first = map[string]uint64{}
}

// key is keyOf with its promise checked.
func (x *index) key(leaf []byte) (string, error) {
	k := x.keyOf(leaf)
	if !utf8.ValidString(k) || len(k) > maxIndexLine/8 {
		return "", strict.Errorf(x.path, "the entry's key is not UTF-8 of at most %d bytes", maxIndexLine/8)
	}
	return k, nil
}

// catchUp reads the keys of the entries up to size that it doesn't have yet,
// and saves them.
func (x *index) catchUp(ctx context.Context, t *tree, size uint64) error {
	if uint64(len(x.keys)) > size {
		x.reset() // of another tree
	}
	for n := uint64(len(x.keys)); n < size; n = uint64(len(x.keys)) {
		b, err := t.bundle(ctx, n/layout.EntryBundleWidth, size)
		if err != nil {
			return err
		}
		end := min(size-n/layout.EntryBundleWidth*layout.EntryBundleWidth, layout.EntryBundleWidth)
		for _, leaf := range b.Entries[n%layout.EntryBundleWidth : end] {
			k, err := x.key(leaf)
			if err != nil {
				return err
			}
			x.add(k)
		}
	}
	return x.save()
}

// find gives the first entry with a key, having looked at the entry. What the
// index says wrongly makes it read everything again.
func (x *index) find(ctx context.Context, t *tree, key string) (uint64, bool, error) {
	for range 2 {
		n, known := x.first[key]
		if !known {
			return 0, false, nil
		}
		size := uint64(len(x.keys))
		b, err := t.bundle(ctx, n/layout.EntryBundleWidth, size)
		if err != nil {
			return 0, false, err
		}
		k, err := x.key(b.Entries[n%layout.EntryBundleWidth])
		if err != nil {
			return 0, false, err
		}
		if k == key {
			return n, true, nil
		}
		x.reset()
		if err := x.catchUp(ctx, t, size); err != nil {
			return 0, false, err
		}
	}
	return 0, false, strict.Errorf(x.path, "the key of an entry changes from one call to the next")
}

func (x *index) save() error {
	if x.readOnly || x.saved == len(x.keys) && !x.dirty {
		return nil
	}
	if x.dirty {
		x.saved = 0
	}
	var b bytes.Buffer
	for i, k := range x.keys[x.saved:] {
		b.Write(strict.EncodeLine(indexLine{uint64(x.saved + i), k}))
		b.WriteByte('\n')
	}
	if err := x.write(b.Bytes()); err != nil {
		return err
	}
	x.saved, x.dirty = len(x.keys), false
	return nil
}

// write appends, without fsync: a line that a power cut takes is made again.
func (x *index) write(text []byte) error {
	if x.dirty {
		return durable.Replace(x.path, text, 0o644)
	}
	f, err := os.OpenFile(x.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
