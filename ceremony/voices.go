package ceremony

import (
	"fmt"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
)

// held is a key as a plan knows it.
type held struct {
	keys.Holder
	points []keys.Point
}

// holders are all whose keys a plan names. It was parsed, so that each can be
// read.
func (p *Plan) holders() (list []held, err error) {
	add := func(part, name string, points ...keys.Point) {
		list = append(list, held{keys.Holder{Part: part, Name: name}, points})
	}
	for _, x := range p.People {
		k, err := sshsig.ParsePublicKey(x.Key)
		if err != nil {
			return nil, err
		}
		add(keys.PartPerson, x.Name, k.Points()...)
	}
	for _, x := range p.ThirdParties {
		add(keys.PartThirdParty, x.Name, keys.Ed25519Point(x.Key))
	}
	k, err := keys.ParseSPKI(p.Countersigner.Key)
	if err != nil {
		return nil, err
	}
	add(keys.PartOperator, p.Countersigner.Name, k.Point())
	log, err := auditlog.ParsePolicy("log_policy", []byte(p.LogPolicy))
	if err != nil {
		return nil, err
	}
	for _, l := range log.Logs() {
		add(keys.PartLog, l.Key.Name(), l.Key.Point())
	}
	for _, w := range log.Witnesses() {
		add(keys.PartWitness, w.Name, w.Key.Point())
	}
	return list, nil
}

// OneVoice finds where a plan and the keys that a policy pins give one person
// two voices: a key that has one part in the plan and another in the policy; a
// person or third party of two keys, because the plan calls somebody by the name
// under which the policy pins another key. The policy's roster stays as it is.
func (p *Plan) OneVoice(policy *keys.Roster) (faults []string) {
	list, err := p.holders()
	if err != nil {
		return []string{err.Error()}
	}
	for _, h := range list {
		for _, point := range h.points {
			for _, other := range policy.Holders(point) {
				switch {
				case other == h.Holder || policy.Allows(h.Holder, other):
				case other.Part != h.Part:
					faults = append(faults, fmt.Sprintf("%s %q of the plan has the key of %s %q of the policy", h.Part, h.Name, other.Part, other.Name))
				case (h.Part == keys.PartPerson || h.Part == keys.PartThirdParty) && len(policy.Keys(h.Holder)) > 0:
					faults = append(faults, fmt.Sprintf("%s %q of the plan has the key that the policy pins for %q, and the policy pins another for %q: one of them would have two voices", h.Part, h.Name, other.Name, h.Name))
				}
			}
		}
	}
	return faults
}

// Enter puts all whose keys the plan names into a roster, beside those that it
// has. Who is there already under another name stays so: OneVoice says whether
// that matters.
func (p *Plan) Enter(r *keys.Roster) error {
	list, err := p.holders()
	if err != nil {
		return err
	}
	for _, h := range list {
		for _, point := range h.points {
			if len(r.Holders(point)) > 0 {
				continue
			}
			if err := r.Add(h.Holder, point); err != nil {
				return err
			}
		}
	}
	return nil
}
