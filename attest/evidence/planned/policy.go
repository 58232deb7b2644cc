// Package planned is the operator's side of a verifier's policy: it writes one
// that pins whom a plan names.
package planned

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

//go:embed policy.tmpl
var policySource string

type policyDraft struct {
	plan      *ceremony.Plan
	confirmed string
	tolerates []string
	anchors   []attest.Anchor
	demands   []evidence.Demand
	short     []Outlook // what the ceremony can't reach under the draft itself
}

// NewPolicy writes a policy that pins a plan's keys, and the anchors given. That is
// trust on first use: until each key is confirmed from another channel (confirmed
// says how), nothing is verified under it, but by who says that first use will do.
//
// Rekor is not a plan's to name: whoever uses it pins its log and submitters
// under rekor: and adds the claim.
//
// A rehearsal's policy demands what can be shown with the files of the ceremony's
// folder and no witnesses. A production policy demands everything, so that nothing
// passes for proven that isn't; but the countersigner's attestation where the plan
// names none, since not every HSM can. Neither demands a lock-down where the plan
// has none, nor what only keys of a use can show where it has no such keys. What the plan tolerates of its HSMs is taken only where tolerates says
// so too: that is the verifier's decision, and the plan's author has an interest in
// it. So are anchors: a policy without one says in comments what can't be reached.
func NewPolicy(p *ceremony.Plan, confirmed string, tolerates []string, anchors ...attest.Anchor) ([]byte, error) {
	d := &policyDraft{plan: p, confirmed: confirmed, tolerates: tolerates, anchors: anchors}
	production := p.Mode == ceremony.Production
	for _, name := range evidence.ClaimNames() {
		least, take := evidence.Best(name), true
		switch name {
		case evidence.ClaimRekor:
			take = false
		case evidence.ClaimAbortSigned:
			least = evidence.Attested // whoever is left may be one: a policy may ask for m, which is proven
		case evidence.ClaimLockdown:
			take = len(p.Lockdown) > 0 // what isn't planned leaves no record that could be demanded
		case evidence.ClaimPossession:
			take = len(p.RolesOf(keys.Sign)) > 0 // nor is there a key that could show it
		case evidence.ClaimAgreement:
			take = len(p.RolesOf(keys.Agree)) > 0
			if !production {
				least = evidence.Device // in a rehearsal the machine may draw the peers
			}
		case evidence.ClaimKeyAttested:
			take = production || p.Attested()
		case evidence.ClaimCountersignerAttested:
			take = p.Countersigner.Attestation != nil
		case evidence.ClaimWitnessed, evidence.ClaimLogged:
			take = production
		}
		if take {
			d.demands = append(d.demands, evidence.Demand{Claim: name, Least: least})
		}
	}
	text := d.write()
	policy, err := evidence.ParsePolicy("the draft", text)
	if err != nil {
		return nil, err
	}
	d.short = Short(Forecast(p, policy))
	return d.write(), nil
}

func (d *policyDraft) write() []byte {
	p := d.plan
	return []byte(strings.NewReplacer(
		"{{mode}}", p.Mode, "{{namespace}}", p.Namespace, "{{threshold}}", fmt.Sprint(p.Threshold), "{{people}}", d.people(),
		"{{needed}}", fmt.Sprint(p.Answers()), "{{third_parties}}", d.thirdParties(), "{{operators}}", d.operators(),
		"{{log_policy}}", d.logPolicy(), "{{attestation}}", d.attestation(), "{{tolerates}}", d.tolerated(), "{{claims}}", d.claims(),
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
		if i := slices.IndexFunc(d.short, func(o Outlook) bool { return o.Claim == c.Claim }); i >= 0 {
			o := d.short[i]
			fmt.Fprintf(&b, "\n  # Out of reach as it stands: %s.\n  # %s.", comment(o.Missing), comment(o.Do))
		}
		fmt.Fprintf(&b, "\n  %s: %s", c.Claim, c.Least)
	}
	return b.String()
}

// comment is a text on one line.
func comment(s string) string { return strict.Said(s) }
