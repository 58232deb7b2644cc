package evidence

import (
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// attested judges the devices' raw evidence under this policy's anchors, and grades both
// claims about it. It doesn't use the judgement by the people in the room, which is on
// the record. Evidence that is wrong, missing or without a record is a problem whatever
// the policy demands.
func (v *verifier) attested(files Files, a *ceremony.Account) {
	if err := a.CheckAttestations(files); err != nil {
		v.fault(ceremony.AttestationsDir, err)
	}
	// Anchors that nobody confirmed are among the policy's unpinned keys.
	f := require.JudgeFleet(v.policy.Attestation, a, files, true)
	if err := f.Wrong(); err != nil {
		v.fault(ceremony.AttestationsDir, err)
	}
	v.fleet = f
	set, err := a.Artifact()
	switch {
	case !a.Plan.Attested():
		v.lack(ClaimKeyAttested, ceremony.PlanFile, "name each HSM's attestation in the next epoch's plan", "the plan names no attestation of its HSMs")
	case err != nil || len(f.Keys) != len(set.Keys):
		v.lack(ClaimKeyAttested, recordOf(a.N), "", "the ceremony did not get to the attestation of every key")
	default:
		v.device(ClaimKeyAttested, keyCount(len(f.Keys)), f.Keys)
	}
	if f.Countersigner == nil {
		v.lack(ClaimCountersignerAttested, ceremony.PlanFile, "name it under countersigner: in the next epoch's plan", "the plan names no attestation of the countersigner's HSM")
	} else {
		v.device(ClaimCountersignerAttested, "the countersigner's key", []*require.Key{f.Countersigner})
	}
}

// device grades what devices show about keys: attested if their evidence stands under
// pinned anchors, else device.
func (v *verifier) device(claim, which string, list []*require.Key) {
	where := ceremony.AttestationsDir
	if v.policy.Attestation == nil {
		v.lack(claim, v.policy.File, "say under attestation: what is required, and which anchors count", "the policy requires nothing of attestations and pins no anchor")
		return
	}
	if short := require.Short(list); short != "" {
		v.lack(claim, where, "", "%s", short)
		return
	}
	grade := Attested
	if require.Least(list) < attest.Anchored {
		grade = Device
	}
	v.show(claim, grade, where, "%s: %s", which, require.Tell(list, v.now))
}

// TooClose says why the sites of a plan's HSMs don't meet the policy's demands; empty if
// they do. The plan doesn't say who the vendors are.
func (p *Policy) TooClose(plan *ceremony.Plan) string {
	if p.Sites == nil {
		return ""
	}
	sites := map[string]int{}
	for _, h := range plan.HSMs {
		sites[h.Site]++
	}
	if len(sites) < p.Sites.Least {
		return fmt.Sprintf("the HSMs stand at %d sites, and at least %d are demanded", len(sites), p.Sites.Least)
	}
	if !p.Sites.NoSiteMajority {
		return ""
	}
	return majority(plan, "the site", sites)
}

// together is TooClose, and the same for the vendors that the evidence shows.
func (v *verifier) together(a *ceremony.Account) string {
	why := v.policy.TooClose(a.Plan)
	if why != "" || v.policy.Sites == nil || !v.policy.Sites.NoVendorMajority {
		return why
	}
	vendors := map[string]int{}
	for _, h := range a.Plan.HSMs {
		vendor := v.vendorOf(h.Name)
		if vendor == "" {
			return fmt.Sprintf("of which vendor %s is, its evidence doesn't show, and no vendor may have a majority", h.Name)
		}
		vendors[vendor]++
	}
	return majority(a.Plan, "the vendor", vendors)
}

// majority names a site or vendor with a majority of the HSMs; empty if there is none.
func majority(plan *ceremony.Plan, what string, counts map[string]int) string {
	name := most(counts)
	if counts[name] < plan.Majority {
		return ""
	}
	return fmt.Sprintf("%s %s has %d of the %d HSMs, and %d are a majority", what, strict.Clip(name), counts[name], len(plan.HSMs), plan.Majority)
}

// most is the name with the highest count, of several the first in order.
func most(counts map[string]int) (name string) {
	for n, have := range counts {
		if have > counts[name] || have == counts[name] && n < name {
			name = n
		}
	}
	return name
}

// vendorOf is the vendor that an HSM's evidence shows; empty if a key's evidence is not
// anchored, has problems, or names another vendor. Evidence without a pinned anchor could
// name any vendor.
func (v *verifier) vendorOf(hsm string) (vendor string) {
	if v.fleet == nil {
		return ""
	}
	keys := slices.DeleteFunc(slices.Clone(v.fleet.Keys), func(k *require.Key) bool { return k.HSM != hsm })
	for _, k := range keys {
		if k.Claims == nil || k.Claims.Level < attest.Anchored || k.Wrong != nil || len(k.Problems) > 0 || vendor != "" && k.Claims.Platform.Vendor != vendor {
			return ""
		}
		vendor = k.Claims.Platform.Vendor
	}
	return vendor
}
