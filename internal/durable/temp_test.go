package durable

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestTemporaryFilesStandInTheFolderForThem(t *testing.T) {
	dir := t.TempDir()
	temp := Temp(filepath.Join(dir, "private", "temp"))
	path, err := temp.write(filepath.Join(dir, "published", "f"), []byte("half"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(path) != string(temp) || !IsTemp(filepath.Base(path)) {
		t.Errorf("it was written to %s", path)
	}
	if info, err := os.Stat(string(temp)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v", info, err)
	}
	if err := temp.Replace(filepath.Join(dir, "f"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	content(t, filepath.Join(dir, "f"), "new", 0o644)
	holds(t, string(temp), filepath.Base(path))
}

func TestASweepTakesTemporaryFilesAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	temp := Temp(dir)
	if err := Temp(filepath.Join(dir, "missing")).Sweep(); err != nil {
		t.Errorf("where nothing was ever written: %v", err)
	}
	for range 3 {
		if _, err := temp.write(filepath.Join(dir, "f"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	random := strings.Repeat("A", 26)
	others := []string{".fleetctl-", ".fleetctl-" + random[1:], ".fleetctl-" + random[1:] + "a", ".fleetctl-" + random + "A", "fleetctl-" + random, "lock"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ".fleetctl-"+random), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := temp.Sweep(); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, ".fleetctl-", ".fleetctl-"+random[1:], ".fleetctl-"+random, ".fleetctl-"+random+"A", ".fleetctl-"+random[1:]+"a", "fleetctl-"+random, "lock")
}

// TestASweepLosesNobodysFile sweeps while others write.
func TestASweepLosesNobodysFile(t *testing.T) {
	dir := t.TempDir()
	temp := Temp(filepath.Join(dir, "temp"))
	done := make(chan struct{})
	var writers, sweeper sync.WaitGroup
	sweeper.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if list, _ := os.ReadDir(string(temp)); len(list) == 0 {
				continue // nobody is at work
			}
			if err := temp.Sweep(); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 4 {
		writers.Go(func() {
			for n := range 50 {
				path := filepath.Join(dir, strings.Repeat("x", 1+i*50+n))
				if err := temp.createNamed(path, []byte("whole"), 0o600); err != nil {
					t.Error(err)
				}
				content(t, path, "whole", 0o600)
			}
		})
	}
	writers.Wait()
	close(done)
	sweeper.Wait()
}
