//go:build unix

package publish

import (
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/witness"
)

// Short is the error that a proof couldn't be made, because too few witnesses
// have cosigned the log's newest checkpoint. Nothing is lost: the entry is in the
// log, and the cosignatures that came are kept.
type Short struct {
	Origin      string
	Index, Size uint64     // of the entry; of the checkpoint's tree
	Cosigned    []Cosigner // the policy's witnesses that have cosigned it
	Missing     []Cosigner // the others
	Fork        error      // an answer that says that this log has two histories, or went back
	Renewal     bool       // newer cosignatures were asked for, and none came
}

// Cosigner is a witness of the policy: when it cosigned, or why it didn't.
type Cosigner struct {
	Name string
	Time time.Time
	Err  error // nil also if it was not asked
}

func (s *Short) Error() string {
	what := "logged, not yet witnessed"
	if s.Renewal {
		what = "no newer cosignature"
	}
	msg := fmt.Sprintf("%s: entry %d, %d of %d witnesses cosigned the checkpoint of size %d", what, s.Index, len(s.Cosigned), len(s.Cosigned)+len(s.Missing), s.Size)
	if len(s.Missing) > 0 {
		var names []string
		for _, c := range s.Missing {
			names = append(names, c.Name)
		}
		msg += ", missing " + strings.Join(names, ", ")
	}
	return msg
}

func (e *Entry) short(p *auditlog.Policy, c *auditlog.Checkpoint, answers []witness.Answer, renewal bool) error {
	cosigning, err := p.VerifyCheckpoint(c)
	if err != nil {
		return err
	}
	s := &Short{Origin: c.Origin, Index: e.Index, Size: c.Size, Fork: witness.Alarming(answers), Renewal: renewal}
	for _, w := range cosigning.Witnesses {
		s.Cosigned = append(s.Cosigned, Cosigner{Name: w.Name, Time: w.Time})
	}
	for _, name := range cosigning.Missing {
		m := Cosigner{Name: name}
		for _, a := range answers {
			if a.Name == name {
				m.Err = a.Err
			}
		}
		s.Missing = append(s.Missing, m)
	}
	return s
}
