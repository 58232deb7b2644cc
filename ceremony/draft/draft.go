// Package draft writes a new plan with comments, for people to fill in and check.
package draft

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Plan has the values for a new plan. For an empty one, the plan gets a comment that
// says what belongs there, and `fleetctl plan check` names it.
type Plan struct {
	Mode, Fleet, Namespace string
	Rehearses              [32]byte
	Epoch                  uint64
	Previous               [32]byte
	Majority               int
	HSMs                   []ceremony.PlanHSM
	Models                 []string
	Roles                  []Role
	Threshold              int
	People                 []ceremony.Person
	Needed                 int // third parties; 0 for all
	ThirdParties           []ceremony.ThirdParty
	Countersigner          *ceremony.Countersigner
	LogPolicy              string
	Drill                  *ceremony.PlanDrill
	Lockdown               []string
	Destroys               *ceremony.Destroys // nil: the plan makes keys
}

// Role is a role with the usual attributes, changed by Attributes, such as COPYABLE:
// required false.
type Role struct {
	Name       string
	Algorithm  ceremony.Algorithm
	Attributes [][2]string
}

// Rehearsal is the draft of a plan's rehearsal. Mode and namespace are a rehearsal's; the
// HSMs' serials, third parties, countersigner and log are left to be filled in. It names
// no models and no attestation identities, which software tokens don't have.
func Rehearsal(p *ceremony.Plan) *Plan {
	d := &Plan{
		Mode: ceremony.Rehearsal, Rehearses: p.Digest(), Fleet: p.Fleet, Namespace: ceremony.RehearsalPrefix + p.Namespace,
		Epoch: 1, Majority: p.Majority, Threshold: p.Threshold, People: p.People, Needed: p.Needed, Drill: p.Drill, Lockdown: p.Lockdown,
	}
	for _, h := range p.HSMs {
		d.HSMs = append(d.HSMs, ceremony.PlanHSM{Name: h.Name, Site: h.Site, Tolerates: h.Tolerates})
	}
	for _, r := range p.Roles {
		role := Role{Name: r.Name, Algorithm: r.Algorithm}
		for _, e := range r.Own() {
			role.Attributes = append(role.Attributes, [2]string{e.Name, e.String()})
		}
		d.Roles = append(d.Roles, role)
	}
	return d
}

// CheckRehearsal refuses a draft of p's rehearsal that has the production key of a third
// party or of the operator, or the production log: they must never sign anything of a
// rehearsal.
func (d *Plan) CheckRehearsal(p *ceremony.Plan) error {
	for _, t := range d.ThirdParties {
		for _, real := range p.ThirdParties {
			if t.Key == real.Key || samePostQuantum(t.PostQuantum, real.PostQuantum) {
				return strict.Errorf("", "third party %q: the rehearsal has the production key", t.Name).WithHint("make a key for rehearsals")
			}
		}
	}
	switch {
	case d.Countersigner == nil:
		return strict.Errorf("", "the rehearsal has no countersigner").WithHint("make a key for rehearsals")
	case string(d.Countersigner.Key) == string(p.Countersigner.Key), samePostQuantum(d.Countersigner.PostQuantum, p.Countersigner.PostQuantum):
		return strict.Errorf("", "countersigner %q: the rehearsal has the production key", d.Countersigner.Name).WithHint("make a key for rehearsals")
	case d.LogPolicy == p.LogPolicy:
		return strict.Errorf("", "the rehearsal has the production log").WithHint("make a log for rehearsals")
	}
	return nil
}

func samePostQuantum(a, b *ceremony.PostQuantum) bool {
	return a != nil && b != nil && string(a.Key) == string(b.Key)
}

//go:embed plan.tmpl
var planSource string

// Write returns the plan file, with comments.
func (d *Plan) Write() ([]byte, error) {
	return []byte(strings.NewReplacer(
		"{{mode}}", d.Mode, "{{rehearses}}", d.rehearses(), "{{fleet}}", d.Fleet, "{{namespace}}", d.Namespace,
		"{{epoch}}", fmt.Sprint(d.Epoch), "{{previous}}", digestOrNone(d.Previous), "{{majority}}", fmt.Sprint(d.Majority), "{{hsms}}", d.hsms(),
		"{{roles}}", d.roles(), "{{threshold}}", fmt.Sprint(d.Threshold), "{{people}}", d.people(), "{{needed}}", d.needed(),
		"{{third_parties}}", d.thirdParties(), "{{countersigner}}", d.countersigner(), "{{log_policy}}", d.logPolicy(), "{{drill}}", d.drill(), "{{lockdown}}", d.lockdown(), "{{destroys}}", d.destroys(),
	).Replace(planSource)), nil
}

func digestOrNone(d [32]byte) string {
	if d == [32]byte{} {
		return `""`
	}
	return fmt.Sprintf("%x", d)
}

func (d *Plan) rehearses() string {
	if d.Rehearses == [32]byte{} {
		return ""
	}
	return fmt.Sprintf("\n# The SHA-256 of the production plan that this one rehearses.\nrehearses: %x", d.Rehearses)
}

