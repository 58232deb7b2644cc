package fleetctl_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const libraryDoc = "docs/library.md"

// exampleFiles are what each example of docs/library.md reads, by the heading
// above it. A file in an archive stands behind its name and a colon.
var exampleFiles = map[string]map[string]string{
	"A device checks a bundle": deviceFiles,
	"A phone keeps what it has seen": {
		"device.json": deviceVectors + "policy.policy.json", "epoch-1.json": deviceVectors + "epoch-1.json", "epoch-1.json.tlog-proof": deviceVectors + "epoch-1.tlog-proof",
		"epoch-2.json": deviceVectors + "epoch-2.json", "epoch-2.json.tlog-proof": deviceVectors + "epoch-2.tlog-proof",
	},
	"A client refuses before it opens a session": {
		"device.json": deviceVectors + "policy.policy.json", "state": deviceVectors + "saw-1-2.state", "guard": deviceVectors + "saw-1-2.guard",
	},
	"An auditor verifies an evidence package": {
		"policy.yaml":             "testdata/vectors/package/honest/policy.yaml",
		"evidence.tar":            "testdata/vectors/package/honest/evidence.tar",
		"evidence.tar.tlog-proof": "testdata/vectors/package/honest/evidence.tar.tlog-proof",
	},
	"Anyone verifies a log's proof": deviceFiles,
	"Reading a transcript": {
		"plan.yaml":        "testdata/vectors/package/honest/evidence.tar:plan.yaml",
		"transcript.jsonl": "testdata/vectors/package/honest/evidence.tar:transcript.jsonl",
	},
	"A device's attestation": {
		"key.pem":           "attest/yubihsm/testdata/secsy-31650425-key.pem",
		"device.pem":        "attest/yubihsm/testdata/secsy-31650425-device.pem",
		"intermediates.pem": "attest/yubihsm/testdata/yubihsm2-attestation-intermediates.pem",
	},
}

// deviceVectors is where the files are that the vectors of a device's check share.
const deviceVectors = "testdata/vectors/device/_files/"

var deviceFiles = map[string]string{
	"log.policy":             "testdata/vectors/bundle/_files/log.policy",
	"bundle.json":            "testdata/vectors/bundle/good/bundle.json",
	"bundle.json.tlog-proof": "testdata/vectors/bundle/logged-good/bundle.json.tlog-proof",
}

type example struct{ heading, program, prints string }

// examples are the programs of docs/library.md, each with what it says they print.
func examples(doc string) (list []example) {
	for _, section := range strings.Split(doc, "\n## ")[1:] {
		heading, rest, _ := strings.Cut(section, "\n")
		e := example{heading: heading, program: fenced(rest, "go"), prints: fenced(rest, "text")}
		if e.program != "" {
			list = append(list, e)
		}
	}
	return list
}

// fenced is what stands in the first block of a language.
func fenced(text, language string) string {
	_, rest, _ := strings.Cut(text, "\n```"+language+"\n")
	block, _, _ := strings.Cut(rest, "```")
	return block
}

// sample reads a file of testdata, or of an archive there.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	name, inside, packed := strings.Cut(name, ":")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !packed {
		return data
	}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("%s has no %s", name, inside)
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Name == inside {
			if data, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// outside builds programs in a module of their own that knows this one by its
// path alone, and gives the folder of what was built.
func outside(t *testing.T, list []example) string {
	t.Helper()
	checkout, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ours, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go .*$`).Find(ours) // no older one will do
	write(t, filepath.Join(dir, "go.mod"), fmt.Sprintf("module example.org/outside\n\n%s\n\nrequire %s v0.0.0\n\nreplace %s => %q\n", version, module, module, checkout))
	write(t, filepath.Join(dir, "go.sum"), string(sums))
	for i, e := range list {
		write(t, filepath.Join(dir, folder(i), "main.go"), e.program)
	}
	built := filepath.Join(dir, "bin") + string(filepath.Separator)
	if err := os.Mkdir(built, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", built, "./...")
	cmd.Dir = dir
	// Nothing is fetched: what this module needs, whoever builds its tests has.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: the examples don't build outside the module: %v\n%s", libraryDoc, err, out)
	}
	return built
}

func folder(i int) string { return "example" + string(rune('a'+i)) }

func TestTheExamplesOfTheLibraryRunOutsideTheModule(t *testing.T) {
	doc, err := os.ReadFile(libraryDoc)
	if err != nil {
		t.Fatal(err)
	}
	list := examples(string(doc))
	if len(list) != len(exampleFiles) {
		t.Fatalf("%s has %d examples; %d have files here", libraryDoc, len(list), len(exampleFiles))
	}
	built := outside(t, list)
	for i, e := range list {
		t.Run(e.heading, func(t *testing.T) {
			files, ok := exampleFiles[e.heading]
			if !ok {
				t.Fatal("no files are named for this example: add them to exampleFiles")
			}
			dir := t.TempDir()
			for name, from := range files {
				write(t, filepath.Join(dir, name), string(sample(t, from)))
			}
			if around := exampleWorlds[e.heading]; around != nil {
				defer around(t, dir)()
			}
			cmd := exec.Command(built + folder(i))
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil || e.prints == "" || string(out) != e.prints {
				t.Errorf("%v; it prints\n%s\nand %s says\n%s", err, out, libraryDoc, e.prints)
			}
		})
	}
}
