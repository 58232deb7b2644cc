//go:build cgo && linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestAHalfMadeKey: SoftHSM writes an object's file attribute by attribute, and
// never calls fsync. Whatever of it a power cut leaves, the resumption clears
// away, and the token ends with the ceremony's keys and nothing else: the fleet
// check looks.
func TestAHalfMadeKey(t *testing.T) {
	r := faultRig{newRig(t), map[string]int{}}
	r.proxy()
	made := r.world() // stopped right after a key was made
	_, functions := r.trial()
	cmd := r.start(made)
	cmd.Env = append(cmd.Env, "PROXY_CALLS="+counter(made), fmt.Sprintf("PROXY_AT=%d", bytes.IndexByte(functions, generateKeyPair)), "PROXY_FAULT=late")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Fatalf("it was not stopped:\n%s", out)
	}
	had := map[string]bool{}
	for _, path := range r.objects(r.template) {
		had[path] = true
	}
	tried := 0
	for _, path := range r.objects(made) {
		if had[path] {
			continue
		}
		data, err := os.ReadFile(filepath.Join(made, path))
		check(t, err)
		// A file begins with eight bytes that count its generations; its first
		// attribute is the class.
		cuts := []int{0, 4, 8, 24, 32, len(data) / 3, len(data) / 2, len(data) - 8}
		if os.Getenv("FLEETCTL_FULL") == "1" {
			cuts = nil
			for n := 0; n < len(data); n += 8 {
				cuts = append(cuts, n)
			}
		}
		for _, n := range cuts {
			dir := r.world()
			check(t, os.RemoveAll(filepath.Join(dir, "tokens")))
			for _, sub := range []string{"tokens", "ceremony"} {
				check(t, copyTree(filepath.Join(made, sub), filepath.Join(dir, sub)))
			}
			check(t, os.WriteFile(filepath.Join(dir, path), data[:n], 0o600))
			if out, err := r.start(dir).CombinedOutput(); err != nil {
				t.Errorf("%d of the %d bytes of %s: %v\n%s", n, len(data), path, err, out)
			}
			tried++
		}
	}
	if tried < 10 {
		t.Fatalf("only %d beginnings of a key's files were tried", tried)
	}
	t.Logf("%d ceremonies resumed with the beginning of a key's file on the token", tried)
}

// trial gives the functions that an undisturbed ceremony calls, from 1.
func (r faultRig) trial() (calls int, functions []byte) {
	r.t.Helper()
	dir := r.world()
	cmd := r.start(dir)
	cmd.Env = append(cmd.Env, "PROXY_CALLS="+counter(dir))
	check(r.t, cmd.Run())
	return callsIn(dir)
}

// objects are the files of the tokens' objects, below dir.
func (r *rig) objects(dir string) (list []string) {
	r.t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "tokens", "*", "*.object"))
	check(r.t, err)
	for _, path := range all {
		rel, err := filepath.Rel(dir, path)
		check(r.t, err)
		list = append(list, rel)
	}
	return list
}
