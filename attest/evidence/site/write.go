package site

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Write makes dir hold these files and no others. What is there already is replaced
// only if Write made it and nobody has changed it since; anything else is named and
// left alone. A run that is cut off leaves a folder that the next one takes for its
// own.
func Write(dir string, files Files) error {
	made, err := existing(dir)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Until all is written, both what was there and what comes counts as made here.
	between, sums := string(files[sumsFile]), filepath.Join(dir, sumsFile)
	for _, p := range slices.Sorted(maps.Keys(made)) {
		if made[p] != sha256.Sum256(files[p]) {
			between += hex.EncodeToString(sum(made[p])) + "  " + p + "\n"
		}
	}
	if err := durable.Replace(sums, []byte(between), 0o644); err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if data := files[p]; p != sumsFile && made[p] != sha256.Sum256(data) {
			name := filepath.Join(dir, filepath.FromSlash(p))
			if err := durable.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return err
			}
			if err := durable.Replace(name, data, 0o644); err != nil {
				return err
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(made)) {
		if files[p] == nil {
			if err := remove(dir, p); err != nil {
				return err
			}
		}
	}
	return durable.Replace(sums, files[sumsFile], 0o644)
}

// remove removes a file of an earlier site, and its folder if nothing is left in it,
// for good: one that came back after a power cut would be no file of the site's.
func remove(dir, p string) error {
	name := filepath.Join(dir, filepath.FromSlash(p))
	if err := durable.Remove(name); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(name)); err != nil || path.Dir(p) == "." {
		return err
	}
	if left, err := durable.ReadDir(filepath.Dir(name)); err != nil || len(left) > 0 {
		return err
	}
	if err := durable.Remove(filepath.Dir(name)); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(filepath.Dir(name)))
}

func sum(h [32]byte) []byte { return h[:] }

// existing are the files of a folder that Write made, with their digests. It refuses
// a folder in which anything else is.
func existing(dir string) (map[string][32]byte, error) {
	entries, err := durable.ReadDir(dir)
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return durable.IsTemp(e.Name()) })
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	hint := "nothing is overwritten that evidence site didn't make: move it away, or name another folder"
	list, err := durable.ReadFile(filepath.Join(dir, sumsFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !strings.HasPrefix(string(list), sumsHead) {
		return nil, strict.Errorf(dir, "is there, and is no site that was made here").WithHint("%s", hint)
	} else if err != nil {
		return nil, err
	}
	listed := map[string][]string{}
	for line := range strings.Lines(string(list)) {
		if digits, p, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  "); ok {
			listed[p] = append(listed[p], digits)
		}
	}
	made := map[string][32]byte{}
	return made, walk(dir, "", func(p string, regular bool) error {
		name := filepath.Join(dir, filepath.FromSlash(p))
		if p == sumsFile {
			return nil
		}
		if !regular || listed[p] == nil {
			return strict.Errorf(name, "is in the site's folder, and was not made here").WithHint("%s", hint)
		}
		data, err := durable.ReadFile(name)
		if err != nil {
			return err
		}
		made[p] = sha256.Sum256(data)
		if !slices.Contains(listed[p], hex.EncodeToString(sum(made[p]))) {
			return strict.Errorf(name, "was changed since it was made").WithHint("%s", hint)
		}
		return nil
	})
}

// walk calls found for everything in a folder but the folders in it. What a run that
// was cut off has removed is gone for good then: the next list doesn't know it.
func walk(dir, below string, found func(p string, regular bool) error) error {
	if err := durable.SyncDir(filepath.Join(dir, filepath.FromSlash(below))); err != nil {
		return err
	}
	entries, err := durable.ReadDir(filepath.Join(dir, filepath.FromSlash(below)))
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := path.Join(below, e.Name())
		switch {
		case durable.IsTemp(e.Name()):
		case e.IsDir():
			if err := walk(dir, p, found); err != nil {
				return err
			}
		default:
			if err := found(p, e.Type().IsRegular()); err != nil {
				return err
			}
		}
	}
	return nil
}
