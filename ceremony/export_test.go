package ceremony

import "github.com/fleetctl/fleetctl/internal/keys"

// OrderFaults lets a test hand in steps that no plan yields.
var OrderFaults = (*Plan).orderFaults

// What tests hold against docs/SPEC.md.
var (
	Always, Fixed, ReadOnly, Usual = always, fixed, readOnly, usual
	CantStage, HalfReadings        = cantStage, halfReadings
)

// Rule is what SPEC's table says of an attempt.
type Rule struct {
	Name, Call string
	Refused    []string
}

// Rules are those of all attempts on keys of a use, in their order: as modules decide
// them, or of keys that agree by a TPM.
func Rules(use keys.Use, tpm bool) []Rule { return rulesFor(&Role{Use: use, tpm: tpm}) }

// RulesOf are those of all attempts on keys of an algorithm.
func RulesOf(alg keys.Algorithm) []Rule { return rulesFor(&Role{Use: alg.Use(), Algorithm: alg}) }

func rulesFor(role *Role) (list []Rule) {
	for _, r := range role.attempts() {
		list = append(list, Rule{r.name, r.call, r.refused})
	}
	return list
}

// EmptyRecords are a body of each kind.
func EmptyRecords() map[Kind]any {
	list := map[Kind]any{}
	for k, info := range kinds() {
		list[k] = info.make()
	}
	return list
}
