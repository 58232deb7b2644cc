package ceremony

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"text/template"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Draft is what a new plan is written from. What is empty is written as a
// comment that says what belongs there, and `plan check` names it.
type Draft struct {
	Mode, Fleet, Namespace string
	Rehearses              [32]byte
	Epoch                  uint64
	Previous               [32]byte
	Majority               int
	HSMs                   []PlanHSM
	Roles                  []DraftRole
	Threshold              int
	People                 []Person
	Needed                 int // third parties; 0 for all
	ThirdParties           []ThirdParty
	Countersigner          *Countersigner
	LogPolicy              string
	Lockdown               []string
}

// DraftRole is a role with the usual attributes, or with those given, such as
// COPYABLE: required false.
type DraftRole struct {
	Name       string
	Algorithm  keys.Algorithm
	Attributes [][2]string
}

// DraftRehearsal is the draft of a plan's rehearsal: the same but for its mode, its
// namespace, the HSMs' serials and every key that signs from outside, which
// are to be filled in.
func DraftRehearsal(p *Plan) *Draft {
	d := &Draft{
		Mode: Rehearsal, Rehearses: p.Digest(), Fleet: p.Fleet, Namespace: RehearsalPrefix + p.Namespace,
		Epoch: 1, Majority: p.Majority, Threshold: p.Threshold, People: p.People, Needed: p.Needed, Lockdown: p.Lockdown,
	}
	for _, h := range p.HSMs {
		d.HSMs = append(d.HSMs, PlanHSM{Name: h.Name, Site: h.Site, Tolerates: h.Tolerates})
	}
	for _, r := range p.Roles {
		role := DraftRole{Name: r.Name, Algorithm: r.Algorithm}
		if r.Attributes != nil {
			for _, f := range r.Attributes.Fields {
				role.Attributes = append(role.Attributes, [2]string{f.Name, f.Value.Text})
			}
		}
		d.Roles = append(d.Roles, role)
	}
	return d
}

//go:embed plan.tmpl
var planSource string

var planTemplate = template.Must(template.New("plan").Funcs(template.FuncMap{
	"quote":  strict.QuoteYAML,
	"base64": func(b []byte) string { return base64.StdEncoding.EncodeToString(b) },
	"raw":    func(k [32]byte) string { return base64.StdEncoding.EncodeToString(k[:]) },
	"digest": func(d [32]byte) string {
		if d == [32]byte{} {
			return `""`
		}
		return fmt.Sprintf("%x", d)
	},
	"join": func(list []string) string { return strings.Join(list, ", ") },
	"indent": func(s string) string {
		return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ")
	},
}).Parse(planSource))

// Write is the plan file: commented, in the order of the format.
func (d *Draft) Write() ([]byte, error) {
	var b bytes.Buffer
	err := planTemplate.Execute(&b, d)
	return b.Bytes(), err
}