func (d *Plan) hsms() string {
	if len(d.HSMs) == 0 {
		return "\n  # - name: hsm-1\n  #   site: iad\n  #   serial: \"0123456789abcdef\"\n  #   attestation: # by what its vendor attests; for every HSM or none\n  #     format: tpm2-certify\n  #     identity: <as fleetctl attestation check shows it>"
	}
	var b strings.Builder
	for _, h := range d.HSMs {
		fmt.Fprintf(&b, "\n  - name: %s\n    site: %s\n    serial: %s", h.Name, h.Site, strict.QuoteYAML(h.Serial))
		if d := h.Attestation; d != nil {
			fmt.Fprintf(&b, "\n    attestation:\n      format: %s\n      identity: %s", d.Format, strict.QuoteYAML(d.Identity))
		}
		if h.Agreement != "" {
			fmt.Fprintf(&b, "\n    agreement: %s", h.Agreement)
		}
		if len(h.Tolerates) > 0 {
			fmt.Fprintf(&b, "\n    tolerates: [%s]", strings.Join(h.Tolerates, ", "))
		}
	}
	if len(d.Models) > 0 {
		b.WriteString("\nmodels:")
		for _, m := range d.Models {
			fmt.Fprintf(&b, "\n  - %s", strict.QuoteYAML(m))
		}
	}
	return b.String()
}

func (d *Plan) roles() string {
	var b strings.Builder
	for _, r := range d.Roles {
		fmt.Fprintf(&b, "\n  - name: %s", r.Name)
		if use := r.Algorithm.Use(); use == keys.Agree {
			fmt.Fprintf(&b, "\n    use: %s", use)
		}
		fmt.Fprintf(&b, "\n    algorithm: %s", r.Algorithm)
		if len(r.Attributes) > 0 {
			b.WriteString("\n    attributes:")
		}
		for _, a := range r.Attributes {
			fmt.Fprintf(&b, "\n      %s: %s", a[0], a[1])
		}
	}
	return b.String()
}

func (d *Plan) people() string {
	if len(d.People) == 0 {
		return "\n  # - name: officer-1\n  #   role: officer\n  #   key: ssh-ed25519 AAAA…"
	}
	var b strings.Builder
	for _, p := range d.People {
		fmt.Fprintf(&b, "\n  - name: %s\n    role: %s\n    key: %s", p.Name, p.Role, p.Key)
	}
	return b.String()
}

func (d *Plan) needed() string {
	if d.Needed == 0 {
		return "# third_parties_needed: 2"
	}
	return fmt.Sprintf("third_parties_needed: %d", d.Needed)
}

func (d *Plan) thirdParties() string {
	if len(d.ThirdParties) == 0 {
		return "\n  # - name: auditor.example\n  #   key: <base64 of 32 bytes>\n  #   ciphersuite: 1"
	}
	var b strings.Builder
	for _, p := range d.ThirdParties {
		fmt.Fprintf(&b, "\n  - name: %s\n    key: %s\n    ciphersuite: %d%s", p.Name, base64.StdEncoding.EncodeToString(p.Key[:]), p.Ciphersuite, postQuantum(p.PostQuantum, "    "))
	}
	return b.String()
}

func (d *Plan) countersigner() string {
	c := d.Countersigner
	if c == nil {
		return "# countersigner:\n#   name: operator-1\n#   algorithm: ecdsa-p256\n#   key: <base64>\n#   form: bound"
	}
	text := fmt.Sprintf("countersigner:\n  name: %s\n  algorithm: %s\n  key: %s\n  form: %s", c.Name, c.Algorithm, base64.StdEncoding.EncodeToString(c.Key), c.Form)
	text += postQuantum(c.PostQuantum, "  ")
	if a := c.Attestation; a != nil {
		text += fmt.Sprintf("\n  attestation:\n    format: %s\n    identity: %s", a.Format, strict.QuoteYAML(a.Identity))
	}
	return text
}

func postQuantum(q *ceremony.PostQuantum, indent string) string {
	if q == nil {
		return ""
	}
	return fmt.Sprintf("\n%spost_quantum:\n%s  algorithm: %s\n%s  key: %s", indent, indent, q.Algorithm, indent, base64.StdEncoding.EncodeToString(q.Key))
}

func (d *Plan) logPolicy() string {
	if d.LogPolicy == "" {
		return "# log_policy: |\n#   log example.com/fleet+1234abcd+…\n#   quorum none"
	}
	return "log_policy: |\n  " + strings.ReplaceAll(strings.TrimRight(d.LogPolicy, "\n"), "\n", "\n  ")
}

// drill is the part about a drill, with its comment. A plan without one says nothing of
// it: not every fleet can be drilled.
func (d *Plan) drill() string {
	if d.Drill == nil {
		return ""
	}
	return fmt.Sprintf(`
# A drill once the bundle is logged: the keys are put to work on a reference
# fleet, somebody tries to break it, and the report goes on the record. session
# is the role by which nodes answer, agreement the one to which their secrets are
# sealed; stages are those that must pass, of
#   %s
drill:
  session: %s
  agreement: %s
  stages: [%s]
`, strings.Join(ceremony.DrillStages(), ", "), d.Drill.Session, d.Drill.Agreement, strings.Join(d.Drill.Stages, ", "))
}

func (d *Plan) lockdown() string {
	switch {
	case len(d.Lockdown) == 0 && d.Destroys != nil:
		return `# lockdown:
#   - "Destroy the backups of hsm-1: label of each medium, how, photo's SHA-256"
#   - "Erase the TPM of hsm-2 with tpm2_clear -c platform; read off what it answers"`
	case len(d.Lockdown) == 0:
		return `# lockdown:
#   - "Back hsm-1 up by the vendor's procedure; read off each medium's label and SHA-256"
#   - "Destroy the administrators' cards: serial of each, how, photo's SHA-256"
#   - "Put each HSM into a bag; read off its number"
#   - "login-refused hsm-1"`
	}
	var b strings.Builder
	b.WriteString("lockdown:")
	for _, item := range d.Lockdown {
		fmt.Fprintf(&b, "\n  - %s", strict.QuoteYAML(item))
	}
	return b.String()
}
