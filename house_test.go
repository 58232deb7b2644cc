// Package fleetctl_test holds the house to its plan: what may import what, how
// long a file may be, which parser is fuzzed, what builds without cgo.
package fleetctl_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fleetctl/fleetctl"

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Name       string
	Standard   bool
	Imports    []string // of its files that are no tests
	Deps       []string
	CgoFiles   []string
}

// list runs `go list` and gives packages by path.
func list(t *testing.T, env []string, args ...string) map[string]*pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Name,Standard,Imports,Deps,CgoFiles"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, talk.String())
	}
	found := map[string]*pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[p.ImportPath] = p
	}
}

// arrows say what a package of ours may import of ours. A package that isn't
// named here has no place in the house yet.
var arrows = map[string][]string{
	"cmd/fleetctl":             {"*"},
	"cmd/fleetctl/attestation": {"attest", "attest/formats", "internal/cli", "internal/hsm", "internal/signer", "internal/tpmdevice", "internal/ui", "leaf"},
	"internal/testfleet":       {"*"},    // runs whole fleets for tests; only tests import it
	"attest/evidence/media":    {"leaf"}, // the index of a ceremony's recordings
	"attest/evidence":          {"internal/fleet/report", "attest/evidence/media", "attest/evidence/page", "attest/require", "ceremony", "ceremony/story", "attest", "bundle", "auditlog", "internal/ustar", "leaf"},
	// The operator's side: what closes a ceremony, and the policy of a plan.
	"attest/evidence/closing": {"attest/evidence", "attest/evidence/media", "attest/evidence/planned", "ceremony", "ceremony/folder", "auditlog", "leaf"},
	"attest/evidence/planned": {"attest", "attest/evidence", "attest/formats", "auditlog", "bundle", "bundle/device", "ceremony", "leaf"},
	// What a log's entries mean, judged by a verifier's policy; the page for people.
	"attest/evidence/entries": {"attest/evidence", "bundle", "auditlog", "leaf"},
	"attest/evidence/epochs":  {"attest/evidence", "bundle", "ceremony", "leaf"},
	// A folder of web pages for a static host.
	"attest/evidence/site":       {"attest/evidence", "attest/evidence/page", "attest/evidence/planned", "bundle", "ceremony", "ceremony/story", "internal/explain", "leaf"},
	"attest/evidence/page":       {"internal/fleet/report", "auditlog", "ceremony", "ceremony/story", "bundle", "internal/explain", "leaf"},
	"attest/evidence/succession": {"attest/evidence", "leaf"}, // from one policy to the next
	// What a claim rests on, down to bytes, and scripts that check it without fleetctl.
	"attest/evidence/byhand": {"attest/evidence", "auditlog", "bundle", "ceremony", "leaf"},
	// The independent verifier in plain JavaScript: scripts, and the tests that run them.
	"attest/evidence/site/viewer": {},
	"attest":                      {"leaf"},
	"attest/attesttest":           {"attest", "internal/await", "leaf"}, // makes hostile attestations: for tests alone
	"attest/formats":              {"attest", "attest/luna", "attest/marvell", "attest/nshield", "attest/pkixevidence", "attest/securosys", "attest/smartcardhsm", "attest/tpm", "attest/yubihsm", "attest/yubikey", "leaf"},
	"attest/require":              {"attest", "attest/formats", "ceremony", "leaf"}, // what a policy requires of attestations
	"attest/tpm/tpmtest":          {"attest", "attest/attesttest", "attest/tpm"},    // a TPM in software: for tests alone
	"attest/nshield":              {"attest", "leaf"},
	"attest/pkixevidence":         {"attest", "leaf"},
	"attest/tpm":                  {"attest", "leaf"},
	"attest/securosys":            {"attest", "leaf"},
	"attest/smartcardhsm":         {"attest", "leaf"},
	// A vendor's format each.
	"attest/devicecert":          {},
	"attest/devicecert/certtest": {}, // makes such certificates: for tests alone
	"attest/luna":                {"attest", "attest/devicecert"},
	"attest/marvell":             {"attest", "attest/devicecert", "leaf"},
	"attest/yubihsm":             {"attest", "attest/devicecert"},
	"attest/yubikey":             {"attest", "attest/devicecert"},
	"ceremony":                   {"attest", "bundle", "auditlog", "leaf"},
	// What writes a ceremony and what prints it stand beside its rules.
	"ceremony/draft": {"bundle", "ceremony", "leaf"},
	// The auditor's own machine, where keys that agree are challenged.
	"ceremony/challenge": {"ceremony", "leaf"},
	// What a second screen is shown of a ceremony, and what it makes of it.
	"ceremony/state":  {"ceremony", "leaf"},
	"ceremony/folder": {"attest", "ceremony", "ceremony/story", "bundle", "leaf"},
	"ceremony/engine": {"attest", "attest/evidence", "attest/evidence/planned", "ceremony", "ceremony/folder", "ceremony/state", "bundle", "auditlog", "internal/fleet/report", "leaf"},
	// The report of a drill: read, and held against the ceremony that it is about.
	"internal/fleet/report": {"ceremony", "leaf"},
	// How a ceremony went, for whoever shows it or judges by it.
	"ceremony/story":    {"ceremony", "leaf"},
	"ceremony/script":   {"ceremony", "ceremony/folder", "internal/paper", "leaf"},
	"bundle":            {"auditlog", "leaf"},
	"bundle/answer":     {"bundle", "bundle/device", "auditlog", "leaf"}, // hands a bundle to devices over HTTP
	"bundle/device":     {"bundle", "auditlog", "leaf"},                  // a phone's check, with the state that it keeps
	"bundle/thirdparty": {"attest/require", "ceremony", "ceremony/story", "bundle", "leaf"},
	"auditlog":          {"leaf"},
	"auditlog/tiled":    {"auditlog", "leaf"},
	"auditlog/rekor":    {"auditlog", "auditlog/tile", "bundle", "leaf"},
	"auditlog/tile":     {},
	"auditlog/monitor":  {"auditlog", "auditlog/tile", "leaf"},
	"auditlog/witness":  {"auditlog", "leaf"},
	"auditlog/publish":  {"attest/evidence", "auditlog", "auditlog/tiled", "auditlog/witness", "bundle", "leaf"},
	// The network of third parties and of live auditors, beside the pure code.
	"bundle/history":            {"bundle", "auditlog", "leaf"},
	"bundle/history/saved":      {"bundle", "bundle/history", "leaf"},
	"bundle/history/follow":     {"bundle/history", "bundle/history/fetch", "bundle/history/saved", "leaf"},
	"bundle/history/fetch":      {"bundle", "bundle/history", "bundle/history/saved", "leaf"},
	"bundle/submit":             {"bundle", "bundle/history/fetch", "leaf"},
	"bundle/thirdparty/service": {"bundle", "bundle/thirdparty", "leaf"},
	// What was checked, as continuous integration reads it: for commands alone.
	"internal/report":          {"internal/strict"},
	"internal/report/annotate": {"internal/report"},
	"internal/report/junit":    {"internal/report", "internal/strict"},
	"internal/report/sarif":    {"internal/report", "internal/strict"},
	// What is printed for people: for commands alone.
	"internal/paper": {"internal/words"},
	"internal/qr":    {"internal/strict"},
	// The second screen's two ends: the page that is read, and who reads it.
	"internal/statepage": {"ceremony", "ceremony/state", "leaf"},
	"internal/screen":    {"ceremony", "ceremony/challenge", "ceremony/script", "ceremony/state", "internal/cli", "internal/qr", "internal/statepage", "internal/ui", "leaf"},
	"internal/strict":    {},
	"internal/keys":      {"internal/strict"},
	"internal/token":     {},
	"internal/words":     {},
	"scripts/mutants":    {},
	"scripts/releases":   {"auditlog", "auditlog/publish", "auditlog/tiled", "auditlog/witness", "internal/cli", "internal/signer", "leaf"}, // scripts/release: not in the program
	"internal/durable":   {},
	"internal/ustar":     {"internal/strict"},
	"internal/sshsig":    {"internal/keys", "internal/strict"},
	"internal/hsm":       {"internal/hsm/uri", "internal/token", "internal/keys", "internal/strict"},
	"internal/hsm/uri":   {"internal/token", "internal/strict"},
	// The reference fleet: its nodes, its devices and what lies between them.
	// The process in which a node's PKCS#11 module runs.
	"internal/fleet/hsmhost": {"internal/fleet/anchor", "internal/fleet/anchorhsm", "internal/hsm", "internal/serve", "internal/tpmdevice", "leaf"},
	// Where an anchor is kept that no disk's copy puts back.
	"internal/fleet/anchorhsm": {"internal/fleet/anchor", "internal/hsm", "internal/tpmdevice"},
	"internal/fleet/sealed":    {"bundle", "internal/fleet/opaque", "leaf"},
	"internal/fleet/session":   {"bundle", "bundle/device", "internal/serve", "leaf"},
	"internal/fleet/site":      {"bundle", "ceremony/engine", "leaf"},
	// A drill of it: the network that it cuts, the processes that it kills, who passes for a node.
	"internal/fleet/links":     {},
	"internal/fleet/processes": {"leaf"},
	"internal/fleet/imposter":  {"internal/fleet/session"},
	"internal/fleet/drill":     {"bundle", "bundle/device", "ceremony", "internal/fleet/anchorhsm", "internal/fleet/client", "internal/fleet/imposter", "internal/fleet/links", "internal/fleet/opaque", "internal/fleet/passkey", "internal/fleet/phone", "internal/fleet/processes", "internal/fleet/report", "internal/fleet/sealed", "internal/fleet/session", "internal/fleet/site", "internal/fleet/wire", "leaf"},
	// A device that finds who leads, and a node of it all.
	"internal/fleet/phone": {"bundle", "bundle/device", "internal/fleet/client", "internal/fleet/guess", "internal/fleet/opaque", "internal/fleet/session", "internal/fleet/wire"},
	"internal/fleet/node":  {"bundle", "bundle/device", "internal/fleet/anchor", "internal/fleet/guess", "internal/fleet/opaque", "internal/fleet/replica", "internal/fleet/sealed", "internal/fleet/session", "internal/fleet/site", "internal/fleet/vault", "internal/fleet/wire", "leaf"},
	// Has TPMs attest keys: in the program that reaches HSMs alone.
	"internal/tpmdevice": {"attest", "attest/tpm", "internal/hsm", "leaf"},
	// TPMs in software: for tests alone.
	"internal/testtpm": {"internal/await"},
	// Where kryoptic's module is: for tests alone.
	"internal/testkryoptic": {},
	// A witness of other people's: for tests alone.
	"internal/testwitness": {"internal/await"},
	// Chromium without a screen: for tests alone.
	"internal/testbrowser": {"internal/await", "internal/browser"},
	// Drives a Chromium of its own, over a pipe.
	"internal/browser": {},
	"internal/ui":      {"internal/strict", "internal/words"},
	// What commands that run until they are stopped have in common.
	"internal/metrics": {},
	"internal/serve":   {"internal/metrics", "internal/strict"},
	// The reference fleet, in the program that reaches HSMs alone.
	"internal/fleet/anchor": {"leaf"},
	"internal/fleet/chain":  {"leaf"},
	"internal/fleet/guess":  {},
	// The judge of what clients of the counter saw.
	"internal/fleet/guess/history": {"internal/fleet/guess"},
	"internal/fleet/replica":       {"internal/fleet/anchor", "internal/fleet/chain", "internal/fleet/guess", "leaf"},
	// What commands share: for commands alone.
	"internal/cli":     {"attest/evidence", "attest/evidence/media", "attest/evidence/planned", "bundle", "bundle/device", "ceremony", "ceremony/engine", "ceremony/folder", "ceremony/state", "ceremony/story", "internal/explain", "internal/hsm", "internal/metrics", "internal/paper", "internal/qr", "internal/report", "internal/report/annotate", "internal/report/junit", "internal/report/sarif", "internal/serve", "internal/ui", "leaf"},
	"internal/signer":  {"ceremony", "ceremony/engine", "ceremony/folder", "internal/cli", "internal/hsm", "internal/hsm/uri", "internal/sshsig/sshkey", "internal/ui", "leaf"},
	"internal/session": {"attest/evidence/planned", "attest/tpm", "attest", "attest/formats", "attest/require", "bundle", "ceremony", "ceremony/challenge", "ceremony/engine", "ceremony/folder", "ceremony/script", "ceremony/state", "ceremony/story", "internal/cli", "internal/explain", "internal/hsm", "internal/qr", "internal/signer", "internal/tpmdevice", "internal/ui", "leaf"},
	"internal/room":    {"internal/fleet/report", "attest/evidence/closing", "bundle", "ceremony", "ceremony/engine", "ceremony/folder", "ceremony/script", "internal/cli", "internal/session", "internal/signer", "internal/ui", "leaf"},
	// Objects and records in words, for commands and for the page that a verifier compares.
	"internal/explain": {"internal/fleet/report", "ceremony", "ceremony/story", "bundle", "bundle/device", "bundle/thirdparty", "auditlog", "leaf"},
	// Opens people's key files and talks to ssh-agent: for commands alone.
	"internal/sshsig/sshkey": {"internal/sshsig", "internal/keys", "internal/strict"},
	// A device in software, for tests alone.
	"internal/sshsig/sktest": {"internal/sshsig", "internal/keys", "internal/strict"},
	// Stands in for Cloudflare's auditor: for tests alone.
	"internal/testauditor": {},
	// The cases in testdata/vectors, read and written: for tests alone.
	"internal/testvectors": {},
	// How tests wait, and nothing else does: for tests alone.
	"internal/await": {},
	// A disk in memory that forgets and fails, and what lives on it: for tests alone.
	"internal/simdisk":    {"leaf"},
	"internal/simulation": {},
	// Rekor logs in memory, and the real ones that scripts/rekor runs: for tests alone.
	"internal/testrekor":       {},
	"internal/testrekor/front": {},
	// The reference fleet and its drill: in the program that reaches HSMs alone.
	"internal/fleet/opaque":  {},
	"internal/fleet/wire":    {},
	"internal/fleet/vault":   {"internal/fleet/guess", "internal/fleet/opaque", "internal/fleet/wire"},
	"internal/fleet/client":  {"internal/fleet/guess", "internal/fleet/opaque", "internal/fleet/wire"},
	"internal/fleet/passkey": {"internal/browser", "internal/fleet/client", "internal/fleet/guess", "leaf"},
}

