package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/simdisk"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// life is a ceremony from its first record to the stranger who verifies it. Its
// operator and its third party have a computer each. Each step is a process, as a
// command is, and people who see one end without a word look where the ceremony
// stands and go on.
type life struct {
	f         *testfleet.Fleet
	op, third *simdisk.Disk
	at        time.Time
	random    io.Reader

	told     []byte           // the transcript that people were told is on the disk
	request  *bundle.Request  // as it left the operator
	answer   *bundle.Response // as it left the third party
	proof    []byte           // as it left the log
	steps    []string         // what was done, for who reads of a failure
	adjourns bool             // is to be adjourned before the request
	packed   bool             // the package
	lived    [2]int           // calls before the end: the operator's, the third party's
	deaths   int              // processes that ended by a fault
	errors   int              // processes that a fault gave an error
	hits     int              // calls that were hit
}

// operator and thirdParty are the computers.
const (
	operator   = "operator"
	thirdParty = "third-party"
)

// A seed says beside what is left after power cuts what ceremony it is: those with
// these bits have another HSM, or are adjourned once.
const (
	twoHSMs   = 1 << 32
	adjourned = 2 << 32
)

func newLife(t testing.TB, seed uint64) *life {
	hsms := 1
	if seed&twoHSMs != 0 {
		hsms = 2
	}
	l := &life{
		f:        testfleet.Prepared(t, testfleet.Options{HSMs: hsms, Lockdown: []string{"Bag the HSM"}}),
		adjourns: seed&adjourned != 0,
		op:       simdisk.New(t, seed), third: simdisk.New(t, seed+1),
		at: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), random: testfleet.Random(fmt.Sprint(seed)),
	}
	l.f.Dir = l.op.Path("ceremony")
	l.f.Parties.Ledger = l.third.Path("ledger.jsonl")
	if err := durable.MkdirAll(filepath.Dir(l.archive()), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tok := range l.f.Tokens {
		tok.Before = l.token("before")
		tok.After = l.token("after")
	}
	return l
}

// on is a computer's disk.
func (l *life) on(computer string) *simdisk.Disk {
	if computer == thirdParty {
		return l.third
	}
	return l.op
}

func (l *life) now() time.Time {
	l.at = l.at.Add(time.Second)
	return l.at
}

// token has the process end before or after a token did something; a token whose
// answer never comes is the matter of other tests.
func (l *life) token(when string) func(string) error {
	return func(call string) error {
		if slices.Contains([]string{"Info", "Objects", "Attributes", "Probe", "Open", "Close"}, call) {
			return nil
		}
		return l.op.Mark(when + " the token's " + call)
	}
}

// Step and Done: what people are told is on the disk must be there from then on.
func (l *life) Step(*ceremony.Plan, int, int, ceremony.Step) {}
func (l *life) Done(string, *ceremony.Record)                { l.hear() }

func (l *life) hear() {
	if data, err := durable.ReadFile(filepath.Join(l.f.Dir, ceremony.TranscriptFile)); err == nil && len(data) > len(l.told) {
		l.told = data
	}
}

func (l *life) config() engine.Config {
	c := l.f.Config(l.f.Dir, l.random)
	c.Now, c.Observer = l.now, l
	return c
}

// process is what is done next, by whom.
type process struct {
	name string
	on   *simdisk.Disk
	do   func() error
}

// mostProcesses is more than any number of faults here makes necessary.
const mostProcesses = 60

// live goes on until the package is on the disk and verified.
func (l *life) live() error {
	for range mostProcesses {
		if err := l.remembers(); err != nil {
			return err
		}
		p, err := l.next()
		if err != nil {
			return fmt.Errorf("nobody can go on: %w", err)
		}
		if p == nil {
			return l.end()
		}
		l.steps = append(l.steps, p.name)
		err = p.on.Run(p.do)
		if death := (*simdisk.Death)(nil); errors.As(err, &death) {
			l.deaths++
		} else if err != nil {
			l.errors++
			if strings.HasPrefix(err.Error(), "panic") {
				return err
			}
		}
		if err != nil {
			l.steps[len(l.steps)-1] += ": " + err.Error()
		}
	}
	return errors.New("it never comes to an end")
}

// remembers says what was lost of what people were told.
func (l *life) remembers() error {
	data, err := durable.ReadFile(filepath.Join(l.f.Dir, ceremony.TranscriptFile))
	if l.told != nil && !bytes.HasPrefix(data, l.told) {
		return fmt.Errorf("lost: people were told of %d bytes of records, %d bytes are there (%v)", len(l.told), len(data), err)
	}
	return nil
}

