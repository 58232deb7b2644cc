package script

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// Administrator is the person at the machine that runs the ceremony. The plan doesn't
// name this person: nothing that counts is signed or typed by them alone.
const Administrator = "administrator"

// Instructions say what the people in the room do in a step. Screens, the printed script
// and the worksheet take their words from here.
type Instructions struct {
	Title   string
	Minutes int      // an estimate for people who have rehearsed it once
	Before  []string // facts that must hold before the step: see ceremony.Plan.Needs
	Do      []Part   // who does what, in order
	Say     []Part   // what is said aloud
	Confirm []Part   // who confirms, and how
	Leaves  []string // records, signatures and files that are there afterwards
	Blanks  []string // fields of the worksheet that are filled in by hand
	Initial []string // the roles that write their initials
}

// Part is one role's part in a step.
type Part struct{ Who, Text string }

// everyone are the roles that write their initials where all must have seen a step.
var everyone = []string{ceremony.Officer, ceremony.Witness, ceremony.Auditor, Administrator}

// InstructionsFor are the instructions for one of the plan's steps.
func InstructionsFor(p *ceremony.Plan, s ceremony.Step) Instructions {
	t := scripts()[s.Act](p, s)
	t.Before = p.Needs(s)
	if s.Act == ceremony.ActOpen {
		t.Before = []string{fmt.Sprintf("%d officers have approved exactly this plan", p.Threshold)}
	}
	var kinds []string
	for _, k := range s.Leaves {
		kinds = append(kinds, string(k))
	}
	what := "records "
	if len(kinds) == 1 {
		what = "record "
	}
	t.Leaves = append([]string{what + strings.Join(kinds, ", ")}, t.Leaves...)
	if t.Initial == nil {
		t.Initial = []string{ceremony.Witness, ceremony.Auditor}
	}
	return t
}

// Minutes estimates how long the whole ceremony takes, and when each step begins.
func Minutes(p *ceremony.Plan) (total int, before []int) {
	for _, s := range p.Steps() {
		before = append(before, total)
		total += InstructionsFor(p, s).Minutes
	}
	return total, before
}

func scripts() map[ceremony.Act]func(p *ceremony.Plan, s ceremony.Step) Instructions {
	return map[ceremony.Act]func(p *ceremony.Plan, s ceremony.Step) Instructions{
		ceremony.ActOpen:        scriptOpen,
		ceremony.ActIntake:      scriptIntake,
		ceremony.ActUnlock:      scriptUnlock,
		ceremony.ActGenerate:    scriptGenerate,
		ceremony.ActAttest:      scriptAttest,
		ceremony.ActFleetCheck:  scriptFleetCheck,
		ceremony.ActRelease:     scriptRelease,
		ceremony.ActRequest:     scriptRequest,
		ceremony.ActResponse:    scriptResponse,
		ceremony.ActCountersign: scriptCountersign,
		ceremony.ActLog:         scriptLog,
		ceremony.ActDrill:       scriptDrill,
		ceremony.ActRetirement:  scriptRetirement,
		ceremony.ActDestroy:     scriptDestroy,
		ceremony.ActGone:        scriptGone,
		ceremony.ActLockdown:    scriptLockdown,
		ceremony.ActClose:       scriptClose,
	}
}

func scriptOpen(p *ceremony.Plan, _ ceremony.Step) Instructions {
	return Instructions{
		Title: "Open the ceremony", Minutes: 8, Initial: everyone,
		Do: []Part{
			{Administrator, "Calls the roll: each says name and role, and shows the key's fingerprint against the page of people."},
			{ceremony.Auditor, "Runs sha256sum on the plan on their own laptop and compares it with the title page, all 64 characters."},
			{Administrator, "Starts the room with this plan, its site file and the policy: " + Room(onPaper) + " --policy POLICY. It goes through every step; whatever ends it, the same command goes on."},
			{ceremony.Witness, "Types three words of their own choosing, just now."},
			{ceremony.Witness, "Reads the clock on the wall and types it, in UTC."},
			{ceremony.Auditor, "Starts fleetctl screen on their own laptop, with their own copy of the plan, whose words it shows; then types the three words that the room's screen asks for."},
		},
		Say: []Part{
			{Administrator, fmt.Sprintf("This is a %s. It follows plan %s, epoch %d of %s.", map[string]string{ceremony.Rehearsal: "rehearsal", ceremony.Production: "production ceremony"}[p.Mode], p.Fleet, p.Epoch, p.Namespace)},
			{ceremony.Auditor, "I have the same plan."},
			{Administrator, "(reads the 32 words of the plan aloud, from the screen)"},
		},
		Confirm: []Part{{ceremony.Officer, "Each hears the words and follows them on their own title page."}, {ceremony.Auditor, "The program's digest on the screen is that of my own copy of the release."}},
		Blanks:  []string{"Place and date", "Three words of the witness", "Clock on the wall (UTC)", "Head words at the foot of the screen"},
	}
}

func scriptIntake(p *ceremony.Plan, s ceremony.Step) Instructions {
	h := p.HSM(s.HSM)
	return Instructions{
		Title: "Take in " + s.HSM, Minutes: 3,
		Do: []Part{
			{Administrator, fmt.Sprintf("Brings %s (site %s) and connects it. Serial on the plan: %s.", s.HSM, h.Site, h.Serial)},
			{ceremony.Witness, "Reads the number on its seal and types it."},
			{ceremony.Auditor, "Reads the seal again, from the device, and types it too."},
		},
		Say:     []Part{{ceremony.Witness, "The seal of " + s.HSM + " is whole. Its number is …"}},
		Confirm: []Part{{ceremony.Auditor, "The serial on the screen is the plan's; both seal numbers are the same."}},
		Blanks:  []string{"Seal number", "Model and firmware on the screen"},
	}
}