// leaves may be imported by whoever may import leaves.
var leaves = []string{"internal/strict", "internal/keys", "internal/token", "internal/words", "internal/durable", "internal/sshsig"}

// shared is what commands share; it opens doors for them.
var shared = []string{"internal/cli", "internal/signer", "internal/session", "internal/room", "internal/screen"}

// isNoun says whether a package has the commands of one noun, fleetctl log for
// one. What two nouns need is in a library, or in what commands share.
func isNoun(name string) bool { return strings.HasPrefix(name, "cmd/fleetctl/") }

// doors are imported by commands and what they share alone, and by what runs
// fleets for tests.
var doors = []string{"internal/hsm", "internal/ui", "auditlog/witness", "bundle/answer", "bundle/history/fetch", "bundle/history/follow", "bundle/submit", "bundle/thirdparty/service", "internal/metrics", "internal/serve", "ceremony/engine", "ceremony/script", "internal/qr", "internal/report", "internal/report/annotate", "internal/report/junit", "internal/report/sarif", "internal/sshsig/sshkey", "auditlog/tiled", "auditlog/publish", "auditlog/rekor", "internal/testauditor", "internal/testfleet", "internal/testkryoptic", "internal/testrekor", "internal/simdisk", "internal/sshsig/sktest", "internal/await", "internal/tpmdevice", "internal/testtpm", "internal/testvectors", "internal/testwitness", "internal/testbrowser", "internal/cli", "internal/signer", "internal/session", "internal/room", "internal/screen", "internal/statepage", "attest/attesttest", "attest/devicecert/certtest", "attest/tpm/tpmtest"}

