package byhand_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/byhand"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// full runs what takes minutes; otherwise a part of it runs.
var full = os.Getenv("FLEETCTL_FULL") == "1"

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// needTools skips where the tools are missing, but not in CI. What it starts is bash: the
// race detector doesn't see into that, and it is the same with cgo and without.
func needTools(t *testing.T) {
	t.Helper()
	if testing.Short() || await.RaceDetector {
		t.Skip("runs bash and its tools")
	}
	for _, tool := range []string{"bash", "sha256sum", "openssl", "ssh-keygen", "jq", "base64", "xxd", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing, and CI must have it", tool)
			}
			t.Skipf("%s is missing (apt-get install jq xxd openssl openssh-client)", tool)
		}
	}
}

// vector is a case of a package, with all that it is judged by.
type vector struct {
	*testvectors.Case
	archive, policy, logged []byte
}

func vectors(t *testing.T) (list []vector) {
	t.Helper()
	for _, c := range must(testvectors.All("package")) {
		v := vector{Case: c, archive: must(c.File("package")), policy: must(c.File("policy")), logged: must(c.File("logged"))}
		list = append(list, v)
	}
	return list
}

func named(t *testing.T, name string) vector {
	t.Helper()
	list := vectors(t)
	i := slices.IndexFunc(list, func(v vector) bool { return v.Name == name })
	return list[i]
}

// write puts a package with its policy into a folder, as an auditor has them.
func (v vector) write(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "evidence.tar"), v.archive, 0o600))
	if v.logged != nil {
		check(t, os.WriteFile(filepath.Join(dir, "evidence.tlog-proof"), v.logged, 0o600))
	}
	root := must(strict.ParseYAML("policy.yaml", v.policy, strict.MaxYAML))
	check(t, os.WriteFile(filepath.Join(dir, "policy.json"), strict.EncodeNode(root), 0o600))
	return dir
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bash runs a script in a folder and gives its exit code. PATH has nothing but the
// folders of the system's own tools, so that no fleetctl helps.
func bash(t *testing.T, dir string, args ...string) (code int, out string) {
	t.Helper()
	c := exec.Command("bash", args...)
	c.Dir, c.Env = dir, []string{"PATH=/usr/bin:/bin", "TMPDIR=" + t.TempDir(), "HOME=/nonexistent"}
	data, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(data)
}

// with is a package with a file changed, its MANIFEST fitting again.
func (v vector) with(path string, change func([]byte) []byte) vector {
	files := must(evidence.Unpack("e", v.archive))
	files[path] = change(bytes.Clone(files[path]))
	files[evidence.ManifestFile] = files.Manifest()
	v.archive = must(evidence.Pack(files))
	return v
}

// flip changes a byte, and leaves what it is written in as it is: a letter or a digit
// becomes another one.
func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		for i := at % len(b); ; i = (i + 1) % len(b) {
			if c := b[i]; c >= '0' && c <= '8' || c >= 'a' && c <= 'e' || c >= 'A' && c <= 'E' {
				b[i]++
				return b
			}
		}
	}
}

func (v vector) explain(t *testing.T, claim string) []byhand.Part {
	t.Helper()
	p := must(evidence.ParsePolicy("policy.yaml", v.policy))
	return must(byhand.Explain(evidence.Input{File: "evidence.tar", Data: v.archive, Logged: v.logged}, p, v.policy, claim))
}

// commands are a claim's, as a script.
func commands(parts []byhand.Part) string {
	var b strings.Builder
	b.WriteString("set -euo pipefail\n")
	for _, p := range parts {
		for _, c := range p.Commands {
			b.WriteString(c + "\n")
		}
	}
	return b.String()
}

var cut = regexp.MustCompile(`head -c (\d+) ([a-z/.-]+) \| tail -c (\d+)`)

