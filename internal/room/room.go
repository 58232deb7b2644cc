// Package room is a whole ceremony in one process, from its opening to its close:
// it walks the plan, waits for whoever has to sign, says who is still missing, and
// asks the people at the terminal one thing at a time.
//
// It decides nothing of a ceremony. Each step is the call of the engine that the
// command of its own makes, so that a ceremony can be begun in a room and ended with
// single commands, or the other way round. Whatever ends the process, the same
// command goes on where the folder says that the ceremony stands.
package room

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// AppendTo appends a ceremony's bundle to the log in a directory and gives its proof.
type AppendTo func(ctx context.Context, a *cli.App, j *engine.Journal, dir, key string) ([]byte, error)

// Room is a ceremony's folder with what its steps need.
type Room struct {
	App     *cli.App
	Config  engine.Config // of the run
	StandIn *session.StandIn
	Site    string // the site file

	Exchange string   // the folder through which signatures and answers come
	Keys     []string // files and folders with people's keys, beside ssh-agent's
	Operator string   // the reference of the operator's key

	OperatorPQ string // of the operator's post-quantum key, where the plan names one

	Predecessor []byte // of the request
	Previous    []bundle.Signed

	// Log appends the bundle to a log and gives the proof; nil where the proof
	// comes through the exchange.
	Log func(ctx context.Context, j *engine.Journal) ([]byte, error)

	watch *watch
	// reconvened says that what goes on was adjourned as planned, and not interrupted.
	reconvened bool
	told       map[[32]byte]bool // files of the exchange that were named as misfits
	seen       map[[32]byte]bool // files of the exchange that were looked at and are nothing that is waited for
}

// Walk takes the ceremony to its end, or to where it waits for somebody who isn't
// here.
func (r *Room) Walk(ctx context.Context) error {
	r.seen, r.told = map[[32]byte]bool{}, map[[32]byte]bool{}
	if err := durable.MkdirAll(r.Exchange, 0o755); err != nil {
		return err
	}
	var err error
	if r.watch, err = newWatch(r.Exchange); err != nil {
		return err
	}
	defer r.watch.close()
	r.Config.Approve = r.approve
	for {
		over, err := r.next(ctx)
		if err != nil {
			err = r.called(ctx, err)
		}
		if err != nil || over {
			return err
		}
	}
}

// next does what comes next, and says whether that was the end.
func (r *Room) next(ctx context.Context) (over bool, err error) {
	a, err := r.account()
	switch {
	case err != nil:
		return false, cli.Wrong(err)
	case a == nil || !a.Opened() && !a.Ended() && !a.Adjourned:
		return false, r.running(ctx, engine.Run)
	case a.Abort != nil:
		return true, nil
	case a.Close != nil:
		return true, r.signedOff(ceremony.StageClose, "")
	case a.Adjourned:
		return false, r.reconvene(ctx)
	}
	_, torn := folder.Read(r.Config.Dir)
	if s, _ := a.Next(); torn != nil || ofRun(s.Act) {
		r.reconvened = a.Reconvened()
		session.NewScreen(r.App).GoesOn(a)
		return false, r.running(ctx, engine.Resume)
	}
	return false, session.WithFolder(r.App, r.Config.Dir, func(j *engine.Journal) error { return r.step(ctx, j) })
}

// account is where the ceremony stands; nil where it has not begun.
func (r *Room) account() (*ceremony.Account, error) {
	path := filepath.Join(r.Config.Dir, ceremony.TranscriptFile)
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil, nil
	}
	a, err := folder.ReadToLastRecord(r.Config.Dir)
	if err == nil && a.Open == nil {
		return nil, nil // a torn first record: the run keeps it aside
	}
	return a, err
}

// ofRun says whether the engine's run does an act.
func ofRun(act ceremony.Act) bool {
	return slices.Contains([]ceremony.Act{
		ceremony.ActOpen, ceremony.ActIntake, ceremony.ActUnlock, ceremony.ActGenerate, ceremony.ActAttest, ceremony.ActFleetCheck,
		ceremony.ActRetirement, ceremony.ActDestroy, ceremony.ActGone,
	}, act)
}

// running has the engine run or resume up to the fleet check. Somebody who calls for
// something within a step is heard: an exception is recorded and the question asked
// again; an adjournment follows once the step is finished.
func (r *Room) running(ctx context.Context, run func(context.Context, engine.Config) (*ceremony.Account, error)) error {
	called := false
	c := r.Config
	session.CallWithin(&c, &session.Within{Raise: r.raise, Adjourn: func() {
		called = true
		r.say("This step is finished first. Then you are asked why and for the seals, and can still take it back.")
	}})
	c.Between = func(j *engine.Journal) error {
		if !called {
			return nil
		}
		called = false
		return r.adjournNow(j)
	}
	_, err := run(ctx, c)
	if called && err == nil {
		return ui.ErrAdjourn
	}
	return err
}