// inner are the doors that a package behind a door may open.
var inner = map[string][]string{"internal/fleet/session": {"internal/serve"}, "scripts/releases": {"auditlog/publish", "auditlog/tiled", "auditlog/witness", "internal/cli", "internal/signer"}, "bundle/history/follow": {"bundle/history/fetch"}, "bundle/submit": {"bundle/history/fetch"}, "internal/serve": {"internal/metrics"}, "internal/fleet/site": {"ceremony/engine"}, "internal/testtpm": {"internal/await"}, "internal/testwitness": {"internal/await"}, "internal/testbrowser": {"internal/await"}, "internal/tpmdevice": {"internal/hsm"}, "internal/fleet/anchorhsm": {"internal/hsm", "internal/tpmdevice"}, "internal/fleet/hsmhost": {"internal/hsm", "internal/serve", "internal/tpmdevice"}, "attest/attesttest": {"internal/await"}, "attest/tpm/tpmtest": {"attest/attesttest"}, "auditlog/publish": {"auditlog/tiled", "auditlog/witness"}}

// verifiers are the packages with which a stranger verifies.
var verifiers = []string{"attest/evidence", "attest/formats", "attest/require", "attest/nshield", "attest/tpm", "attest/smartcardhsm", "attest/securosys", "attest/pkixevidence", "attest/devicecert", "attest/luna", "attest/marvell", "attest/yubihsm", "attest/yubikey", "attest/evidence/byhand", "attest/evidence/entries", "attest/evidence/epochs", "attest/evidence/media", "attest/evidence/page", "attest/evidence/succession", "attest", "ceremony", "bundle", "bundle/device", "bundle/thirdparty", "auditlog", "auditlog/tile",
	"ceremony/draft", "ceremony/folder", "ceremony/state", "ceremony/story", "bundle/history", "internal/explain", "internal/fleet/report", "internal/ustar", "internal/strict", "internal/keys", "internal/token", "internal/words", "internal/durable", "internal/sshsig"}

