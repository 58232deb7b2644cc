package evidence

import (
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
)

// oneKeyNext is what to do about a key that two have.
const oneKeyNext = "one key is one person's, and has one part; a policy may take what it names under allows:"

// fleetVoices refuses fleet keys that somebody has whom policy or plan names:
// what an HSM signs, and what they sign, would be one hand's. plan is nil of a
// bundle alone.
func (v *verifier) fleetVoices(file string, set *bundle.KeySet, plan *ceremony.Plan) {
	if set == nil {
		return // a notice brings no keys
	}
	all := &v.policy.roster
	if plan != nil {
		all = all.Clone()
		if err := plan.Enter(all); err != nil {
			v.fault(ceremony.PlanFile, err)
		}
	}
	for _, fault := range set.Voices(all) {
		v.problem(file, oneKeyNext, "%s", fault)
	}
}

// planVoices refuses a plan that calls people otherwise than the policy, so that
// one of them would have two voices, or one key two parts.
func (v *verifier) planVoices(plan *ceremony.Plan) {
	for _, fault := range plan.OneVoice(&v.policy.roster) {
		v.problem(ceremony.PlanFile, oneKeyNext, "%s", fault)
	}
	for _, x := range plan.People {
		for _, y := range v.policy.people {
			if x.Role != y.Role && sameKey(x.Key, y.Key) {
				v.problem(ceremony.PlanFile, "a person has one part, in the plan and in the policy",
					"%s is %s in the plan, and the policy pins that key as %s's, %s: what they signed would count in a part that they did not have", x.Name, x.Role, y.Name, y.Role)
			}
		}
	}
}
