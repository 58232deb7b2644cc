// Package drill runs a reference fleet on a ceremony's keys, tries to break it, and
// writes down what came of it.
//
// Each node is a process of its own, the very program that runs on many machines, and
// each line between them and to the devices is a proxy that the drill can cut. What the
// devices see is held against a model of a guess counter.
package drill

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/fleet/sealed"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
)

// Config is what is drilled, and where.
type Config struct {
	Account    *ceremony.Account // the ceremony, whose keys they are
	BundleFile string
	ProofFile  string
	Bundle     []byte
	Proof      []byte
	Policy     *device.Policy
	PolicyFile string
	Role       string // of the keys that open sessions
	// PostQuantum is the role of the ML-DSA keys that sign sessions too; empty where the
	// bundle has none.
	PostQuantum string
	Sealing     string // of those to which secrets are sealed
	Nodes       []site.Node
	Program     string // this program
	// Open starts an HSM's process. aside is one with an anchor beside the fleet's: of a
	// fleet that has to go wrong.
	Open    func(hsm string, aside bool) (Host, error)
	Version string
	Out     string // a new folder
	Screen  Screen
	Now     func() time.Time
	Logins  int // how many are made under faults, in all
	// Stages are those that are run; none is all of them.
	Stages []string
	// Next is the epoch that follows, of a rehearsal; nil: stage succession isn't run.
	Next *Next
	// Unanchored has stage 5 run on HSMs that keep no anchor, where it has to fail.
	Unanchored bool
}

// LeftOut is the reason of a stage that nobody asked for. The screen is not told of it.
const LeftOut = "it was left out"

// limit is how many guesses an account has in a drill.
const limit = 10

// drill is a drill that runs.
type drill struct {
	*Config
	*notes
	*world
	keys    *bundle.KeySet
	history history
	hosts   []Host
	extra   []string // flags of each node beside the usual
	beside  bool     // this is a fleet beside the one that the drill is about
	devices int
	reigns  map[reign]bool // that were seen
	meter   meter
}

