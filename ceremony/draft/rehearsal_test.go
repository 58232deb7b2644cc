package draft

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
)

// A rehearsal that had a production key could make what passes for real.
func TestARehearsalHasKeysOfItsOwn(t *testing.T) {
	p := &ceremony.Plan{
		ThirdParties:  []ceremony.ThirdParty{{Name: "auditor.example", Key: [32]byte{1}}, {Name: "other.example", Key: [32]byte{2}}},
		Countersigner: ceremony.Countersigner{Name: "operator-1", Key: []byte("real")},
		LogPolicy:     "the real log",
	}
	own := func() *Plan {
		return &Plan{
			ThirdParties:  []ceremony.ThirdParty{{Name: "auditor.example", Key: [32]byte{3}}, {Name: "other.example", Key: [32]byte{4}}},
			Countersigner: &ceremony.Countersigner{Name: "operator-1", Key: []byte("own")},
			LogPolicy:     "a log for rehearsals",
		}
	}
	if err := own().CheckRehearsal(p); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(*Plan){
		`third party "auditor.example": the rehearsal has the production key`: func(d *Plan) { d.ThirdParties[0].Key = [32]byte{1} },
		`third party "other.example": the rehearsal has the production key`:   func(d *Plan) { d.ThirdParties[1].Key = [32]byte{1} },
		`countersigner "operator-1": the rehearsal has the production key`:    func(d *Plan) { d.Countersigner.Key = []byte("real") },
		"the rehearsal has no countersigner":                                  func(d *Plan) { d.Countersigner = nil },
		"the rehearsal has the production log":                                func(d *Plan) { d.LogPolicy = p.LogPolicy },
	} {
		d := own()
		spoil(d)
		if err := d.CheckRehearsal(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
