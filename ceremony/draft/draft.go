// Package draft writes a new plan, commented, for people to fill in and check.
package draft

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"text/template"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Plan is what a new plan is written from. What is empty is written as a
// comment that says what belongs there, and `plan check` names it.
type Plan struct {
	Mode, Fleet, Namespace string
	Rehearses              [32]byte
	Epoch                  uint64
	Previous               [32]byte
	Majority               int
	HSMs                   []ceremony.PlanHSM
	Roles                  []Role
	Threshold              int
	People                 []ceremony.Person
	Needed                 int // third parties; 0 for all
	ThirdParties           []ceremony.ThirdParty
	Countersigner          *ceremony.Countersigner
	LogPolicy              string
	Lockdown               []string
}

// Role is a role with the usual attributes, or with those given, such as
// COPYABLE: required false.
type Role struct {
	Name       string
	Algorithm  keys.Algorithm
	Attributes [][2]string
}

// Rehearsal is the draft of a plan's rehearsal: the same but for its mode, its
// namespace, the HSMs' serials and every key that signs from outside, which
// are to be filled in.
func Rehearsal(p *ceremony.Plan) *Plan {
	d := &Plan{
		Mode: ceremony.Rehearsal, Rehearses: p.Digest(), Fleet: p.Fleet, Namespace: ceremony.RehearsalPrefix + p.Namespace,
		Epoch: 1, Majority: p.Majority, Threshold: p.Threshold, People: p.People, Needed: p.Needed, Lockdown: p.Lockdown,
	}
	for _, h := range p.HSMs {
		d.HSMs = append(d.HSMs, ceremony.PlanHSM{Name: h.Name, Site: h.Site, Tolerates: h.Tolerates})
	}
	for _, r := range p.Roles {
		role := Role{Name: r.Name, Algorithm: r.Algorithm}
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
func (d *Plan) Write() ([]byte, error) {
	var b bytes.Buffer
	err := planTemplate.Execute(&b, d)
	return b.Bytes(), err
}
