package script

import (
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
)

// The commands that people type during a ceremony are written here and nowhere else:
// what a screen says comes next is then what the printed script says. dir is the
// ceremony's folder as it is typed; on paper it is DIR.

const onPaper = "DIR"

// stepCommand is the command for a step of its own, with what is typed after the
// folder; empty for a step of the run. An act of two commands has the one that leaves
// its next record.
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

// Next is what to type where a ceremony stands; empty where it has ended, and while
// it runs.
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
		c += " --log LOG --key KEY" // where the log is not the machine's own
	}
	return c
}

// Continue is what to type to go on with a ceremony at which nobody is at work: what
// comes next, or else how its run is begun, gone on with or, once it is closed,
// packed. Empty where it was aborted, whose next step depends on who signed that.
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

// Pack is what to type once a closed ceremony is signed off.
func Pack(dir string) string { return "fleetctl evidence pack " + dir + " --out evidence.tar" }

// Sign is what each types to sign an act, or to agree to a stage.
func Sign(dir, what string) string {
	switch what {
	case ceremony.StageRelease, ceremony.StageClose:
		return signOff(dir, what, ceremony.Agree)
	}
	return fmt.Sprintf("fleetctl ceremony sign %s --approve %s --key KEY", dir, what)
}

func signOff(dir, stage, verdict string) string {
	return fmt.Sprintf("fleetctl ceremony sign %s --signoff %s --verdict %s --key KEY", dir, stage, verdict)
}

// excuse is what to type of attestations with problems, once it was decided to go on.
func excuse(dir string, open []*ceremony.Attested) string {
	c := "fleetctl ceremony exception " + dir
	for _, o := range open {
		c += fmt.Sprintf(" --attestation %d", o.N)
	}
	return c + " --expected … --happened … --decided …"
}

// nameAbsent is what to type of people who will give no verdict.
func nameAbsent(dir string) string { return "fleetctl ceremony exception " + dir + " --absent NAME" }
