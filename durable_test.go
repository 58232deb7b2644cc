package fleetctl_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writing are the functions of package os that change what is on a disk, and
// reading those that only look.
var (
	writing = []string{"Chmod", "Chown", "Chtimes", "CopyFS", "Create", "CreateTemp", "Lchown", "Link", "Mkdir", "MkdirAll", "MkdirTemp", "OpenFile", "Remove", "RemoveAll", "Rename", "Symlink", "Truncate", "WriteFile"}
	reading = []string{"DirFS", "Lstat", "Open", "OpenRoot", "ReadDir", "ReadFile", "Readlink", "Stat"}
)

// everyFile are the packages that read through internal/durable too: what they
// read may be what an interruption left, and is simulated.
var everyFile = []string{"attest/evidence", "auditlog/monitor", "auditlog/tiled", "auditlog/witness", "bundle/answer", "bundle/device", "bundle/history/fetch", "bundle/history/saved", "bundle/submit", "bundle/thirdparty", "bundle/thirdparty/service", "ceremony/engine", "ceremony/folder"}

// pastTheDoor are the calls that need not go through internal/durable.
var pastTheDoor = map[string]string{
	"internal/durable":                  "it is the door",
	"scripts":                           "what developers run on the sources",
	"internal/testauditor":              "for tests alone",
	"internal/testfleet":                "for tests alone",
	"internal/testbrowser":              "for tests alone",
	"internal/testrekor":                "for tests alone",
	"internal/testtpm":                  "for tests alone",
	"internal/testvectors":              "for tests alone",
	"internal/testwitness":              "for tests alone",
	"internal/tpmdevice/device.go":      "OpenFile of a TPM, which is no file",
	"internal/ui/pin_unix.go":           "OpenFile without blocking, to read a PIN",
	"internal/sshsig/sshkey":            "OpenFile without blocking, to read a key",
	"internal/fleet/passkey/virtual.go": "a browser's profile, which is gone with the browser",
	"ceremony/engine/uptime_linux.go":   "the kernel's file that names the computer's start",
	"auditlog/tiled/serve.go":           "os.Root keeps who asks for a file in the log's folder",
}

// diskFaults are the calls of package os in a file that the house forbids.
func diskFaults(file, text string) (faults []string, err error) {
	for at := file; at != "."; at = path.Dir(at) {
		if pastTheDoor[at] != "" {
			return nil, nil
		}
	}
	tree, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); !ok || x.Name != "os" {
			return true
		}
		switch {
		case slices.Contains(writing, s.Sel.Name):
			faults = append(faults, fmt.Sprintf("%s calls os.%s: what changes files goes through internal/durable", file, s.Sel.Name))
		case slices.Contains(everyFile, path.Dir(file)) && slices.Contains(reading, s.Sel.Name):
			faults = append(faults, fmt.Sprintf("%s calls os.%s: this package reads through internal/durable, so that it can be simulated", file, s.Sel.Name))
		}
		return true
	})
	return faults, nil
}

func TestFilesAreChangedThroughOneDoor(t *testing.T) {
	for _, files := range sources(t) {
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			faults, err := diskFaults(filepath.ToSlash(f), string(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range faults {
				t.Error(fault)
			}
		}
	}
	for at := range pastTheDoor {
		if _, err := os.Stat(at); err != nil {
			t.Errorf("pastTheDoor names what isn't there: %v", err)
		}
	}
}

// Mount is no part of the program: it lets tests put another disk under it.
func TestOnlyTestsMountADisk(t *testing.T) {
	for dir, files := range sources(t) {
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "durable.Mount(") && !strings.HasSuffix(f, "_test.go") && dir != "internal/simdisk" {
				t.Errorf("%s mounts a disk", f)
			}
		}
	}
}

func TestTheDoorCanFail(t *testing.T) {
	const text = "package a\nimport \"os\"\nfunc f() { os.Rename(`a`, `b`); g := os.ReadFile; _ = g; os.Getenv(`x`) }\n"
	for file, want := range map[string]int{"cmd/fleetctl/log/x.go": 1, "ceremony/folder/x.go": 2, "internal/durable/x.go": 0} {
		got, err := diskFaults(file, text)
		if err != nil || len(got) != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}
