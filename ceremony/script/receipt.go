package script

import (
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/paper"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Ended is a ceremony that was closed or aborted, with what its people signed.
type Ended struct {
	Account *ceremony.Account
	Began   time.Time
	Release map[string]string // verdicts by name
	Close   map[string]string
	Abort   map[string]string // "signed", by name
}

// ReadEnded reads the folder of a ceremony that was closed or aborted.
func ReadEnded(dir string) (*Ended, error) {
	a, t, err := folder.ReadRecords(dir)
	if err != nil {
		return nil, err
	}
	if !a.Ended() {
		s, _ := a.Next()
		return nil, strict.Errorf(dir, "the ceremony has not ended: its next step is %q", s.Act).
			WithHint("a receipt names the last record, which everything before follows from")
	}
	e := &Ended{Account: a, Began: t.Records[0].Time}
	if e.Release, err = folder.ReadVerdicts(dir, a, ceremony.StageRelease); err != nil {
		return nil, err
	}
	if e.Close, err = folder.ReadVerdicts(dir, a, ceremony.StageClose); err != nil {
		return nil, err
	}
	aborted, err := folder.ReadAbortVerdicts(dir, a)
	if err != nil {
		return nil, err
	}
	e.Abort = map[string]string{}
	for _, name := range aborted.Names() {
		e.Abort[name] = "signed"
	}
	return e, nil
}

// Receipt is the sheet that one of the people takes home: the transcript's last hash,
// which no other ending has, what they signed, and how to compare the published evidence
// with it.
func (e *Ended) Receipt(who ceremony.Person) (*paper.Doc, error) {
	a := e.Account
	key, err := sshsig.ParsePublicKey(who.Key)
	if err != nil {
		return nil, err
	}
	what, end := "CLOSE", "closed"
	said := [2]string{"Close", verdict(e.Close, who.Name, a.Close != nil)}
	file, namespace, how := ceremony.SignoffDir(ceremony.StageClose)+"/"+who.Name, ceremony.NamespaceSignoff, "evidence.tar --policy POLICY"
	if a.Abort != nil {
		what, end = "ABORT", "aborted: "+a.Abort.Reason
		said = [2]string{"Abort", verdict(e.Abort, who.Name, true)}
		file, namespace, how = fmt.Sprintf("%s/%s-%d-%s", ceremony.ApprovalsDir, ceremony.ApproveAbort, a.N, who.Name), ceremony.NamespaceSession, "aborted.tar --policy POLICY --expect abort"
	}
	plan := a.Plan.Digest()
	d := &paper.Doc{
		Title: fmt.Sprintf("Receipt · %s · %s", a.Open.Ceremony, who.Name), Mark: strings.ToUpper(a.Plan.Mode),
		Foot: fmt.Sprintf("head %s · %s", paper.Short(a.Head[:]), words.Head(a.Head[:])),
	}
	d.Add(
		paper.Cover{Title: "Receipt for " + who.Name, Lines: []string{
			fmt.Sprintf("Ceremony %s, fleet %s, epoch %d", a.Open.Ceremony, a.Plan.Fleet, a.Plan.Epoch),
		}},
		paper.Digest{Label: fmt.Sprintf("Head of the transcript at its end, record %d. It is the identity of the evidence.", a.N), Sum: a.Head, Code: digestCode(a.Plan.Mode, what, a.Head)},
		paper.Fields{
			{"You", fmt.Sprintf("%s, %s, %s", who.Name, who.Role, key.Fingerprint())},
			{"Release", verdict(e.Release, who.Name, a.Release != nil)},
			said,
			{"From, to", strict.FormatTime(e.Began) + ", " + strict.FormatTime(a.Time)},
			{"Ended", end},
			{"Plan", fmt.Sprintf("%x", plan)},
			{"Key set", artifact(a)},
			{"Exceptions", exceptions(a)},
		},
		paper.Heading("Years later"),
		paper.Para("Keep this sheet apart from the evidence. Whoever shows you evidence of this ceremony with another identity shows you another ending."),
		paper.Fields{
			{"identity", "fleetctl verify " + how + " --format json; by hand: docs/SPEC.md, 6"},
			{"your signature", fmt.Sprintf("ssh-keygen -Y verify -f allowed_signers -I %s -n %s -s %s.sig < %s",
				who.Name, ceremony.SignNamespace(namespace, a.Plan.Mode), file, file)},
			{"allowed_signers", "one line, as follows:"},
		},
		paper.Para(who.Name+" "+key.String()),
		paper.Blanks{"Handed over by", "Time (UTC)"})
	return d, nil
}

func verdict(said map[string]string, name string, reached bool) string {
	switch v := said[name]; {
	case v != "":
		return v
	case reached:
		return "not signed when this was printed"
	}
	return "the ceremony did not come to it"
}

func artifact(a *ceremony.Account) string {
	if a.Release == nil {
		return "none was released"
	}
	return fmt.Sprintf("fleet-keys.json %x", a.Release.Artifact)
}

func exceptions(a *ceremony.Account) string {
	if len(a.Exceptions) == 0 {
		return "none"
	}
	var list []string
	for _, x := range a.Exceptions {
		list = append(list, fmt.Sprintf("%d: %s; decided: %s%s", x.Number, x.Happened, x.Decided, x.AbsentText()))
	}
	return strings.Join(list, ". ")
}
