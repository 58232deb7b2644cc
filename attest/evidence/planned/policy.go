// Package planned is the operator's side of a verifier's policy: it writes one
// that pins whom a plan names.
package planned

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
)

//go:embed policy.tmpl
var policySource string

type policyDraft struct {
	plan      *ceremony.Plan
	confirmed string
	tolerates []string
	demands   []evidence.Demand
}

// NewPolicy writes a policy that pins a plan's keys. That is trust on first
// use: until each key is confirmed from another channel (confirmed says how),
// nothing is verified under it, but by who says that first use will do.
//
// Rekor is not a plan's to name: whoever uses it pins its log and submitters
// under rekor: and adds the claim.
//
// A rehearsal's policy demands what this version can show with the files of the
// ceremony's folder and no witnesses. A production
// policy demands everything, so that nothing passes for proven that isn't.
// Neither demands a lock-down where the plan has none. What the plan tolerates of
// its HSMs is taken only where tolerates says so too: that is the verifier's
// decision, and the plan's author has an interest in it.
func NewPolicy(p *ceremony.Plan, confirmed string, tolerates []string) ([]byte, error) {
	d := &policyDraft{plan: p, confirmed: confirmed, tolerates: tolerates}
	for _, name := range evidence.ClaimNames() {
		best, built := evidence.Best(name)
		switch {
		case name == evidence.ClaimRekor:
		case name == evidence.ClaimAbortSigned:
			// Whoever is left may be one: a policy may ask for m, which is proven.
			d.demands = append(d.demands, evidence.Demand{Claim: name, Least: evidence.Attested})
		case name == evidence.ClaimLockdown && len(p.Lockdown) == 0:
			// What isn't planned leaves no record that could be demanded.
		case p.Mode == ceremony.Production:
			d.demands = append(d.demands, evidence.Demand{Claim: name, Least: best})
		case p.Mode == ceremony.Rehearsal && built && name != evidence.ClaimWitnessed && name != evidence.ClaimLogged:
			d.demands = append(d.demands, evidence.Demand{Claim: name, Least: best})
		}
	}
	return d.write(), nil
}

func (d *policyDraft) write() []byte {
	p := d.plan
	return []byte(strings.NewReplacer(
		"{{mode}}", p.Mode, "{{namespace}}", p.Namespace, "{{threshold}}", fmt.Sprint(p.Threshold), "{{people}}", d.people(),
		"{{needed}}", fmt.Sprint(p.Answers()), "{{third_parties}}", d.thirdParties(), "{{operators}}", d.operators(),
		"{{log_policy}}", d.logPolicy(), "{{tolerates}}", d.tolerated(), "{{claims}}", d.claims(),
	).Replace(policySource))
}

// pin is what says how a key was confirmed, under its own name.
func (d *policyDraft) pin(name string) string {
	if d.confirmed == "" {
		return ""
	}
	return fmt.Sprintf("\n%s: %q", name, d.confirmed)
}

func (d *policyDraft) people() string {
	var b strings.Builder
	for _, p := range d.plan.People {
		fmt.Fprintf(&b, "\n  - name: %s\n    role: %s\n    key: %s%s", p.Name, p.Role, p.Key, d.pin("    confirmed"))
	}
	return b.String()
}

func (d *policyDraft) thirdParties() string {
	var b strings.Builder
	for _, p := range d.plan.ThirdParties {
		fmt.Fprintf(&b, "\n  - name: %s\n    key: %s%s", p.Name, base64.StdEncoding.EncodeToString(p.Key[:]), d.pin("    confirmed"))
	}
	return b.String()
}

func (d *policyDraft) operators() string {
	c := d.plan.Countersigner
	return fmt.Sprintf("\n  - name: %s\n    algorithm: %s\n    key: %s\n    form: %s%s",
		c.Name, c.Algorithm, base64.StdEncoding.EncodeToString(c.Key), c.Form, d.pin("    confirmed"))
}

func (d *policyDraft) logPolicy() string {
	return "  " + strings.ReplaceAll(strings.TrimRight(d.plan.LogPolicy, "\n"), "\n", "\n  ") + d.pin("log_confirmed")
}

func (d *policyDraft) tolerated() string {
	plan := d.plan.Tolerates()
	if len(plan) == 0 && len(d.tolerates) == 0 {
		return ""
	}
	text := `

# Attempts on a key that may have succeeded. relax-extractable, relax-sensitive:
# the module let CKA_EXTRACTABLE or CKA_SENSITIVE be changed, every attempt to get
# the key out failed all the same, and it was set back. Take it only of a module
# that you know to keep keys by other means than these attributes.`
	if len(plan) > 0 {
		text += "\n# The plan tolerates " + ceremony.TellTolerated(plan) + "."
	}
	if len(d.tolerates) > 0 {
		return text + "\ntolerates: [" + strings.Join(d.tolerates, ", ") + "]"
	}
	return text + "\n# tolerates: [relax-extractable, relax-sensitive]"
}

func (d *policyDraft) claims() string {
	var b strings.Builder
	for _, c := range d.demands {
		fmt.Fprintf(&b, "\n  %s: %s", c.Claim, c.Least)
	}
	return b.String()
}
