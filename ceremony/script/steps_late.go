package script

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
)

// The steps after the fleet check.

func scriptRelease(p *ceremony.Plan, _ ceremony.Step) Instructions {
	return Instructions{
		Title: "Release the key set", Minutes: 12, Initial: everyone,
		Do: append([]Part{
			{ceremony.Auditor, "Types the three words of fleet-keys.json that the room's screen asks for, from their own: fleetctl screen, or fleetctl words and the digest."},
			{ceremony.Auditor, "Checks on their own laptop what changed since the last epoch: fleetctl bundle diff."},
			{Administrator, "Reads the exceptions made so far aloud, by number. Each that officers have not accepted, they accept first: name, then \"" + Consent(ceremony.ApproveException) + "\"."},
		}, speaks(p, ceremony.StageRelease, " An officer who approves the request too adds \"and "+Consent(ceremony.ApproveRequest)+"\".")...),
		Say: []Part{
			{Administrator, "(reads the 32 words of fleet-keys.json aloud)"},
			{Administrator, "Who does not agree, say so now."},
			{ceremony.Officer, "I agree. / I agree with exceptions … / I do not agree."},
		},
		Confirm: []Part{{ceremony.Witness, "Everyone who signed was in the room."}, {ceremony.Auditor, "The digest on the screen is that of my copy."}},
		Leaves:  []string{"fleet-keys.json", fmt.Sprintf("sign-offs of %d officers, a witness and an auditor; one \"do not agree\" ends here", p.Threshold)},
		Blanks:  []string{"First and last word of fleet-keys.json", "Exceptions so far, by number"},
	}
}

func scriptRequest(p *ceremony.Plan, _ ceremony.Step) Instructions {
	return Instructions{
		Title: "Ask " + partyNames(p), Minutes: 6, Initial: []string{ceremony.Officer, ceremony.Witness},
		Do: []Part{
			approves(p, ceremony.ApproveRequest),
			{Administrator, "Carries request.json out of the exchange folder, on a medium of the inventory."},
		},
		Say:     []Part{{ceremony.Officer, "I approve that exactly this request goes out."}},
		Confirm: []Part{{ceremony.Witness, "Nothing but request.json is on the medium."}},
		Leaves:  []string{"request-core.json", fmt.Sprintf("%d officers' signatures on request", p.Threshold)},
		Blanks:  []string{"Medium and its seal", "First and last word of the request"},
	}
}

func scriptResponse(p *ceremony.Plan, s ceremony.Step) Instructions {
	title := fmt.Sprintf("Take in answer %d of %d", s.Item, p.Answers())
	if p.Answers() < len(p.ThirdParties) {
		title = fmt.Sprintf("Take in answer %d of the %d needed of %d", s.Item, p.Answers(), len(p.ThirdParties))
	}
	if len(p.ThirdParties) == 1 {
		title = "Take in the answer of " + p.ThirdParties[0].Name
	}
	return Instructions{
		Title: title, Minutes: 20,
		Do: []Part{
			{ceremony.Auditor, "Is telephoned by the third party before it signs, at a number that it had before, and reads it the 32 words of the key set from their own screen. The third party follows them on its own."},
			{Administrator, "Puts the answer into the exchange folder. The room verifies it before it keeps it, and goes on."},
			{Administrator, fmt.Sprintf("If it takes days: the word %s, with seals; the same command reconvenes later.", adjourn)},
		},
		Say:     []Part{{ceremony.Auditor, "(reads the 32 words of the key set aloud to the third party, from their own screen)"}},
		Confirm: []Part{{ceremony.Auditor, "The statement verifies under the key in the plan."}},
		Leaves:  []string{"the third party's statement"},
		Blanks:  []string{"Who was on the telephone, when", "Time in the statement"},
	}
}

func scriptCountersign(p *ceremony.Plan, _ ceremony.Step) Instructions {
	return Instructions{
		Title: "Countersign with " + p.Countersigner.Name, Minutes: 6, Initial: []string{ceremony.Officer, ceremony.Witness, ceremony.Auditor},
		Do: []Part{
			approves(p, ceremony.ApproveCountersign),
			{ceremony.Officer, "Enters the PIN of the operator's HSM unseen."},
		},
		Say:     []Part{{ceremony.Officer, "I approve exactly the text on the screen."}},
		Confirm: []Part{{ceremony.Auditor, "The text on the screen names this epoch and this digest."}},
		Leaves:  []string{fmt.Sprintf("%d officers' signatures on countersign", p.Threshold)},
		Blanks:  []string{"Time of the countersignature (UTC)"},
	}
}

