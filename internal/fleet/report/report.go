// Package report has the report of a drill, drill.json: what was done with a fleet's keys
// to see them work and to break what they serve, and what came of it. It reads and
// writes the file, judges it by itself, and holds it against the ceremony that it is
// about. It runs nothing: whoever verifies reads a report through it.
//
// A report is the word of whoever ran the drill. What can be checked is that it is about
// this fleet, all of it, that it is whole, and that it doesn't contradict itself. That the
// drill was run as it says is for people to attest, who were there.
package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Format is what a report says that it is.
const Format = "fleetctl drill v1"

// Notice stands in every report.
const Notice = "a reference, not a vault: the server secrets were in the hosts' memory, and only accounts named drill. were served"

// Limits of a report, beside [ceremony.MaxDrillReport] for its size.
const (
	maxNodes     = 128
	maxTests     = 1024
	maxHistories = 256
	maxFigures   = 256
	maxVersions  = 64
	maxFaults    = 64
	maxText      = 500 // bytes
	// maxLength is the longest drill.
	maxLength = 48 * time.Hour
)

// Report is what a drill leaves.
type Report struct {
	Format    string    `strict:"format"`
	Notice    string    `strict:"notice"`
	Mode      string    `strict:"mode"`
	Fleet     string    `strict:"fleet,token"`
	Namespace string    `strict:"namespace,token"`
	Epoch     uint64    `strict:"epoch"`
	Ceremony  string    `strict:"ceremony,token"`
	Bundle    [32]byte  `strict:"bundle,hex"` // SHA-256 of bundle.json
	Proof     [32]byte  `strict:"proof,hex"`  // SHA-256 of bundle.json.tlog-proof
	Started   time.Time `strict:"started"`
	Ended     time.Time `strict:"ended"`
	Majority  int       `strict:"majority"` // with which the nodes committed
	Outcome   string    `strict:"outcome"`  // passed or failed
	// Faults say in words why a drill failed; there are none in one that passed.
	Faults    []string  `strict:"faults"`
	Versions  []Version `strict:"versions"` // of the program and of what it is built on
	Nodes     []Node    `strict:"nodes"`    // one for each HSM, in the plan's order
	Stages    []Stage   `strict:"stages"`   // all, in their order
	Tests     []Test    `strict:"tests"`
	Counts    Counts    `strict:"counts"`
	Histories []History `strict:"histories"`
	Anchors   []Anchor  `strict:"anchors"` // one for each HSM, in the plan's order
	Figures   []Figure  `strict:"figures"`
	// Next is the epoch that went live in stage succession; absent where none did.
	Next *Next `strict:"next,optional"`
}

// The values of Report.Outcome and of Stage.Outcome.
const (
	Passed = ceremony.DrillPassed
	Failed = ceremony.DrillFailed
	NotRun = "not-run" // a stage alone
)

// Version is that of a program or of a module in it.
type Version struct {
	Name    string `strict:"name"`
	Version string `strict:"version"`
}

// Node is what one HSM's node did.
type Node struct {
	HSM       string   `strict:"hsm,token"`
	Session   Key      `strict:"session"`
	Agreement Key      `strict:"agreement"`
	Proof     *Session `strict:"proof,optional"` // absent: it answered no device
	// The guesses that devices sent to this node: those that it answered, and those of
	// which no answer came. The others were known not to be counted.
	Attempts     int `strict:"attempts"`
	Acknowledged int `strict:"acknowledged"`
	Ambiguous    int `strict:"ambiguous"`
	Led          int `strict:"led"` // terms in which it was seen to lead
}

// Key is a key of the ceremony that a node used.
type Key struct {
	ID   []byte   `strict:"cka_id,hex"`
	SPKI [32]byte `strict:"spki,hex"` // SHA-256 of the SubjectPublicKeyInfo
}

// Session is what a node answered a device that pins the plan's parties, and what the
// device held it to before it sent anything.
type Session struct {
	Bundle   [32]byte `strict:"bundle,hex"` // SHA-256 of the bundle that it answered with
	Proof    [32]byte `strict:"proof,hex"`  // of the proof beside it
	Peer     [32]byte `strict:"peer,hex"`   // SHA-256 of the SubjectPublicKeyInfo that it proved in TLS
	Protocol string   `strict:"protocol"`   // the ALPN protocol
	Group    string   `strict:"group"`      // of the key exchange
	Verdict  string   `strict:"verdict"`    // of the device's check
}

