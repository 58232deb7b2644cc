package cli

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/words"
)

// DiffJSON is a change of a key set, for programs.
type DiffJSON struct {
	Fleet          string    `strict:"fleet"`
	From           uint64    `strict:"from"`
	To             uint64    `strict:"to"`
	Changed        bool      `strict:"changed"`
	Keys           []rowJSON `strict:"keys"`
	MajorityBefore int       `strict:"majority_before"`
	MajorityAfter  int       `strict:"majority_after"`
}

// Format is what the JSON says that it is.
func (*DiffJSON) Format() string { return "fleetctl bundle diff result v1" }

type rowJSON struct {
	Change    string   `strict:"change"` // added, removed, replaced, moved
	HSM       string   `strict:"hsm"`
	Role      string   `strict:"role"`
	Algorithm string   `strict:"algorithm"`
	SHA256    [32]byte `strict:"sha256,hex"`
	From      string   `strict:"from,optional"` // where a moved key was
}

// DiffResult is what changed from one key set to the next.
func DiffResult(older, newer *bundle.KeySet, d *bundle.Delta) *DiffJSON {
	return DeltaResult(newer.Fleet, older.Epoch, newer.Epoch, d)
}

// DeltaResult is DiffResult if only the epochs of the key sets are known.
func DeltaResult(fleet string, from, to uint64, d *bundle.Delta) *DiffJSON {
	out := &DiffJSON{
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

// DeltaText shows the change to a third party or an officer who is asked to agree to it.
// older is nil for a namespace's first epoch.
func DeltaText(a *App, older, newer *bundle.KeySet, d *bundle.Delta) string {
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
