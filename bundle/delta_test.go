package bundle

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// tell writes a delta in a line.
func tell(d *Delta) string {
	var parts []string
	for _, k := range d.Added {
		parts = append(parts, "+"+k.HSM+"/"+k.Role)
	}
	for _, k := range d.Removed {
		parts = append(parts, "-"+k.HSM+"/"+k.Role)
	}
	for _, c := range d.Replaced {
		parts = append(parts, "*"+c.New.HSM+"/"+c.New.Role)
	}
	for _, c := range d.Moved {
		parts = append(parts, c.Old.HSM+"/"+c.Old.Role+">"+c.New.HSM+"/"+c.New.Role)
	}
	if d.MajorityBefore != d.MajorityAfter {
		parts = append(parts, fmt.Sprintf("%d>%d", d.MajorityBefore, d.MajorityAfter))
	}
	return strings.Join(parts, " ")
}

func TestDiff(t *testing.T) {
	fresh := spki(keys.Ed25519, "fresh")
	for name, c := range map[string]struct {
		change func(*KeySet)
		want   string
	}{
		"nothing":          {func(*KeySet) {}, ""},
		"order alone":      {func(s *KeySet) { slices.Reverse(s.Keys) }, ""},
		"key replaced":     {func(s *KeySet) { s.Keys[1].SPKI = fresh }, "*hsm-2/role-ed25519"},
		"majority":         {func(s *KeySet) { s.Majority = 3 }, "2>3"},
		"added":            {func(s *KeySet) { s.Keys = append(s.Keys, FleetKey{HSM: "hsm-0", Role: "role-ed25519", SPKI: fresh}) }, "+hsm-0/role-ed25519"},
		"removed":          {func(s *KeySet) { s.Keys = s.Keys[1:] }, "-hsm-1/role-ed25519"},
		"moved":            {func(s *KeySet) { s.Keys[0].HSM = "hsm-9" }, "hsm-1/role-ed25519>hsm-9/role-ed25519"},
		"role renamed":     {func(s *KeySet) { s.Keys[2].Role = "other" }, "hsm-3/role-ed25519>hsm-3/other"},
		"two exchanged":    {func(s *KeySet) { s.Keys[0].SPKI, s.Keys[1].SPKI = s.Keys[1].SPKI, s.Keys[0].SPKI }, "*hsm-1/role-ed25519 *hsm-2/role-ed25519 hsm-2/role-ed25519>hsm-1/role-ed25519 hsm-1/role-ed25519>hsm-2/role-ed25519"},
		"moved, and refil": {func(s *KeySet) { s.Keys = append(s.Keys, s.Keys[0]); s.Keys[3].HSM = "hsm-4"; s.Keys[0].SPKI = fresh }, "*hsm-1/role-ed25519 hsm-1/role-ed25519>hsm-4/role-ed25519"},
	} {
		old, changed := fleet(1, nil, 3, keys.Ed25519), fleet(1, nil, 3, keys.Ed25519)
		c.change(changed)
		d := Diff(old, changed)
		if got := tell(d); got != c.want || d.Empty() != (c.want == "") {
			t.Errorf("%s: %q, empty %v; expected %q", name, got, d.Empty(), c.want)
		}
		slices.Reverse(changed.Keys)
		if again := Diff(old, changed); !reflect.DeepEqual(d, again) {
			t.Errorf("%s: depends on the order of keys: %q", name, tell(again))
		}
	}
	if d := Diff(nil, fleet(1, nil, 2, keys.Ed25519)); tell(d) != "+hsm-1/role-ed25519 +hsm-2/role-ed25519 0>2" {
		t.Errorf("first epoch: %q", tell(d))
	}
}
