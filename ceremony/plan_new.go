package ceremony

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"text/template"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// Draft is what a new plan is written from. What is empty is written as a
// comment that says what belongs there, and `plan check` names it.
type Draft struct {
	Mode, Fleet, Namespace string
	Epoch                  uint64
	Previous               [32]byte
	Majority               int
	HSMs                   []PlanHSM
	Roles                  []DraftRole
	Threshold              int
	People                 []Person
	ThirdParties           []ThirdParty
	Countersigner          *Countersigner
	LogPolicy              string
}

// DraftRole is a role with the usual attributes.
type DraftRole struct {
	Name      string
	Algorithm keys.Algorithm
}

//go:embed plan.tmpl
var planSource string

var planTemplate = template.Must(template.New("plan").Funcs(template.FuncMap{
	"quote":  quoteYAML,
	"base64": func(b []byte) string { return base64.StdEncoding.EncodeToString(b) },
	"raw":    func(k [32]byte) string { return base64.StdEncoding.EncodeToString(k[:]) },
	"digest": func(d [32]byte) string {
		if d == [32]byte{} {
			return `""`
		}
		return fmt.Sprintf("%x", d)
	},
	"indent": func(s string) string {
		return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ")
	},
}).Parse(planSource))

// quoteYAML writes a double-quoted scalar (YAML 1.2, 7.3.1) of any string.
func quoteYAML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Write is the plan file: commented, in the order of the format.
func (d *Draft) Write() ([]byte, error) {
	var b bytes.Buffer
	err := planTemplate.Execute(&b, d)
	return b.Bytes(), err
}
