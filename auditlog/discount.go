package auditlog

import (
	"fmt"
	"time"
)

// Discount makes a witness's cosignatures count for no quorum; reports give the
// reason why. It is for a witness that isn't independent of what it witnesses.
// Its cosignatures are still verified.
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

// Discounted are the witnesses that count for no quorum, in the policy's order,
// each with the reason.
func (p *Policy) Discounted() (list []string) {
	for _, w := range p.witnesses {
		if why, no := p.discounted[w.Name]; no {
			list = append(list, w.Name+": "+why)
		}
	}
	return list
}

// Reachable says whether the witnesses that count can meet the quorum. It is false
// where the policy demands no quorum.
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
