package ceremony

import "fmt"

// needs are the facts that must hold in the room before a step. They are what
// the printed script says under "before", and plan check walks the steps with
// them: a plan whose steps stand in an order that nobody could follow is none.
func (p *Plan) needs(s Step) []string {
	switch s.Act {
	case ActIntake:
		return []string{factOpen}
	case ActUnlock:
		return []string{factIntake(s.HSM)}
	case ActGenerate:
		return []string{factUnlocked(s.HSM)}
	case ActFleetCheck:
		var list []string
		for _, h := range p.HSMs {
			for _, r := range p.Roles {
				list = append(list, factKey(h.Name, r.Name))
			}
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
	case ActLockdown:
		return append(p.lockedBefore(s.Item), p.refusable(s)...)
	case ActClose:
		return p.lockedBefore(len(p.Lockdown) + 1)
	}
	return nil
}

// lockedBefore is what precedes an entry of lockdown, or the close.
func (p *Plan) lockedBefore(item int) []string {
	if item == 1 {
		return []string{factLogged}
	}
	return []string{factLockdown(item - 1)}
}

// refusable: a login that is to be refused was one that worked.
func (p *Plan) refusable(s Step) []string {
	if s.HSM == "" {
		return nil
	}
	return []string{factUnlocked(s.HSM)}
}

// gives are the facts that hold once a step is done.
func (p *Plan) gives(s Step) []string {
	switch s.Act {
	case ActOpen:
		return []string{factOpen}
	case ActIntake:
		return []string{factIntake(s.HSM)}
	case ActUnlock:
		return []string{factUnlocked(s.HSM)}
	case ActGenerate:
		return []string{factKey(s.HSM, s.Role)}
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
	factLogged        = "the bundle is in the log"
)

func factIntake(hsm string) string    { return hsm + " is taken in and its seal was read twice" }
func factUnlocked(hsm string) string  { return hsm + " is unlocked and held nothing" }
func factKey(hsm, role string) string { return fmt.Sprintf("%s holds its %s key", hsm, role) }
func factLockdown(item int) string    { return fmt.Sprintf("lock-down %d is on the record", item) }

func (p *Plan) factAnswer(item int) string {
	if len(p.ThirdParties) == 1 {
		return p.ThirdParties[0].Name + " has signed"
	}
	return fmt.Sprintf("answer %d of the %d needed is here", item, p.Answers())
}
