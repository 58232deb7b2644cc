package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// writeNew writes a result file that must not exist yet.
func writeNew(path string, data []byte) error {
	return exists(durable.Create(path, data, 0o644), path)
}

// writeSame is writeNew for a file that may be there with the same content.
func writeSame(path string, data []byte) error {
	err := durable.Create(path, data, 0o644)
	if errors.Is(err, fs.ErrExist) {
		if have, rerr := os.ReadFile(path); rerr == nil && bytes.Equal(have, data) {
			return nil
		}
	}
	return exists(err, path)
}

// writePrivate is writeNew for what nobody else should read.
func writePrivate(path string, data []byte) error {
	return exists(durable.Create(path, data, 0o600), path)
}

// free asks, before anything is done that can't be undone, that results can be
// written: each to a file of its own that isn't there, in a folder that is.
func free(paths ...string) error {
	for i, path := range paths {
		if path == "" {
			continue
		}
		if slices.Contains(paths[:i], path) {
			return usagef("", "%s can't be two results at once", path)
		}
		if _, err := os.Lstat(path); err == nil {
			return exists(fs.ErrExist, path)
		}
		dir := filepath.Dir(path)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return usage(strict.Errorf(path, "can't be written: there is no folder %s", dir))
		}
	}
	return nil
}

func exists(err error, path string) error {
	if errors.Is(err, fs.ErrExist) {
		return usage(strict.Errorf(path, "exists; nothing is overwritten").WithHint("name another file, or move this one away"))
	}
	return err
}
