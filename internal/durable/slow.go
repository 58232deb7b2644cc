package durable

import (
	"io/fs"
	"time"
)

// Slow has whatever has to reach the disk under root take that much longer, until
// unmount: each sync of a file and of a folder. It shows what a slow disk does to the
// program that runs on it.
func Slow(root string, by time.Duration) (unmount func()) {
	return Mount(root, slow{at(root), by})
}

type slow struct {
	System
	by time.Duration
}

func (s slow) OpenFile(path string, flag int, mode fs.FileMode) (File, error) {
	f, err := s.System.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	return slowFile{f, s.by}, nil
}

func (s slow) OpenUnnamed(dir string, mode fs.FileMode) (Unnamed, error) {
	f, err := s.System.OpenUnnamed(dir, mode)
	if err != nil {
		return nil, err
	}
	return slowUnnamed{f, s.by}, nil
}

func (s slow) SyncDir(path string) error {
	time.Sleep(s.by)
	return s.System.SyncDir(path)
}

type slowFile struct {
	File
	by time.Duration
}

func (f slowFile) Sync() error {
	time.Sleep(f.by)
	return f.File.Sync()
}

type slowUnnamed struct {
	Unnamed
	by time.Duration
}

func (f slowUnnamed) Sync() error {
	time.Sleep(f.by)
	return f.Unnamed.Sync()
}
