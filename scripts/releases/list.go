//go:build unix

package main

import (
	"regexp"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog/publish"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxList is how many bytes the list of a release has at most.
const maxList = 64 << 10

var (
	listed  = regexp.MustCompile(`^[0-9a-f]{64}  (fleetctl_([0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?)_[0-9A-Za-z._-]+)$`)
	entries = publish.Kind{
		Keys: tiled.Keys{Scheme: "fleetctl-releases-1", Of: func(leaf []byte) []string {
			version, err := versionOf("", leaf)
			if err != nil {
				return tiled.BytesAlone.Of(leaf)
			}
			return []string{"release " + version}
		}},
		Known: func(leaf []byte) error {
			_, err := versionOf("", leaf)
			return err
		},
	}
)

// versionOf reads the list of a release, as sha256sum writes it: every file of it is
// named fleetctl_VERSION_WHAT, of one version, and once. So a log has one list of each
// version.
func versionOf(file string, list []byte) (version string, err error) {
	if len(list) > maxList {
		return "", strict.Errorf(file, "is longer than %d bytes, and no list of a release is", maxList)
	}
	text, names := string(list), map[string]bool{}
	if !strings.HasSuffix(text, "\n") {
		return "", strict.Errorf(file, "is no list of a release: its last line has no end")
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		m := listed.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		switch {
		case m == nil:
			return "", strict.At(file, n, "is not a SHA-256, two spaces, fleetctl_VERSION_WHAT")
		case names[m[1]]:
			return "", strict.At(file, n, "names %s again", m[1])
		case version != "" && m[2] != version:
			return "", strict.At(file, n, "is of version %s, the lines before are of %s", m[2], version)
		}
		names[m[1]], version = true, m[2]
	}
	return version, nil
}
