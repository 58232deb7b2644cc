package auditlog

import (
	"errors"
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

// PostQuantum is the policy with which only witnesses whose keys are post-quantum count
// for the quorum: what dates a signature has to be as strong as the signature. It is an
// error if they can't meet the quorum, or if the policy names none.
func (p *Policy) PostQuantum() (*Policy, error) {
	strong := *p
	strong.postQuantum = true
	switch {
	case !p.Demanded():
		return nil, errors.New("it names no quorum of witnesses, and where post-quantum signatures are required a quorum of witnesses with ML-DSA-44 keys has to date them")
	case !strong.Reachable():
		return nil, errors.New("its quorum can't be met by witnesses whose keys are ML-DSA-44 (type 0x06), and where post-quantum signatures are required no others count")
	}
	return &strong, nil
}

// Classical are the keys of logs and witnesses that aren't post-quantum.
func (p *Policy) Classical() (logs, witnesses []string) {
	for _, l := range p.logs {
		if !l.Key.postQuantum() {
			logs = append(logs, l.Key.name)
		}
	}
	for _, w := range p.witnesses {
		if !w.Key.postQuantum() {
			witnesses = append(witnesses, w.Name)
		}
	}
	return logs, witnesses
}

func (v *Verifier) postQuantum() bool { return v.typ == MLDSA44Cosignature }

// uncounted says why a witness's cosignatures count for no quorum; empty where they do.
func (p *Policy) uncounted(w Witness) string {
	if why, no := p.discounted[w.Name]; no {
		return why
	}
	if p.postQuantum && !w.Key.postQuantum() {
		return "its key is classical, and post-quantum signatures are required"
	}
	return ""
}

// Reachable says whether the witnesses that count can meet the quorum. It is false
// where the policy demands no quorum.
func (p *Policy) Reachable() bool {
	times := make([]time.Time, len(p.witnesses))
	for i, w := range p.witnesses {
		if p.uncounted(w) == "" {
			times[i] = time.Unix(1, 0)
		}
	}
	return p.evaluate(times).ok
}

// Demanded says whether the policy names a quorum.
func (p *Policy) Demanded() bool { return p.quorum != 0 }
