package epochs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/epochs"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// hostileDir holds the pool's objects and policies, and EXPECT with a line for each case,
// for implementations of other makers. FLEETCTL_WRITE=1 writes them.
const hostileDir = "testdata/hostile"

// TestHostileChainsAreThoseThatAreMadeToday makes all files anew and compares.
func TestHostileChainsAreThoseThatAreMadeToday(t *testing.T) {
	p := newPool(t)
	want := map[string][]byte{}
	var expect bytes.Buffer
	for _, c := range chainCases {
		expect.WriteString(c.line(p))
		want[c.policy] = p.policies[c.policy]
		for _, name := range strings.Fields(c.files) {
			in := p.objects[name]
			want[name] = in.Data
			if in.Logged != nil {
				want[evidence.ProofBeside(name)] = in.Logged
			}
			if in.Proof != nil {
				want[name+".tlog-proof"] = in.Proof
			}
		}
	}
	want["EXPECT"] = expect.Bytes()
	for name, data := range want {
		path := filepath.Join(hostileDir, name)
		if os.Getenv("FLEETCTL_WRITE") == "1" {
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, data) {
			t.Errorf("%s is not what is made today; FLEETCTL_WRITE=1 writes it, git diff shows why (%v)", path, err)
		}
	}
	for _, e := range must(os.ReadDir(hostileDir)) {
		if want[e.Name()] == nil && e.Name() != "README.md" {
			t.Errorf("%s/%s belongs to no case", hostileDir, e.Name())
		}
	}
}

// TestHostileChainsAreJudgedAsExpected judges what lies there as EXPECT says, by what lies
// there alone.
func TestHostileChainsAreJudgedAsExpected(t *testing.T) {
	verified := 0
	lines := slices.Collect(strings.Lines(string(must(os.ReadFile(filepath.Join(hostileDir, "EXPECT"))))))
	for _, line := range lines {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 8 {
			t.Fatalf("EXPECT has the line %q", line)
		}
		q := epochs.Question{Now: must(strict.ParseTime(f[1])), From: must(strconv.ParseUint(f[3], 10, 64)), Current: f[4] == "current"}
		var list []evidence.Input
		for _, name := range strings.Fields(f[5]) {
			path := filepath.Join(hostileDir, name)
			in := evidence.Input{File: name, Data: must(os.ReadFile(path))}
			in.Proof, _ = os.ReadFile(path + ".tlog-proof")
			in.Logged, _ = os.ReadFile(evidence.ProofBeside(path))
			list = append(list, in)
		}
		r := must(judge(must(os.ReadFile(filepath.Join(hostileDir, f[2]))), q, list))
		if r.Verified != (f[6] == "verified") || !strings.Contains(tells(r), f[7]) {
			t.Errorf("%s: verified is %t, want %q in\n%s", f[0], r.Verified, f[7], tells(r))
		}
		if r.Verified {
			verified++
		}
	}
	if verified == 0 || verified == len(lines) {
		t.Errorf("%d of %d chains are verified: nothing is told apart", verified, len(lines))
	}
}

// TestTheSpecificationNamesEveryChain: SPEC's table of chains names the same ones, with
// what is wrong.
func TestTheSpecificationNamesEveryChain(t *testing.T) {
	_, text, ok := strings.Cut(string(must(os.ReadFile("../../../docs/SPEC.md"))), "### 26.3 ")
	if !ok {
		t.Fatal("SPEC has no section 26.3")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var have, want []string
	for line := range strings.Lines(text) {
		if f := strings.Split(line, "|"); len(f) == 5 && strings.HasPrefix(f[1], " `") {
			have = append(have, strings.Trim(f[1], " `")+": "+strings.TrimSpace(f[2]))
		}
	}
	for _, c := range chainCases {
		want = append(want, c.name+": "+c.kind)
	}
	if !slices.Equal(have, want) {
		t.Errorf("SPEC 26.3 has\n%s\nand the chains are\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}
