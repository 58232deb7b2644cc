// Package attestation has the commands of attestations: evidence that vendors'
// devices sign about a key.
package attestation

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Group is fleetctl attestation.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("attestation", "What HSMs sign about their keys: check, pack, formats, anchors",
		checkCmd(a), packCmd(a), formatsCmd(a), anchorsCmd(a))
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

type packJSON struct {
	File   string   `strict:"file"`
	Device string   `strict:"device"`
	SHA256 [32]byte `strict:"sha256,hex"`
	Parts  int      `strict:"parts"`
}

func packCmd(a *cli.App) *cobra.Command {
	var device, out string
	c := cli.Command("pack PART=FILE...", "Put the parts of an attestation into one file",
		`Pack puts the parts of an attestation, as the vendor's tool wrote them, into one
file. Nothing is judged but that each part is one of the format's; check does
that.`,
		"  fleetctl attestation pack --device tpm2-certify --out hsm-1.json \\\n    attest=attest.bin signature=sig.bin public=key.pub ak-public=ak.pub ak-certificates=ak.pem",
		cobra.MinimumNArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "device", "out"); err != nil {
				return err
			}
			e, err := readEvidence(device, args)
			if err != nil {
				return err
			}
			if err := formats.All().CheckParts(e); err != nil {
				return cli.Usage(err)
			}
			if err := cli.WriteNew(out, e.Encode()); err != nil {
				return err
			}
			digest := e.Digest()
			return a.Emit(&packJSON{out, device, digest, len(e.Parts)}, a.UI.Fields([][2]string{
				{"attestation", out}, {"device", device}, {"sha256", fmt.Sprintf("%x", digest)},
			}))
		})
	c.Flags().StringVar(&device, "device", "", "the `format` of the device's evidence")
	c.Flags().StringVar(&out, "out", "", "the new `file`")
	return c
}

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

type anchorsJSON struct {
	File    string `strict:"file"`
	Anchors int    `strict:"anchors"`
}

func anchorsCmd(a *cli.App) *cobra.Command {
	var out string
	c := cli.Command("anchors", "Write the vendors' roots that come with fleetctl, to choose from",
		`Anchors writes the list of vendors' roots that comes with fleetctl, each with
where its vendor publishes it and how to check it. Nobody has compared them for
you: keep those of your vendors, compare each with its origin, and write under
confirmed: who did and when. Until then nothing is accepted under it but with
--trust-on-first-use.`,
		"  fleetctl attestation anchors --out anchors.yaml", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "out"); err != nil {
				return err
			}
			list, err := attest.ParseAnchors(out, attest.Shipped())
			if err != nil {
				return err
			}
			if err := cli.WriteNew(out, attest.Shipped()); err != nil {
				return err
			}
			var rows [][]string
			for _, x := range list.All() {
				rows = append(rows, []string{x.Vendor, x.Name, strings.Join(x.Formats, ", ")})
			}
			return a.Emit(&anchorsJSON{out, len(rows)}, a.UI.Fields([][2]string{{"anchors", out}}), "\n", a.UI.Table([]string{"vendor", "name", "for"}, rows))
		})
	c.Flags().StringVar(&out, "out", "", "the new `file`")
	return c
}
