package ceremony

import (
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/words"
)

// pendingJSON is an act or a stage that too few people have signed.
type pendingJSON struct {
	For       string   `strict:"for"`                // the act or the stage
	Exception int      `strict:"exception,optional"` // which one
	Record    int      `strict:"record,optional"`    // which it is about, or follows
	SignedBy  []string `strict:"signed_by,optional"`
	Officers  int      `strict:"officers"` // who have to sign
	Lacks     string   `strict:"lacks,optional"`
	Command   string   `strict:"command"`
}

// pendingSignatures says whose signatures a ceremony waits for, and how they are given.
func pendingSignatures(dir string, c *ceremony.Account) (list []pendingJSON, rows [][2]string, err error) {
	waits, err := folder.ReadMissing(dir, c)
	if err != nil {
		return nil, nil, cli.Wrong(err)
	}
	for _, w := range waits {
		cmd := script.Sign(words.ShellWord(dir), w.What)
		list = append(list, pendingJSON{For: w.What, Exception: w.Exception, Record: w.Record, SignedBy: w.Have, Officers: w.Want, Lacks: w.Why, Command: cmd})
		rows = append(rows, [2]string{"waits for", pendingText(&w)}, [2]string{"signed with", cmd})
	}
	return list, rows, nil
}

func pendingText(w *folder.Missing) string {
	signed := fmt.Sprintf("%d of %d officers signed", len(w.Have), w.Want)
	switch {
	case w.Exception > 0:
		return w.Error()
	case w.Why != "":
		return w.What + ", to be signed off: " + w.Why
	case w.What == ceremony.ApproveResume:
		return "resume, unless it is running: " + signed
	}
	return w.What + ": " + signed
}
