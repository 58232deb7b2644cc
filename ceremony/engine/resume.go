package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Resume goes on with a ceremony that ended without a word: a crash, a power
// cut, Ctrl-C, a pulled HSM. m officers approve over the last whole record;
// what was torn is kept aside and told of; an intent that was open is settled
// with its token before anything else happens. A ceremony of which a check failed
// is brought to its end instead.
func Resume(ctx context.Context, c Config) (*ceremony.Account, error) {
	j, torn, err := openTorn(c.Dir, c)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	a := j.account
	switch {
	case a.Ended():
		return a, strict.Errorf(c.Dir, "the ceremony has ended with record %d", a.N)
	case a.Open == nil:
		return a, strict.Errorf(c.Dir, "nothing was recorded yet").WithHint("begin anew: remove %s", filepath.Join(c.Dir, ceremony.TranscriptFile))
	case a.Adjourned:
		// Half a record is in the way of whoever reconvenes. Nothing was done that
		// it could tell of: only the reconvening was to be written.
		if err := j.dropTorn(torn); err != nil {
			return a, err
		}
		return a, strict.Errorf(c.Dir, "the ceremony is adjourned, as planned").WithHint("fleetctl ceremony reconvene %s", c.Dir)
	}
	r, err := c.runner(j)
	if err != nil {
		return a, err
	}
	defer r.closeTokens()
	if a.Fault != "" {
		// Nothing is gone on with: what was interrupted is its end.
		if err := j.dropTorn(torn); err != nil {
			return a, err
		}
		s, _ := a.Next()
		return a, r.abort(ctx, s, errors.New(a.Fault), len(torn))
	}
	if err := r.mayJudge(); err != nil {
		return a, err
	}
	if err := j.clockStands(&ceremony.Resume{}); err != nil {
		return a, err
	}
	if err := c.sameProgram(ctx, a); err != nil {
		return a, err // before officers approve it: they see under which program
	}
	if err := j.Approved(ctx, a.Wanted(ceremony.ApproveResume, [32]byte{}), c.Approve); err != nil {
		return a, err
	}
	if err := j.dropTorn(torn); err != nil {
		return a, err
	}
	resume := &ceremony.Resume{Since: a.Time, Torn: len(torn)}
	if len(torn) > 0 {
		resume.Kept = sha256.Sum256(torn)
	}
	if k := a.OpenIntent(); k != nil {
		resume.Intent = k.N
	}
	if is := c.program(); is.Binary != a.Program().Binary {
		resume.Version, resume.Binary = is.Version, is.Binary
	}
	if err := r.record("resumed", resume); err != nil {
		return a, err
	}
	if err := r.settleIntent(ctx); err != nil {
		return a, err
	}
	return a, r.runSteps(ctx)
}

func (c Config) program() ceremony.Program {
	return ceremony.Program{Version: c.Version, Binary: c.Binary}
}

// sameProgram has people agree to another program than the one that the ceremony was
// opened with, or gone on with since.
func (c Config) sameProgram(ctx context.Context, a *ceremony.Account) error {
	was, is := a.Program(), c.program()
	if was.Binary == is.Binary {
		return nil
	}
	if err := c.Participants.OtherProgram(ctx, was, is); err != nil {
		return fmt.Errorf("%w: %w", otherProgram(c.Dir, was, is), err)
	}
	return nil
}

// otherProgram names both.
func otherProgram(dir string, was, is ceremony.Program) *strict.Error {
	return strict.Errorf(dir, "this is fleetctl %s, SHA-256 %x…, and the ceremony was last run by %s, SHA-256 %x…", is.Version, is.Binary[:8], was.Version, was.Binary[:8])
}

// openTorn opens a journal whose last line may be torn.
func openTorn(dir string, c Config) (*Journal, []byte, error) {
	unlock, err := lock(dir)
	if err != nil {
		return nil, nil, err
	}
	account, t, err := folder.ReadTorn(dir)
	if err == nil {
		var f durable.File
		if f, err = durable.OpenFile(filepath.Join(dir, ceremony.TranscriptFile), os.O_WRONLY|os.O_APPEND, 0); err == nil {
			j, err := watched(&Journal{dir: dir, file: f, unlock: unlock, account: account, now: c.Now, random: c.Random})
			return j, t.Torn, err
		}
	}
	unlock()
	return nil, nil, err
}

