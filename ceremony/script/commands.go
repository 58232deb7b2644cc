package script

import (
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
)

// The commands that people type during a ceremony are written here and nowhere else, so
// that screens and the printed script say the same. dir is the ceremony's folder as it
// is typed; on paper it is DIR. The script is that of the room; the other commands do a
// step each, for scripts and for whoever comes to the machine only to sign.

const onPaper = "DIR"

// Room is the command that takes a ceremony to its close from wherever it stands.
func Room(dir string) string { return "fleetctl ceremony room PLAN --site SITE --dir " + dir }

// Consent is what an officer types after their name, in a room, to approve an act.
func Consent(act string) string { return "approve " + act }

// The words of the room that the printed script names; the room itself has them from here.
const (
	Close     = "close"     // of a stage, once nobody else wants to speak
	exception = "exception" // at any question
	adjourn   = "adjourn"
)

// approves tells officers to approve an act in the room.
func approves(p *ceremony.Plan, act string) Part {
	return Part{ceremony.Officer, fmt.Sprintf("%d officers read what the screen says and approve it: each types their name and \"%s\".", p.Threshold, Consent(act))}
}

// speaks has everybody give a verdict on a stage in the room.
func speaks(p *ceremony.Plan, stage, more string) []Part {
	return []Part{
		{ceremony.Officer, fmt.Sprintf("Each gives a verdict on the %s: name, then \"agree\", \"agree with exceptions\" or \"do not agree\". %d must agree.%s", stage, p.Threshold, more)},
		{ceremony.Witness, "Each gives a verdict in the same way."},
		{ceremony.Auditor, fmt.Sprintf("Each gives a verdict in the same way. Who isn't there is named in an exception before: the word %s.", exception)},
		{Administrator, fmt.Sprintf("Asks each of the plan's people in the room who has not spoken. Once nobody else wants to: the word %s.", Close)},
	}
}

// stepCommand is the command for a step that has its own; empty for a step of the run.
// For an act with two commands it is the one that writes the record leaves.
func stepCommand(s ceremony.Step, leaves ceremony.Kind, dir string) string {
	switch s.Act {
	case ceremony.ActRelease:
		return "fleetctl bundle build " + dir
	case ceremony.ActRequest:
		return "fleetctl bundle request " + dir + " --out request.json"
	case ceremony.ActResponse:
		return "fleetctl bundle import " + dir + " response.json"
	case ceremony.ActCountersign:
		return "fleetctl bundle countersign " + dir + " --key pkcs11:…"
	case ceremony.ActLog:
		if leaves == ceremony.KindChallenge {
			return "fleetctl bundle assemble " + dir
		}
		return "fleetctl log append " + dir
	case ceremony.ActDrill:
		return "fleetctl ceremony drill " + dir + " --report drill/drill.json"
	case ceremony.ActLockdown:
		if s.HSM != "" {
			return "fleetctl ceremony lockdown " + dir + " --site SITE"
		}
		return "fleetctl ceremony lockdown " + dir
	case ceremony.ActClose:
		return "fleetctl ceremony close " + dir
	}
	return ""
}

// Next is the command to type next; empty if the ceremony has ended, or its next step is
// one of the run.
func Next(a *ceremony.Account, dir string) string {
	s, _ := a.Next()
	switch {
	case a.Ended():
		return ""
	case a.Adjourned:
		return "fleetctl ceremony reconvene " + dir + " --seal WHAT=NUMBER"
	}
	if open := a.Unexcused(); s.Act == ceremony.ActRelease && len(open) > 0 {
		return excuse(dir, open)
	}
	c := stepCommand(s, a.NextKind(), dir)
	if a.NextKind() == ceremony.KindLogProof {
		c += " --log LOG --key KEY" // for a log on another machine
	}
	return c
}

// Continue is the command that goes on with a ceremony at which no process is at work:
// Next, or else the one that begins, resumes or, after the close, packs it. Empty for an
// aborted one, whose next command depends on who signed the abort.
func Continue(a *ceremony.Account, dir string) string {
	next := Next(a, dir)
	s, _ := a.Next()
	switch {
	case next != "" || a.Abort != nil:
		return next
	case a.Close != nil:
		return Pack(dir)
	case a.Opened() && s.Act == ceremony.ActAttest:
		return "fleetctl ceremony resume " + dir + " --site SITE --attestations FOLDER"
	case a.Opened():
		return "fleetctl ceremony resume " + dir + " --site SITE"
	}
	return "fleetctl ceremony run PLAN --site SITE --dir " + dir
}

// Pack is the command for a closed ceremony that is signed off.
func Pack(dir string) string { return "fleetctl evidence pack " + dir + " --out evidence.tar" }

// Sign is the command by which each person approves an act, or agrees to a stage.
func Sign(dir, what string) string {
	switch what {
	case ceremony.StageRelease, ceremony.StageClose:
		return fmt.Sprintf("fleetctl ceremony sign %s --signoff %s --verdict %s --key KEY", dir, what, ceremony.Agree)
	}
	return fmt.Sprintf("fleetctl ceremony sign %s --approve %s --key KEY", dir, what)
}

// excuse is the command that records an exception about attestations with problems.
func excuse(dir string, open []*ceremony.Attested) string {
	c := "fleetctl ceremony exception " + dir
	for _, o := range open {
		c += fmt.Sprintf(" --attestation %d", o.N)
	}
	return c + " --expected … --happened … --decided …"
}
