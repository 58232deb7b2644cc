package engine_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// dying is a disk that is gone after so many changes, counted from when it is armed:
// the change at which the process was killed is half done, and none follows it.
type dying struct {
	armed bool
	left  int
	made  int
}

var errKilled = errors.New("the process was killed")

// change is one change; false where the process is dead.
func (d *dying) change() error {
	if !d.armed {
		return nil
	}
	d.made++
	if d.left--; d.left < 0 {
		return errKilled
	}
	return nil
}

func (d *dying) OpenFile(path string, flag int, mode fs.FileMode) (durable.File, error) {
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		if err := d.change(); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	return &dyingFile{f, d}, nil
}

func (d *dying) OpenUnnamed(string, fs.FileMode) (durable.Unnamed, error) {
	return nil, errors.ErrUnsupported
}
func (d *dying) Stat(path string) (fs.FileInfo, error)      { return os.Stat(path) }
func (d *dying) Lstat(path string) (fs.FileInfo, error)     { return os.Lstat(path) }
func (d *dying) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (d *dying) SyncDir(string) error                       { return d.change() }
func (d *dying) Lock(string, bool) (func(), error)          { return func() {}, nil }

func (d *dying) Mkdir(path string, mode fs.FileMode) error {
	return d.then(func() error { return os.Mkdir(path, mode) })
}
func (d *dying) Remove(path string) error {
	return d.then(func() error { return os.Remove(path) })
}
func (d *dying) Rename(from, to string) error {
	return d.then(func() error { return os.Rename(from, to) })
}
func (d *dying) Link(from, to string) error {
	return d.then(func() error { return os.Link(from, to) })
}

func (d *dying) then(do func() error) error {
	if err := d.change(); err != nil {
		return err
	}
	return do()
}

type dyingFile struct {
	*os.File
	d *dying
}

// Write is cut short by a kill, and what was cut stays.
func (f *dyingFile) Write(b []byte) (int, error) {
	if err := f.d.change(); err != nil {
		if f.d.left == -1 {
			n, _ := f.File.Write(b[:len(b)/2])
			return n, err
		}
		return 0, err
	}
	return f.File.Write(b)
}

func (f *dyingFile) Sync() error {
	return f.d.then(f.File.Sync)
}

// The process is killed at every change that it makes to the disk from the first
// attestation to the fleet check. Each time it is resumed to the end, with every
// key's evidence once, all of it with its record, and nothing beside it.
func TestAKillAtEveryChangeOfAnAttestationIsResumed(t *testing.T) {
	died := map[int]int{} // by how many attestations were on the record then
	for at := 0; ; at++ {
		f := testfleet.Prepared(t, testfleet.Options{HSMs: 2, Attested: true})
		disk := &dying{left: at}
		unmount := durable.Mount(f.Dir, disk)
		c := f.Config(f.Dir, testfleet.Random("run"))
		c.Observer = armer{disk}
		_, err := engine.Run(context.Background(), c)
		unmount()
		if err == nil {
			if disk.made <= at && at > 20 && len(died) == 4 {
				t.Logf("killed at each of %d changes; with so many attestations on the record: %v", at, died)
				return
			}
			t.Fatalf("it was not killed at change %d of %d; %v", at, disk.made, died)
		}
		a, _, err := folder.ReadTorn(f.Dir)
		if err != nil {
			t.Fatalf("killed at change %d: %v", at, err)
		}
		died[len(a.Attestations)]++
		a = resume(t, f)
		if err := a.CheckAttestations(attestations(t, f.Dir)); err != nil || len(a.Attestations) != 3 {
			t.Fatalf("killed at change %d, resumed: %d attestations, %v", at, len(a.Attestations), err)
		}
		if _, err := os.Stat(filepath.Join(f.Dir, ceremony.AttestationsDir)); err != nil {
			t.Fatal(err)
		}
	}
}

// armer begins to count where the first key is attested, and no more once the
// fleet is checked.
type armer struct{ d *dying }

func (x armer) Step(_ *ceremony.Plan, _, _ int, s ceremony.Step) {
	x.d.armed = s.Act == ceremony.ActAttest
}
func (armer) Done(string, *ceremony.Record) {}
