package show

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// explainer says what a file holds. Its error names what is malformed, and
// where.
type explainer func(file string, data []byte, s *explain.Shown) error

// recognition is how a format is told from the others.
type recognition struct {
	kind, format string
	is           func(data []byte) bool
	explain      explainer
}

// recognised are all the formats that show knows, each with how it is told
// from the others. The order matters: the first that fits is taken.
func recognised() []recognition {
	return []recognition{
		{"evidence package", "ustar, in one form only", isArchive, explainArchive},
		{"log proof", "c2sp.org/tlog-proof@v1", begins("c2sp.org/tlog-proof@"), explain.Proof},
		{"Rekor entry", "fleetctl rekor-entry v1", named, explain.Rekor},
		{"split view", auditlog.SplitFormat, named, explain.Split},
		{"request to a witness", "C2SP tlog-witness, add-checkpoint", explain.IsWitnessRequest, explain.WitnessRequest},
		{"SSH signature", "SSHSIG", begins("-----BEGIN SSH SIGNATURE-----"), explain.SSHSignature},
		{"approval", "fleetctl approval v1", begins("fleetctl approval v1\n"), explain.Approval},
		{"sign-off", "fleetctl signoff v1", begins("fleetctl signoff v1\n"), explain.Signoff},
		{"private key", "PEM", begins("-----BEGIN "), explain.PEM},
		{"index of recordings", "fleetctl media v1", begins("fleetctl media v1\n"), explainMedia},
		{"transcript", "fleetctl record v1", lineWith(`"prev":`, `"commit":`), explain.Transcript},
		{"third party's ledger", "fleetctl third-party-ledger v1", lineWith(`"prev":`, `"core":`), explain.Ledger},
		{"guard of a third party's ledger", "fleetctl third-party-guard v1", begins("fleetctl third-party-guard v1\n"), explain.LedgerGuard},
		{"guard of a log", "fleetctl log guard v1", begins("fleetctl log guard v1\n"), explain.LogGuard},
		{"plan", "fleetctl plan v1", named, explain.Plan},
		{"site file", "fleetctl site v1", named, explainSite},
		{"verifier's policy", "fleetctl policy v1", named, explainPolicy},
		{"third party's policy", "fleetctl third-party-policy v1", named, explain.PartyPolicy},
		{"fleet key set", "fleetctl fleet-keys v1", named, explain.KeySet},
		{"retirement of a fleet", bundle.RetirementFormat, named, explain.Notice},
		{"void of an epoch", bundle.VoidFormat, named, explain.Notice},
		{"validation bundle", "fleetctl validation-bundle v1", named, explain.Bundle},
		{"request to third parties", "fleetctl request v1", named, explain.Request},
		{"request's core", "fleetctl request-core v1", named, explain.Core},
		{"third party's response", "fleetctl response v1", named, explain.Response},
		{"device's policy", device.PolicyFormat, named, explain.DevicePolicy},
		{"device's state", "fleetctl device-state v1", named, explain.DeviceState},
		{"guard of a device's state", "fleetctl device-guard v1", begins("fleetctl device-guard v1\n"), explain.DeviceGuard},
		{"fleet's keys for an app", "fleetctl fleet-pins v1", named, explain.FleetPins},
		{"report of a drill", report.Format, named, explain.Drill},
		{"verification report", "fleetctl report v1", named, explainReport},
		{"third party's statement", "as Cloudflare's auditor serves it", lineWith(`"namespace"`, `"signature"`, `"digest"`), explain.Statement},
		{"log policy", "C2SP tlog-policy", explain.IsLogPolicy, explain.LogPolicy},
		{"checkpoint", "C2SP tlog-checkpoint", explain.IsCheckpoint, explain.Checkpoint},
		{"public key", "SubjectPublicKeyInfo or OpenSSH", explain.IsPublicKey, explain.PublicKey},
		{"checksums", "sha256sum", isChecksums, explainChecksums},
	}
}

// named stands for formats that name themselves in their first field.
func named([]byte) bool { return false }

func begins(prefix string) func([]byte) bool {
	return func(data []byte) bool { return bytes.HasPrefix(data, []byte(prefix)) }
}

// lineWith tells a JSON text by the fields on its first line, or in all of it
// where it is one value.
func lineWith(fields ...string) func([]byte) bool {
	return func(data []byte) bool {
		if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
			return false
		}
		if first, rest, ok := bytes.Cut(data, []byte("\n")); ok && bytes.HasPrefix(rest, []byte("{")) {
			data = first
		}
		for _, f := range fields {
			if !bytes.Contains(data, []byte(f)) {
				return false
			}
		}
		return true
	}
}

func explainFile(file string, data []byte) (*explain.Shown, error) {
	sum, format := sha256.Sum256(data), explain.FormatOf(data)
	for _, r := range recognised() {
		if r.is(data) || format != "" && r.format == format {
			s := &explain.Shown{
				Kind: r.kind, Format: r.format, File: file, Size: len(data), SHA256: hex.EncodeToString(sum[:]),
				Facts: []explain.Fact{}, Tables: []explain.Table{}, Next: "fleetctl verify " + words.ShellWord(file) + " --policy POLICY",
			}
			return s, r.explain(file, data, s)
		}
	}
	if format != "" {
		return nil, strict.Errorf(file, "calls itself %.80q, a format that this version doesn't know", format).WithHint("fleetctl version lists the formats it knows")
	}
	return nil, strict.Errorf(file, "is no file of ours: nothing in it says what it is").
		WithHint("a fleetctl file names its format in its first line or field; fleetctl version lists them")
}