// Run runs a drill. Its report is there even if the drill failed: the error is of what
// kept it from being run at all.
func Run(ctx context.Context, c *Config) (*report.Report, error) {
	b, err := bundle.ParseBundle(c.BundleFile, c.Bundle)
	if err != nil {
		return nil, err
	}
	if err := c.Follows(); err != nil {
		return nil, err
	}
	d := &drill{Config: c, keys: b.KeySet}
	d.notes = &notes{screen: c.Screen, r: &report.Report{
		Format: report.Format, Notice: report.Notice, Mode: b.KeySet.Mode, Fleet: b.KeySet.Fleet, Namespace: b.KeySet.Namespace, Epoch: b.KeySet.Epoch,
		Ceremony: b.KeySet.Ceremony.ID, Bundle: sha256.Sum256(c.Bundle), Proof: sha256.Sum256(c.Proof), Started: c.Now().UTC().Truncate(time.Second),
		Majority: len(c.Nodes)/2 + 1, Faults: []string{}, Tests: []report.Test{}, Histories: []report.History{}, Figures: []report.Figure{},
		Versions: []report.Version{{Name: "fleetctl", Version: c.Version}, {Name: "go", Version: runtime.Version()}},
	}}
	defer func() { d.shut() }()
	if err := d.open(); err != nil {
		return nil, err
	}
	if err := d.prepare(b); err != nil {
		return nil, err
	}
	defer func() { d.close() }()
	if err := d.begin(ctx); err != nil {
		return nil, err
	}
	d.stages(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.close()
	d.anchorsTook()
	d.shut()
	d.ended()
	return d.r, nil
}

// prepare makes the drill's folder, the secrets and the site files.
func (d *drill) prepare(b *bundle.Bundle) error {
	for _, n := range d.Nodes {
		node := report.Node{HSM: n.HSM}
		var err error
		if node.Session, err = d.key(n.HSM, d.Role); err != nil {
			return err
		}
		if node.Agreement, err = d.key(n.HSM, d.Sealing); err != nil {
			return err
		}
		d.r.Nodes = append(d.r.Nodes, node)
	}
	var err error
	if d.world, err = newWorld(d.Program, d.Out, d.Nodes, d.hosts); err != nil {
		return err
	}
	return d.answers(b, d.BundleFile, d.ProofFile, filepath.Join(d.Out, "secrets.json"))
}

// answers draws the secrets of a bundle's fleet, and has nodes that are started from now
// on answer with that bundle.
func (d *drill) answers(b *bundle.Bundle, file, proof, secrets string) error {
	s, err := sealed.New(rand.Reader)
	if err != nil {
		return err
	}
	defer s.Clear()
	sealedTo, err := sealed.Seal(b, d.Sealing, s)
	if err != nil {
		return err
	}
	d.serve = []string{file, "--proof", proof, "--policy", d.PolicyFile, "--role", d.Role, "--sealing", d.Sealing, "--secrets", secrets}
	if d.PostQuantum != "" {
		d.serve = append(d.serve, "--role-pq", d.PostQuantum)
	}
	if d.beside {
		d.serve = append(d.serve, "--beside")
	}
	return durable.Create(secrets, sealedTo, 0o644)
}

// key is a key of the ceremony, as its records have it.
func (d *drill) key(hsm, role string) (report.Key, error) {
	for _, k := range d.Account.Keys {
		if k.HSM == hsm && k.Role == role && k.Outcome != nil {
			return report.Key{ID: k.Intent.ID, SPKI: sha256.Sum256(k.Outcome.PublicKey)}, nil
		}
	}
	return report.Key{}, fmt.Errorf("the ceremony has no key of hsm %s for role %s", hsm, role)
}

// begin makes the nodes, starts them, and waits until all of them vote.
func (d *drill) begin(ctx context.Context) error {
	for i, m := range d.members {
		verb := "join"
		if i == 0 {
			verb = "init"
		}
		if err := d.run(ctx, m, verb); err != nil {
			return err
		}
	}
	if err := d.startAll(ctx, d.flags()...); err != nil {
		return err
	}
	return d.whole(ctx)
}

func (d *drill) flags() []string {
	return append([]string{"--limit", fmt.Sprint(limit), "--election", fmt.Sprintf("%dms", d.election().Milliseconds())}, d.extra...)
}

// election is how long a leader may be silent: on few processors many nodes wait for
// each other.
func (d *drill) election() time.Duration {
	return max(500, time.Duration(len(d.Nodes))*100) * time.Millisecond
}

// stages runs them, one after the other.
func (d *drill) stages(ctx context.Context) {
	all := []func(context.Context) error{d.sessions, d.logins, d.faults, d.lock, d.rollback, d.succession, d.passkey}
	for i, name := range ceremony.DrillStages() {
		if len(d.Stages) > 0 && !slices.Contains(d.Stages, name) {
			d.r.Stages = append(d.r.Stages, report.Stage{Name: name, Outcome: report.NotRun, Reason: LeftOut})
			continue
		}
		d.notes.begin(i+1, len(all), name)
		began := time.Now()
		if ctx.Err() == nil {
			if err := all[i](ctx); err != nil {
				d.tried("stage", "", "the stage is done", err)
			}
		}
		d.stageTook(began)
	}
}

// errAmiss is a check that came out otherwise than it must.
func errAmiss(format string, args ...any) error { return fmt.Errorf(format, args...) }

// ended closes the report.
func (d *drill) ended() {
	h := d.history.judge("devices", limit, time.Minute)
	if h.Operations > 0 {
		d.r.Histories = append(d.r.Histories, h)
	}
	if err := durable.Create(filepath.Join(d.Out, "history.txt"), d.history.file(), 0o644); err != nil {
		d.fault(err.Error())
	}
	d.r.Ended = d.second()
	d.r.Outcome = report.Passed
	for _, f := range d.r.Failures() {
		if !bytes.Contains([]byte(fmt.Sprint(d.r.Faults)), []byte(f)) {
			d.r.Outcome = report.Failed
		}
	}
	if len(d.r.Faults) > 0 {
		d.r.Outcome = report.Failed
	}
}

var errNoLeader = errors.New("the nodes don't agree on who leads")
