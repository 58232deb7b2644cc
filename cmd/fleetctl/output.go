package main

import (
	"errors"
	"io/fs"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// writeNew writes a result file that must not exist yet.
func writeNew(path string, data []byte) error {
	return exists(durable.Create(path, data, 0o644), path)
}

func exists(err error, path string) error {
	if errors.Is(err, fs.ErrExist) {
		return usage(strict.Errorf(path, "exists; nothing is overwritten").WithHint("name another file, or move this one away"))
	}
	return err
}