// next is what people do who look where the ceremony stands.
func (l *life) next() (*process, error) {
	run := &process{"run", l.op, func() error { _, err := engine.Run(context.Background(), l.config()); return err }}
	resume := &process{"resume", l.op, func() error { _, err := engine.Resume(context.Background(), l.config()); return err }}
	if _, err := durable.Stat(filepath.Join(l.f.Dir, ceremony.TranscriptFile)); errors.Is(err, fs.ErrNotExist) {
		return run, nil
	}
	a, torn, err := folder.ReadTorn(l.f.Dir)
	switch {
	case err != nil:
		return nil, err
	case a.Abort != nil:
		return nil, fmt.Errorf("the ceremony was aborted: %s", a.Abort.Reason)
	case a.N == 0 || !a.Opened() && len(torn.Torn) == 0:
		return run, nil
	case len(torn.Torn) > 0:
		return resume, nil
	case a.Close != nil:
		return l.closed(a)
	}
	s, _ := a.Next()
	seals := []ceremony.Seal{{What: "hsm-1", Number: "4471"}}
	switch {
	case a.Adjourned:
		l.adjourns = false
		return l.journal("reconvene", func(j *engine.Journal) error {
			return j.Reconvene(context.Background(), &ceremony.Reconvene{Seals: seals}, l.f.Approve)
		}), nil
	case l.adjourns && s.Act == ceremony.ActRequest:
		return l.journal("adjourn", func(j *engine.Journal) error {
			return j.Adjourn(&ceremony.Adjourn{Reason: "lunch", Seals: seals})
		}), nil
	}
	acts := map[ceremony.Act]func(*engine.Journal) error{
		ceremony.ActRelease: l.build, ceremony.ActRequest: l.ask, ceremony.ActResponse: l.take, ceremony.ActCountersign: l.countersign,
		ceremony.ActLog: l.log, ceremony.ActLockdown: l.lockDown, ceremony.ActClose: l.close,
	}
	do := acts[s.Act]
	switch {
	case do == nil:
		return resume, nil
	case s.Act == ceremony.ActResponse && l.request == nil:
		do = l.ask // it was asked for, and never left
	case s.Act == ceremony.ActResponse && l.answer == nil:
		return l.thirdParty(), nil
	}
	return l.journal(string(s.Act), do), nil
}

func (l *life) journal(name string, do func(*engine.Journal) error) *process {
	return &process{name, l.op, func() error {
		j, err := engine.OpenJournal(l.f.Dir, l.now, l.random)
		if err != nil {
			return err
		}
		defer j.Close()
		if err := do(j); err != nil {
			return err
		}
		l.hear()
		return nil
	}}
}

func (l *life) build(j *engine.Journal) error {
	_, err := j.Build(context.Background(), testfleet.Machine{})
	return err
}

func (l *life) ask(j *engine.Journal) error {
	if j.Account().Request == nil {
		if err := l.f.SignOff(l.f.Dir, j.Account(), ceremony.StageRelease, ceremony.Agree, testfleet.Signers...); err != nil {
			return err
		}
	}
	r, err := j.Request(context.Background(), nil, nil, l.f.Approve)
	if err == nil {
		l.request = r
	}
	return err
}

// thirdParty is what the third party does next: it begins its ledger, then signs.
func (l *life) thirdParty() *process {
	path, key := l.f.Parties.Ledger, l.f.Parties.Auditor(testfleet.FirstAuditor).Key()
	guard := thirdparty.GuardPath(path)
	_, noLedger := durable.Stat(path)
	_, noGuard := durable.Stat(guard)
	switch {
	case noLedger != nil:
		return &process{"begin the ledger", l.third, func() error { return thirdparty.InitLedger(path, guard, key) }}
	case noGuard != nil: // as the refusal says, where nothing was signed
		return &process{"begin the guard", l.third, func() error {
			r, err := thirdparty.ReadLedger(path, key)
			if err != nil {
				return err
			}
			return r.BeginGuard(guard)
		}}
	}
	return &process{"sign", l.third, l.sign}
}

func (l *life) sign() error {
	r, err := l.f.Answer(l.request, l.now())
	if err == nil {
		l.answer = r
	}
	return err
}

