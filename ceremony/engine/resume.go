package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Resume goes on with a ceremony that was interrupted: by a crash, a power cut, Ctrl-C or
// an HSM that was pulled. The threshold of officers approve that over the last whole
// record. A torn line is kept in the private folder, and the resume record says so. If
// an intent was open, whatever key came of it is destroyed first. If a check had failed,
// Resume aborts the ceremony instead.
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
		// Drop half a record, so that the ceremony can be reconvened. It can only have been
		// the reconvene record, before which nothing was done.
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
		// The abort was interrupted: finish it.
		if err := c.agreeToProgram(ctx, a); err != nil {
			return a, err
		}
		if err := j.dropTorn(torn); err != nil {
			return a, err
		}
		if err := c.endUnder(j); err != nil {
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
	if err := c.agreeToProgram(ctx, a); err != nil {
		return a, err // before officers approve: they must know which program goes on
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

// OtherProgram is the error of another program than the one that ran the ceremony last.
// Nothing was recorded.
type OtherProgram struct {
	Was, Is ceremony.Program
	err     *strict.Error
}

func (e *OtherProgram) Error() string { return e.err.Error() }
func (e *OtherProgram) Unwrap() error { return e.err }

// otherProgram is the error that names both programs.
func otherProgram(dir string, was, is ceremony.Program) *OtherProgram {
	return &OtherProgram{was, is, strict.Errorf(dir, "this is fleetctl %s, SHA-256 %x…, and the ceremony was last run by %s, SHA-256 %x…", is.Version, is.Binary[:8], was.Version, was.Binary[:8]).
		WithHint("go on with that program. If people decide that this one goes on, once the auditor has compared its SHA-256 with that of a copy of their own, record it:\n"+
			"fleetctl ceremony exception %s --program --expected … --happened … --decided …", dir)}
}

// sameProgram refuses to write a record under another program than the one that ran
// the ceremony last, unless the record itself names the program that writes it.
func (j *Journal) sameProgram(content any) error {
	was := j.account.Program()
	switch c := content.(type) {
	case *ceremony.Open:
		was = ceremony.Program{Version: c.Version, Binary: c.Binary}
	case *ceremony.Resume:
		was = named(c.Version, c.Binary, was)
	case *ceremony.Exception:
		was = named(c.Version, c.Binary, was)
	case nil:
		if j.account.Open == nil {
			return nil // the opening will name it
		}
	}
	if was.Binary != j.program.Binary {
		return otherProgram(j.dir, was, j.program)
	}
	return nil
}

// named is the program that a record names; was if it names none.
func named(version string, binary [32]byte, was ceremony.Program) ceremony.Program {
	if binary == [32]byte{} {
		return was
	}
	return ceremony.Program{Version: version, Binary: binary}
}

// agreeToProgram asks people whether another program may go on than the one that ran
// last.
func (c Config) agreeToProgram(ctx context.Context, a *ceremony.Account) error {
	was, is := a.Program(), c.program()
	if was.Binary == is.Binary {
		return nil
	}
	if err := c.Participants.OtherProgram(ctx, was, is); err != nil {
		return fmt.Errorf("%w: %w", otherProgram(c.Dir, was, is).err.WithHint(""), err)
	}
	return nil
}

// endUnder records, before a ceremony is ended, that another program ends it, once
// people have agreed to that.
func (c Config) endUnder(j *Journal) error {
	if is := c.program(); j.account.Program().Binary != is.Binary {
		return j.goOnUnder(ceremony.Exception{
			Expected: "the program that ran the ceremony so far", Happened: "another program is there", Decided: "to end the ceremony with it, for the reason that the abort gives",
		})
	}
	return nil
}

// GoOnUnder records an exception that says that people decided to go on with another
// program. From then on the ceremony takes records of that program alone.
func GoOnUnder(dir string, is ceremony.Program, now func() time.Time, random io.Reader, e ceremony.Exception) (*ceremony.Account, error) {
	j, err := openJournal(dir, is, now, random)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	if j.account.Program().Binary == is.Binary {
		return nil, strict.Errorf(dir, "this is the program that ran the ceremony last, fleetctl %s, SHA-256 %x…", is.Version, is.Binary[:8]).WithHint("leave --program out")
	}
	return j.account, j.goOnUnder(e)
}

func (j *Journal) goOnUnder(e ceremony.Exception) error {
	e.Number, e.Version, e.Binary = len(j.account.Exceptions)+1, j.program.Version, j.program.Binary
	_, err := j.Append(&e)
	return err
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
			j, err := watched(&Journal{dir: dir, file: f, unlock: unlock, account: account, program: c.program(), now: c.Now, random: c.Random})
			return j, t.Torn, err
		}
	}
	unlock()
	return nil, nil, err
}

// dropTorn copies a torn line into the private folder and cuts it off the transcript. The
// next record says so.
func (j *Journal) dropTorn(torn []byte) error {
	if len(torn) == 0 {
		return nil
	}
	aside := filepath.Join(j.dir, ceremony.PrivateDir, fmt.Sprintf("torn-after-%d-%x", j.account.N, sha256.Sum256(torn)))
	// The name has the digest, so a file that is there from an earlier try is the same.
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

// settleIntent ends an open intent: it destroys the key that came of it, whose checks
// were not finished, and the step begins again.
func (r *runner) settleIntent(ctx context.Context) error {
	k := r.journal.account.OpenIntent()
	if k == nil || r.plan.Destroys != nil {
		return nil // destroyKey finds out itself what the token holds
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
	// An earlier resume destroyed it and was interrupted, or the token lost it in a power
	// cut: SoftHSM never calls fsync.
	return r.record("the key of the open intent is gone", &ceremony.Outcome{Intent: k.N, Result: ceremony.Destroyed, Reason: "interrupted: its token no longer holds it"})
}

// Abort ends a ceremony because people decided so: it destroys every key generated so
// far, and records the reason and the keys that it could not destroy.
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
	if err := c.agreeToProgram(ctx, a); err != nil {
		return a, err
	}
	if c.Wall != nil {
		e := ceremony.Exception{
			// A record of its own: the logins before the abort need the right time too.
			Expected: "a clock that nobody sets", Happened: "this computer's clock was set", Decided: "to abort, for the reason that the abort gives",
		}
		if is := c.program(); is.Binary != a.Program().Binary {
			e.Version, e.Binary = is.Version, is.Binary
		}
		if err := j.explainClock(e, *c.Wall, torn); err != nil {
			return a, err
		}
		torn, end.Torn = nil, 0 // the exception tells of it
	}
	if err := j.clockStands(end); err != nil {
		return a, err
	}
	if err := j.dropTorn(torn); err != nil {
		return a, err
	}
	if err := c.endUnder(j); err != nil {
		return a, err
	}
	if a.Opened() {
		end.Keys = r.destroyAll(ctx)
	}
	_, err = j.Append(end)
	return a, err
}

// Adjourn interrupts a ceremony deliberately.
func (j *Journal) Adjourn(c *ceremony.Adjourn) error {
	_, err := j.Append(c)
	return err
}

// Reconvene goes on with an adjourned ceremony, which the threshold of officers must
// approve.
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
