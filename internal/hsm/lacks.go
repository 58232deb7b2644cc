//go:build cgo && unix

package hsm

import (
	"slices"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// needs are the mechanisms that a key of this kind takes, to be generated and
// to sign; of each list, one.
func (a algorithm) needs() [][]uint {
	var generate []uint
	for _, w := range a.ways {
		if !slices.Contains(generate, w.mechanism) {
			generate = append(generate, w.mechanism)
		}
	}
	if a.sign == 0 {
		return [][]uint{generate}
	}
	return [][]uint{generate, {a.sign}}
}

// Lacks names the mechanisms that a key of this kind takes and the token
// doesn't list.
func (m *Module) Lacks(sel Selector, alg keys.Algorithm) ([]string, error) {
	_, a, err := known(string(alg))
	if err != nil {
		return nil, err
	}
	t, err := m.Token(sel)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	list, err := t.Mechanisms()
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, any := range a.needs() {
		if !slices.ContainsFunc(any, func(want uint) bool {
			return slices.ContainsFunc(list, func(x token.Mechanism) bool { return x.Name == MechanismName(want) })
		}) {
			missing = append(missing, MechanismName(any[0]))
		}
	}
	return missing, nil
}
