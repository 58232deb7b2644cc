package evidence

import (
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type policyChecker struct {
	file   string
	root   *strict.Node
	f      *policyFile
	p      *Policy
	faults strict.Errors
}

func (c *policyChecker) failf(line int, format string, args ...any) {
	c.faults = append(c.faults, strict.At(c.file, line, format, args...))
}

func (c *policyChecker) line(field string) int {
	if n := c.root.Get(field); n != nil {
		return n.Line
	}
	return c.root.Line
}

func (c *policyChecker) item(list string, i int) int {
	if n := c.root.Get(list); n != nil && i < len(n.Items) {
		return n.Items[i].Line
	}
	return c.line(list)
}

func (c *policyChecker) has(list string, i int, field string) bool {
	n := c.root.Get(list)
	return n != nil && i < len(n.Items) && n.Items[i].Get(field) != nil
}

func (c *policyChecker) check() {
	f := c.f
	if f.Mode != "" && f.Mode != ceremony.Production && f.Mode != ceremony.Rehearsal {
		c.failf(c.line("mode"), "mode is %q; it is production or rehearsal", f.Mode)
	}
	c.p.Mode, c.p.Namespaces, c.p.Tolerates = f.Mode, f.Namespaces, f.Tolerates
	if err := ceremony.CheckTolerates(f.Tolerates); err != nil {
		c.failf(c.line("tolerates"), "%v", err)
	}
	for _, ns := range f.Namespaces {
		if (f.Mode == ceremony.Rehearsal) != strings.HasPrefix(ns, ceremony.RehearsalPrefix) {
			c.failf(c.line("namespaces"), "namespace %q: that of a rehearsal, and no other, begins with %q", ns, ceremony.RehearsalPrefix)
		}
	}
	if c.root.Get("namespaces") != nil && len(f.Namespaces) == 0 {
		c.failf(c.line("namespaces"), "the policy pins no namespace")
	}
	for _, field := range []string{"people", "operators", "require_all", "additional_keys"} {
		if n := c.root.Get(field); n != nil && n.Kind == strict.Array && len(n.Items) == 0 {
			c.failf(n.Line, "%s pins nobody: leave it out if that is meant, or pin somebody", field)
		}
	}
	c.allows()
	c.people()
	c.parties()
	c.additional()
	c.operators()
	c.log()
	c.rekor()
	c.succession()
	c.orgs()
	c.attestation()
	c.claims()
}

func (c *policyChecker) unpinned(kind, name, confirmed string) {
	if strings.TrimSpace(confirmed) == "" {
		c.p.unpinned = append(c.p.unpinned, strings.TrimSpace(kind+" "+name))
	}
}

func (c *policyChecker) people() {
	c.p.threshold, c.p.people = c.f.Threshold, c.f.People
	roles := map[string]string{}
	officers := 0
	for i, p := range c.f.People {
		at := c.item("people", i)
		switch p.Role {
		case ceremony.Officer:
			officers++
		case ceremony.Witness, ceremony.Auditor, "":
		default:
			c.failf(at, "person %q: role %q is none of officer, witness, auditor", p.Name, p.Role)
		}
		c.unpinned("person", p.Name, p.Confirmed)
		k, err := sshsig.ParsePublicKey(p.Key)
		if p.Key == "" {
			continue
		}
		if err != nil {
			c.failf(at, "person %q: key %v", p.Name, err)
			continue
		}
		// Each person has one role.
		if role, ok := roles[p.Name]; ok && role != p.Role {
			c.failf(at, "person %q is pinned as %s and as %s", p.Name, role, p.Role)
		}
		roles[p.Name] = p.Role
		c.enter(at, keys.PartPerson, p.Name, k.Points()...)
	}
	if len(c.f.People) == 0 {
		if c.root.Get("threshold") != nil {
			c.failf(c.line("threshold"), "threshold %d, but people pins nobody who could agree", c.f.Threshold)
		}
		return
	}
	least := 1
	if c.f.Mode == ceremony.Production {
		least = 2
	}
	if t := c.f.Threshold; t < least || t > officers {
		c.failf(c.line("threshold"), "threshold %d with %d officers: in a %s policy it is at least %d and at most their number", t, officers, c.f.Mode, least)
	}
}

func (c *policyChecker) parties() {
	names := map[string]bool{}
	for i, p := range c.f.ThirdParties {
		// A party may have several keys, which count once. A key has one name, else its
		// owner would count twice.
		names[p.Name] = true
		if at := c.item("third_parties", i); !c.has("third_parties", i, "key") {
			// the decoder has reported that it is missing
		} else if err := keys.AdmitEd25519(p.Key[:]); err != nil {
			c.failf(at, "third party %q: key %v", p.Name, err)
		} else {
			c.enter(at, keys.PartThirdParty, p.Name, keys.Ed25519Point(p.Key))
		}
		c.unpinned("third party", p.Name, p.Confirmed)
		c.p.parties = append(c.p.parties, bundle.ThirdParty{
			Name: p.Name, Key: p.Key, Window: keys.Window(p.Window),
		})
	}
	c.p.needed = c.f.Needed
	if n := len(names); c.root.Get("third_parties_needed") != nil && (c.f.Needed < 1 || c.f.Needed > n) {
		c.failf(c.line("third_parties_needed"), "third_parties_needed is %d; with %d pinned it is from 1 to %d", c.f.Needed, n, n)
	}
}

// additional reads of whom both a classical and a post-quantum signature are required.
// What package bundle demands of that is checked with the operators.
func (c *policyChecker) additional() {
	c.p.requires = c.f.RequireAll
	if len(c.f.RequireAll)+len(c.f.Additional) > 0 && len(c.f.Operators) == 0 {
		c.failf(c.line("require_all"), "require_all and additional_keys are about bundles, and without operators the policy judges none")
	}
	for i, x := range c.f.Additional {
		at := c.item("additional_keys", i)
		c.unpinned("third party", x.Name+" ("+string(x.Algorithm)+")", x.Confirmed)
		if len(x.Key) == 0 {
			continue
		}
		k, err := keys.ParseSPKI(x.Key)
		switch {
		case err != nil:
			c.failf(at, "the additional key of %q: %v", x.Name, err)
			continue
		case k.Algorithm() != x.Algorithm || !k.Algorithm().IsMLDSA():
			c.failf(at, "the additional key of %q is %s, the policy says %s; it is one of ML-DSA", x.Name, k.Algorithm(), x.Algorithm)
			continue
		}
		c.enter(at, keys.PartThirdParty, x.Name, k.Point())
		c.p.added = append(c.p.added, bundle.AdditionalKey{Name: x.Name, Key: k, Window: keys.Window(x.Window)})
	}
}

func (c *policyChecker) operators() {
	for i, o := range c.f.Operators {
		at := c.item("operators", i)
		c.unpinned("operator", o.Name, o.Confirmed)
		if len(o.Key) == 0 {
			continue
		}
		k, err := keys.ParseSPKI(o.Key)
		switch {
		case err != nil:
			c.failf(at, "operator %q: key %v", o.Name, err)
			continue
		case k.Algorithm() != o.Algorithm || !k.Algorithm().CanSign():
			c.failf(at, "operator %q: the key is %s, the policy says %s", o.Name, k.Algorithm(), o.Algorithm)
		case o.Form != bundle.FormBound && o.Form != bundle.FormSignature:
			c.failf(at, "operator %q: form %q is neither %q nor %q", o.Name, o.Form, bundle.FormBound, bundle.FormSignature)
		}
		for _, other := range c.f.Operators[:i] {
			if other.Name == o.Name && other.Org != o.Org {
				c.failf(at, "operator %s is of two organisations", o.Name)
			}
		}
		c.enter(at, keys.PartOperator, o.Name, k.Point())
		c.p.operators = append(c.p.operators, bundle.Operator{
			Name: o.Name, Key: k, Form: o.Form, Window: keys.Window(o.Window),
		})
	}
	// The rules of package bundle for pinned keys hold too. They need an operator.
	if len(c.faults) == 0 && len(c.p.operators) > 0 {
		if err := c.p.Trust(c.f.Namespaces[0]).Check(); err != nil {
			c.failf(c.line("third_parties"), "%v", err)
		}
	}
}

func (c *policyChecker) succession() {
	s := c.f.Succession
	if s == nil {
		return
	}
	names := map[string]bool{}
	for i, k := range s.Keys {
		at := c.root.LineOf("succession", "keys", i)
		c.unpinned("keeper", k.Name, k.Confirmed)
		if k.Key == "" {
			continue
		}
		key, err := sshsig.ParsePublicKey(k.Key)
		switch {
		case err != nil:
			c.failf(at, "keeper %q: key %v", k.Name, err)
			continue
		case names[k.Name]:
			c.failf(at, "keeper %q is there twice: each has one key", k.Name)
		}
		names[k.Name] = true
		c.enter(at, keys.PartKeeper, k.Name, key.Points()...)
		c.p.keepers = append(c.p.keepers, keeper{k.Name, key, keys.Window(k.Window)})
	}
	if n := len(names); s.Threshold < 1 || s.Threshold > n {
		c.failf(c.root.LineOf("succession", "threshold"), "succession: threshold is %d; with %d keepers it is from 1 to %d", s.Threshold, n, n)
	}
	c.p.enough = s.Threshold
}

func (c *policyChecker) log() {
	if c.f.LogPolicy == "" {
		if len(c.f.RequireAll) > 0 {
			c.failf(c.line("require_all"), "require_all demands post-quantum signatures, and log_policy pins no log whose witnesses date them as strongly")
		}
		if len(c.f.LogWindows) > 0 {
			c.failf(c.line("log_windows"), "log_windows gives keys a window, and log_policy pins none")
		}
		return
	}
	p, err := auditlog.ParsePolicy("log_policy", []byte(c.f.LogPolicy))
	if err == nil && len(c.f.RequireAll) > 0 {
		p, err = p.PostQuantum()
	}
	if err != nil {
		c.failf(c.line("log_policy"), "%v", err)
		return
	}
	for i, w := range c.f.LogWindows {
		if err := p.SetWindow(w.Key, keys.Window(w.Window)); err != nil {
			c.failf(c.root.Get("log_windows").Items[i].Line, "log_windows: %.60q %v", w.Key, err)
		}
	}
	c.p.Log = p
	if err := p.Enter(&c.p.roster); err != nil {
		c.failf(c.line("log_policy"), "%s", oneKey(err))
	}
	c.unpinned("log", "", c.f.LogConfirmed)
}

// claims reads the demands. One that nothing which the policy pins could ever meet is a
// fault of the policy.
func (c *policyChecker) claims() {
	n := c.f.Claims
	if n == nil {
		return
	}
	if n.Kind != strict.Object || len(n.Fields) == 0 {
		c.failf(n.Line, "claims demands nothing: a policy that asks for nothing would pass anything")
		return
	}
	asked := map[string]Grade{}
	for _, f := range n.Fields {
		info, ok := findClaim(f.Name)
		g, known := parseGrade(f.Value.Text)
		switch {
		case !ok:
			c.failf(f.Line, "claim %q is not known; known are %s", f.Name, strings.Join(ClaimNames(), ", "))
		case f.Value.Kind != strict.String || !known:
			c.failf(f.Line, "claim %s: the least grade is one of device, attested, proven", f.Name)
		case g > info.best:
			c.failf(f.Line, "claim %s can be %s at most, not %s", f.Name, info.best, g)
		default:
			asked[f.Name] = g
			c.pinnedFor(f)
		}
	}
	for _, info := range claimInfos {
		if g, ok := asked[info.name]; ok {
			c.p.Demands = append(c.p.Demands, Demand{info.name, g})
		}
	}
}

func (c *policyChecker) pinnedFor(f strict.Field) {
	switch f.Name {
	case ClaimCountersigned:
		if len(c.f.Operators) == 0 {
			c.failf(f.Line, "claim %s is demanded, but operators pins no key", f.Name)
		}
	case ClaimIncluded, ClaimWitnessed, ClaimLogged:
		if c.f.LogPolicy == "" {
			c.failf(f.Line, "claim %s is demanded, but log_policy pins no log", f.Name)
		}
	case ClaimRekor:
		if c.f.Rekor == nil {
			c.failf(f.Line, "claim %s is demanded, but rekor pins no log", f.Name)
		}
	case ClaimKeyAttested, ClaimCountersignerAttested:
		if c.f.Attestation == nil {
			c.failf(f.Line, "claim %s is demanded, but attestation says nothing of what is required", f.Name)
		}
	case ClaimPlanApproved, ClaimReleaseSignoff, ClaimCloseSignoff, ClaimAbortSigned, ClaimDestroyed:
		if len(c.f.People) == 0 {
			c.failf(f.Line, "claim %s is demanded, but people pins no key", f.Name)
		}
	}
}