// arrowFaults are the imports that the house forbids.
func arrowFaults(all map[string]*pkg) (faults []string) {
	for name, p := range all {
		from, ours := strings.CutPrefix(name, module+"/")
		if !ours || name == module {
			continue
		}
		may, known := arrows[from]
		if isNoun(from) {
			may, known = []string{"*"}, true
		}
		if !known {
			faults = append(faults, fmt.Sprintf("%s: has no place in the house: name it in arrows", from))
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, module+"/")
			switch {
			case !ours:
			case isNoun(to) && from != "cmd/fleetctl":
				faults = append(faults, fmt.Sprintf("%s imports %s: a noun's commands are for main alone", from, to))
			case slices.Contains(may, "*") && to != "internal/testfleet" && to != "internal/sshsig/sktest":
			case slices.Contains(may, to):
			case slices.Contains(may, "leaf") && slices.Contains(leaves, to):
			default:
				faults = append(faults, fmt.Sprintf("%s imports %s", from, to))
			}
			if slices.Contains(doors, to) && !slices.Contains(inner[from], to) && from != "cmd/fleetctl" && !isNoun(from) && !slices.Contains(shared, from) && from != "internal/testfleet" && !strings.HasPrefix(from, to+"/") {
				faults = append(faults, fmt.Sprintf("%s imports %s, which is for commands alone", from, to))
			}
		}
		if from != "internal/hsm" && (len(p.CgoFiles) > 0 || slices.Contains(p.Imports, "C") || slices.Contains(p.Imports, "github.com/miekg/pkcs11")) {
			faults = append(faults, from+": cgo and PKCS#11 are for internal/hsm alone")
		}
		if p.Name == "utils" || p.Name == "util" || p.Name == "common" || p.Name == "helpers" {
			faults = append(faults, fmt.Sprintf("%s: a package is named for what it does, not %q", from, p.Name))
		}
	}
	slices.Sort(faults)
	return slices.Compact(faults)
}

