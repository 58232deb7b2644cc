// Package version has fleetctl version.
package version

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

type versionJSON struct {
	Version string   `strict:"version"`
	Commit  string   `strict:"commit"`
	Go      string   `strict:"go"`
	System  string   `strict:"system"`
	Tags    string   `strict:"tags"`
	Formats []string `strict:"formats"`
}

// Format is what the JSON says that it is.
func (*versionJSON) Format() string { return "fleetctl version result v1" }

// formats are those that this version reads and writes.
var formats = []string{
	"fleetctl plan v1", "fleetctl site v1", "fleetctl policy v1", "fleetctl third-party-policy v1",
	"fleetctl record v1", "fleetctl fleet-keys v1", "fleetctl countersignature v1", "fleetctl validation-bundle v1",
	"fleetctl request-core v1", "fleetctl request v1", "fleetctl response v1", "fleetctl third-party-ledger v1", "fleetctl third-party-guard v1",
	"fleetctl media v1", "fleetctl drill v1", "fleetctl chain report v1", "fleetctl fleet-retirement v1", "fleetctl void v1", "fleetctl history-record v1",
	"fleetctl rekor-entry v1", "fleetctl report v1", "fleetctl attestation v1", "fleetctl anchors v1", "fleetctl attestation-report v1",
	"fleetctl device-policy v1", "fleetctl device-state v1", "fleetctl device-guard v1", "fleetctl fleet-pins v1", "fleetctl device-verdict v1",
	"fleetctl fleet-answer v1", "fleetctl policy-succession v1",
	"c2sp.org/tlog-proof@v1",
}

// commit is set by the build script, since a build may not see the checkout.
var commit = ""

// Command is fleetctl version.
func Command(a *cli.App) *cobra.Command {
	return cli.Command("version", "Version, commit, formats and build tags", "", "", cobra.NoArgs,
		func(*cobra.Command, []string) error {
			v := &versionJSON{Version: cli.Version, Commit: commit, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Formats: formats}
			cgo := "PKCS#11 left out (CGO_ENABLED=0)"
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					switch {
					case s.Key == "vcs.revision" && v.Commit == "":
						v.Commit = s.Value
					case s.Key == "vcs.modified" && s.Value == "true":
						v.Commit += " (modified)"
					case s.Key == "CGO_ENABLED" && s.Value == "1":
						cgo = "PKCS#11 built in (CGO_ENABLED=1)"
					case s.Key == "-tags":
						v.Tags = s.Value
					}
				}
			}
			if v.Commit == "" {
				v.Commit = "unknown"
			}
			v.Tags = strings.TrimSpace(v.Tags + " " + cgo)
			rows := [][2]string{
				{"fleetctl", v.Version}, {"commit", v.Commit}, {"built with", v.Go + " for " + v.System + ", " + v.Tags},
			}
			for i, f := range formats {
				label := ""
				if i == 0 {
					label = "formats"
				}
				rows = append(rows, [2]string{label, f})
			}
			return a.Emit(v, a.UI.Fields(rows))
		})
}
