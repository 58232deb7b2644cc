package ceremony

import "fmt"

// Act is what happens in a step.
type Act string

// The acts of a ceremony in the order of its plan.
const (
	ActOpen        Act = "open"
	ActIntake      Act = "intake"
	ActUnlock      Act = "unlock"
	ActGenerate    Act = "generate"
	ActFleetCheck  Act = "fleet check"
	ActRelease     Act = "release"
	ActRequest     Act = "request"
	ActResponse    Act = "response"
	ActCountersign Act = "countersign"
	ActLog         Act = "log"
	ActLockdown    Act = "lock down"
	ActClose       Act = "close"
)

// Step is one act and the records it leaves, in this order. The engine walks
// the steps, a transcript is judged against the same list, and the printed
// script is a rendering of it: see [Plan.Script].
type Step struct {
	Act    Act
	HSM    string
	Role   string
	Item   int // which of the answers needed, or which entry of lockdown, from 1
	Leaves []Kind
}

// generateLeaves are the records of each key: what it was to be, what it
// became, and everything that was done to doubt it.
var generateLeaves = []Kind{KindIntent, KindOutcome, KindAttributes, KindNegativeTest, KindPossession, KindFound, KindChallenge}

// Steps is the plan's order of acts. All HSMs are taken in before the first
// key is generated, so that a wrong HSM stops the ceremony while nothing has
// to be destroyed.
func (p *Plan) Steps() []Step {
	steps := []Step{{Act: ActOpen, Leaves: []Kind{KindOpen, KindReading, KindChallenge}}}
	for _, h := range p.HSMs {
		steps = append(steps, Step{Act: ActIntake, HSM: h.Name, Leaves: []Kind{KindIntake, KindReading}})
	}
	for _, h := range p.HSMs {
		steps = append(steps, Step{Act: ActUnlock, HSM: h.Name, Leaves: []Kind{KindUnlock, KindInventory}})
		for _, r := range p.Roles {
			steps = append(steps, Step{Act: ActGenerate, HSM: h.Name, Role: r.Name, Leaves: generateLeaves})
		}
	}
	steps = append(steps,
		Step{Act: ActFleetCheck, Leaves: []Kind{KindFleetCheck, KindChallenge}},
		Step{Act: ActRelease, Leaves: []Kind{KindChallenge, KindRelease}},
		Step{Act: ActRequest, Leaves: []Kind{KindRequest}})
	for i := range p.Answers() {
		steps = append(steps, Step{Act: ActResponse, Item: i + 1, Leaves: []Kind{KindResponse}})
	}
	steps = append(steps,
		Step{Act: ActCountersign, Leaves: []Kind{KindCountersignature}},
		Step{Act: ActLog, Leaves: []Kind{KindChallenge, KindLogProof}})
	for i, text := range p.Lockdown {
		hsm, _ := loginRefused(text)
		steps = append(steps, Step{Act: ActLockdown, HSM: hsm, Item: i + 1, Leaves: []Kind{KindLockdown}})
	}
	return append(steps, Step{Act: ActClose, Leaves: []Kind{KindClose}})
}

// label says to whoever looks into the token which key this is; a rehearsal's
// key says that it is one.
func (p *Plan) label(s Step) string {
	l := fmt.Sprintf("%s/%d/%s/%s", p.Fleet, p.Epoch, s.HSM, s.Role)
	if p.Mode == Rehearsal {
		l = "REHEARSAL/" + l
	}
	return l
}
