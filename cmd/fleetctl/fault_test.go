//go:build cgo && unix

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The faults that a PKCS#11 call can end in; see testdata/proxy.c of
// internal/hsm, which makes them.
var faults = []string{
	"0x30", // CKR_DEVICE_ERROR
	"0x6",  // CKR_FUNCTION_FAILED
	"0x2",  // CKR_HOST_MEMORY
	"0x32", // CKR_DEVICE_REMOVED, once
	"gone", // from there on
	"late", // done, and an error all the same
	"hang", "stall", "segv", "abort",
	"raw", "extractable", "nolocal", "unreadable",
}

// TestFaultsAtEveryCall lets a ceremony of three HSMs meet a fault at its k-th
// PKCS#11 call, resumes it without the fault, and demands that it ends with its
// fleet check, or with an abort on the record and every key destroyed; and that
// no token holds a key that the transcript doesn't tell of. In every other run
// the first resumption meets a fault too.
//
// FLEETCTL_FULL=1 takes every call with one fault after the other and, with
// FLEETCTL_FAULTS=all, with every fault; otherwise a seeded sample of both.
func TestFaultsAtEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole ceremonies")
	}
	r := faultRig{newRig(t), map[string]int{}}
	r.proxy()
	began := time.Now()
	functions := r.undisturbed()
	calls := len(functions)
	rnd := rand.New(rand.NewSource(1961))
	full := os.Getenv("FLEETCTL_FULL") == "1"
	var shots []shot
	for k := range calls {
		for i, f := range faults {
			if !full || os.Getenv("FLEETCTL_FAULTS") == "all" || (k+k/len(faults))%len(faults) == i {
				shots = append(shots, shot{k + 1, f})
			}
		}
	}
	if !full {
		rnd.Shuffle(len(shots), func(i, j int) { shots[i], shots[j] = shots[j], shots[i] })
		shots = mixed(shots, functions)
	}
	tried, kinds := 0, map[string]int{}
	for i, s := range shots {
		if !full && i >= 5*len(faults) {
			break
		}
		second := 0
		if i%2 == 1 {
			second = 1 + rnd.Intn(calls)
		}
		r.shoot(s.at, s.fault, second)
		tried++
		kinds[s.fault]++
	}
	if len(kinds) < len(faults) {
		t.Errorf("only %d of %d faults were tried: %v", len(kinds), len(faults), kinds)
	}
	t.Logf("%d calls a ceremony; %d ceremonies met a fault at one of them: %d went on regardless, %d resumed and passed, %d refused with every key destroyed, %d lost",
		calls, tried, r.ends["regardless"], r.ends[passed], r.ends[refused], r.ends["lost"])
	t.Logf("functions hit: %s; faults: %v; %.0f s", r.hits(), kinds, time.Since(began).Seconds())
	if r.ends["lost"] > 0 {
		t.Errorf("%d ceremonies were lost", r.ends["lost"])
	}
}

type shot struct {
	at    int
	fault string
}

// mixed takes one shot for each function after the other, since most calls are
// reads of attributes and a plain sample would hold little else; and of these one
// for each fault after the other, so that the shortest sample has them all.
func mixed(shots []shot, functions []byte) []shot {
	byFunction := oneOfEach(shots, 256, func(s shot) int { return int(functions[s.at-1]) })
	return oneOfEach(byFunction, len(faults), func(s shot) int { return slices.Index(faults, s.fault) })
}

// oneOfEach takes one of each group after the other.
func oneOfEach(shots []shot, n int, group func(shot) int) (list []shot) {
	groups := make([][]shot, n)
	for _, s := range shots {
		groups[group(s)] = append(groups[group(s)], s)
	}
	for len(list) < len(shots) {
		for i, g := range groups {
			if len(g) > 0 {
				list, groups[i] = append(list, g[0]), g[1:]
			}
		}
	}
	return list
}

type faultRig struct {
	*rig
	ends map[string]int
}

// counter is the file in which the calls of a world are counted.
func counter(dir string) string { return filepath.Join(dir, "calls") }

func callsIn(dir string) (n int, functions []byte) {
	data, err := os.ReadFile(counter(dir))
	if err != nil || len(data) < 8 {
		return 0, nil
	}
	n = int(binary.NativeEndian.Uint64(data))
	return n, data[8 : 8+n+1]
}

// undisturbed gives the functions that a ceremony calls which meets no fault,
// and takes it through the rest of its life.
func (r faultRig) undisturbed() []byte {
	r.t.Helper()
	dir := r.world()
	cmd := r.start(dir)
	cmd.Env = append(cmd.Env, "PROXY_CALLS="+counter(dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("without a fault: %v\n%s", err, out)
	}
	if end, err := r.end(dir); end != passed {
		r.t.Fatalf("without a fault: %s %v", end, err)
	}
	_, functions := callsIn(dir)
	r.live(dir)
	return functions[1:]
}

// shoot runs one ceremony with a fault at call k, and another fault at the
// first resumption's call second unless that is 0.
func (r faultRig) shoot(k int, fault string, second int) {
	r.t.Helper()
	name := fmt.Sprintf("%s at call %d, then %d", fault, k, second)
	dir := r.world()
	defer os.RemoveAll(dir)
	var said bytes.Buffer
	disturbed := func(at int, fault string) error {
		os.Remove(counter(dir))
		cmd := r.start(dir)
		cmd.Args = append(cmd.Args, "--hsm-timeout", "1s")
		cmd.Env = append(cmd.Env, "PROXY_CALLS="+counter(dir), fmt.Sprintf("PROXY_AT=%d", at), "PROXY_FAULT="+fault)
		fmt.Fprintf(&said, "--- %s at %d\n", fault, at)
		cmd.Stdout, cmd.Stderr = &said, &said
		return cmd.Run()
	}
	err := disturbed(k, fault)
	if n, functions := callsIn(dir); n >= k {
		r.ends[fmt.Sprintf("hit %d", functions[k])]++
	}
	went := "regardless"
	if err != nil {
		if strings.Contains(fault, "hang") && !bytes.Contains(said.Bytes(), []byte("no answer")) {
			r.t.Errorf("%s: nobody says that the module hangs:\n%s", name, said.String())
		}
		if end, _ := r.end(dir); end == "" && second > 0 {
			_ = disturbed(second, []string{"abort", "late", "stall"}[second%3])
		}
		for range 3 { // a resumption that ends in an abort fails as a command
			if end, _ := r.end(dir); end != "" {
				break
			}
			cmd := r.start(dir)
			fmt.Fprintf(&said, "--- without a fault\n")
			cmd.Stdout, cmd.Stderr = &said, &said
			_ = cmd.Run()
		}
		went = ""
	}
	end, err := r.end(dir)
	switch {
	case err != nil:
		r.ends["lost"]++
		r.t.Errorf("%s: %v\n%s", name, err, said.String())
	case went == "regardless" && end == passed:
		r.ends["regardless"]++
	default:
		r.ends[end]++
		if end == passed && r.ends[passed]%10 == 1 { // a sample lives on
			r.live(dir)
		}
	}
}

// hits says how often a fault met which function.
func (r faultRig) hits() string {
	var list []string
	for what, n := range r.ends {
		if f, ok := strings.CutPrefix(what, "hit "); ok {
			list = append(list, fmt.Sprintf("%s×%d", f, n))
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
