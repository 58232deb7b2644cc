package evidence

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"strings"
	"text/template"

	"github.com/fleetctl/fleetctl/ceremony"
)

//go:embed policy.tmpl
var policySource string

var policyTemplate = template.Must(template.New("policy").Funcs(template.FuncMap{
	"base64": func(b []byte) string { return base64.StdEncoding.EncodeToString(b) },
	"raw":    func(k [32]byte) string { return base64.StdEncoding.EncodeToString(k[:]) },
	"join":   func(list []string) string { return strings.Join(list, ", ") },
	"told":   ceremony.TellTolerated,
	"indent": func(s string) string {
		return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ")
	},
}).Parse(policySource))

type policyDraft struct {
	Plan      *ceremony.Plan
	Confirmed string
	Tolerates []string
	Demands   []Demand
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
	d := &policyDraft{Plan: p, Confirmed: confirmed, Tolerates: tolerates}
	for _, c := range claimInfos {
		switch {
		case c.name == ClaimRekor:
		case c.name == ClaimAbortSigned:
			// Whoever is left may be one: a policy may ask for m, which is proven.
			d.Demands = append(d.Demands, Demand{c.name, Attested})
		case c.name == ClaimLockdown && len(p.Lockdown) == 0:
			// What isn't planned leaves no record that could be demanded.
		case p.Mode == ceremony.Production:
			d.Demands = append(d.Demands, Demand{c.name, c.best})
		case p.Mode == ceremony.Rehearsal && c.built && c.name != ClaimWitnessed && c.name != ClaimLogged:
			d.Demands = append(d.Demands, Demand{c.name, c.best})
		}
	}
	var b bytes.Buffer
	err := policyTemplate.Execute(&b, d)
	return b.Bytes(), err
}
