package ceremony

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/token"
)

// Tolerable are the attempts on a key that may be tolerated: by a plan in one of
// its HSMs, and by whoever judges what came of it. Only these: that such an
// attribute can be set is a matter of a module's books, and whether the key comes
// out then can be tried.
var Tolerable = []string{token.TryRelaxExtractable, token.TryRelaxSensitive}

// relaxes says which attribute they change.
var relaxes = map[string]string{
	token.TryRelaxExtractable: token.Extractable,
	token.TryRelaxSensitive:   token.Sensitive,
}

// CheckTolerates finds the fault of a list of tolerated attempts. One that isn't
// there is nil, and tolerates none.
func CheckTolerates(list []string) error {
	if list != nil && len(list) == 0 {
		return fmt.Errorf("tolerates nothing; leave tolerates out, then no attempt may succeed")
	}
	for i, name := range list {
		if !slices.Contains(Tolerable, name) {
			return fmt.Errorf("tolerates %q; only %s can be tolerated: a token of which another attempt succeeds doesn't keep its keys", name, strings.Join(Tolerable, " and "))
		}
		if slices.Contains(list[:i], name) {
			return fmt.Errorf("tolerates %q twice", name)
		}
	}
	return nil
}

// Tolerated is an attempt that may succeed, or did, in an HSM.
type Tolerated struct{ HSM, Attempt string }

func (t Tolerated) String() string { return t.Attempt + " in " + t.HSM }

// Tolerates is what the plan lets succeed, in the order of its HSMs.
func (p *Plan) Tolerates() []Tolerated {
	var list []Tolerated
	for _, h := range p.HSMs {
		for _, name := range h.Tolerates {
			list = append(list, Tolerated{h.Name, name})
		}
	}
	return list
}

// Tolerated is what did succeed on keys that stand.
func (a *Account) Tolerated() []Tolerated {
	var list []Tolerated
	for _, k := range a.Keys {
		for _, name := range succeeded(k.Attempts) {
			if t := (Tolerated{k.HSM, name}); !slices.Contains(list, t) {
				list = append(list, t)
			}
		}
	}
	return list
}

// Beyond leaves of a list what isn't among the attempts that are accepted.
func Beyond(list []Tolerated, accepted []string) []Tolerated {
	return slices.DeleteFunc(slices.Clone(list), func(t Tolerated) bool { return slices.Contains(accepted, t.Attempt) })
}

// TellTolerated lists them for people.
func TellTolerated(list []Tolerated) string {
	var texts []string
	for _, t := range list {
		texts = append(texts, t.String())
	}
	return strings.Join(texts, ", ")
}
