package engine

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Run takes a ceremony from its first record to the fleet check. As long as no HSM was
// unlocked, an interrupted ceremony goes on with Run, after that with Resume. If a check
// fails, Run destroys every key generated so far and aborts the ceremony; after any
// other error the ceremony can go on.
func Run(ctx context.Context, c Config) (*ceremony.Account, error) {
	j, err := c.begin()
	if err != nil {
		return nil, err
	}
	defer j.Close()
	r, err := c.runner(j)
	if err != nil {
		return j.account, err
	}
	defer r.closeTokens()
	if err := r.mayJudge(); err != nil {
		return j.account, err
	}
	if err := j.planApproved(); err != nil {
		return j.account, err
	}
	if r.plan.Destroys != nil && j.account.Retirement == nil {
		if err := r.mayDestroy(); err != nil {
			return j.account, err // before people are asked for anything
		}
	}
	return j.account, r.runSteps(ctx)
}

// begin makes the ceremony's folder, or opens one whose ceremony has unlocked no HSM yet.
func (c Config) begin() (*Journal, error) {
	if _, err := durable.Stat(filepath.Join(c.Dir, ceremony.TranscriptFile)); err != nil {
		j, err := Create(c.Dir, c.Plan, c.program(), c.Now, c.Random)
		if err != nil {
			return nil, err
		}
		return c.approved(j)
	}
	if err := c.dropFirst(); err != nil {
		return nil, err
	}
	j, err := openJournal(c.Dir, c.program(), c.Now, c.Random)
	if err != nil {
		return nil, err
	}
	if j.account.Plan.Digest() != c.Plan.Digest() {
		j.Close()
		return nil, strict.Errorf(c.Dir, "is the folder of another plan's ceremony").WithHint("a ceremony has a folder of its own")
	}
	if j.account.Opened() || j.account.Ended() {
		j.Close()
		return nil, strict.Errorf(c.Dir, "a ceremony has begun in this folder").
			WithHint("see where it stands, then go on:\nfleetctl ceremony status %s\nfleetctl ceremony resume %s --site SITE", c.Dir, c.Dir)
	}
	if err := j.sameProgram(nil); err != nil {
		j.Close()
		return nil, err
	}
	return c.approved(j)
}