// The commands that --explain prints hold in the folder that the package was unpacked
// to, and of each the bytes that it is about, changed, make it fail.
func TestTheCommandsOfAnExplanationCheckWhatItShows(t *testing.T) {
	needTools(t)
	v := named(t, "honest")
	files := must(evidence.Unpack("e", v.archive))
	files["../evidence.tlog-proof"] = v.logged
	for _, claim := range evidence.ClaimNames() {
		parts := v.explain(t, claim)
		script := commands(parts)
		run := func(change string, data []byte) (int, string) {
			dir := filepath.Join(t.TempDir(), "pkg")
			for path, file := range files {
				if path == change {
					file = data
				}
				check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700))
				check(t, os.WriteFile(filepath.Join(dir, path), file, 0o600))
			}
			return bash(t, dir, "-c", script)
		}
		if code, out := run("", nil); code != 0 {
			t.Errorf("%s: the commands fail: %s\n%s", claim, out, script)
			continue
		}
		if len(parts) == 0 {
			if slices.Contains([]string{evidence.ClaimAgreement, evidence.ClaimKeyAttested, evidence.ClaimCountersignerAttested, evidence.ClaimRekor, evidence.ClaimDrilled, evidence.ClaimLockdown, evidence.ClaimAbortSigned, evidence.ClaimDestroyed}, claim) {
				continue // there is nothing of it in this package
			}
			t.Errorf("%s: nothing is explained", claim)
		}
		changed := 0
		about := slices.DeleteFunc(slices.Clone(parts), func(p byhand.Part) bool {
			return !cut.MatchString(strings.Join(p.Commands, "\n")) && !strings.Contains(strings.Join(p.Commands, "\n"), ".sig < ")
		})
		for i, p := range about {
			if !full && i != 0 && i != len(about)-1 {
				continue
			}
			for _, c := range p.Commands {
				if m := cut.FindStringSubmatch(c); m != nil && files[m[2]] != nil {
					end, n := must(strconv.Atoi(m[1])), must(strconv.Atoi(m[3]))
					changed++
					if code, _ := run(m[2], flip(end-n/2)(bytes.Clone(files[m[2]]))); code == 0 {
						t.Errorf("%s, %s: the commands hold though %s was changed before byte %d", claim, p.Title, m[2], end)
					}
				}
				if _, path, ok := strings.Cut(c, ".sig < "); ok {
					changed++
					if code, _ := run(path, append(bytes.Clone(files[path]), '\n')); code == 0 {
						t.Errorf("%s, %s: the commands hold though %s was changed", claim, p.Title, path)
					}
				}
			}
		}
		if changed == 0 && claim != evidence.ClaimBound && claim != evidence.ClaimPage {
			t.Errorf("%s: no byte was changed", claim)
		}
	}
}

// Every signature of a person, third party, operator, log, witness and key is shown with
// its place, and so is each attribute and attempt.
func TestAnExplanationGoesDownToBytes(t *testing.T) {
	v := named(t, "honest")
	files := must(evidence.Unpack("e", v.archive))
	var all strings.Builder
	for _, claim := range evidence.ClaimNames() {
		for _, p := range v.explain(t, claim) {
			for _, r := range p.Rows {
				fmt.Fprintf(&all, "%s: %s\n", r[0], r[1])
			}
		}
	}
	text := all.String()
	for path := range files {
		if strings.HasSuffix(path, ".sig") && !strings.Contains(text, "signature: "+path+", offset 0, "+fmt.Sprint(len(files[path]))+" bytes") {
			t.Errorf("%s is not shown", path)
		}
	}
	for _, want := range []string{"private: EXTRACTABLE false", "private: LOCAL true", "export: C_GetAttributeValue: CKR_", "relax-sensitive: C_SetAttributeValue: CKR_",
		"not checked: that ", "signature: transcript.jsonl, offset ", "signature: bundle.json, offset ", "signature: bundle.json.tlog-proof, offset ", "signature: ../evidence.tlog-proof, offset ", "SHA256:"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in what is explained", want)
		}
	}
}

// openssl 3.0 has no ML-DSA: signature and text are shown, and not called checked.
func TestWhatMLDSASignedIsShownAndNotChecked(t *testing.T) {
	v := named(t, "post-quantum")
	for claim, want := range map[string]int{evidence.ClaimPossession: 2, evidence.ClaimCountersigned: 1} {
		n := 0
		for _, p := range v.explain(t, claim) {
			for _, r := range p.Rows {
				if r[0] == "not checked" && strings.HasSuffix(r[1], ": openssl 3.0 has no ML-DSA") {
					n++
					if strings.Contains(strings.Join(p.Commands, "\n"), "openssl") {
						t.Errorf("%s: %s is not checked, and openssl is called", claim, p.Title)
					}
				}
			}
		}
		if n != want {
			t.Errorf("%s: %d signatures are called not checked, want %d", claim, n, want)
		}
	}
	needTools(t)
	code, said, out := byHand(t, v)
	if code != 0 || said[evidence.ClaimPossession] != "not checked" || said[evidence.ClaimCountersigned] != "not checked" {
		t.Errorf("exit code %d, %v\n%s", code, said, out)
	}
}

// A policy that requires both signatures is not met by the classical ones: what by hand
// can't check is not called checked, and what it can is not called wrong.
func TestAHybridPackageIsNotCalledCheckedByHand(t *testing.T) {
	needTools(t)
	f := testfleet.New(t, testfleet.Options{Name: "hybrid by hand", HSMs: 3, PostQuantum: keys.MLDSA44})
	v := vector{Case: &testvectors.Case{With: map[string]string{"time": strict.FormatTime(f.Now())}}, archive: f.Archive, policy: f.Policy}
	code, said, out := byHand(t, v)
	for _, claim := range []string{evidence.ClaimStatement, evidence.ClaimCountersigned, evidence.ClaimWitnessed} {
		if said[claim] != "not checked" {
			t.Errorf("%s is %q", claim, said[claim])
		}
	}
	if code != 0 || strings.Contains(out, "FAILED") || !strings.Contains(out, "countersigned by operator-1, in the form bound") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