func scriptUnlock(p *ceremony.Plan, s ceremony.Step) Instructions {
	t := Instructions{
		Title: "Unlock " + s.HSM, Minutes: 2, Initial: []string{ceremony.Officer, ceremony.Witness},
		Do: []Part{
			{ceremony.Officer, "Enters the PIN unseen, at the device or at the terminal. A wrong PIN is tried once; the next try has to be asked for in words."},
			{Administrator, "Waits for the inventory: the token must be empty."},
		},
		Confirm: []Part{{ceremony.Witness, "The screen says that the token is empty."}},
		Blanks:  []string{"Officer who entered the PIN"},
	}
	if p.Destroys != nil {
		t.Do[1].Text = "Waits for the inventory: what the token holds is listed, so that the end shows what was taken away."
		t.Confirm[0].Text = "The screen says how many objects the token holds."
	}
	if s.HSM == p.HSMs[0].Name {
		// The threshold of officers approve the first login.
		t.Minutes += 4
		t.Do = append([]Part{approves(p, ceremony.ApproveOpen)}, t.Do...)
		t.Say = []Part{{ceremony.Officer, "I approve that the HSMs are unlocked."}}
		t.Leaves = []string{fmt.Sprintf("%d officers' signatures on open", p.Threshold)}
	}
	return t
}

func scriptGenerate(p *ceremony.Plan, s ceremony.Step) Instructions {
	t := Instructions{
		Title: fmt.Sprintf("Generate the %s key in %s", s.Role, s.HSM), Minutes: 3,
		Do: []Part{
			{Administrator, fmt.Sprintf("Watches: %s key made inside, attributes read back, attempts to take it out refused, possession proven, found again.", p.Role(s.Role).Algorithm)},
			{ceremony.Auditor, "Has the key's words shown on their own laptop: by fleetctl screen, from the code that the word qr shows here or from the page, or by fleetctl words and the digest."},
			{ceremony.Auditor, "Types the three words that the screen asks for, from their own screen."},
		},
		Say:     []Part{{Administrator, "(reads the 32 words of the key aloud)"}},
		Confirm: []Part{{ceremony.Auditor, "The words heard are those on my own screen."}},
		Blanks:  []string{"First and last word of the key", "Tries"},
	}
	if p.Role(s.Role).Use == keys.Agree {
		t.Do = append(t.Do[:1:1], append([]Part{
			{ceremony.Auditor, fmt.Sprintf("Draws a challenge on their own laptop, whose screen nobody else sees: the word peer on fleetctl screen, or fleetctl ceremony agreement challenge KEPT --algorithm %s. Has its code or picture read here.", p.Role(s.Role).Algorithm)},
			{ceremony.Auditor, "Once the answer is on the record: the word open on fleetctl screen, or fleetctl ceremony agreement open KEPT and the answer. Has the scalar read here, and not before."},
		}, t.Do[1:]...)...)
	}
	if list := p.HSM(s.HSM).Tolerates; len(list) > 0 {
		t.Say = append([]Part{{Administrator, fmt.Sprintf("In %s the plan tolerates %s. If so, the other attempts are made again, none may succeed, and the key is set back.", s.HSM, strings.Join(list, ", "))}}, t.Say...)
	}
	return t
}

func scriptAttest(p *ceremony.Plan, s ceremony.Step) Instructions {
	name, key, d := s.HSM, "its "+s.Role+" key", p.Countersigner.Attestation
	if s.HSM == "" {
		name, key = "the countersigner's HSM", "the key of "+p.Countersigner.Name
	} else {
		d = p.HSM(s.HSM).Attestation
	}
	return Instructions{
		Title: fmt.Sprintf("Have %s attest %s", name, key), Minutes: 3,
		Do: []Part{
			{Administrator, fmt.Sprintf("Where fleetctl can ask the device, waits. Else runs the vendor's tool with the nonce on the screen, packs what it gave with fleetctl attestation pack --device %s, and types the file's name.", d.Format)},
			{Administrator, "If the screen names problems, asks the officers whether to go on: the release then waits for an exception about this record."},
		},
		Say:     []Part{{ceremony.Witness, "The identity on the screen is the plan's."}},
		Confirm: []Part{{ceremony.Witness, "The device's identity on the screen is the one on the page of HSMs and devices."}, {ceremony.Auditor, "The screen says what level it has, under which anchor, and names no problem."}},
		Leaves:  []string{"the evidence, in " + ceremony.AttestationsDir},
		Blanks:  []string{"Level and anchor on the screen", "Problems"},
	}
}

func scriptFleetCheck(p *ceremony.Plan, _ ceremony.Step) Instructions {
	return Instructions{
		Title: "Check the fleet", Minutes: 5, Initial: everyone,
		Do: []Part{
			{Administrator, fmt.Sprintf("Shows the matrix of %d HSMs. Every cell says pass; one that doesn't ends the ceremony.", len(p.HSMs))},
			{ceremony.Auditor, "Types the three words of the matrix that the screen asks for, from their own screen."},
		},
		Say:     []Part{{Administrator, "(reads the 32 words of the matrix aloud)"}},
		Confirm: []Part{{ceremony.Witness, "Every cell says pass."}, {ceremony.Auditor, "The words heard are those on my own screen."}},
		Blanks:  []string{"First and last word of the matrix"},
	}
}
