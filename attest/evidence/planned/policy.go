// Package planned is the operator's side of a verifier's policy: it writes a policy that
// pins whom a plan names, and forecasts which of a policy's claims the plan's ceremony can
// reach.
package planned

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
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
	hybrid    []string  // of whom both signatures are required
	weakDate  string    // why of nobody, as a comment, where the plan names post-quantum keys
	short     []Outlook // what the ceremony can't reach under the draft itself
}

// OwnPolicy pins whom a plan names, as confirmed says, and tolerates what the plan does:
// whoever judges a package by it learns whether it holds together, and not whose it is.
func OwnPolicy(p *ceremony.Plan, confirmed string) (*evidence.Policy, error) {
	var tolerates []string
	for _, t := range p.Tolerates() {
		if !slices.Contains(tolerates, t.Attempt) {
			tolerates = append(tolerates, t.Attempt)
		}
	}
	text, err := NewPolicy(p, confirmed, tolerates)
	if err != nil {
		return nil, err
	}
	return evidence.ParsePolicy("the plan's own policy", text)
}

// NewPolicy writes a policy that pins a plan's keys and the anchors given. confirmed says
// how each key was confirmed over another channel. If it is empty, the policy is trust on
// first use: nothing passes under it unless the caller accepts that.
//
// A plan doesn't name Rekor logs. To use one, pin its log and submitters under rekor: and
// demand the claim.
//
// A rehearsal's policy demands what can be shown with the files of the ceremony's folder
// and without witnesses. A production policy demands every claim, but for the
// countersigner's attestation if the plan names none, since not every HSM attests. Neither
// demands a lock-down or a drill if the plan has none, nor claims about keys of a use that the plan
// doesn't have. The policy tolerates attempts only if tolerates lists them, whatever the
// plan tolerates: that is the verifier's decision. So are anchors: if a needed one is
// missing, comments in the policy say what can't be reached.
func NewPolicy(p *ceremony.Plan, confirmed string, tolerates []string, anchors ...attest.Anchor) ([]byte, error) {
	d := &policyDraft{plan: p, confirmed: confirmed, tolerates: tolerates, anchors: anchors}
	production := p.Mode == ceremony.Production
	for _, name := range evidence.ClaimNames() {
		least, take := evidence.Best(name), true
		switch name {
		case evidence.ClaimRekor:
			take = false
		case evidence.ClaimAbortSigned:
			least = evidence.Attested // of an aborted ceremony, perhaps only two people are left to sign
		case evidence.ClaimDrilled:
			take = p.Drill != nil
		case evidence.ClaimLockdown:
			take = len(p.Lockdown) > 0
		case evidence.ClaimPossession:
			take = len(p.RolesOf(keys.Sign)) > 0
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
		if p.Destroys != nil {
			take = take && evidence.Carries(evidence.TypeDestruction, name)
		} else if name == evidence.ClaimDestroyed {
			take = false
		}
		if take {
			d.demands = append(d.demands, evidence.Demand{Claim: name, Least: least})
		}
	}
	if err := d.requires(); err != nil {
		return nil, err
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
		"{{needed}}", fmt.Sprint(p.Answers()), "{{third_parties}}", d.thirdParties(), "{{operators}}", d.operators(), "{{additional}}", d.additional(),
		"{{log_policy}}", d.logPolicy(), "{{attestation}}", d.attestation(), "{{tolerates}}", d.tolerated(), "{{claims}}", d.claims(),
	).Replace(policySource))
}

// pin is the line that says how a key was confirmed; empty if it was not.
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

// additional are the keys by which third parties add signatures, and of whom both
// signatures are required: of everybody of whom the plan names a post-quantum key.
func (d *policyDraft) additional() string {
	if len(d.hybrid) == 0 {
		return d.weakDate
	}
	var b strings.Builder
	b.WriteString("\n# Of these both a classical and a post-quantum signature must count.\nrequire_all: [" + strings.Join(d.hybrid, ", ") + "]")
	begun := false
	for _, p := range d.plan.ThirdParties {
		q := p.PostQuantum
		if q == nil {
			continue
		}
		if !begun {
			b.WriteString("\nadditional_keys:")
			begun = true
		}
		fmt.Fprintf(&b, "\n  - name: %s\n    algorithm: %s\n    key: %s%s", p.Name, q.Algorithm, base64.StdEncoding.EncodeToString(q.Key), d.pin("    confirmed"))
	}
	return b.String()
}

// requires says of whom both signatures can be required. What dates them has to be as
// strong: without a quorum of witnesses with post-quantum keys nobody's are.
func (d *policyDraft) requires() error {
	t, err := d.plan.Trust()
	if err != nil || len(t.RequireAll) == 0 {
		return err
	}
	log, err := auditlog.ParsePolicy("log_policy", []byte(d.plan.LogPolicy))
	if err != nil {
		return err
	}
	if _, err := log.PostQuantum(); err != nil {
		d.weakDate = "\n# The plan names post-quantum keys, and nothing is required of them: in its log_policy " + comment(err.Error()) + "."
		return nil
	}
	d.hybrid = t.RequireAll
	return nil
}

func (d *policyDraft) operators() string {
	c := d.plan.Countersigner
	one := func(algorithm keys.Algorithm, key []byte) string {
		return fmt.Sprintf("\n  - name: %s\n    algorithm: %s\n    key: %s\n    form: %s%s",
			c.Name, algorithm, base64.StdEncoding.EncodeToString(key), c.Form, d.pin("    confirmed"))
	}
	text := one(c.Algorithm, c.Key)
	if q := c.PostQuantum; q != nil && len(d.hybrid) > 0 {
		text += one(q.Algorithm, q.Key)
	}
	return text
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

// comment makes a text one line.
func comment(s string) string { return strict.Said(s) }