// approved stores the officers' approvals of the plan in the ceremony's folder.
func (c Config) approved(j *Journal) (*Journal, error) {
	if err := j.keepPlanApprovals(c.PlanApprovals); err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

// dropFirst drops a torn first record, before which nothing was done, so that the
// ceremony can begin again in its folder.
func (c Config) dropFirst() error {
	j, torn, err := openTorn(c.Dir, c)
	if err != nil {
		return err
	}
	defer j.Close()
	if j.account.N > 0 {
		return nil
	}
	return j.dropTorn(torn)
}

func (c Config) runner(j *Journal) (*runner, error) {
	site, err := c.Site(j.account.Plan)
	if err != nil {
		return nil, err
	}
	r := &runner{Config: c, plan: j.account.Plan, site: site, journal: j, reached: map[string]*openToken{}}
	r.Participants, r.Tokens = raising{c.Participants, r}, pins{c.Tokens, r}
	return r, nil
}

type runner struct {
	Config
	plan    *ceremony.Plan
	site    *Site
	journal *Journal
	reached map[string]*openToken
	without *ceremony.Exception // the claims that people go on without; nil once recorded
}

// runSteps does the steps up to the fleet check; where keys are destroyed, up to the last
// look at the tokens.
func (r *runner) runSteps(ctx context.Context) error {
	a := r.journal.account
	if err := r.foresee(ctx); err != nil {
		return err
	}
	for {
		s, ok := a.Next()
		if !ok || s.Act == ceremony.ActRelease || s.Act == ceremony.ActLockdown || s.Act == ceremony.ActClose {
			return nil
		}
		if s.Act != ceremony.ActOpen {
			if err := r.recordForeseen(); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped before %s: %w", s.String(), ctx.Err())
		}
		if r.Between != nil {
			if err := r.Between(r.journal); err != nil {
				return err
			}
		}
		r.Observer.Step(r.plan, a.StepNumber(), len(a.Steps), s)
		if err := r.do(ctx, s); err != nil {
			// If the journal can't be written, don't abort: keys would be destroyed without
			// a record.
			if a.Fault != "" && r.journal.broken == nil {
				return r.abort(ctx, s, err, 0)
			}
			return err
		}
	}
}

func (r *runner) do(ctx context.Context, s ceremony.Step) error {
	switch s.Act {
	case ceremony.ActOpen:
		return r.open(ctx)
	case ceremony.ActIntake:
		return r.intake(ctx, s)
	case ceremony.ActUnlock:
		return r.recordInventory(ctx, s)
	case ceremony.ActGenerate:
		return r.generate(ctx, s)
	case ceremony.ActAttest:
		return r.attest(ctx, s)
	case ceremony.ActFleetCheck:
		return r.fleetCheck(ctx)
	case ceremony.ActRetirement:
		return r.retirement(ctx)
	case ceremony.ActDestroy:
		return r.destroyKey(ctx, s)
	case ceremony.ActGone:
		return r.lookAgain(ctx, s)
	}
	return fmt.Errorf("the engine has no act %q", s.Act)
}

// record appends a record and tells the observer. If the record shows that a check
// failed, it returns that as the error; the record is written nevertheless.
func (r *runner) record(done string, content any) error {
	before := r.journal.account.Fault
	rec, err := r.journal.Append(content)
	if err != nil {
		return err
	}
	// After a failed check there are further records, such as logins to destroy keys.
	// They don't fail.
	if fault := r.journal.account.Fault; fault != before {
		return fmt.Errorf("%s", fault)
	}
	if slept := r.journal.watch.slept(r.Now()); slept > 0 {
		done += fmt.Sprintf("; before that this computer slept for %s", strict.FormatDuration(slept.Round(time.Second)))
	}
	if done != "" {
		r.Observer.Done(done, rec)
	}
	return nil
}

// abort ends the ceremony after a failed check, unless a key could not be destroyed:
// then Resume tries again, or people abort.
func (r *runner) abort(ctx context.Context, s ceremony.Step, cause error, torn int) error {
	if err := r.journal.clockStands(&ceremony.Abort{}); err != nil {
		return fmt.Errorf("%w; nothing was destroyed, since %w", cause, err)
	}
	keys := r.destroyAll(ctx)
	for _, k := range keys {
		if k.State != ceremony.Destroyed && k.State != ceremony.Absent {
			return fmt.Errorf("%w; the key of %s %s is %s: resume ends the ceremony once its HSM can be reached again, abort at once", cause, k.HSM, k.Role, k.State)
		}
	}
	if _, err := r.journal.Append(&ceremony.Abort{Reason: s.String() + ": " + r.reason(cause), Keys: keys, Torn: torn}); err != nil {
		return fmt.Errorf("%w (and the abort could not be recorded: %v)", cause, err)
	}
	return fmt.Errorf("%w; the ceremony is aborted, record %d says so", cause, r.journal.account.N)
}

func (r *runner) open(ctx context.Context) error {
	a, p := r.journal.account, r.plan
	if a.Open == nil {
		random := make([]byte, ceremony.CeremonyIDRandom)
		if _, err := io.ReadFull(r.Random, random); err != nil {
			return err
		}
		chosen, by, err := r.Participants.Words(ctx)
		if err != nil {
			return err
		}
		err = r.record("opened", &ceremony.Open{
			Ceremony: ceremony.CeremonyID(p, r.Now(), random),
			Mode:     p.Mode, Fleet: p.Fleet, Namespace: p.Namespace, Epoch: p.Epoch,
			Version: r.Version, Binary: r.Binary, Words: chosen, ChosenBy: by,
		})
		if err != nil {
			return err
		}
	}
	if a.NextKind() == ceremony.KindReading {
		wall, by, err := r.Participants.Clock(ctx, r.Now)
		if err != nil {
			return err
		}
		if err := r.record("clock read", &ceremony.Reading{What: ceremony.ReadClock, Value: strict.FormatTime(wall), By: by}); err != nil {
			return err
		}
	}
	return r.challenge(ctx, "the plan's digest was read aloud and confirmed")
}

func (r *runner) fleetCheck(ctx context.Context) error {
	a := r.journal.account
	if a.FleetCheck == nil {
		if err := r.checkInventories(ctx); err != nil {
			return err
		}
		if err := r.record("fleet check passed: every HSM, every check", a.Matrix()); err != nil {
			return err
		}
	}
	return r.challenge(ctx, "the matrix was read aloud and confirmed")
}

// checkInventories demands that every token still holds its keys and nothing else. If one
// doesn't, it was emptied, or swapped for another with the same serial. Perhaps only the
// wrong device is in the slot, so no key is destroyed.
func (r *runner) checkInventories(ctx context.Context) error {
	for _, h := range r.plan.HSMs {
		t, err := r.unlocked(ctx, h.Name)
		if err != nil {
			return err
		}
		objects, err := t.Objects()
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		if err := r.journal.account.JudgeInventory(h.Name, objectsOf(objects)); err != nil {
			return fmt.Errorf("%s: the token is not as the ceremony left it: %w: find the one that was checked, or abort", h.Name, err)
		}
	}
	return nil
}
