package draft

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Destruction is the draft of a plan that destroys the keys which a ceremony made, once
// their fleet is retired. without are HSMs that are left out, since nobody can reach them
// any more: their keys stay, as far as anybody can show.
func Destruction(a *ceremony.Account, retirement *bundle.Notice, without ...string) (*Plan, error) {
	p := a.Plan
	set, err := a.Artifact()
	switch {
	case err != nil || a.Release == nil:
		return nil, strict.Errorf("", "the ceremony %s released no keys, so there are none to destroy", ceremonyOf(a))
	case !retirement.Retires():
		return nil, strict.Errorf("", "the notice is a %s, and retires no fleet", retirement.Format)
	case retirement.Mode != p.Mode || retirement.Fleet != p.Fleet || retirement.Namespace != p.Namespace || retirement.Epoch <= p.Epoch:
		return nil, strict.Errorf("", "the notice retires %s, %s, with epoch %d; the ceremony made epoch %d of %s, %s", retirement.Fleet, retirement.Namespace, retirement.Epoch, p.Epoch, p.Fleet, p.Namespace).
			WithHint("keys are destroyed once their own fleet is retired; those that a later epoch of the fleet supersedes are retired with it")
	}
	d := &Plan{
		Mode: p.Mode, Fleet: p.Fleet, Namespace: p.Namespace, Epoch: retirement.Epoch, Previous: retirement.Previous,
		Threshold: p.Threshold, People: p.People, Needed: p.Needed, ThirdParties: p.ThirdParties, Countersigner: &p.Countersigner,
		LogPolicy: p.LogPolicy, Destroys: &ceremony.Destroys{Artifact: set.Digest(), Effective: *retirement.Effective},
	}
	for _, name := range without {
		if p.HSM(name) == nil {
			return nil, strict.Errorf("", "hsm %q is none of the fleet's", name)
		}
	}
	for _, h := range p.HSMs {
		if !slices.Contains(without, h.Name) {
			d.HSMs = append(d.HSMs, ceremony.PlanHSM{Name: h.Name, Site: h.Site, Serial: h.Serial, Agreement: h.Agreement})
		}
	}
	if len(d.HSMs) == 0 {
		return nil, strict.Errorf("", "every HSM is left out, so there is no key to destroy")
	}
	d.Majority = len(d.HSMs)/2 + 1
	for _, r := range p.Roles {
		d.Roles = append(d.Roles, Role{Name: r.Name, Algorithm: r.Algorithm})
	}
	for _, h := range d.HSMs {
		for _, r := range d.Roles {
			i := slices.IndexFunc(a.Keys, func(k *ceremony.Key) bool { return k.HSM == h.Name && k.Role == r.Name })
			if i < 0 {
				return nil, strict.Errorf("", "the ceremony %s has no key of %s, role %s", ceremonyOf(a), h.Name, r.Name)
			}
			d.Destroys.Keys = append(d.Destroys.Keys, ceremony.DoomedKey{HSM: h.Name, Role: r.Name, ID: a.Keys[i].Intent.ID, PublicKey: a.Keys[i].Outcome.PublicKey})
		}
	}
	return d, nil
}

func ceremonyOf(a *ceremony.Account) string {
	if a.Open == nil {
		return "that has not begun"
	}
	return a.Open.Ceremony
}

// destroys is the end of a plan that destroys keys; empty in one that generates them.
func (d *Plan) destroys() string {
	if d.Destroys == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `

# This plan makes no key. It destroys those listed here, of the fleet-keys.json with
# this SHA-256, once the fleet's retirement takes effect: epoch and previous above
# are the retirement's. Every other object on the tokens stays.
destroys:
  artifact: %x
  effective: %s
  keys:`, d.Destroys.Artifact, strict.FormatTime(d.Destroys.Effective))
	for _, k := range d.Destroys.Keys {
		fmt.Fprintf(&b, "\n    - hsm: %s\n      role: %s\n      cka_id: %x\n      public_key: %s", k.HSM, k.Role, k.ID, base64.StdEncoding.EncodeToString(k.PublicKey))
	}
	return b.String()
}
