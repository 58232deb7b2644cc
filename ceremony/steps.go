package ceremony

import (
	"fmt"
	"strconv"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// Act is what happens in a step.
type Act string

// The acts of a ceremony in the order of its plan; retirement, destroy and look again
// are those of a plan that destroys keys.
const (
	ActOpen        Act = "open"
	ActIntake      Act = "intake"
	ActUnlock      Act = "unlock"
	ActGenerate    Act = "generate"
	ActAttest      Act = "attest"
	ActFleetCheck  Act = "fleet check"
	ActRelease     Act = "release"
	ActRequest     Act = "request"
	ActResponse    Act = "response"
	ActCountersign Act = "countersign"
	ActLog         Act = "log"
	ActDrill       Act = "drill"
	ActRetirement  Act = "retirement"
	ActDestroy     Act = "destroy"
	ActGone        Act = "look again"
	ActLockdown    Act = "lock down"
	ActClose       Act = "close"
)

// Step is one act and the kinds of record that it writes, in order. The engine follows
// the list of steps, a verifier checks a transcript against the same list, and the
// printed script is made from it.
type Step struct {
	Act    Act
	HSM    string
	Role   string
	Item   int // number of the answer or of the entry of lockdown, from 1
	Leaves []Kind
}

// generateLeaves are the records of each key, by its use: what was intended, what the
// token made, and the checks of it.
var generateLeaves = map[keys.Use][]Kind{
	keys.Sign: {KindIntent, KindOutcome, KindAttributes, KindNegativeTest, KindPossession, KindFound, KindChallenge},
	keys.Agree: {
		KindIntent, KindOutcome, KindAttributes, KindNegativeTest,
		KindAgreementPeer, KindPossession, KindAgreementOpened, KindFound, KindChallenge,
	},
}

// Steps are the plan's acts in order. All HSMs are taken in before the first key is
// generated, so that a wrong HSM stops the ceremony before there is a key to destroy.
func (p *Plan) Steps() []Step {
	if p.Destroys != nil {
		return p.destroySteps()
	}
	steps := []Step{{Act: ActOpen, Leaves: []Kind{KindOpen, KindReading, KindChallenge}}}
	for _, h := range p.HSMs {
		steps = append(steps, Step{Act: ActIntake, HSM: h.Name, Leaves: []Kind{KindIntake, KindReading}})
	}
	for _, h := range p.HSMs {
		steps = append(steps, Step{Act: ActUnlock, HSM: h.Name, Leaves: []Kind{KindUnlock, KindInventory}})
		for _, r := range p.Roles {
			steps = append(steps, Step{Act: ActGenerate, HSM: h.Name, Role: r.Name, Leaves: generateLeaves[r.Use]})
		}
	}
	steps = append(steps, p.attestSteps()...)
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
	if p.Drill != nil {
		steps = append(steps, Step{Act: ActDrill, Leaves: []Kind{KindDrill}})
	}
	return append(steps, p.lastSteps()...)
}

// lastSteps are the entries of lockdown and the close.
func (p *Plan) lastSteps() (steps []Step) {
	for i, text := range p.Lockdown {
		hsm, _ := loginRefused(text)
		steps = append(steps, Step{Act: ActLockdown, HSM: hsm, Item: i + 1, Leaves: []Kind{KindLockdown}})
	}
	return append(steps, Step{Act: ActClose, Leaves: []Kind{KindClose}})
}

// Label is the CKA_LABEL of a step's key. It tells people who look at the token which
// key this is, and whether a rehearsal made it.
func (p *Plan) Label(s Step) string {
	l := p.Fleet + "/" + strconv.FormatUint(p.Epoch, 10) + "/" + s.HSM + "/" + s.Role
	if p.Mode == Rehearsal {
		l = "REHEARSAL/" + l
	}
	return l
}

// Needs are the facts that must hold before a step. The printed script has them under
// "before", and ParsePlan refuses a plan in which a step comes before its facts hold.
func (p *Plan) Needs(s Step) []string {
	switch s.Act {
	case ActRetirement:
		return []string{factOpen}
	case ActIntake:
		if p.Destroys != nil {
			return []string{factRetired}
		}
		return []string{factOpen}
	case ActUnlock:
		return []string{factIntake(s.HSM)}
	case ActGenerate, ActDestroy:
		return []string{p.factUnlocked(s.HSM)}
	case ActGone:
		var list []string
		for _, r := range p.Roles {
			list = append(list, factDestroyed(s.HSM, r.Name))
		}
		return list
	case ActAttest:
		if s.HSM == "" {
			return []string{factOpen}
		}
		return []string{factKey(s.HSM, s.Role)}
	case ActFleetCheck:
		var list []string
		for _, h := range p.HSMs {
			for _, r := range p.Roles {
				list = append(list, factKey(h.Name, r.Name))
			}
		}
		for _, s := range p.attestSteps() {
			list = append(list, p.gives(s)...)
		}
		return list
	case ActRelease:
		return []string{factChecked}
	case ActRequest:
		return []string{factReleased}
	case ActResponse:
		return []string{factAsked}
	case ActCountersign:
		var list []string
		for i := range p.Answers() {
			list = append(list, p.factAnswer(i+1))
		}
		return list
	case ActLog:
		return []string{factCountersigned}
	case ActDrill:
		return []string{factLogged}
	case ActLockdown:
		return append(p.lockedBefore(s.Item), p.refusable(s)...)
	case ActClose:
		return p.lockedBefore(len(p.Lockdown) + 1)
	}
	return nil
}

// lockedBefore is the fact before an entry of lockdown, or before the close.
func (p *Plan) lockedBefore(item int) []string {
	switch {
	case item > 1:
		return []string{factLockdown(item - 1)}
	case p.Drill != nil:
		return []string{factDrilled}
	case p.Destroys != nil:
		var list []string
		for _, h := range p.HSMs {
			list = append(list, factGone(h.Name))
		}
		return list
	}
	return []string{factLogged}
}

// refusable is the fact before a login that is to be refused: an earlier one worked.
func (p *Plan) refusable(s Step) []string {
	if s.HSM == "" {
		return nil
	}
	return []string{p.factUnlocked(s.HSM)}
}

// gives are the facts that hold after a step.
func (p *Plan) gives(s Step) []string {
	switch s.Act {
	case ActOpen:
		return []string{factOpen}
	case ActIntake:
		return []string{factIntake(s.HSM)}
	case ActUnlock:
		return []string{p.factUnlocked(s.HSM)}
	case ActRetirement:
		return []string{factRetired}
	case ActDestroy:
		return []string{factDestroyed(s.HSM, s.Role)}
	case ActGone:
		return []string{factGone(s.HSM)}
	case ActGenerate:
		return []string{factKey(s.HSM, s.Role)}
	case ActAttest:
		if s.HSM == "" {
			return []string{factCountersigner}
		}
		return []string{factAttested(s.HSM, s.Role)}
	case ActFleetCheck:
		return []string{factChecked}
	case ActRelease:
		return []string{factReleased}
	case ActRequest:
		return []string{factAsked}
	case ActResponse:
		return []string{p.factAnswer(s.Item)}
	case ActCountersign:
		return []string{factCountersigned}
	case ActLog:
		return []string{factLogged}
	case ActDrill:
		return []string{factDrilled}
	case ActLockdown:
		return []string{factLockdown(s.Item)}
	}
	return nil
}

const (
	factOpen          = "the ceremony is open and the clock was read"
	factChecked       = "the fleet check has passed and was read aloud"
	factReleased      = "the release is signed off"
	factAsked         = "the request is approved and out"
	factCountersigned = "the operator has countersigned"
	factCountersigner = "the countersigner's HSM has attested its key"
	factLogged        = "the bundle is in the log"
	factDrilled       = "the fleet was drilled, or why it was not is on the record"
	factRetired       = "the fleet's retirement is signed, logged and in force"
)

func factIntake(hsm string) string { return hsm + " is taken in and its seal was read twice" }

func (p *Plan) factUnlocked(hsm string) string {
	if p.Destroys != nil {
		return hsm + " is unlocked and what it holds is listed"
	}
	return hsm + " is unlocked and held nothing"
}

func factDestroyed(hsm, role string) string { return hsm + " holds its " + role + " key no more" }

func factGone(hsm string) string { return "a new process finds no key of " + hsm + " any more" }

func factKey(hsm, role string) string { return hsm + " holds its " + role + " key" }

func factAttested(hsm, role string) string {
	return fmt.Sprintf("%s has attested its %s key", hsm, role)
}

func factLockdown(item int) string { return fmt.Sprintf("lock-down %d is on the record", item) }

func (p *Plan) factAnswer(item int) string {
	if len(p.ThirdParties) == 1 {
		return p.ThirdParties[0].Name + " has signed"
	}
	return fmt.Sprintf("answer %d of the %d needed is here", item, p.Answers())
}

// Title is the step's name on screens and in the printed script.
func (s Step) Title() string {
	title := string(s.Act)
	if s.Act == ActAttest && s.HSM == "" {
		title += " · countersigner"
	}
	if s.HSM != "" {
		title += " · " + s.HSM
	}
	if s.Role != "" {
		title += " · " + s.Role
	}
	if s.Item > 0 {
		title += fmt.Sprintf(" · %d", s.Item)
	}
	return title
}
