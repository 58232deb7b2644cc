package ceremony

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// A drill puts the keys of a ceremony to work, once the bundle is logged: nodes answer
// devices with the bundle and with these keys, and somebody tries to break what they
// serve. It is a reference and not a vault: its server secrets are in a host's memory.

// PlanDrill asks for a drill and says what it has to show.
type PlanDrill struct {
	Session   string `strict:"session,token"`   // the role by which nodes answer devices and each other
	Agreement string `strict:"agreement,token"` // the role to which the nodes' secrets are sealed
	// Stages are those that must have been run, and have passed, in their order.
	Stages []string `strict:"stages,token"`
}

// The stages of a drill.
const (
	StageSessions   = "sessions"   // each node proves its key and answers with the bundle; what isn't it is refused
	StageLogins     = "logins"     // registered, and recovered with every node as leader
	StageFaults     = "faults"     // leaders killed, sites cut off, the majority lost, slow disks, wrong clocks
	StageLock       = "lock"       // the last guess, and the right code after it
	StageRollback   = "rollback"   // disks of one, two and all nodes set back
	StageSuccession = "succession" // the next epoch, retirement, devices that pin
	StagePasskey    = "passkey"    // a passkey, and the recovery code once it is lost
)

// DrillStages are all stages, in the order in which a drill runs them.
func DrillStages() []string {
	return []string{StageSessions, StageLogins, StageFaults, StageLock, StageRollback, StageSuccession, StagePasskey}
}

// leastDrilled is the smallest fleet of which one HSM can fail.
const leastDrilled = 3

// drilledBy are the algorithms of session keys with which TLS 1.3 works.
var drilledBy = []Algorithm{keys.Ed25519, keys.P256, keys.P384, keys.RSA3072}

func (c *planChecker) drill() {
	d := c.plan.Drill
	if d == nil {
		return
	}
	at := func(key string) int { return c.root.Get("drill").LineOf(key) }
	session, agreement := c.plan.Role(d.Session), c.plan.Role(d.Agreement)
	switch {
	case d.Session == "":
	case session == nil || session.Use != keys.Sign:
		c.failf(at("session"), "name the role whose keys sign; nodes answer devices by it", "drill: session is %q, and the plan has no such role of keys that sign", d.Session)
	case !slices.Contains(drilledBy, session.Algorithm):
		c.failf(at("session"), "use ed25519, ecdsa-p256, ecdsa-p384 or rsa-3072", "drill: the session's keys are of kind %s, with which TLS 1.3 can't answer", session.Algorithm)
	}
	switch {
	case d.Agreement == "":
	case agreement == nil || agreement.Use != keys.Agree:
		c.failf(at("agreement"), "plan a second role: use: agree, algorithm: ecdh-p256; the nodes' secrets are sealed to its keys", "drill: agreement is %q, and the plan has no such role of keys that agree", d.Agreement)
	case agreement.Algorithm != keys.ECDHP256:
		c.failf(at("agreement"), "use ecdh-p256", "drill: the nodes' secrets are sealed to keys of kind %s, not %s", keys.ECDHP256, agreement.Algorithm)
	}
	n := len(c.plan.HSMs)
	if n > 0 && n < leastDrilled {
		c.failf(c.root.LineOf("hsms"), "plan more HSMs, or no drill", "drill: with %d HSMs none may fail; a drill takes at least %d", n, leastDrilled)
	}
	if m := c.plan.Majority; n >= leastDrilled && m > n/2+1 && m <= n {
		c.failf(c.root.LineOf("majority"), "plan that majority, or no drill", "drill: majority %d of %d HSMs; the reference fleet commits as soon as %d agree, so it can't show more", m, n, n/2+1)
	}
	c.drillStages(d)
}

func (c *planChecker) drillStages(d *PlanDrill) {
	at, all, last := c.root.Get("drill").LineOf("stages"), DrillStages(), -1
	for _, name := range d.Stages {
		i := slices.Index(all, name)
		switch {
		case i < 0:
			c.failf(at, "", "drill: there is no stage %q; there are %s", name, strings.Join(all, ", "))
			return
		case i <= last:
			c.failf(at, "name each once, in this order: "+strings.Join(all, ", "), "drill: stage %s stands behind %s", name, all[last])
			return
		case name == StageSuccession && c.plan.Mode == Production:
			c.failf(at, "leave it out; a rehearsal can run it", "drill: stage %s takes a second epoch of the fleet, which a production ceremony doesn't have", name)
		}
		last = i
	}
	if c.root.Get("drill").Get("stages") != nil && !slices.Contains(d.Stages, StageSessions) {
		c.failf(at, "name it first", "drill: stages has no %s, by which the nodes show that the keys are theirs", StageSessions)
	}
}

