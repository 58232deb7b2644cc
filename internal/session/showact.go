package session

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/words"
)

// ShowAct says in words what a text is about that names it by its hash alone.
func ShowAct(a *cli.App, c *ceremony.Account, w folder.Wish) {
	switch w.Act {
	case "":
	case ceremony.ApproveAbort:
		ShowAbort(a, c)
	case ceremony.ApproveException:
		x := c.Exceptions[w.Exceptions[0]-1]
		record := ""
		if p, err := c.ExceptionApproval(x.Number); err == nil {
			record = RecordWords(p.Head.N, p.Head.Hash)
		}
		rows := [][2]string{{"exception", fmt.Sprint(x.Number)}, {"expected", x.Expected}, {"happened", x.Happened}, {"decided", x.Decided}}
		if len(x.Absent) > 0 {
			rows = append(rows, [2]string{"absent", strings.Join(x.Absent, ", ") + ": they give no verdict"})
		}
		a.UI.Say(a.UI.Talk.Fields(append(rows, [2]string{"its record", record})), "\n")
	default:
		a.UI.Say(a.UI.Talk.Line("The head that it follows: " + RecordWords(c.N, c.Head)))
	}
}

// ShowAbort says what the record is that an abort's signatures are over.
func ShowAbort(a *cli.App, c *ceremony.Account) {
	p := a.UI.Talk
	rows := [][2]string{{"aborted", c.Abort.Reason}, {"record", fmt.Sprintf("%d, %s", c.N, words.Hex(c.Head[:]))}}
	for _, k := range c.Abort.Keys {
		rows = append(rows, [2]string{"key", fmt.Sprintf("%s %s, CKA_ID %x: %s", k.HSM, k.Role, k.ID, k.State)})
	}
	if len(c.Abort.Keys) == 0 {
		rows = append(rows, [2]string{"keys", "none had been made"})
	}
	a.UI.Say(p.Fields(rows), "\n")
}