func TestImportsPointDown(t *testing.T) {
	// Once as on this system, once without cgo: files of both builds count.
	for _, env := range [][]string{{"CGO_ENABLED=1"}, {"CGO_ENABLED=0"}, {"CGO_ENABLED=0", "GOOS=windows"}} {
		for _, f := range arrowFaults(list(t, env, "./...")) {
			t.Errorf("%v: %s", env, f)
		}
	}
}

func TestTheArrowsCanFail(t *testing.T) {
	for _, c := range []struct {
		p    *pkg
		want string
	}{
		{&pkg{ImportPath: module + "/bundle", Imports: []string{module + "/ceremony"}}, "bundle imports ceremony"},
		{&pkg{ImportPath: module + "/internal/strict", Imports: []string{module + "/internal/keys"}}, "internal/strict imports internal/keys"},
		{&pkg{ImportPath: module + "/ceremony", Imports: []string{module + "/internal/hsm"}}, "ceremony imports internal/hsm, which is for commands alone"},
		{&pkg{ImportPath: module + "/cmd/fleetctl", Imports: []string{module + "/internal/testfleet"}}, "cmd/fleetctl imports internal/testfleet"},
		{&pkg{ImportPath: module + "/cmd/fleetctl/log", Imports: []string{module + "/internal/testfleet"}}, "cmd/fleetctl/log imports internal/testfleet"},
		{&pkg{ImportPath: module + "/cmd/fleetctl/log", Imports: []string{module + "/cmd/fleetctl/hsm"}}, "cmd/fleetctl/log imports cmd/fleetctl/hsm: a noun's commands are for main alone"},
		{&pkg{ImportPath: module + "/internal/cli", Imports: []string{module + "/cmd/fleetctl/hsm"}}, "internal/cli imports cmd/fleetctl/hsm: a noun's commands are for main alone"},
		{&pkg{ImportPath: module + "/bundle", Imports: []string{module + "/internal/cli"}}, "bundle imports internal/cli, which is for commands alone"},
		{&pkg{ImportPath: module + "/auditlog", Imports: []string{"C"}}, "auditlog: cgo and PKCS#11 are for internal/hsm alone"},
		{&pkg{ImportPath: module + "/ceremony", Imports: []string{"github.com/miekg/pkcs11"}}, "ceremony: cgo and PKCS#11 are for internal/hsm alone"},
		{&pkg{ImportPath: module + "/misc"}, "misc: has no place in the house: name it in arrows"},
		{&pkg{ImportPath: module + "/bundle", Name: "utils"}, `bundle: a package is named for what it does, not "utils"`},
	} {
		if got := arrowFaults(map[string]*pkg{c.p.ImportPath: c.p}); !slices.Contains(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// netThrough are the packages of others by which net comes in, though nothing
// is ever dialled: crypto/x509 has names and addresses in certificates.
var netThrough = []string{"crypto/x509"}

// reachFaults are what a verifier must not depend on, and does.
func reachFaults(name string, deps map[string]*pkg) (faults []string) {
	for _, p := range deps {
		for _, imp := range p.Imports {
			switch {
			case imp == "net/http" || imp == "os/exec" || imp == "plugin":
				faults = append(faults, fmt.Sprintf("%s depends on %s, through %s", name, imp, p.ImportPath))
			case imp == "net" && !slices.Contains(netThrough, p.ImportPath):
				faults = append(faults, fmt.Sprintf("%s depends on net, through %s", name, p.ImportPath))
			}
		}
		if len(p.CgoFiles) > 0 && !p.Standard {
			faults = append(faults, fmt.Sprintf("%s depends on cgo, through %s", name, p.ImportPath))
		}
	}
	slices.Sort(faults)
	return faults
}

func TestWhatVerifiesReachesNothing(t *testing.T) {
	known := list(t, nil, "./...")
	for _, v := range verifiers {
		if known[module+"/"+v] == nil {
			continue // not built yet
		}
		for _, f := range reachFaults(v, list(t, []string{"CGO_ENABLED=1"}, "-deps", "./"+v)) {
			t.Error(f)
		}
	}
	// It must be able to fail: the commands do reach what verifiers may not.
	if got := strings.Join(reachFaults("cmd/fleetctl", list(t, []string{"CGO_ENABLED=1"}, "-deps", "./cmd/fleetctl")), "\n"); !strings.Contains(got, "os/exec") || !strings.Contains(got, "depends on net,") || !strings.Contains(got, "cgo") {
		t.Errorf("the check finds too little in cmd/fleetctl:\n%s", got)
	}
}

// sources are all Go files of ours by folder.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case strings.HasSuffix(p, ".go"):
			found[path.Dir(filepath.ToSlash(p))] = append(found[path.Dir(filepath.ToSlash(p))], p)
		}
		return nil
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("%d folders of Go files: %v", len(found), err)
	}
	return found
}