// What a Session must say.
const (
	Protocol = "fleetctl-drill/1"
	Accepted = "accepted"
)

// Stage is one of a drill's stages: see [ceremony.DrillStages].
type Stage struct {
	Name    string `strict:"name,token"`
	Outcome string `strict:"outcome"`         // passed, failed or not-run
	Reason  string `strict:"reason,optional"` // why it failed or was not run
}

// Test is something that was tried, often something that must be refused or survived.
// Node names the HSM that it was tried on, where it was tried on one.
type Test struct {
	Stage  string `strict:"stage,token"`
	Name   string `strict:"name,token"`
	Node   string `strict:"node,token,optional"`
	Runs   int    `strict:"runs"`
	Failed int    `strict:"failed"` // of the runs, those that didn't end as they must
}

// Counts are sums over all nodes. An attempt that was sent to several nodes counts once.
type Counts struct {
	Logins       int `strict:"logins"`   // those that gave the key back
	Attempts     int `strict:"attempts"` // guesses sent
	Acknowledged int `strict:"acknowledged"`
	Ambiguous    int `strict:"ambiguous"` // guesses of which no answer came
	Consumed     int `strict:"consumed"`  // guesses that the nodes counted
	Leaders      int `strict:"leaders"`   // the sum of what the nodes led
	// What must never happen.
	ReleasedAfterLock int `strict:"released_after_lock"` // keys
	WithoutMajority   int `strict:"without_majority"`    // guesses answered or spent
}

// History is what devices saw, held against the model of a guess counter.
type History struct {
	Name       string   `strict:"name,token"`
	Operations int      `strict:"operations"`
	SHA256     [32]byte `strict:"sha256,hex"` // of the history's file, which is in no package
	Result     string   `strict:"result"`
}

// The values of History.Result.
const (
	Linearizable    = "linearizable"
	NotLinearizable = "not-linearizable"
	Undecided       = "undecided" // within the time that it was given
)

// Anchor is the object by which an HSM tells a disk that was set back.
type Anchor struct {
	HSM     string    `strict:"hsm,token"`
	Where   string    `strict:"where"` // as its keeper calls it; none
	Created time.Time `strict:"created,optional"`
	Removed time.Time `strict:"removed,optional"`
	Reason  string    `strict:"reason,optional"` // why there is none, or why it was left
}

// NoAnchor is the Where of an HSM without an anchor.
const NoAnchor = "none"

// Left are the HSMs in which an anchor was left.
func (r *Report) Left() (list []string) {
	for _, a := range r.Anchors {
		if a.left() {
			list = append(list, a.HSM)
		}
	}
	return list
}

func (a *Anchor) left() bool { return a.Where != NoAnchor && a.Removed.IsZero() }

// Stage finds a stage by its name; nil if the report has none.
func (r *Report) Stage(name string) *Stage {
	i := slices.IndexFunc(r.Stages, func(s Stage) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Stages[i]
}

// Parse reads a report and demands that it is whole and does not contradict itself.
func Parse(file string, data []byte) (*Report, error) {
	r := &Report{}
	if err := strict.DecodeJSON(file, data, ceremony.MaxDrillReport, r); err != nil {
		return nil, err
	}
	if r.Format != Format {
		return nil, strict.Errorf(file, "format is %q, not %q", strict.Clip(r.Format), Format)
	}
	if string(strict.EncodeJSON(r)) != string(data) {
		return nil, strict.Errorf(file, "is not written in the one form that there is")
	}
	if err := r.check(file); err != nil {
		return nil, err
	}
	return r, nil
}

// Encode is the file. A report that Parse would refuse has none.
func (r *Report) Encode() ([]byte, error) {
	data := strict.EncodeJSON(r)
	if _, err := Parse("drill.json", data); err != nil {
		return nil, fmt.Errorf("the report of this drill can't be written: %w", err)
	}
	return data, nil
}
