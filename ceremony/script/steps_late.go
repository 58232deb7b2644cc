package script

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
)

// The steps after the fleet check.

func scriptRelease(p *ceremony.Plan, s ceremony.Step) Instructions {
	return Instructions{
		Title: "Release the key set", Minutes: 12, Initial: everyone,
		Do: []Part{
			{Administrator, "Runs " + stepCommand(s, ceremony.KindRelease, onPaper) + ". The digest of fleet-keys.json is on the screen."},
			{ceremony.Auditor, "Types the three words of it that the room's screen asks for, from their own: fleetctl screen, or fleetctl words and the digest."},
			{ceremony.Auditor, "Checks on their own laptop what changed since the last epoch: fleetctl bundle diff."},
			{Administrator, "Reads the exceptions made so far aloud, by number."},
			{ceremony.Officer, fmt.Sprintf("%d officers sign: %s.", p.Threshold, signOff(onPaper, ceremony.StageRelease, "VERDICT"))},
			{ceremony.Witness, "Signs in the same way, each of them."},
			{ceremony.Auditor, "Signs in the same way, each of them. Who isn't there is named in an exception before: " + nameAbsent(onPaper) + "."},
		},
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

func scriptRequest(p *ceremony.Plan, s ceremony.Step) Instructions {
	return Instructions{
		Title: "Ask " + partyNames(p), Minutes: 6, Initial: []string{ceremony.Officer, ceremony.Witness},
		Do: []Part{
			{Administrator, "Runs " + stepCommand(s, ceremony.KindRequest, onPaper) + "."},
			{ceremony.Officer, fmt.Sprintf("%d officers sign the act request: %s.", p.Threshold, Sign(onPaper, ceremony.ApproveRequest))},
			{Administrator, "Runs the command again and carries request.json out, on a medium of the inventory."},
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
			{ceremony.Auditor, "Telephones the third party, who reads the words of the key set aloud before signing."},
			{Administrator, "Runs " + stepCommand(s, ceremony.KindResponse, onPaper) + ". It is verified before it is kept."},
			{Administrator, "If it takes days: fleetctl ceremony adjourn DIR, and reconvene later, with seals."},
		},
		Say:     []Part{{ceremony.Auditor, "(follows the third party's words on the sheet of the release)"}},
		Confirm: []Part{{ceremony.Auditor, "The statement verifies under the key in the plan."}},
		Leaves:  []string{"the third party's statement"},
		Blanks:  []string{"Who was on the telephone, when", "Time in the statement"},
	}
}

func scriptCountersign(p *ceremony.Plan, s ceremony.Step) Instructions {
	return Instructions{
		Title: "Countersign with " + p.Countersigner.Name, Minutes: 6, Initial: []string{ceremony.Officer, ceremony.Witness, ceremony.Auditor},
		Do: []Part{
			{ceremony.Officer, fmt.Sprintf("%d officers sign the act countersign: %s.", p.Threshold, Sign(onPaper, ceremony.ApproveCountersign))},
			{Administrator, "Runs " + stepCommand(s, ceremony.KindCountersignature, onPaper) + "."},
		},
		Say:     []Part{{ceremony.Officer, "I approve exactly the text on the screen."}},
		Confirm: []Part{{ceremony.Auditor, "The text on the screen names this epoch and this digest."}},
		Leaves:  []string{fmt.Sprintf("%d officers' signatures on countersign", p.Threshold)},
		Blanks:  []string{"Time of the countersignature (UTC)"},
	}
}

func scriptLog(_ *ceremony.Plan, s ceremony.Step) Instructions {
	return Instructions{
		Title: "Log the bundle", Minutes: 6,
		Do: []Part{
			{Administrator, "Runs " + stepCommand(s, ceremony.KindChallenge, onPaper) + ". The digest of bundle.json is on the screen."},
			{ceremony.Auditor, "Types the three words of it that the room's screen asks for, from their own: fleetctl screen, or fleetctl words and the digest."},
			{Administrator, "Runs " + stepCommand(s, ceremony.KindLogProof, onPaper) + ", or carries bundle.json to the log and its proof back."},
			{ceremony.Auditor, "Verifies bundle.json and its proof on their own laptop: fleetctl verify bundle.json --policy POLICY."},
		},
		Say:     []Part{{Administrator, "(reads the 32 words of bundle.json aloud)"}},
		Confirm: []Part{{ceremony.Auditor, "The words heard are those on my own screen; the proof verifies under the log's key in the plan."}},
		Leaves:  []string{"bundle.json", "bundle.json.tlog-proof"},
		Blanks:  []string{"First and last word of bundle.json", "Entry of the log"},
	}
}

func scriptLockdown(p *ceremony.Plan, s ceremony.Step) Instructions {
	text := p.Lockdown[s.Item-1]
	if s.HSM != "" {
		return Instructions{
			Title: "Prove that " + s.HSM + " lets nobody in", Minutes: 10,
			Do: []Part{
				{Administrator, fmt.Sprintf("Runs %s. It logs in to %s with its PIN, and waits.", stepCommand(s, ceremony.KindLockdown, onPaper), s.HSM)},
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
			{Administrator, "Runs " + stepCommand(s, ceremony.KindLockdown, onPaper) + "."},
			{ceremony.Witness, "Types what is read off: serials, digests, bag numbers."},
			{ceremony.Auditor, "Reads it off again and types it too."},
		},
		Say:     []Part{{ceremony.Witness, "It is done. I read …"}},
		Confirm: []Part{{ceremony.Auditor, "Both readings are the same."}},
		Blanks:  []string{"What was read off"},
	}
}

func scriptClose(p *ceremony.Plan, s ceremony.Step) Instructions {
	return Instructions{
		Title: "Close", Minutes: 12, Initial: everyone,
		Do: []Part{
			{ceremony.Auditor, "Asks whether every witness and auditor will sign. Who won't be there is named first: " + nameAbsent(onPaper) + "."},
			{Administrator, "Runs " + stepCommand(s, ceremony.KindClose, onPaper) + ". The last record lists every file's digest."},
			{ceremony.Auditor, "Copies the folder to their own laptop and runs fleetctl verify there. The close sign-offs are what it still lacks."},
			{ceremony.Officer, fmt.Sprintf("%d officers sign: %s.", p.Threshold, signOff(onPaper, ceremony.StageClose, "VERDICT"))},
			{ceremony.Witness, "Signs in the same way, each of them."},
			{ceremony.Auditor, "Signs in the same way, each of them."},
			{Administrator, "Runs fleetctl ceremony receipt DIR --out receipts, and hands one to each."},
			{Administrator, "When everyone has signed: " + Pack(onPaper) + ", and fleetctl log append evidence.tar."},
		},
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
