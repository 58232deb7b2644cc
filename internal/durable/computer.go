package durable

import (
	"io/fs"
	"os"
)

// computer is the computer's own system.
type computer struct{}

func (computer) OpenFile(path string, flag int, mode fs.FileMode) (File, error) {
	f, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err // and no File that holds a nil *os.File
	}
	return f, nil
}

func (computer) Stat(path string) (fs.FileInfo, error)      { return os.Stat(path) }
func (computer) Lstat(path string) (fs.FileInfo, error)     { return os.Lstat(path) }
func (computer) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (computer) Mkdir(path string, mode fs.FileMode) error  { return os.Mkdir(path, mode) }
func (computer) Remove(path string) error                   { return os.Remove(path) }
func (computer) Rename(from, to string) error               { return os.Rename(from, to) }
func (computer) Link(from, to string) error                 { return os.Link(from, to) }
