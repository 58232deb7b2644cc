package evidence_test

import (
	"crypto/sha256"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// drilledFleet is a closed ceremony whose fleet was drilled.
func drilledFleet(t testing.TB) *base {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: "forged drill", HSMs: 3, Witnesses: 3, Others: 1, Needed: 1, Drill: []string{"sessions", "logins"}})
	records := must(ceremony.ParseTranscript("t", f.Transcript(), f.Plan.Digest())).Records
	return newBase(t, f, records, "")
}

// drill makes the report of a drill one of this ceremony, and its record that of the
// report.
func (g *forgery) drill(c *ceremony.Drill, r *ceremony.Record) {
	path := ceremony.DrillFile(c.Number)
	x, err := report.Parse(path, g.fleet.Files[path])
	if err != nil || g.a.LogProof == nil {
		return
	}
	x.Bundle, x.Proof = g.a.LogProof.Bundle, g.a.LogProof.Proof
	for i := range x.Nodes {
		x.Nodes[i].Proof.Bundle, x.Nodes[i].Proof.Proof = x.Bundle, x.Proof
	}
	if g.late {
		x.Started, x.Ended = r.Time, r.Time
		for i := range x.Anchors {
			x.Anchors[i].Created, x.Anchors[i].Removed = r.Time, r.Time
		}
	}
	data := g.put(path, strict.EncodeJSON(x))
	c.Report, c.Size = sha256.Sum256(data), len(data)
}

// drillLies are about the record of a drill, and about what its report says: whom it is
// about, whether it failed, and something that nobody can see again.
func (b *base) drillLies() []lie {
	list := slices.DeleteFunc(b.recordLies(), func(l lie) bool { return !strings.HasPrefix(l.field, "drill.") })
	told := []string{".fleet", ".epoch", ".ceremony", ".bundle", ".started", ".ended", ".outcome", ".nodes[0].session.spki", ".nodes[0].proof", ".nodes[0].proof.peer",
		".stages[0].outcome", ".tests[0].failed", ".counts.consumed", ".counts.released_after_lock", ".histories[0].result", ".histories[0].sha256", ".anchors[0].removed", ".figures[0].value"}
	path := ceremony.DrillFile(1)
	x := must(report.Parse(path, b.files[path]))
	walk(reflect.TypeOf(*x), reflect.ValueOf(x).Elem(), path+" ", func(v reflect.Value) reflect.Value { return v }, func(field, how string, set func(reflect.Value)) {
		if name := strings.TrimPrefix(field, path+" "); !slices.Contains(told, name) {
			return
		}
		list = append(list, lie{field: strings.Replace(field, " .", " ", 1), how: how, file: path, bytes: func(_ *forgery, data []byte) []byte {
			x, err := report.Parse(path, data)
			if err != nil {
				return data
			}
			set(reflect.ValueOf(x).Elem())
			return strict.EncodeJSON(x)
		}})
	})
	return list
}
