package explain

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// DrillStage says what a stage of a drill tries.
func DrillStage(name string) string {
	return map[string]string{
		ceremony.StageSessions: "every node proves its key and answers with the bundle; what isn't it is refused", ceremony.StageLogins: "right and wrong codes, with every node as the leader",
		ceremony.StageFaults: "leaders killed, a site cut off, the majority lost, a slow disk, clocks apart", ceremony.StageLock: "the last guess, and the right code after it",
		ceremony.StageRollback: "disks put back from copies, and an HSM that hangs", ceremony.StageSuccession: "the next epoch, its retirement, devices that pin keys",
		ceremony.StagePasskey: "a passkey, and the recovery code once it is lost",
	}[name]
}

// Drill explains the report of a drill.
func Drill(file string, data []byte, s *Shown) error {
	r, err := report.Parse(file, data)
	if err != nil {
		return err
	}
	s.Mode, s.Next = r.Mode, "fleetctl ceremony drill CEREMONY --report FILE, or fleetctl verify, of the package that has it"
	s.Fact("notice", r.Notice)
	s.Fact("outcome", r.Outcome)
	s.Fact("fleet", fmt.Sprintf("%s, epoch %d of %s", r.Fleet, r.Epoch, r.Namespace))
	s.Fact("ceremony", r.Ceremony)
	s.Fact("bundle", fmt.Sprintf("%x", r.Bundle))
	s.Fact("ran", strict.FormatTime(r.Started)+" to "+strict.FormatTime(r.Ended))
	n := r.Counts
	s.Fact("guesses", fmt.Sprintf("%d sent: %d answered, %d without an answer, %d counted; %d logins", n.Attempts, n.Acknowledged, n.Ambiguous, n.Consumed, n.Logins))
	for _, why := range r.Failures() {
		s.Fact("failed", why)
	}
	if x := r.Next; x != nil {
		s.Fact("next", fmt.Sprintf("epoch %d of ceremony %s, artifact %x, after %x; retired by a notice whose bundle is %x", x.Epoch, x.Ceremony, x.Artifact, x.Previous, x.Retirement))
	}
	if left := r.Left(); len(left) > 0 {
		s.Fact("left in", strings.Join(left, ", "))
	}
	t := s.Table("stages", "stage", "outcome", "why")
	for _, x := range r.Stages {
		t.Row(x.Name, x.Outcome, x.Reason)
	}
	t = s.Table("nodes", "HSM", "session key", "guesses", "led")
	for _, x := range r.Nodes {
		t.Row(x.HSM, fmt.Sprintf("%x…", x.Session.SPKI[:8]), fmt.Sprint(x.Attempts), fmt.Sprint(x.Led))
	}
	t = s.Table("tests", "stage", "test", "node", "runs", "failed")
	for _, x := range r.Tests {
		t.Row(x.Stage, x.Name, x.Node, fmt.Sprint(x.Runs), fmt.Sprint(x.Failed))
	}
	t = s.Table("figures", "figure", "value", "measured")
	for _, x := range r.Figures {
		what, amount := x.Words()
		t.Row(what, amount, fmt.Sprint(x.Samples))
	}
	return nil
}
