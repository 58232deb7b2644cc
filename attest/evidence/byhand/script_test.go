package byhand_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/byhand"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// undecided are the claims that a script of this package does not decide, or of which
// the package shows nothing: the script's exit code is 3 then.
var undecided = []string{evidence.ClaimAgreement, evidence.ClaimKeyAttested, evidence.ClaimCountersignerAttested, evidence.ClaimRekor,
	evidence.ClaimDrilled, evidence.ClaimLockdown, evidence.ClaimPage, evidence.ClaimAbortSigned, evidence.ClaimDestroyed}

// rests is a file that each claim rests on.
var rests = map[string]string{
	evidence.ClaimMode: ceremony.ArtifactFile, evidence.ClaimPlanApproved: ceremony.PlanApprovalsDir + "/olga.sig", evidence.ClaimStatement: ceremony.BundleFile,
	evidence.ClaimCountersigned: ceremony.BundleFile, evidence.ClaimIncluded: ceremony.ProofFile, evidence.ClaimWitnessed: ceremony.ProofFile,
	evidence.ClaimReleaseSignoff: "signoffs/release/wanda.sig", evidence.ClaimFleetChecked: "signoffs/release/ada",
	evidence.ClaimCloseSignoff: "signoffs/close/wanda.sig", evidence.ClaimBound: evidence.PageFile, evidence.ClaimPage: evidence.PageFile, evidence.ClaimLogged: "signoffs/close/ada.sig",
}

// A script of each claim holds for an honest package, says what it doesn't decide, and
// fails once what the claim rests on is changed, with a MANIFEST that fits again.
func TestTheScriptOfEachClaimHoldsAndFails(t *testing.T) {
	needTools(t)
	v := named(t, "honest")
	for i, claim := range evidence.ClaimNames() {
		script := must(byhand.Script(claim, "evidence.tar", v.policy, must(strict.ParseTime(v.With["time"]))))
		run := func(v vector) (int, string) {
			dir := v.write(t)
			check(t, os.WriteFile(filepath.Join(dir, "check.sh"), script, 0o600))
			return bash(t, dir, "-eu", "check.sh")
		}
		code, out := run(v)
		want := 0
		if slices.Contains(undecided, claim) {
			want = 3
		}
		if code != want {
			t.Errorf("%s: exit code %d, want %d:\n%s", claim, code, want, out)
		}
		if want == 3 && !strings.Contains(out, "not checked  "+claim) && !strings.Contains(out, "not shown    "+claim) {
			t.Errorf("%s: the script doesn't say what it does not check:\n%s", claim, out)
		}
		if !strings.Contains(out, "\n+ sha256sum ") {
			t.Errorf("%s: no command is printed:\n%s", claim, out)
		}
		path := rests[claim]
		if path == "" {
			path = ceremony.TranscriptFile
		}
		if !sampled(claim, 5) {
			continue
		}
		if code, out := run(v.with(path, flip(1900+i))); code != 1 || !strings.Contains(out, "FAILED") {
			t.Errorf("%s: exit code %d though %s was changed:\n%s", claim, code, path, out)
		}
	}
	if _, err := byhand.Script("nonsense", "f", v.policy, time.Time{}); err == nil {
		t.Error("a script of no claim")
	}
}

// byHand runs scripts/verify-by-hand, and gives what it says of each claim.
func byHand(t *testing.T, v vector) (code int, said map[string]string, out string) {
	t.Helper()
	script := must(filepath.Abs("../../../scripts/verify-by-hand"))
	code, out = bash(t, v.write(t), script, "evidence.tar", "policy.json", "--time", v.With["time"])
	said = map[string]string{}
	_, table, _ := strings.Cut(out, "\nWhat the commands above show of ")
	for line := range strings.Lines(table) {
		for _, word := range []string{"checked", "holds alone", "FAILED", "not checked", "not shown"} {
			if claim, ok := strings.CutPrefix(line, fmt.Sprintf("  %-13s", word)); ok && !strings.HasPrefix(claim, " ") {
				said[strings.TrimSpace(claim)] = word
			}
		}
	}
	return code, said, out
}

