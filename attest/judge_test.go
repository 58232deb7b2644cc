package attest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
)

// everything is a demand for all there is, and claims that meet it.
func everything() (*attest.Claims, attest.Demand) {
	spki := []byte("spki")
	c := &attest.Claims{
		Level: attest.Fresh, Anchor: &attest.Anchor{Name: "a", Check: "look it up", Confirmed: "by olga"},
		Key: attest.Key{
			SPKI: spki, Extractable: attest.False, Sensitive: attest.True, NeverExtractable: attest.True, Local: attest.True,
			Purpose: attest.Purpose{Sign: attest.True, Decrypt: attest.False, Wrap: attest.False, Unwrap: attest.False, Derive: attest.False},
		},
		Platform: attest.Platform{Vendor: "v", Model: "m", Identity: "id", Firmware: "5.7.4", FIPSBoot: attest.True, FIPSLevel: 3},
	}
	d := attest.Kept(attest.Fresh, spki, "id")
	d.Sign, d.SignOnly, d.Vendors, d.Models, d.LeastFirmware, d.FIPSBoot, d.LeastFIPS, d.Understood = true, true, []string{"w", "v"}, []string{"m"}, "5.7", true, 3, true
	return c, d
}

func problems(c *attest.Claims, d attest.Demand) (names []string) {
	for _, p := range attest.Judge(c, d) {
		names = append(names, p.Name)
	}
	return names
}

func TestEachDemandThatIsNotShownFailsByName(t *testing.T) {
	if c, d := everything(); len(attest.Judge(c, d)) != 0 {
		t.Fatalf("claims that meet every demand: %v", attest.Judge(c, d))
	}
	all := []string{"level", "spki", "identity", "extractable", "sensitive", "never-extractable", "local", "purpose sign", "purpose decrypt",
		"purpose wrap", "purpose unwrap", "purpose derive", "vendor", "hwmodel", "swversion", "fipsboot", "fipslevel"}
	_, d := everything()
	if got := problems(&attest.Claims{}, d); !slices.Equal(got, all) {
		t.Errorf("claims that show nothing: %q, want %q", got, all)
	}
	if got := problems(nil, d); !slices.Equal(got, []string{"level"}) {
		t.Errorf("no claims: %q", got)
	}
	if got := problems(&attest.Claims{}, attest.Demand{}); !slices.Equal(got, []string{"level", "spki"}) {
		t.Errorf("a demand that asks for nothing: %q", got)
	}
	for _, k := range []struct {
		want  string
		spoil func(*attest.Claims)
	}{
		{"level: anchored, and fresh is demanded: it answers no nonce that was asked", func(c *attest.Claims) { c.Level = attest.Anchored }},
		{"level: vendor-signed, and fresh is demanded: nobody pinned it", func(c *attest.Claims) { c.Level, c.NoAnchor = attest.VendorSigned, "nobody pinned it" }},
		{"level: the evidence has no level", func(c *attest.Claims) { c.Level = 99 }},
		{"spki: the evidence is of another key", func(c *attest.Claims) { c.Key.SPKI = []byte("other") }},
		{"identity: the evidence is of device other, and id is demanded", func(c *attest.Claims) { c.Platform.Identity = "other" }},
		{"extractable: true, and false is demanded", func(c *attest.Claims) { c.Key.Extractable = attest.True }},
		{"sensitive: false, and true is demanded", func(c *attest.Claims) { c.Key.Sensitive = attest.False }},
		{"never-extractable: false, and true is demanded", func(c *attest.Claims) { c.Key.NeverExtractable = attest.False }},
		{"local: false, and true is demanded", func(c *attest.Claims) { c.Key.Local = attest.False }},
		{"purpose sign: false, and true is demanded", func(c *attest.Claims) { c.Key.Purpose.Sign = attest.False }},
		{"purpose decrypt: true, and false is demanded", func(c *attest.Claims) { c.Key.Purpose.Decrypt = attest.True }},
		{`vendor: "x", and one of ["w" "v"] is demanded`, func(c *attest.Claims) { c.Platform.Vendor = "x" }},
		{`hwmodel: "x", and one of ["m"] is demanded`, func(c *attest.Claims) { c.Platform.Model = "x" }},
		{"swversion: 5.6.9, and at least 5.7 is demanded", func(c *attest.Claims) { c.Platform.Firmware = "5.6.9" }},
		{`swversion: "5.7b" is no version`, func(c *attest.Claims) { c.Platform.Firmware = "5.7b" }},
		{"fipsboot: false, and true is demanded", func(c *attest.Claims) { c.Platform.FIPSBoot = attest.False }},
		{"fipslevel: 2, and 3 is demanded", func(c *attest.Claims) { c.Platform.FIPSLevel = 2 }},
		{`anchor: nobody confirmed "a": look it up`, func(c *attest.Claims) { c.Anchor = &attest.Anchor{Name: "a", Check: "look it up"} }},
		{"anchor: the evidence has the level fresh, but names no anchor", func(c *attest.Claims) { c.Anchor = nil }},
		{"quirk: sha1-signature, which is not tolerated", func(c *attest.Claims) { c.Quirks = []string{attest.QuirkNoCertSign, attest.QuirkSHA1} }},
		{"understood: part p: a was not understood", func(c *attest.Claims) { c.Unknown = []attest.Unknown{{Where: "part p", What: "a"}} }},
	} {
		c, d := everything()
		k.spoil(c)
		got := attest.Judge(c, d)
		if len(got) != 1 || !strings.HasPrefix(got[0].String(), k.want) {
			t.Errorf("got %q, want %q alone", got, k.want)
		}
	}
}

