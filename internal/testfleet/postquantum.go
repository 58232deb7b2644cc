package testfleet

import (
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// For signs for one use.
func (s Signer) For(as keys.Context) func(message []byte) ([]byte, error) {
	return func(message []byte) ([]byte, error) { return s.SignAs(as, message) }
}

// postQuantum is somebody's key beside the other; nil where they have none.
func (f *Fleet) postQuantum(o Options, name string) *ceremony.PostQuantum {
	if o.PostQuantum == "" {
		return nil
	}
	if f.Parties.PostQuantum == nil {
		f.Parties.PostQuantum = map[string]Signer{}
	}
	s, ok := f.Parties.PostQuantum[name]
	if !ok {
		s = SoftSigner(o.PostQuantum, o.Name+" post-quantum "+name)
		f.Parties.PostQuantum[name] = s
	}
	return &ceremony.PostQuantum{Algorithm: s.Public.Algorithm(), Key: s.Public.SPKI()}
}

// Beside is the operator's post-quantum key; empty where the plan names none.
func (f *Fleet) Beside() (list []engine.CountersignKey) {
	c := f.Plan.Countersigner
	if c.PostQuantum != nil {
		s := f.Parties.PostQuantum[c.Name]
		list = append(list, engine.CountersignKey{Public: s.Public, Sign: s.For(keys.ForCountersignature)})
	}
	return list
}
