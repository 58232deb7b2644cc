package evidence

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
)

// oneKey says what is wrong with a key that two holders have, and how a policy can allow
// it.
func oneKey(err error) string {
	var e *keys.Shared
	if errors.As(err, &e) && e.Holder.Part != e.Other.Part && !(bound(e.Holder) && bound(e.Other)) {
		return fmt.Sprintf("%v: one key is one person's, and has one part; a policy that takes it all the same says under allows: one_key: [%s, %s]", err, e.Other, e.Holder)
	}
	return fmt.Sprintf("%v: one key is one person's, and one voice", err)
}

// allowance is one exception that a policy allows: a key that two holders share, or an
// organisation that two belong to.
type allowance struct {
	OneKey []string `strict:"one_key,optional"`
	OneOrg []string `strict:"one_org,optional"`
}

// witnessOrg names the organisation of a witness of log_policy, whose format has no
// place for it.
type witnessOrg struct {
	Name string `strict:"name,token"`
	Org  string `strict:"org,token"`
}

// Allows are the exceptions that the policy allows, in the words of reports.
func (p *Policy) Allows() []string { return append([]string{}, p.allows...) }

var parts = []string{keys.PartPerson, keys.PartThirdParty, keys.PartOperator, keys.PartLog, keys.PartWitness, keys.PartSubmitter, keys.PartKeeper, keys.PartFleet}

// parseHolder reads a part and a name, such as "third party auditor.example".
func parseHolder(s string) (h keys.Holder, ok bool) {
	for _, part := range parts {
		if name, found := strings.CutPrefix(s, part+" "); found && name != "" {
			return keys.Holder{Part: part, Name: name}, true
		}
	}
	return h, false
}

// allows reads the exceptions. It comes before the keys are read.
func (c *policyChecker) allows() {
	if c.f.Allows != nil && len(c.f.Allows) == 0 {
		c.failf(c.line("allows"), "allows names nothing: leave it out")
	}
	for i, a := range c.f.Allows {
		at, kind, pair := c.item("allows", i), "one key", a.OneKey
		if a.OneOrg != nil {
			kind, pair = "one org", a.OneOrg
		}
		if (a.OneKey == nil) == (a.OneOrg == nil) || len(pair) != 2 {
			c.failf(at, "allows: each is one_key: [A, B] or one_org: [A, B], of a part and a name each, such as third party auditor.example")
			continue
		}
		x, okX := parseHolder(pair[0])
		y, okY := parseHolder(pair[1])
		switch {
		case !okX || !okY:
			c.failf(at, "allows: %q and %q have to begin with one of %s, and name somebody", pair[0], pair[1], strings.Join(parts, ", "))
		case kind == "one key" && (x.Part == y.Part || bound(x) && bound(y)):
			c.failf(at, "allows: %s and %s may never have one key: it would be one voice where two are counted", x, y)
		case kind == "one key":
			c.p.roster.Allow(x, y)
			c.p.shares = append(c.p.shares, keys.Shared{Holder: x, Other: y})
		}
		c.p.allows = append(c.p.allows, fmt.Sprintf("%s of %s and %s", kind, x, y))
	}
}

// bound says whether a holder's signature is part of a bundle.
func bound(h keys.Holder) bool { return h.Part == keys.PartThirdParty || h.Part == keys.PartOperator }

// enter adds a key to the policy's roster. A log's key may be pinned twice, for
// log_policy and for Rekor, since it is the same log.
func (c *policyChecker) enter(line int, part, name string, points ...keys.Point) {
	err := c.p.roster.Add(keys.Holder{Part: part, Name: name}, points...)
	var shared *keys.Shared
	if errors.As(err, &shared) && part == keys.PartLog && shared.Other.Part == keys.PartLog {
		return
	}
	if err != nil {
		c.failf(line, "%s", oneKey(err))
	}
}

// member is a holder with its organisation: its org, or if it has none, its own name.
type member struct {
	keys.Holder
	org  string
	line int
}