func TestAnAnchorThatNobodyConfirmedIsTakenOnlyWhereTheDemandSaysSo(t *testing.T) {
	c, d := everything()
	c.Anchor.Confirmed = ""
	if got := problems(c, d); !slices.Equal(got, []string{"anchor"}) {
		t.Errorf("by default: %q", got)
	}
	d.TrustOnFirstUse = true
	if got := problems(c, d); len(got) != 0 {
		t.Errorf("trusted on first use: %q", got)
	}
}

func TestWhatWasNotUnderstoodFailsWhereItMatters(t *testing.T) {
	c, d := everything()
	d.Understood = false
	c.Unknown = []attest.Unknown{{Where: "p", What: "a comment"}}
	if got := attest.Judge(c, d); len(got) != 0 {
		t.Errorf("something that doesn't matter: %v", got)
	}
	c.Unknown = append(c.Unknown, attest.Unknown{Where: "acl", What: "rule 9", Matters: true})
	if got := attest.Judge(c, d); len(got) != 1 || got[0].String() != "understood: acl: rule 9 was not understood" {
		t.Errorf("an access rule: %v", got)
	}
}

func TestAWeakQuirkPassesWhereItIsToleratedByName(t *testing.T) {
	c, d := everything()
	c.Quirks = []string{attest.QuirkSHA1, attest.QuirkShortRSA}
	if got := attest.Judge(c, d); len(got) != 2 {
		t.Errorf("none tolerated: %v", got)
	}
	d.Tolerates = []string{attest.QuirkShortRSA}
	if got := attest.Judge(c, d); len(got) != 1 || got[0].String() != "quirk: sha1-signature, which is not tolerated" {
		t.Errorf("one tolerated: %v", got)
	}
}

func TestVersionsAreComparedByNumber(t *testing.T) {
	for _, c := range []struct {
		have, least string
		ok          bool
	}{
		{"5.7", "5.7.0", true}, {"5.7.0", "5.7", true}, {"5.10", "5.9", true}, {"5.9", "5.10", false}, {"6", "5.9.9", true}, {"5", "5.0.1", false},
		{"5.7", "x", false}, {"+5.7", "5", false}, {"5..7", "5", false}, {"", "0", false}, {"0", "0", true}, {strings.Repeat("1.", 40) + "1", "0", false},
	} {
		claims, d := everything()
		claims.Platform.Firmware, d.LeastFirmware = c.have, c.least
		if got := attest.Judge(claims, d); (len(got) == 0) != c.ok {
			t.Errorf("%q against %q: %v", c.have, c.least, got)
		}
	}
}
