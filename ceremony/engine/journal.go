package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Journal appends records to the transcript of a ceremony. Before an act that can't be
// undone, such as generating a key, it writes a record of the intent; after the act,
// one of the outcome.
type Journal struct {
	dir     string
	file    durable.File
	unlock  func()
	account *ceremony.Account
	program ceremony.Program // that writes
	now     func() time.Time
	random  io.Reader
	watch   *clockWatch
	broken  error
}

// watched starts the watch of the clock for an open journal. Before, it sets aside
// evidence that an interruption left without a record.
func watched(j *Journal) (*Journal, error) {
	if err := folder.TidyRecorded(j.dir, j.account); err != nil {
		j.Close()
		return nil, err
	}
	w, err := openClockWatch(j.dir, readUptime)
	if err != nil {
		j.Close()
		return nil, err
	}
	w.begin(j.dir, j.now())
	j.watch = w
	return j, nil
}

// Create makes the folder of a new ceremony.
func Create(dir string, plan *ceremony.Plan, is ceremony.Program, now func() time.Time, random io.Reader) (*Journal, error) {
	if _, err := durable.Stat(filepath.Join(dir, ceremony.TranscriptFile)); err == nil {
		return nil, strict.Errorf(dir, "a ceremony has begun in this folder").
			WithHint("use another folder for another ceremony; see where this one stands with\nfleetctl ceremony status %s", dir)
	}
	for _, d := range []string{dir, filepath.Join(dir, ceremony.PrivateDir)} {
		if err := durable.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	planPath := filepath.Join(dir, ceremony.PlanFile)
	if have, err := durable.ReadFile(planPath); err != nil {
		if err := folder.Temp(dir).Create(planPath, plan.Raw(), 0o644); err != nil {
			unlock()
			return nil, err
		}
	} else if string(have) != string(plan.Raw()) {
		unlock()
		return nil, strict.Errorf(planPath, "is not the plan that was given").WithHint("use another folder for another plan")
	}
	f, err := durable.OpenFile(filepath.Join(dir, ceremony.TranscriptFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		err = durable.SyncDir(dir)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return watched(&Journal{dir: dir, file: f, unlock: unlock, account: ceremony.NewAccount(plan), program: is, now: now, random: random})
}

// OpenJournal opens a ceremony's folder to append to its transcript, which it replays
// first. The last line must be whole. Another program than the one that ran the
// ceremony last is refused, with an *OtherProgram: see [GoOnUnder].
func OpenJournal(dir string, is ceremony.Program, now func() time.Time, random io.Reader) (*Journal, error) {
	j, err := openJournal(dir, is, now, random)
	if err != nil {
		return nil, err
	}
	if err := j.sameProgram(nil); err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

func openJournal(dir string, is ceremony.Program, now func() time.Time, random io.Reader) (*Journal, error) {
	if _, err := durable.Stat(filepath.Join(dir, ceremony.TranscriptFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, strict.Errorf(dir, "holds no ceremony").WithHint("begin one with\nfleetctl ceremony run plan.yaml --dir %s", dir)
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	account, err := folder.Read(dir)
	if err != nil {
		unlock()
		return nil, err
	}
	f, err := durable.OpenFile(filepath.Join(dir, ceremony.TranscriptFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		unlock()
		return nil, err
	}
	return watched(&Journal{dir: dir, file: f, unlock: unlock, account: account, program: is, now: now, random: random})
}

func lock(dir string) (func(), error) {
	unlock, err := durable.Lock(folder.LockFile(dir))
	if errors.Is(err, durable.ErrLocked) {
		return nil, strict.Errorf(dir, "another fleetctl is at work on this ceremony").WithHint("one process at a time: find it with\nfuser %s", folder.LockFile(dir))
	}
	if err != nil {
		return nil, err
	}
	// First set aside, or make durable, what an interruption left.
	if err = folder.Temp(dir).Sweep(); err == nil {
		err = folder.HoldSigners(dir, func() error { return nil })
	}
	if err == nil {
		err = durable.Settle(filepath.Join(dir, ceremony.TranscriptFile), 1)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // the caller makes it
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// Account is the state of the ceremony.
func (j *Journal) Account() *ceremony.Account { return j.account }

// Dir is the ceremony's folder.
func (j *Journal) Dir() string { return j.dir }

// Close releases the ceremony's lock.
func (j *Journal) Close() error {
	defer j.unlock()
	return j.file.Close()
}

// Append writes a record, and returns when it is on the disk. It does not write a record
// that the ceremony's rules don't allow.
func (j *Journal) Append(content any) (*ceremony.Record, error) {
	r, err := j.next(content)
	if err != nil {
		return nil, err
	}
	if err := j.write(r); err != nil {
		return nil, err
	}
	return r, nil
}

// next makes the next record without writing it.
func (j *Journal) next(content any) (*ceremony.Record, error) {
	if j.broken != nil {
		return nil, fmt.Errorf("the transcript could not be written before: %w", j.broken)
	}
	if err := j.sameProgram(content); err != nil {
		return nil, err
	}
	at, err := j.stamp(content)
	if err != nil {
		return nil, err
	}
	return j.account.NewRecord(at, j.random, content)
}

func (j *Journal) write(r *ceremony.Record) error {
	line := r.Line()
	if info, err := j.file.Stat(); err != nil {
		return err
	} else if info.Size()+int64(len(line)) > ceremony.MaxTranscript {
		return strict.Errorf(filepath.Join(j.dir, ceremony.TranscriptFile), "record %d would have %d bytes after %d; a transcript has at most %d",
			r.N, len(line), info.Size(), ceremony.MaxTranscript)
	}
	err := j.account.CheckWritten(r.Content)
	if err == nil {
		err = j.account.Apply(r)
	}
	if err != nil {
		return fmt.Errorf("record %d, %q, can't come now: %w", r.N, r.Kind, err)
	}
	if _, err = j.file.Write(line); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// What is on the disk is unknown now, so this journal must not write any more.
		j.broken = err
		return strict.Errorf(filepath.Join(j.dir, ceremony.TranscriptFile), "can't be written: %v", err).Because(err).
			WithHint("nothing further was done; free the disk, then see\nfleetctl show %s", j.dir)
	}
	if ceremony.ClockOf(r.Content) != nil {
		j.watch.look(j.dir, j.now())
	}
	return nil
}

// save writes a file of the folder. If the file is there already, its content must be
// the same.
func (j *Journal) save(name string, data []byte) error {
	path := filepath.Join(j.dir, name)
	err := folder.Temp(j.dir).CreateSame(path, data, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return strict.Errorf(path, "is there already, with other content").WithHint("find out where it came from, and move it away; fleetctl overwrites no file")
	}
	return err
}

// keepPlanApprovals stores the officers' signatures over the plan.
func (j *Journal) keepPlanApprovals(list []ceremony.Signing) error {
	people, err := j.account.People()
	if err != nil {
		return err
	}
	for _, s := range list {
		file := ceremony.PlanApprovalsDir + "/" + s.Name + ceremony.SigSuffix
		sig, err := sshsig.Parse(file, s.Signature)
		if err != nil {
			return err
		}
		plan := j.account.Plan
		if _, err := folder.StoreSignature(j.dir, ceremony.PlanApprovalsDir, "", people, ceremony.SignNamespace(ceremony.NamespacePlan, plan.Mode), plan.Raw(), sig); err != nil {
			return strict.Errorf(file, "does not approve this plan: %v", err).
				WithHint("if the plan changed since, let the officer approve it again:\nfleetctl plan approve PLAN --key KEY\nelse move the file away")
		}
	}
	return nil
}
