// Package attestation has the commands of attestations: evidence that vendors'
// devices sign about a key.
package attestation

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Group is fleetctl attestation.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("attestation", "What HSMs sign about their keys: check, pack, formats, anchors, tpm",
		checkCmd(a), packCmd(a), formatsCmd(a), anchorsCmd(a), tpmCmd(a))
}

// readEvidence reads one file that holds all parts, or each part from a file of
// its own: NAME=FILE.
func readEvidence(device string, args []string) (*attest.Evidence, error) {
	if device == "" {
		if len(args) != 1 || strings.Contains(args[0], "=") {
			return nil, cli.Usagef("fleetctl attestation formats lists the formats and their parts", "parts were given, and --device doesn't say of which format they are")
		}
		data, err := cli.ReadNamed(args[0], attest.MaxEvidenceFile)
		if err != nil {
			return nil, err
		}
		e, err := attest.ParseEvidence(args[0], data)
		if err != nil {
			return nil, cli.Wrong(err)
		}
		return e, nil
	}
	v, err := formats.All().Find(device)
	if err != nil {
		return nil, cli.Usagef("fleetctl attestation formats lists the formats and their parts", "--device %v", err)
	}
	e := &attest.Evidence{Format: device}
	for _, arg := range args {
		name, path, ok := strings.Cut(arg, "=")
		if !ok {
			name, path = "", arg
			if parts := v.Parts(); len(parts) == 1 {
				name = parts[0].Name
			}
		}
		if strict.CheckToken(name) != nil || path == "" {
			return nil, cli.Usagef("fleetctl attestation formats lists the formats and their parts", "%q is no PART=FILE", arg)
		}
		data, err := cli.ReadNamed(path, attest.MaxEvidence)
		if err != nil {
			return nil, err
		}
		e.Parts = append(e.Parts, attest.Part{Name: name, Data: data})
	}
	return e, nil
}