// orgs checks that holders whose signatures must be independent are of different
// organisations: third parties of each other and of the operators, and witnesses of
// both. A witness that is not independent counts for no quorum.
func (c *policyChecker) orgs() {
	var signers, witnesses []member
	add := func(list *[]member, part, name, org string, line int) {
		if org == "" {
			org = name
		}
		*list = append(*list, member{keys.Holder{Part: part, Name: name}, org, line})
	}
	first := map[string]string{}
	for i, p := range c.f.ThirdParties {
		if org, ok := first[p.Name]; ok && org != p.Org {
			c.failf(c.item("third_parties", i), "third party %s is of %s and of %s", p.Name, cmp.Or(p.Org, p.Name), cmp.Or(org, p.Name))
		}
		first[p.Name] = p.Org
		add(&signers, keys.PartThirdParty, p.Name, p.Org, c.item("third_parties", i))
	}
	for i, o := range c.f.Operators {
		add(&signers, keys.PartOperator, o.Name, o.Org, c.item("operators", i))
	}
	if c.p.Log == nil && (c.f.WitnessOrgs != nil || c.f.LogOrg != "") {
		c.failf(c.line("witness_orgs"), "witness_orgs and log_org are about log_policy, which pins no log")
		return
	}
	orgs := map[string]string{}
	for i, w := range c.f.WitnessOrgs {
		if orgs[w.Name] != "" {
			c.failf(c.item("witness_orgs", i), "witness_orgs names %q twice", w.Name)
		}
		orgs[w.Name] = w.Org
	}
	if c.p.Log != nil {
		for _, w := range c.p.Log.Witnesses() {
			add(&witnesses, keys.PartWitness, w.Name, orgs[w.Name], c.line("log_policy"))
			delete(orgs, w.Name)
		}
	}
	for name := range orgs {
		c.failf(c.line("witness_orgs"), "witness_orgs names %q, and log_policy has no such witness", name)
	}
	used := map[int]bool{}
	for i, x := range signers {
		for _, y := range signers[:i] {
			if x.org == y.org && x.Holder != y.Holder && (x.Part == keys.PartThirdParty || y.Part == keys.PartThirdParty) && !c.allowed(x, y, used) {
				c.failf(x.line, "%s and %s are both of %s: one's signature adds nothing to the other's; a policy that takes it says so under allows:, one_org: [%s, %s]", y, x, x.org, y, x)
			}
		}
	}
	c.strangers(signers, witnesses, used)
	for i, a := range c.f.Allows {
		if a.OneOrg != nil && !used[i] && len(c.faults) == 0 {
			c.failf(c.item("allows", i), "allows: %s are of one org in nothing that this policy pins; take it out", strings.Join(a.OneOrg, " and "))
		}
	}
	c.unusedKeys()
}

// strangers discounts witnesses that belong to the organisation of a third party or an
// operator, and refuses a quorum that can't be met without them.
func (c *policyChecker) strangers(signers, witnesses []member, used map[int]bool) {
	var own []string
	for _, w := range witnesses {
		for _, s := range signers {
			if w.org != s.org || c.allowed(w, s, used) {
				continue
			}
			if err := c.p.Log.Discount(w.Name, fmt.Sprintf("it is of %s, as %s is", w.org, s)); err != nil {
				c.failf(w.line, "%v", err)
			}
			own = append(own, fmt.Sprintf("%s (%s's)", w.Name, s))
		}
	}
	if len(own) > 0 && c.p.Log.Demanded() && !c.p.Log.Reachable() {
		c.failf(c.line("log_policy"), "the quorum can't be met by strangers: without %s it is out of reach; name other witnesses, or say under allows: which of them count, one_org: [witness NAME, third party NAME]", strings.Join(own, ", "))
	}
}

// allowed says whether two may be of one organisation, and marks the allowance as used.
func (c *policyChecker) allowed(x, y member, used map[int]bool) bool {
	for i, a := range c.f.Allows {
		if len(a.OneOrg) == 2 && slices.Contains(a.OneOrg, x.String()) && slices.Contains(a.OneOrg, y.String()) {
			used[i] = true
			return true
		}
	}
	return false
}