// scope are the claims that verify-by-hand decides, where a package has them.
var scope = []string{"package", evidence.ClaimMode, evidence.ClaimPlanApproved, evidence.ClaimPossession, evidence.ClaimReleaseSignoff, evidence.ClaimStatement,
	evidence.ClaimCountersigned, evidence.ClaimIncluded, evidence.ClaimWitnessed, evidence.ClaimCloseSignoff, evidence.ClaimBound, evidence.ClaimLogged}

func TestAnHonestPackageHoldsByHand(t *testing.T) {
	needTools(t)
	v := named(t, "honest")
	code, said, out := byHand(t, v)
	if code != 0 || strings.Contains(out, "FAILED") {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	for _, claim := range scope {
		if said[claim] != "checked" {
			t.Errorf("%s is %q", claim, said[claim])
		}
	}
	for _, claim := range evidence.ClaimNames() {
		if said[claim] == "" && claim != evidence.ClaimAbortSigned && claim != evidence.ClaimDestroyed {
			t.Errorf("nothing is said of %s", claim)
		}
	}
}

// sampled says whether a case is one of this run's: all of them with FLEETCTL_FULL, else
// one in so many, always the same ones.
func sampled(name string, of uint32) bool {
	h := fnv.New32a()
	h.Write([]byte(name))
	return full || h.Sum32()%of == 0
}

// A package that is changed in a byte of any file does not hold by hand.
func TestAChangedFileDoesNotHoldByHand(t *testing.T) {
	needTools(t)
	v := named(t, "honest")
	files := must(evidence.Unpack("e", v.archive))
	ran := 0
	for _, path := range files.Paths() {
		if path == evidence.ManifestFile || !sampled(path, 20) {
			continue
		}
		ran++
		changed := v.with(path, flip(len(files[path])/2))
		if code, _, out := byHand(t, changed); code != 1 || !strings.Contains(out, "FAILED") {
			t.Errorf("%s was changed: exit code %d\n%s", path, code, out)
		}
	}
	t.Logf("%d of %d files were changed, one at a time; none of these packages held", ran, len(files)-1)
	if ran == 0 {
		t.Error("no file was changed")
	}
	// Without a fitting MANIFEST, with a name that no package has, in another form.
	tampered := v
	tampered.archive = bytes.Replace(v.archive, []byte("fleetctl page v4"), []byte("fleetctl page v5"), 1)
	strange := v
	strange.archive = bytes.Replace(v.archive, []byte("signoffs/close/ada\x00"), []byte("signoffs/../../a\x00\x00\x00"), 1)
	longer := v
	longer.archive = append(bytes.Clone(v.archive), make([]byte, 512)...)
	for name, v := range map[string]vector{"manifest": tampered, "name": strange, "longer": longer} {
		if code, _, out := byHand(t, v); code != 1 || !strings.Contains(out, "FAILED       package") {
			t.Errorf("%s: exit code %d\n%s", name, code, out)
		}
	}
}

// What verify-by-hand says of each case of a package is held to the rules of the vectors:
// no claim is checked that isn't shown, what it must reject it rejects, and of any other
// that is to be rejected it names what it has not checked.
func TestByHandKeepsToTheVectors(t *testing.T) {
	needTools(t)
	counts := map[string]int{}
	for _, v := range vectors(t) {
		if _, err := evidence.ParsePolicy("p", v.policy); err != nil {
			continue // no policy that can be used, or put into JSON
		}
		if !sampled(v.Name, 26) && v.Name != "recorded" && v.Name != "drilled" {
			counts["not run"]++
			continue
		}
		code, said, out := byHand(t, v)
		open := 0
		for claim, word := range said {
			if word == "checked" && claim != "package" && v.Claims[claim] == "" {
				t.Errorf("%s: %s is called checked, and is not shown", v.Name, claim)
			}
			if word == "not checked" {
				open++
			}
		}
		switch {
		case code != 0 && code != 1 || len(said) == 0:
			t.Errorf("%s: exit code %d\n%s", v.Name, code, out)
		case v.Shell == testvectors.Reject && code != 1:
			t.Errorf("%s holds by hand, and is to be rejected: %s", v.Name, v.Reason)
		case v.Verdict == testvectors.Reject && code == 1:
			counts["rejected"]++
			if v.Shell != testvectors.Reject {
				t.Errorf("%s is rejected: its case.json can say so, under shell", v.Name)
			}
		case v.Verdict == testvectors.Reject && open == 0:
			t.Errorf("%s is to be rejected, and nothing is called not checked", v.Name)
		case v.Verdict == testvectors.Reject:
			counts["rejected for what is not checked"]++
		case code == 1 && v.With["expect"] != string(evidence.TypeAbort):
			t.Errorf("%s is honest, and exit code 1:\n%s", v.Name, out)
		case code == 1:
			counts["aborted, which is evidence of no fleet"]++
		default:
			counts["honest, hold"]++
		}
	}
	t.Logf("packages: %v", counts)
}

// What a drill's report says is held against record, artifact and bundle by hand too.
func TestADrillsReportIsHeldByHand(t *testing.T) {
	needTools(t)
	for name, want := range map[string]string{
		"drilled-with-another-key":     "FAILED       fleet.drilled: a node used a key that the fleet doesn't have",
		"drilled-before-another-epoch": "FAILED       fleet.drilled: it is not so that its next epoch follows this one's key set",
		"drilled-without-a-guess":      "FAILED       fleet.drilled: drills/1.json tells of something that failed",
		"drilled-key-after-the-lock":   "FAILED       fleet.drilled: drills/1.json tells of something that failed",
	} {
		if code, _, out := byHand(t, named(t, name)); code != 1 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, want %q:\n%s", name, code, want, out)
		}
	}
}

