package auditlog

import (
	"fmt"
	"time"
)

// Discount has a witness's cosignatures count for no quorum, for a reason that
// reports give: it is no stranger to what it is to witness. They are verified as
// before.
func (p *Policy) Discount(witness, why string) error {
	for _, w := range p.witnesses {
		if w.Name != witness {
			continue
		}
		if p.discounted == nil {
			p.discounted = map[string]string{}
		}
		p.discounted[witness] = why
		return nil
	}
	return fmt.Errorf("the log policy has no witness %q", witness)
}

// Reachable says whether the quorum can be met by the witnesses that count; it
// can't where none is demanded.
func (p *Policy) Reachable() bool {
	times := make([]time.Time, len(p.witnesses))
	for i, w := range p.witnesses {
		if _, no := p.discounted[w.Name]; !no {
			times[i] = time.Unix(1, 0)
		}
	}
	return p.evaluate(times).ok
}

// Demanded says whether the policy names a quorum.
func (p *Policy) Demanded() bool { return p.quorum != 0 }
