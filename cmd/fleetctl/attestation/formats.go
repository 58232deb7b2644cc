package attestation

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/internal/cli"
)

type formatJSON struct {
	Device string     `strict:"device"`
	Parts  []partJSON `strict:"parts"`
}

type partJSON struct {
	Name     string `strict:"name"`
	Optional bool   `strict:"optional"`
	Most     int    `strict:"max_bytes"`
	What     string `strict:"what"`
}

type formatsJSON struct {
	Formats []formatJSON `strict:"formats"`
}

// Format is what the JSON says that it is.
func (*formatsJSON) Format() string { return "fleetctl attestation formats result v1" }

func formatsCmd(a *cli.App) *cobra.Command {
	return cli.Command("formats", "List the formats that are understood, and their parts", "",
		"  fleetctl attestation formats", cobra.NoArgs, func(*cobra.Command, []string) error {
			all := formats.All()
			result := &formatsJSON{}
			var rows [][]string
			for _, name := range all.Formats() {
				v, err := all.Find(name)
				if err != nil {
					return err
				}
				f := formatJSON{Device: name}
				for i, p := range v.Parts() {
					f.Parts = append(f.Parts, partJSON{p.Name, p.Optional, p.Max, p.What})
					what, label := p.What, name
					if p.Optional {
						what = "optional: " + what
					}
					if i > 0 {
						label = ""
					}
					rows = append(rows, []string{label, p.Name, what})
				}
				result.Formats = append(result.Formats, f)
			}
			return a.Emit(result, a.UI.Table([]string{"device", "part", "what"}, rows))
		})
}