func scriptLog(*ceremony.Plan, ceremony.Step) Instructions {
	return Instructions{
		Title: "Log the bundle", Minutes: 6,
		Do: []Part{
			{ceremony.Auditor, "Types the three words of bundle.json that the room's screen asks for, from their own: fleetctl screen, or fleetctl words and the digest."},
			{Administrator, "Waits while the room logs it, or carries bundle.json to the log and its proof back into the exchange folder."},
			{ceremony.Auditor, "Verifies bundle.json and its proof on their own laptop: fleetctl verify bundle.json --policy POLICY."},
		},
		Say:     []Part{{Administrator, "(reads the 32 words of bundle.json aloud)"}},
		Confirm: []Part{{ceremony.Auditor, "The words heard are those on my own screen; the proof verifies under the log's key in the plan."}},
		Leaves:  []string{"bundle.json", "bundle.json.tlog-proof"},
		Blanks:  []string{"First and last word of bundle.json", "Entry of the log"},
	}
}

func scriptDrill(p *ceremony.Plan, _ ceremony.Step) Instructions {
	return Instructions{
		Title: "Drill the fleet", Minutes: 30, Initial: everyone,
		Do: []Part{
			{Administrator, fmt.Sprintf("Has the drill run with the %d HSMs, unlocked as they are. It serves accounts for tests alone; what it opens lies in this computer's memory.", len(p.HSMs))},
			{ceremony.Officer, "Enters each PIN that it asks for, unseen."},
			{ceremony.Witness, "Watches every stage until it is over, and reads its result aloud."},
			{Administrator, "Gives the room the drill's report, drill.json. If it failed, lets it run again, or has witness and auditor type why they go on without."},
		},
		Say:     []Part{{Administrator, "This is a reference, not a vault. The stages that must pass are " + strings.Join(p.Drill.Stages, ", ") + "."}},
		Confirm: []Part{{ceremony.Witness, "I saw the drill run, and its result is the one on the screen."}, {ceremony.Auditor, "I saw it too. Nothing of it is left in an HSM, or the screen names where."}},
		Leaves:  []string{"the report, in " + ceremony.DrillsDir},
		Blanks:  []string{"Result of the drill", "Stages that were not run", "HSMs in which something is left"},
	}
}

func scriptLockdown(p *ceremony.Plan, s ceremony.Step) Instructions {
	text := p.Lockdown[s.Item-1]
	if s.HSM != "" {
		return Instructions{
			Title: "Prove that " + s.HSM + " lets nobody in", Minutes: 10,
			Do: []Part{
				{ceremony.Officer, fmt.Sprintf("Enters the PIN of %s unseen. The room logs in with it, and waits.", s.HSM)},
				{Administrator, fmt.Sprintf("Locks %s down as its vendor's manual says. Nobody stops fleetctl.", s.HSM)},
				{ceremony.Witness, "Types that it is locked down; fleetctl tries the same PIN again."},
				{ceremony.Auditor, "Types it too."},
			},
			Say:     []Part{{ceremony.Witness, s.HSM + " refuses the login."}},
			Confirm: []Part{{ceremony.Witness, "The screen shows the code of the refusal."}, {ceremony.Auditor, "I saw it too."}},
			Blanks:  []string{"Code of the refusal"},
		}
	}
	return Instructions{
		Title: fmt.Sprintf("Lock down, %d of %d", s.Item, len(p.Lockdown)), Minutes: 10, Initial: everyone,
		Do: []Part{
			{Administrator, strings.TrimRight(text, ".") + "."},
			{ceremony.Witness, "Types what is read off: serials, digests, bag numbers."},
			{ceremony.Auditor, "Reads it off again and types it too."},
		},
		Say:     []Part{{ceremony.Witness, "It is done. I read …"}},
		Confirm: []Part{{ceremony.Auditor, "Both readings are the same."}},
		Blanks:  []string{"What was read off"},
	}
}

func scriptClose(p *ceremony.Plan, _ ceremony.Step) Instructions {
	return Instructions{
		Title: "Close", Minutes: 12, Initial: everyone,
		Do: slices.Concat([]Part{
			{ceremony.Auditor, fmt.Sprintf("Asks, before the last step ends, whether every witness and auditor will give a verdict. Who won't be there is named first: the word %s.", exception)},
			{Administrator, "Waits while the room closes it. The last record lists every file's digest."},
			{ceremony.Auditor, "Copies the folder to their own laptop and runs fleetctl verify there. The verdicts on the close are what it still lacks."},
		}, speaks(p, ceremony.StageClose, ""), []Part{
			{Administrator, "Runs fleetctl ceremony receipt DIR --out receipts, and hands one to each."},
			{Administrator, "When everyone has signed: " + Pack(onPaper) + ", and fleetctl log append evidence.tar."},
		}),
		Say: []Part{
			{Administrator, "(reads the 32 words of the close head aloud)"},
			{ceremony.Officer, "I agree. / I agree with exceptions … / I do not agree."},
		},
		Confirm: []Part{{ceremony.Auditor, "The identity on the screen is that of my copy."}},
		Leaves:  []string{"index.html", fmt.Sprintf("sign-offs of %d officers, a witness and an auditor", p.Threshold), "a receipt for each"},
		Blanks:  []string{"First and last word of the close head", "Clock on the wall (UTC)"},
	}
}

func partyNames(p *ceremony.Plan) string {
	var list []string
	for _, t := range p.ThirdParties {
		list = append(list, t.Name)
	}
	return strings.Join(list, ", ")
}
