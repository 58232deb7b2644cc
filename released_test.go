package fleetctl_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// released is where each released version keeps an evidence package and what verifying it
// said on that day: expect has the time, the verdict, and a claim with its grade a line.
const released = "testdata/released"

var releaseHeading = regexp.MustCompile(`(?m)^## (?:v?([0-9]+\.[0-9]+\.[0-9]+\S*)|.*)`)

// expectation is what expect says of a package that is verified at a time.
func expectation(dir string, now time.Time) (string, error) {
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil
		}
		return data
	}
	policy, err := evidence.ParsePolicy("policy.yaml", read("policy.yaml"))
	if err != nil {
		return "", err
	}
	r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: read("evidence.tar"), Logged: read("evidence.tlog-proof")}, policy, evidence.Question{Now: now})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nverified %t\n", now.UTC().Format(time.RFC3339), r.Verified)
	for _, c := range r.Claims {
		fmt.Fprintf(&b, "%s %s\n", c.Name, c.Grade)
	}
	return b.String(), nil
}

// releaseFaults are versions of a change log without a package, and packages that are
// judged otherwise than on the day of their release. A claim that came later says nothing
// against a package.
func releaseFaults(changes, dir string) (faults []string) {
	for _, m := range releaseHeading.FindAllStringSubmatch(changes, -1) {
		if m[1] != "" {
			if _, err := os.Stat(filepath.Join(dir, m[1], "expect")); err != nil {
				faults = append(faults, m[1]+" was released and has no package")
			}
		}
	}
	versions, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return append(faults, err.Error())
	}
	for _, v := range versions {
		place := filepath.Join(dir, v.Name())
		want, err := os.ReadFile(filepath.Join(place, "expect"))
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		first, _, _ := strings.Cut(string(want), "\n")
		now, err := time.Parse(time.RFC3339, first)
		if err != nil {
			faults = append(faults, v.Name()+": "+err.Error())
			continue
		}
		if !strings.HasPrefix(string(want), first+"\nverified ") {
			faults = append(faults, v.Name()+": expect says no verdict")
		}
		got, err := expectation(place, now)
		if err != nil {
			faults = append(faults, v.Name()+": "+err.Error())
		}
		for line := range strings.Lines(string(want)) {
			if !slices.Contains(strings.SplitAfter(got, "\n"), line) {
				faults = append(faults, v.Name()+": no longer "+strings.TrimSpace(line))
			}
		}
	}
	return faults
}

func TestWhatWasReleasedVerifiesForEver(t *testing.T) {
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range releaseFaults(string(changes), released) {
		t.Error(fault)
	}
}

func TestAReleasedPackageThatIsJudgedOtherwiseIsFound(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	dir := t.TempDir()
	place := filepath.Join(dir, "1.0.0")
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.MkdirAll(place, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(place, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := f.Now()
	write("evidence.tar", f.Archive)
	write("policy.yaml", f.Policy)
	want, err := expectation(place, now)
	if err != nil || !strings.Contains(want, "\nverified true\n") || !strings.Contains(want, "key.possession proven\n") {
		t.Fatalf("%v\n%s", err, want)
	}
	write("expect", []byte(want))
	if faults := releaseFaults("# Changes\n\n## Unreleased\n\n## 1.0.0\n", dir); faults != nil {
		t.Errorf("%q", faults)
	}
	if faults := releaseFaults("# Changes\n\n## 1.0.1\n\n## v1.0.0 (2027-01-01)\n", dir); !slices.Equal(faults, []string{"1.0.1 was released and has no package"}) {
		t.Errorf("%q", faults)
	}
	write("expect", []byte(strings.Replace(want, "key.possession proven", "key.possession attested", 1)))
	if faults := releaseFaults("", dir); !slices.Equal(faults, []string{"1.0.0: no longer key.possession attested"}) {
		t.Errorf("%q", faults)
	}
	write("expect", []byte(now.UTC().Format(time.RFC3339)+"\n"))
	if faults := releaseFaults("", dir); !slices.Equal(faults, []string{"1.0.0: expect says no verdict"}) {
		t.Errorf("nothing was expected: %q", faults)
	}
	write("expect", []byte(want))
	write("evidence.tar", f.Archive[:len(f.Archive)-1])
	if faults := releaseFaults("", dir); len(faults) == 0 {
		t.Error("a package that was cut was not found")
	}
}

// TestStabilityNamesEveryFormat holds docs/stability.md to what the program says it
// reads and writes.
func TestStabilityNamesEveryFormat(t *testing.T) {
	page, err := os.ReadFile("docs/stability.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("cmd/fleetctl/version/version.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(source), "var formats = ")
	list, _, _ = strings.Cut(list, "\n}")
	var want []string
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(list, -1) {
		want = append(want, m[1])
	}
	_, text, _ := strings.Cut(string(page), "\n## Formats\n")
	var got []string
	for _, m := range regexp.MustCompile("(?m)^- `([^`]+)`$").FindAllStringSubmatch(text, -1) {
		got = append(got, m[1])
	}
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("docs/stability.md has %q, fleetctl version %q", got, want)
	}
}