// dropTorn keeps a torn line aside and cuts it off: the next record says so.
func (j *Journal) dropTorn(torn []byte) error {
	if len(torn) == 0 {
		return nil
	}
	aside := filepath.Join(j.dir, ceremony.PrivateDir, fmt.Sprintf("torn-after-%d-%x", j.account.N, sha256.Sum256(torn)))
	// The name has its digest: the same may be there from an earlier try.
	if err := folder.Temp(j.dir).Replace(aside, torn, 0o600); err != nil {
		return err
	}
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	if err := j.file.Truncate(info.Size() - int64(len(torn))); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	return durable.SyncDir(j.dir)
}

// settleIntent brings an open intent to an end: a key that came of it is destroyed,
// since nobody saw it being checked, and the step begins anew.
func (r *runner) settleIntent(ctx context.Context) error {
	k := r.journal.account.OpenIntent()
	if k == nil {
		return nil
	}
	t, err := r.unlocked(ctx, k.HSM)
	if err != nil {
		return err
	}
	made, err := t.clean(k.Intent.ID)
	switch {
	case err != nil:
		return fmt.Errorf("%s: destroying what came of the open intent: %w", k.HSM, err)
	case made:
		return r.record("the key of the open intent was destroyed", &ceremony.Outcome{Intent: k.N, Result: ceremony.Destroyed, Reason: "interrupted: its checks were not finished"})
	case k.Outcome == nil:
		return r.record("no key came of the open intent", &ceremony.Outcome{Intent: k.N, Result: ceremony.Failed, Reason: "interrupted: the token has no such key"})
	}
	// A resumption that was itself interrupted destroyed it, or the token had
	// not kept it when the power went: SoftHSM never calls fsync.
	return r.record("the key of the open intent is gone", &ceremony.Outcome{Intent: k.N, Result: ceremony.Destroyed, Reason: "interrupted: its token no longer holds it"})
}

// Abort ends a ceremony by hand: every key made so far is destroyed, and the
// record says why. What it can't reach it says too.
func Abort(ctx context.Context, c Config, reason string) (*ceremony.Account, error) {
	j, torn, err := openTorn(c.Dir, c)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	a := j.account
	if a.Ended() || a.Open == nil {
		return a, strict.Errorf(c.Dir, "there is nothing to abort: the ceremony has ended or not begun")
	}
	if a.Request != nil {
		return a, strict.Errorf(c.Dir, "the third parties have been asked: what they signed can't be called back by an abort").
			WithHint("the third party voids the epoch, and a new one follows")
	}
	r, err := c.runner(j)
	if err != nil {
		return a, err
	}
	defer r.closeTokens()
	end := &ceremony.Abort{Reason: reason, Keys: []ceremony.KeyState{}, Torn: len(torn)}
	if c.Wall != nil {
		if err := j.explainClock(ceremony.Exception{
			// Logins are recorded before the end is.
			Expected: "a clock that nobody sets", Happened: "this computer's clock was set", Decided: "to abort, for the reason that the abort gives",
		}, *c.Wall, torn); err != nil {
			return a, err
		}
		torn, end.Torn = nil, 0 // told of there
	}
	if err := j.clockStands(end); err != nil {
		return a, err
	}
	if err := j.dropTorn(torn); err != nil {
		return a, err
	}

	if a.Opened() {
		end.Keys = r.destroyAll(ctx)
	}
	_, err = j.Append(end)
	return a, err
}

// Adjourn interrupts a ceremony as planned; Reconvene, which m officers
// approve, goes on with it.
func (j *Journal) Adjourn(c *ceremony.Adjourn) error {
	_, err := j.Append(c)
	return err
}

// Reconvene: see Adjourn.
func (j *Journal) Reconvene(ctx context.Context, c *ceremony.Reconvene, ask Approver) error {
	if !j.account.Adjourned {
		return strict.Errorf(j.dir, "the ceremony is not adjourned")
	}
	if err := j.account.CheckReconvene(c); err != nil {
		return err // before anybody is asked to approve it
	}
	if err := j.Approved(ctx, j.account.Wanted(ceremony.ApproveReconvene, [32]byte{}), ask); err != nil {
		return err
	}
	_, err := j.Append(c)
	return err
}
