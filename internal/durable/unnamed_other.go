//go:build !linux

package durable

import (
	"errors"
	"io/fs"
)

// OpenUnnamed: files without names are Linux's alone.
func (computer) OpenUnnamed(string, fs.FileMode) (Unnamed, error) { return nil, errors.ErrUnsupported }
