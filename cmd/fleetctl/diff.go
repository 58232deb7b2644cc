package main

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/words"
)

type diffJSON struct {
	Fleet          string    `strict:"fleet"`
	From           uint64    `strict:"from"`
	To             uint64    `strict:"to"`
	Changed        bool      `strict:"changed"`
	Keys           []rowJSON `strict:"keys"`
	MajorityBefore int       `strict:"majority_before"`
	MajorityAfter  int       `strict:"majority_after"`
}

type rowJSON struct {
	Change    string   `strict:"change"` // added, removed, replaced, moved
	HSM       string   `strict:"hsm"`
	Role      string   `strict:"role"`
	Algorithm string   `strict:"algorithm"`
	SHA256    [32]byte `strict:"sha256,hex"`
	From      string   `strict:"from,optional"` // where a moved key was
}

func bundleDiffCmd(a *cli.App) *cobra.Command {
	var code bool
	c := cli.Command("diff OLD NEW", "What changed from one key set to the next",
		"Diff compares two key sets, or the key sets in two bundles, key by key.",
		"  fleetctl bundle diff epoch6/fleet-keys.json epoch7/bundle.json --exit-code",
		cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
			older, err := readKeySet(args[0])
			if err != nil {
				return err
			}
			newer, err := readKeySet(args[1])
			if err != nil {
				return err
			}
			d := bundle.Diff(older, newer)
			if err := a.Emit(diffResult(older, newer, d), deltaText(a, older, newer, d)); err != nil {
				return err
			}
			if code && !d.Empty() {
				return cli.Exit(cli.ExitChanged, cli.ErrQuiet)
			}
			return nil
		})
	c.Flags().BoolVar(&code, "exit-code", false, "exit with 5 if anything changed")
	return c
}

// readKeySet reads an artifact, or the one in a bundle.
func readKeySet(file string) (*bundle.KeySet, error) {
	data, err := cli.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if formatOf(data) == bundle.BundleFormat {
		b, err := bundle.ParseBundle(file, data)
		if err != nil {
			return nil, cli.Wrong(err)
		}
		return b.KeySet, nil
	}
	s, err := bundle.ParseKeySet(file, data)
	return s, cli.Wrong(err)
}

func diffResult(older, newer *bundle.KeySet, d *bundle.Delta) *diffJSON {
	return deltaResult(newer.Fleet, older.Epoch, newer.Epoch, d)
}

func deltaResult(fleet string, from, to uint64, d *bundle.Delta) *diffJSON {
	out := &diffJSON{
		Fleet: fleet, From: from, To: to, Changed: !d.Empty(), Keys: []rowJSON{},
		MajorityBefore: d.MajorityBefore, MajorityAfter: d.MajorityAfter,
	}
	add := func(change string, k bundle.FleetKey, from string) {
		out.Keys = append(out.Keys, rowJSON{change, k.HSM, k.Role, string(k.Algorithm), sha256.Sum256(k.SPKI), from})
	}
	for _, k := range d.Added {
		add("added", k, "")
	}
	for _, k := range d.Removed {
		add("removed", k, "")
	}
	for _, c := range d.Replaced {
		add("replaced", c.New, "")
	}
	for _, c := range d.Moved {
		add("moved", c.New, c.Old.HSM+" "+c.Old.Role)
	}
	return out
}

// deltaText is the change as a third party or an officer is asked to agree to
// it. older is nil at a namespace's first epoch.
func deltaText(a *cli.App, older, newer *bundle.KeySet, d *bundle.Delta) string {
	from := "first epoch"
	if older != nil {
		from = fmt.Sprintf("epoch %d → %d", older.Epoch, newer.Epoch)
	}
	var rows [][]string
	row := func(mark string, k bundle.FleetKey, note string) {
		h := sha256.Sum256(k.SPKI)
		rows = append(rows, []string{mark, k.Role, k.HSM, string(k.Algorithm), words.Short(h[:]), words.Head(h[:]) + note})
	}
	for _, k := range d.Added {
		row("+", k, "")
	}
	for _, k := range d.Removed {
		row("-", k, "")
	}
	for _, c := range d.Replaced {
		row("-", c.Old, " (replaced)")
		row("+", c.New, " (in its place)")
	}
	for _, c := range d.Moved {
		row("~", c.New, fmt.Sprintf(" (was %s %s)", c.Old.HSM, c.Old.Role))
	}
	var b strings.Builder
	b.WriteString(a.UI.Header(newer.Fleet+" · "+from, strings.ToUpper(newer.Mode)))
	if len(rows) > 0 {
		b.WriteString(a.UI.Table([]string{"", "role", "HSM", "algorithm", "SHA-256", "words"}, rows))
	} else {
		b.WriteString(a.UI.Line("no key changed"))
	}
	majority := fmt.Sprintf("majority %d of %d", d.MajorityAfter, len(newer.HSMs()))
	if older != nil && d.MajorityBefore != d.MajorityAfter {
		majority = fmt.Sprintf("majority %d of %d → %d of %d", d.MajorityBefore, len(older.HSMs()), d.MajorityAfter, len(newer.HSMs()))
	}
	b.WriteString(a.UI.Line(majority))
	return b.String()
}