// Drill is a drill that was run, or why there was none.
type Drill struct {
	Number  int      `strict:"number"` // 1, 2, …
	Outcome string   `strict:"outcome"`
	Report  [32]byte `strict:"report,hex,optional"` // SHA-256 of the file: see DrillFile
	Size    int      `strict:"size,optional"`       // of the file, in bytes
	// Left are the HSMs in which something that the drill put there could not be removed.
	Left []string `strict:"left,token,optional"`
	// The rest is there if there was no drill: two people say so.
	Reason    string `strict:"reason,optional"`
	By        string `strict:"by,optional"`
	Confirmed string `strict:"confirmed,optional"`
}

// The outcomes of a Drill.
const (
	DrillPassed = "passed"
	DrillFailed = "failed" // another one may follow
	DrillNone   = "none"   // people decided to go on without
)

// Limits of drills.
const (
	MaxDrills      = 16
	MaxDrillReport = 1 << 20 // bytes
)

// DrillsDir is the folder of the drills' reports.
const DrillsDir = "drills"

// DrillFile is the path of a drill's report, by the drill's number.
func DrillFile(number int) string { return fmt.Sprintf("%s/%d.json", DrillsDir, number) }

func (c *Drill) form() error {
	if c.Outcome == DrillNone {
		if c.Report != [32]byte{} || c.Size != 0 {
			return fmt.Errorf("its outcome is %s, and it has a report", DrillNone)
		}
		return text("reason", c.Reason, maxSpoken)
	}
	switch {
	case c.Outcome != DrillPassed && c.Outcome != DrillFailed:
		return fmt.Errorf("its outcome %q is none of %s, %s, %s", c.Outcome, DrillPassed, DrillFailed, DrillNone)
	case c.Report == [32]byte{} || c.Size < 1 || c.Size > MaxDrillReport:
		return fmt.Errorf("a drill that was run has a report of 1 to %d bytes, and this one's has %d, with the digest %x…", MaxDrillReport, c.Size, c.Report[:4])
	case c.Reason != "" || c.By != "" || c.Confirmed != "":
		return fmt.Errorf("a drill that was run has neither a reason nor people who say why there was none")
	}
	return nil
}

func (a *Account) takeDrill(c *Drill, r *Record) error {
	if want := len(a.Drills) + 1; c.Number != want {
		return fmt.Errorf("it is numbered %d, the next drill is %d", c.Number, want)
	}
	if c.Number > MaxDrills {
		return fmt.Errorf("a ceremony has at most %d drills", MaxDrills)
	}
	for i, name := range c.Left {
		switch {
		case a.Plan.HSM(name) == nil:
			return fmt.Errorf("it says that something is left in %s, which is no HSM of the plan", name)
		case slices.Contains(c.Left[:i], name):
			return fmt.Errorf("it says twice that something is left in %s", name)
		}
	}
	if c.Left != nil && len(c.Left) == 0 {
		return fmt.Errorf("its list of what is left is empty; then the list is left out")
	}
	for _, o := range a.Drills {
		if c.Outcome != DrillNone && o.Report == c.Report {
			return fmt.Errorf("its report is that of drill %d", o.Number)
		}
	}
	if c.Outcome == DrillNone {
		if err := a.mayType(c.By); err != nil {
			return err
		}
		if err := a.mayType(c.Confirmed); err != nil {
			return err
		}
		if c.By == c.Confirmed && c.By != Machine {
			return fmt.Errorf("%s says that there was no drill and confirms it; another person must confirm it", c.By)
		}
	}
	a.Drills = append(a.Drills, &Drilled{c, r.N, r.Time, a.DrillSince()})
	return nil
}

// DrillSince is the earliest time at which a drill can have begun: when the bundle's proof
// was recorded, or an earlier time to which the clock was set since. It is zero while no
// proof is on the record.
func (a *Account) DrillSince() (since time.Time) {
	if a.LogProof == nil {
		return since
	}
	since = a.LogProofTime
	for _, t := range a.times[a.LogProofN-1:] {
		if t.Before(since) {
			since = t
		}
	}
	return since
}

// Drilled is a drill on the record.
type Drilled struct {
	*Drill
	N     int       // the record's number
	Time  time.Time // when it was recorded
	Since time.Time // see [Account.DrillSince]
}

// Drilled is the drill that passed; nil if none has.
func (a *Account) Drilled() *Drilled {
	for _, d := range a.Drills {
		if d.Outcome == DrillPassed {
			return d
		}
	}
	return nil
}