// fileless are the packages that read and write no file: they are handed bytes.
var fileless = []string{"attest", "auditlog", "bundle", "bundle/history", "ceremony", "ceremony/draft", "ceremony/state", "ceremony/story", "internal/keys", "internal/sshsig", "internal/strict", "internal/token"}

func TestRulesTouchNoFile(t *testing.T) {
	all := list(t, nil, "./...")
	touches := func(name string) (faults []string) {
		p := all[module+"/"+name]
		if p == nil {
			return []string{name + " is no package"}
		}
		for _, imp := range p.Imports {
			if imp == "os" || imp == "syscall" || imp == module+"/internal/durable" {
				faults = append(faults, name+" imports "+imp)
			}
		}
		return faults
	}
	for _, name := range fileless {
		for _, f := range touches(name) {
			t.Error(f)
		}
	}
	if len(touches("ceremony/folder")) == 0 {
		t.Error("what reads a ceremony's folder touches no file: the check finds nothing")
	}
}

// mostFiles is how many files a package may have, tests not counted: more are more
// than one package.
const mostFiles = 20

// aboveToday are the packages that still have more. One that has been split is
// taken off the list, and can't grow back.
var aboveToday []string

// crowded are the packages with too many files, and those that are listed as such
// and aren't.
func crowded(files map[string][]string, listed []string) (faults []string) {
	for dir, all := range files {
		n := 0
		for _, f := range all {
			if !strings.HasSuffix(f, "_test.go") {
				n++
			}
		}
		switch known := slices.Contains(listed, dir); {
		case n > mostFiles && !known:
			faults = append(faults, fmt.Sprintf("%s has %d files besides tests; %d are allowed: it is more than one package", dir, n, mostFiles))
		case n <= mostFiles && known:
			faults = append(faults, fmt.Sprintf("%s has %d files: take it off the list aboveToday", dir, n))
		}
	}
	for _, dir := range listed {
		if files[dir] == nil {
			faults = append(faults, dir+" is no package: take it off the list aboveToday")
		}
	}
	slices.Sort(faults)
	return faults
}

func TestNoPackageHasTooManyFiles(t *testing.T) {
	for _, f := range crowded(sources(t), aboveToday) {
		t.Error(f)
	}
	many := make([]string, mostFiles+1)
	for i := range many {
		many[i] = fmt.Sprintf("a/%d.go", i)
	}
	got := crowded(map[string][]string{"a": many, "b": append(slices.Clone(many[1:]), "b/x_test.go"), "c": many}, []string{"b", "c", "d"})
	want := []string{"a has 21 files besides tests; 20 are allowed: it is more than one package", "b has 20 files: take it off the list aboveToday", "d is no package: take it off the list aboveToday"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	const most = 500
	for _, files := range sources(t) {
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(data, []byte("\n")); n > most {
				t.Errorf("%s has %d lines; %d are allowed", f, n, most)
			}
		}
	}
}