func (l *life) take(j *engine.Journal) error {
	_, err := j.ImportResponse(l.answer)
	return err
}

func (l *life) countersign(j *engine.Journal) error {
	return j.Countersign(context.Background(), l.f.Approve, l.f.Parties.Operator.Public, l.f.Parties.Operator.Sign)
}

func (l *life) log(j *engine.Journal) error {
	b, err := j.Assemble(context.Background(), testfleet.Machine{})
	if err != nil {
		return err
	}
	if l.proof == nil {
		if l.proof, err = l.f.Parties.Log.Append(b.Raw()); err != nil {
			return err
		}
	}
	_, err = j.ImportProof("proof", l.proof)
	return err
}

func (l *life) lockDown(j *engine.Journal) error {
	_, err := j.Lockdown("read off by the test", ceremony.Machine, ceremony.Machine)
	return err
}

func (l *life) close(j *engine.Journal) error {
	_, err := closing.Close(j, nil)
	return err
}

// closed is what is left to do after the close.
func (l *life) closed(a *ceremony.Account) (*process, error) {
	missing, err := folder.ReadMissing(l.f.Dir, a)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return &process{"sign off", l.op, func() error {
			return l.f.SignOff(l.f.Dir, a, ceremony.StageClose, ceremony.Agree, testfleet.Signers...)
		}}, nil
	}
	if l.packed {
		return nil, nil
	}
	return &process{"pack", l.op, func() error {
		data, err := l.pack()
		if err != nil {
			return err
		}
		err = durable.CreateSame(l.archive(), data, 0o644)
		l.packed = err == nil
		return err
	}}, nil
}

func (l *life) pack() ([]byte, error) {
	files, _, err := closing.PackFolder(l.f.Dir, false)
	if err != nil {
		return nil, err
	}
	return evidence.Pack(files)
}

func (l *life) archive() string { return l.op.Path("published", "evidence.tar") }

// end is after all is done: a power cut on both computers, and nothing is lost.
func (l *life) end() error {
	l.op.Fault, l.third.Fault = nil, nil
	l.lived = [2]int{l.op.Calls(), l.third.Calls()}
	l.op.Cut()
	l.third.Cut()
	if err := l.remembers(); err != nil {
		return err
	}
	data, err := durable.ReadFile(l.archive())
	if err != nil {
		return fmt.Errorf("lost: the package: %w", err)
	}
	if err := l.verifies(data); err != nil {
		return fmt.Errorf("unverifiable: %w", err)
	}
	if again, err := l.pack(); err != nil {
		return fmt.Errorf("lost: the folder of the package: %w", err)
	} else if !bytes.Equal(again, data) {
		return errors.New("lost: the ceremony's folder gives another package than before")
	}
	for _, tok := range l.f.Tokens {
		if n := tok.Keys(); n != len(l.f.Plan.Roles) {
			return fmt.Errorf("a token holds %d keys of which the evidence tells of %d", n, len(l.f.Plan.Roles))
		}
	}
	again, err := l.f.Answer(l.request, l.now())
	if err != nil {
		return fmt.Errorf("lost: the third party's signature: %w", err)
	}
	if !bytes.Equal(again.Statement.Raw(), l.answer.Statement.Raw()) {
		return errors.New("the third party signed twice")
	}
	return l.ledger()
}

// ledger checks that the third party's ledger has what left it, once.
func (l *life) ledger() error {
	r, err := thirdparty.ReadLedger(l.f.Parties.Ledger, l.f.Parties.Auditor(testfleet.FirstAuditor).Key())
	if err != nil {
		return fmt.Errorf("lost: the ledger: %w", err)
	}
	if list := r.Statements(); len(list) != 1 || !bytes.Equal(list[0].Raw(), l.answer.Statement.Raw()) {
		return fmt.Errorf("the ledger has %d statements, not the one that left", len(list))
	}
	return nil
}

// verifies is what a stranger does, who has the package and a policy.
func (l *life) verifies(archive []byte) error {
	p, err := evidence.ParsePolicy("policy", l.f.Policy)
	if err != nil {
		return err
	}
	r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: archive}, p, evidence.Question{Now: l.at.Add(time.Hour)})
	if err != nil {
		return err
	}
	if !r.Verified || !r.Met() {
		return fmt.Errorf("%d problems, the first: %+v", len(r.Problems), append(r.Problems, evidence.Problem{})[0])
	}
	return nil
}
