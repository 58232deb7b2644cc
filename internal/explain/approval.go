package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Meaning says what an officer who approves a plan agrees to: which people, how many of
// them, which keys in which HSMs and where, what is tolerated, who signs the result.
func Meaning(p *ceremony.Plan) [][2]string {
	rows := [][2]string{{"approving", "a ceremony may begin by exactly this plan, once " + enough(p.Threshold, "officer has", "officers have")}}
	for _, part := range []struct{ role, one, many string }{{ceremony.Officer, "officer", "officers"}, {ceremony.Witness, "witness", "witnesses"}, {ceremony.Auditor, "auditor", "auditors"}} {
		var names []string
		for _, x := range p.People {
			if x.Role == part.role && !slices.Contains(names, x.Name) {
				names = append(names, x.Name)
			}
		}
		text := strings.Join(names, ", ")
		if part.role == ceremony.Officer {
			text += fmt.Sprintf("; %d of these %d for the plan, each act and each stage", p.Threshold, len(names))
		} else {
			text += "; each gives a verdict, or is excused by name"
		}
		label := part.many
		if len(names) == 1 {
			label = part.one
		}
		rows = append(rows, [2]string{label, text})
	}
	var keys []string
	for _, r := range p.Roles {
		keys = append(keys, r.Name+" ("+string(r.Algorithm)+")")
	}
	sites := map[string]int{}
	var order []string
	for _, h := range p.HSMs {
		if sites[h.Site]++; sites[h.Site] == 1 {
			order = append(order, h.Site)
		}
	}
	var where []string
	for _, s := range order {
		where = append(where, fmt.Sprintf("%d in %s", sites[s], s))
	}
	rows = append(rows,
		[2]string{"keys", keysMeant(p, strings.Join(keys, ", "))},
		[2]string{"HSMs", fmt.Sprintf("%d: %s; a majority is %d", len(p.HSMs), strings.Join(where, ", "), p.Majority)},
	)
	if p.Destroys == nil {
		rows = append(rows, [2]string{"tolerated", tolerated(p)}, [2]string{"attested", attested(p)})
	}
	var parties []string
	for _, x := range p.ThirdParties {
		parties = append(parties, x.Name)
	}
	signed := [][2]string{
		{"third parties", fmt.Sprintf("%s; %d must sign before the operator", strings.Join(parties, ", "), p.Answers())},
		{"operator", fmt.Sprintf("%s countersigns, %s, form %s", p.Countersigner.Name, p.Countersigner.Algorithm, p.Countersigner.Form)},
	}
	if p.Destroys != nil {
		signed = [][2]string{{"allowed by", fmt.Sprintf("the retirement, epoch %d of %s: %d of %s must have signed it, and %s countersigned it", p.Epoch, p.Namespace, p.Answers(), strings.Join(parties, ", "), p.Countersigner.Name)}}
	}
	rows = append(append(rows, signed...), [2]string{"published", published(p)})
	for i, entry := range p.Lockdown {
		label := ""
		if i == 0 {
			label = "lock-down"
		}
		rows = append(rows, [2]string{label, fmt.Sprintf("%d. %s", i+1, entry)})
	}
	if len(p.Lockdown) == 0 {
		rows = append(rows, [2]string{"lock-down", "none is planned"})
	}
	return rows
}

// keysMeant says what becomes of keys.
func keysMeant(p *ceremony.Plan, each string) string {
	d := p.Destroys
	if d == nil {
		return fmt.Sprintf("%d are generated: in each HSM %s", len(p.HSMs)*len(p.Roles), each)
	}
	return fmt.Sprintf("%d are DESTROYED for good: in each HSM %s, of the key set %x…, retired from %s on. No other object is touched", len(d.Keys), each, d.Artifact[:8], strict.FormatTime(d.Effective))
}

func enough(n int, one, many string) string { return words.Count(int64(n), one, many) }

func tolerated(p *ceremony.Plan) string {
	if list := p.Tolerates(); len(list) > 0 {
		return ceremony.TellTolerated(list) + ": may succeed on a key, if every other attempt is then refused and it is set back"
	}
	return "nothing: an attempt to take a key out that succeeds ends the ceremony"
}