// A ceremony that destroyed keys is checked by hand but for what no tool shows; a key that
// nobody destroyed doesn't hold.
func TestDestroyedKeysAreHeldByHand(t *testing.T) {
	needTools(t)
	code, said, out := byHand(t, named(t, "destroyed"))
	for claim, want := range map[string]string{evidence.ClaimStatement: "checked", evidence.ClaimCountersigned: "checked", evidence.ClaimWitnessed: "checked", evidence.ClaimPlanApproved: "checked",
		evidence.ClaimCloseSignoff: "checked", evidence.ClaimBound: "checked", evidence.ClaimLogged: "checked", evidence.ClaimDestroyed: "not checked"} {
		if said[claim] != want {
			t.Errorf("%s is %q, not %q", claim, said[claim], want)
		}
	}
	if code != 0 || strings.Count(out, "answered its nonce before") != 2 || !strings.Contains(out, "evidence of no fleet") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, _, out := byHand(t, named(t, "destroyed-but-for-one")); code != 1 || !strings.Contains(out, "FAILED       keys.destroyed: no record tells of the key of hsm-2 session") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// Whoever is absent from the close of a destruction is excused by an exception of it.
func TestWhoeverIsAbsentIsExcusedFromADestruction(t *testing.T) {
	needTools(t)
	g := testfleet.New(t, testfleet.Options{HSMs: 1, Onlookers: []ceremony.Person{{Name: "wim", Role: ceremony.Witness}}, Away: []string{"wim"}}).Destroying(t, nil)
	check(t, g.Destroy("destroyed"))
	v := vector{Case: &testvectors.Case{With: map[string]string{"time": strict.FormatTime(g.Now())}}, archive: g.Archive, policy: g.Policy}
	if code, said, out := byHand(t, v); code != 0 || said[evidence.ClaimCloseSignoff] != "checked" {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// The parts together, as a script has them, are what shellcheck takes.
func TestTheScriptsAreTakenByShellcheck(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("shellcheck is missing, and CI must have it")
		}
		t.Skip("shellcheck is missing (apt-get install shellcheck)")
	}
	v := named(t, "honest")
	for _, claim := range []string{evidence.ClaimFleetChecked, evidence.ClaimLogged} {
		path := filepath.Join(t.TempDir(), "check.sh")
		check(t, os.WriteFile(path, must(byhand.Script(claim, "evidence.tar", v.policy, time.Time{})), 0o600))
		// Programs of jq stand in single quotes; a && b || c is meant where b can't fail.
		if out, err := exec.Command("shellcheck", "-e", "SC2016,SC2015,SC2034,SC2317", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", claim, out)
		}
	}
}
