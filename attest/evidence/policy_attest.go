package evidence

import (
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Sites is what a policy demands of the sites and the vendors of a fleet's HSMs. A
// majority of the HSMs acts as the fleet.
type Sites struct {
	Least            int  `strict:"least,optional"`
	NoSiteMajority   bool `strict:"no_site_majority,optional"`
	NoVendorMajority bool `strict:"no_vendor_majority,optional"`
}

const maxSites = 1 << 10

// attestation reads the blocks attestation and sites.
func (c *policyChecker) attestation() {
	if t := c.f.Attestation; t != nil {
		b, err := t.Block(c.file, c.root.Get("attestation").LineOf)
		c.faults.Add(err)
		if err == nil {
			c.p.Attestation = b
			for _, name := range b.Unconfirmed() {
				c.unpinned("anchor", strict.Clip(name), "")
			}
			// Else whoever wrote the level takes it for demanded, and nothing would be.
			if claims := c.root.Get("claims"); b.Countersigner != 0 && (claims == nil || claims.Get(ClaimCountersignerAttested) == nil) {
				c.failf(c.root.Get("attestation").LineOf("countersigner"), "attestation: countersigner is %s, and claims: doesn't demand %s: add it there, or leave countersigner out", b.Countersigner, ClaimCountersignerAttested)
			}
		}
	}
	s := c.f.Sites
	if s == nil {
		return
	}
	c.p.Sites = s
	switch {
	case *s == Sites{}:
		c.failf(c.line("sites"), "sites demands nothing: leave it out, or say least, no_site_majority or no_vendor_majority")
	case s.Least < 0 || s.Least > maxSites:
		c.failf(c.root.Get("sites").LineOf("least"), "sites: least is %d; it is from 1 to %d", s.Least, maxSites)
	case s.NoVendorMajority && c.f.Attestation == nil:
		c.failf(c.root.Get("sites").LineOf("no_vendor_majority"), "sites: which vendor an HSM is of, its attestation shows, and attestation: is missing")
	}
}