func attested(p *ceremony.Plan) string {
	if !p.Attested() {
		return "no: what the HSMs say of themselves is their own word"
	}
	formats := []string{}
	for _, h := range p.HSMs {
		if !slices.Contains(formats, h.Attestation.Format) {
			formats = append(formats, h.Attestation.Format)
		}
	}
	return "each key, by its device: " + strings.Join(formats, ", ")
}

func published(p *ceremony.Plan) string {
	if p.Destroys != nil {
		return "as the evidence of what was destroyed"
	}
	text := fmt.Sprintf("as epoch %d of %s", p.Epoch, p.Namespace)
	if log, err := auditlog.ParsePolicy("log_policy", []byte(p.LogPolicy)); err == nil {
		var names []string
		for _, l := range log.Logs() {
			names = append(names, l.Key.Name())
		}
		text += ", in the log " + strings.Join(names, " or ")
		if n := len(log.Witnesses()); n > 0 {
			text += ", under the eyes of " + enough(n, "witness", "witnesses")
		}
	}
	return text
}

// HSMTable is a table of the plan's HSMs.
func HSMTable(p *ceremony.Plan) (columns []string, rows [][]string) {
	columns = []string{"HSM", "site", "serial"}
	if p.Attested() {
		columns = append(columns, "attested as")
	}
	for _, h := range p.HSMs {
		row := []string{h.Name, h.Site, h.Serial}
		if h.Attestation != nil {
			row = append(row, h.Attestation.Format+" "+h.Attestation.Identity)
		}
		rows = append(rows, row)
	}
	return columns, rows
}

// acts say what approving each act means, but for a resume.
func acts() map[string]string {
	return map[string]string{
		ceremony.ApproveOpen:        "you let the HSMs be unlocked, and keys be generated in them",
		ceremony.ApproveReconvene:   "you let the ceremony go on after its adjournment, with the seals as they were found",
		ceremony.ApproveException:   "you accept that this went otherwise than planned. It is published, and relaxes nothing that is checked",
		ceremony.ApproveRequest:     "you let the key set leave the room: third parties are asked to sign exactly this one. After that the ceremony can't be aborted",
		ceremony.ApproveCountersign: "you let the operator's HSM sign over what the third parties signed: with that, devices take these keys",
		ceremony.ApproveAbort:       "you say that you saw the ceremony end so, and what became of each key",
	}
}

// ActMeans says what approving an act means where a ceremony stands; empty if there is
// no such act.
func ActMeans(act string, a *ceremony.Account) string {
	if act == ceremony.ApproveOpen && a.Plan.Destroys != nil {
		return "you let the HSMs be unlocked, and the keys that the plan names be destroyed in them, for good"
	}
	if act != ceremony.ApproveResume {
		return acts()[act]
	}
	text := fmt.Sprintf("you let the ceremony go on after record %d. ", a.N)
	if k := a.OpenIntent(); k != nil {
		if a.Plan.Destroys != nil {
			return text + fmt.Sprintf("What the HSM still holds of the key of %s (%s) is found out; if it is there, it shows itself again and is destroyed", k.HSM, k.Role)
		}
		return text + fmt.Sprintf("The key of %s (%s), not confirmed, is destroyed and made anew", k.HSM, k.Role)
	}
	return text + "No key is lost"
}

// SignoffMeans says what a verdict on a stage means.
func SignoffMeans(stage, verdict string, exceptions []int) string {
	what := "this key set is what came of the ceremony as you saw it, and it may go to the third parties"
	if stage == ceremony.StageClose {
		what = "the ceremony ended as its record says, and exactly the files that its last record lists are published"
	}
	switch verdict {
	case ceremony.Agree:
		return "you agree that " + what
	case ceremony.AgreeWithExceptions:
		return fmt.Sprintf("you agree that %s, with exceptions %s in mind, which you name by this", what, strings.Trim(strings.ReplaceAll(fmt.Sprint(exceptions), " ", ", "), "[]"))
	case ceremony.DoNotAgree:
		return "you do NOT agree that " + what + ". That ends it, whatever others signed, and is published with your name"
	}
	return what
}
