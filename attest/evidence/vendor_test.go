package evidence

import (
	"errors"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/ceremony"
)

// Whoever could make evidence that shows a vendor could hide that one vendor has a
// majority: it takes a pinned anchor, and each of the HSM's keys has to agree.
func TestAVendorIsShownByAnchoredEvidenceAlone(t *testing.T) {
	key := func(vendor string, level attest.Level) *require.Key {
		k := &require.Key{AttestationStep: ceremony.AttestationStep{HSM: "hsm-1"}, Claims: &attest.Claims{Level: level}}
		k.Claims.Platform.Vendor = vendor
		return k
	}
	wrong, short, none := key("A", attest.Fresh), key("A", attest.Fresh), key("A", attest.Fresh)
	wrong.Wrong, short.Problems, none.Claims = errors.New("wrong"), []attest.Problem{{}}, nil
	for name, c := range map[string]struct {
		keys []*require.Key
		want string
	}{
		"anchored":            {[]*require.Key{key("A", attest.Anchored)}, "A"},
		"fresh":               {[]*require.Key{key("A", attest.Fresh)}, "A"},
		"without anchor":      {[]*require.Key{key("A", attest.VendorSigned)}, ""},
		"one without anchor":  {[]*require.Key{key("A", attest.Anchored), key("A", attest.VendorSigned)}, ""},
		"two vendors":         {[]*require.Key{key("A", attest.Anchored), key("B", attest.Anchored)}, ""},
		"wrong":               {[]*require.Key{wrong}, ""},
		"short of a demand":   {[]*require.Key{short}, ""},
		"nothing to judge":    {[]*require.Key{none}, ""},
		"of no key":           {nil, ""},
		"another HSM's alone": {[]*require.Key{{AttestationStep: ceremony.AttestationStep{HSM: "hsm-2"}, Claims: &attest.Claims{Level: attest.Fresh}}}, ""},
	} {
		v := &verifier{fleet: &require.Fleet{Keys: c.keys}}
		if got := v.vendorOf("hsm-1"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