// unusedKeys refuses an allowance for two who share no key, which would mislead readers
// of the policy. The policy has no fleet's keys, so allowances for them are not checked.
func (c *policyChecker) unusedKeys() {
	for _, s := range c.p.shares {
		if s.Holder.Part == keys.PartFleet || s.Other.Part == keys.PartFleet || len(c.faults) > 0 {
			continue
		}
		if !slices.ContainsFunc(c.p.roster.Keys(s.Holder), func(p keys.Point) bool { return slices.Contains(c.p.roster.Holders(p), s.Other) }) {
			c.failf(c.line("allows"), "allows: %s and %s have no key in common; take it out", s.Holder, s.Other)
		}
	}
}

// Lacks says why a plan's ceremony can't give all signatures that the policy requires of
// somebody, or gives some that the policy wouldn't look at.
func (p *Policy) Lacks(plan *ceremony.Plan) (faults []string) {
	for _, name := range p.requires {
		c := plan.Countersigner
		if slices.ContainsFunc(p.operators, func(o bundle.Operator) bool { return o.Name == name && bytes.Equal(o.Key.SPKI(), c.Key) }) {
			if c.PostQuantum == nil || !slices.ContainsFunc(p.operators, func(o bundle.Operator) bool { return o.Name == name && bytes.Equal(o.Key.SPKI(), c.PostQuantum.Key) }) {
				faults = append(faults, fmt.Sprintf("requires both a classical and a post-quantum countersignature of %s, and the plan's countersigner %q has no post-quantum key that it pins", name, c.Name))
			}
		}
		for _, x := range plan.ThirdParties {
			if !slices.ContainsFunc(p.parties, func(y bundle.ThirdParty) bool { return y.Name == name && y.Key == x.Key }) {
				continue
			}
			if x.PostQuantum == nil || !slices.ContainsFunc(p.added, func(k bundle.AdditionalKey) bool {
				return k.Name == name && bytes.Equal(k.Key.SPKI(), x.PostQuantum.Key)
			}) {
				faults = append(faults, fmt.Sprintf("requires a post-quantum signature of %s beside its statement, and the plan's third party %q has no post-quantum key that it pins", name, x.Name))
			}
		}
	}
	return faults
}

// Hybrid are those of whom both a classical and a post-quantum signature are required.
func (p *Policy) Hybrid() []string { return slices.Clone(p.requires) }

// Classical names the links of a policy that requires post-quantum signatures which have
// none: what rests on them alone is as strong as their keys. It is empty for a policy
// that requires none.
func (p *Policy) Classical() (list []string) {
	if len(p.requires) == 0 {
		return nil
	}
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	logs, witnesses := p.Log.Classical()
	for _, name := range logs {
		add("log %s: its own signature", name)
	}
	for _, name := range witnesses {
		add("witness %s, who counts for no quorum", name)
	}
	if p.Rekor != nil {
		add("Rekor's logs and what is submitted to them: Rekor takes no post-quantum signature")
	}
	// Of third parties some are enough, of operators one: where those who give one
	// signature are, a post-quantum one is of no use.
	parties := slices.DeleteFunc(p.Trust(p.Namespaces[0]).Parties(), func(name string) bool { return slices.Contains(p.requires, name) })
	for _, name := range parties {
		if len(parties) >= p.needed {
			name += ", enough without any post-quantum signature"
		}
		add("third party %s", name)
	}
	for _, o := range p.operators {
		if !slices.Contains(p.requires, o.Name) && !o.Key.Algorithm().IsMLDSA() {
			add("operator %s, enough without any post-quantum signature", o.Name)
		}
	}
	for _, x := range p.people {
		if k, err := sshsig.ParsePublicKey(x.Key); err == nil && !k.Hybrid() {
			add("%s %s, who signs with %s", x.Role, x.Name, k.Type())
		}
	}
	for _, k := range p.keepers {
		if !k.key.Hybrid() {
			add("keeper %s of this policy, who signs with %s", k.name, k.key.Type())
		}
	}
	if p.Attestation != nil {
		add("what devices attest: by their vendors' keys")
	}
	return list
}
