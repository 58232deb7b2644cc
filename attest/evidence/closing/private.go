package closing

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// publishable refuses files that are private, and those that no package has: everything in
// a ceremony's folder is published. Each is named, with where in it the private part is.
func publishable(dir string, files evidence.Files) error {
	var faults strict.Errors
	unbound := files.Unbound()
	for _, p := range files.Paths() {
		full := filepath.Join(dir, filepath.FromSlash(p))
		private, line := privatePart(p, files[p])
		switch {
		case private != "" && line > 0:
			faults.Add(strict.At(full, line, "is private, and what is packed is published: %s", private).
				WithHint("nothing was packed. Move it into %s, and if this folder has been on another machine or was published before, take the key as stolen", filepath.Join(dir, ceremony.PrivateDir)))
		case private != "":
			faults.Add(strict.Errorf(full, "is private, and what is packed is published: %s", private).
				WithHint("nothing was packed. Move it into %s", filepath.Join(dir, ceremony.PrivateDir)))
		case slices.Contains(unbound, p):
			faults.Add(strict.Errorf(full, "is no file of an evidence package").
				WithHint("everything in the folder is published: move it away, or into %s", filepath.Join(dir, ceremony.PrivateDir)))
		}
	}
	return faults.Err()
}

// privateFormats are our own files that name modules, tokens and PIN sources, or hold
// secrets.
func privateFormats() map[string]string {
	return map[string]string{
		"fleetctl site v1":       "a site file, which names modules, tokens and PIN sources",
		"fleetctl answers v1":    "an answers file, with what people typed",
		"fleetctl challenges v1": "an auditor's challenges, which nobody sees before they are answered",
	}
}

// privatePart says what of a file is private, and in which line; empty if nothing is.
func privatePart(name string, data []byte) (what string, line int) {
	if what, at := keys.Private(data); what != "" {
		return what, bytes.Count(data[:at], []byte("\n")) + 1
	}
	if slices.Contains(strings.Split(path.Dir(name), "/"), ceremony.PrivateDir) {
		return fmt.Sprintf("it lies in a folder named %s", ceremony.PrivateDir), 0
	}
	head, _, _ := bytes.Cut(data, []byte("\n"))
	for format, what := range privateFormats() {
		if bytes.Contains(data[:min(len(data), 4096)], []byte(format)) && !packed(name) {
			return what, 1
		}
	}
	if !packed(name) && len(head) > 0 && len(head) <= maxPIN && len(bytes.TrimSpace(data)) == len(bytes.TrimSpace(head)) && !bytes.ContainsAny(bytes.TrimSpace(head), " \t{}[]") {
		return "one short word, as in a file with a PIN or a passphrase", 1
	}
	return "", 0
}

// maxPIN is the longest line, in bytes, that is taken for a PIN.
const maxPIN = 64

// packed says whether a package has a file of this name, whose content verifiers judge.
func packed(name string) bool {
	return len(evidence.Files{name: nil}.Unbound()) == 0
}
