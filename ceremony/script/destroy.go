package script

import (
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func scriptRetirement(p *ceremony.Plan, _ ceremony.Step) Instructions {
	return Instructions{
		Title: "Show that the fleet is retired", Minutes: 5, Initial: everyone,
		Do: []Part{
			{Administrator, "Gives the retirement's bundle and that of the keys, each with its proof. The room verifies both under the plan's keys and the policy's."},
			{ceremony.Auditor, "Verifies both on their own laptop: fleetctl verify retirement.json --policy POLICY --expect notice, and retired-bundle.json --expect bundle."},
			{ceremony.Auditor, "Types the three words of the keys' epoch that the room's screen asks for: those of its fleet-keys.json, from their own copy."},
		},
		Say: []Part{
			{Administrator, fmt.Sprintf("The fleet %s is retired by epoch %d. Its keys are destroyed today, and nothing brings them back.", p.Fleet, p.Epoch)},
			{Administrator, "(reads the 32 words of the fleet-keys.json aloud)"},
			{ceremony.Officer, "These are the keys that I mean."},
		},
		Confirm: []Part{{ceremony.Auditor, "The words heard are those of the epoch whose keys are to be destroyed, and no other's."}},
		Leaves:  []string{ceremony.RetirementFile, ceremony.RetiredFile, "the proof of each"},
		Blanks:  []string{"First and last word of fleet-keys.json", "Retired from (UTC)"},
	}
}

func scriptDestroy(p *ceremony.Plan, s ceremony.Step) Instructions {
	shows := "signs a nonce"
	if p.Role(s.Role).Use == keys.Agree {
		shows = "agrees with a peer"
	}
	return Instructions{
		Title: fmt.Sprintf("Destroy the %s key in %s", s.Role, s.HSM), Minutes: 2,
		Do: []Part{
			{Administrator, fmt.Sprintf("Waits. The key under the plan's CKA_ID %s, and so shows that it is the bundle's; then its two halves are destroyed.", shows)},
			{Administrator, "Pulls nothing. If it is interrupted all the same, the same command finds out what the token still holds."},
		},
		Confirm: []Part{{ceremony.Witness, "The screen says that no search finds it, and that its old handle does nothing."}, {ceremony.Auditor, "The CKA_ID on the screen is the plan's."}},
		Blanks:  []string{"Time on the wall (UTC)"},
	}
}

func scriptGone(_ *ceremony.Plan, s ceremony.Step) Instructions {
	return Instructions{
		Title: "Look at " + s.HSM + " again", Minutes: 1,
		Do:      []Part{{Administrator, "Waits while a new process logs in and lists what the token holds."}},
		Say:     []Part{{ceremony.Witness, s.HSM + " holds none of the keys any more."}},
		Confirm: []Part{{ceremony.Witness, "What the token held besides is still there."}},
		Blanks:  []string{"Objects left on the token"},
	}
}
