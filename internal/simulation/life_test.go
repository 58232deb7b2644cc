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

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/simdisk"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// life is a ceremony, or two, from the first record to the stranger who verifies
// what came of it. The operator and each third party have a computer of their own.
// Each step is a process, as a command is, and people who see one end without a
// word look where the ceremony stands and go on.
type life struct {
	kind   kind
	op     *simdisk.Disk
	thirds map[string]*simdisk.Disk // by computer
	at     time.Time
	random io.Reader
	t      testing.TB

	*held         // the ceremony at hand
	past  []*held // those that have ended

	steps  []string       // what was done, for who reads of a failure
	lived  map[string]int // calls before the end, by computer
	deaths int            // processes that ended by a fault
	errors int            // processes that a fault gave an error
	hits   int            // calls that were hit
}

// held is one ceremony, and what has left its room.
type held struct {
	f       *testfleet.Fleet
	began   map[string]int              // the calls of each computer before it
	told    []byte                      // the transcript that people were told is on the disk
	request *bundle.Request             // as it left the operator
	asked   int                         // the operator's calls when it did
	answers map[string]*bundle.Response // as they left the third parties
	proof   []byte                      // as it left the log
	ending  []byte                      // the log's proof of how it ended
	archive string
	// What was done.
	adjourned, packed, logged bool
}

// operator and thirdParty are computers; other third parties have numbers, from 2 on.
const (
	operator   = "operator"
	thirdParty = "third-party"
)

func newLife(t testing.TB, seed uint64) *life {
	l := &life{
		kind: kind(seed >> kindShift), t: t, op: simdisk.New(t, seed), thirds: map[string]*simdisk.Disk{},
		at: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), random: testfleet.Random(fmt.Sprint(seed)),
	}
	for i, name := range l.computers()[1:] {
		l.thirds[name] = simdisk.New(t, seed+1+uint64(i))
	}
	if err := durable.MkdirAll(l.op.Path("published"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.begin()
	return l
}

// begin prepares the next ceremony.
func (l *life) begin() {
	o := testfleet.Options{HSMs: 1, Lockdown: []string{"Bag the HSM"}}
	if l.kind&twoHSMs != 0 {
		o.HSMs = 2
	}
	if l.kind&threeParties != 0 {
		o.Others = 2
	}
	if before := l.held; before != nil {
		l.past = append(l.past, before)
		o.Parties = before.f.Parties
		if before.f.Account.Abort == nil {
			o.After = before.f
		}
	}
	var f *testfleet.Fleet
	if before := l.held; before != nil && l.kind&destroys != 0 {
		f = before.f.Destroying(l.t, nil)
		l.at = f.Last()
	} else {
		f = testfleet.Prepared(l.t, o)
	}
	l.held = &held{f: f, began: l.calls(), answers: map[string]*bundle.Response{}}
	n := len(l.past) + 1
	l.f.Dir = l.op.Path(strings.TrimSuffix(fmt.Sprintf("ceremony-%d", n), "-1"))
	l.archive = l.op.Path("published", strings.TrimSuffix(fmt.Sprintf("evidence-%d", n), "-1")+".tar")
	l.f.Parties.Ledger = l.thirds[thirdParty].Path("ledger.jsonl")
	for i := range l.f.Parties.Others {
		l.f.Parties.Others[i].Ledger = l.thirds[l.computers()[i+2]].Path("ledger.jsonl")
	}
	for _, tok := range l.f.Tokens {
		tok.Before = l.token("before")
		tok.After = l.token("after")
	}
	l.f.Bench.(*testfleet.Bench).OnPIN = l.pin
}

// computers are the operator's, then the third parties'.
func (l *life) computers() []string {
	list := []string{operator, thirdParty}
	if l.kind&threeParties != 0 {
		list = append(list, thirdParty+"-2", thirdParty+"-3")
	}
	return list
}

// on is a computer's disk.
func (l *life) on(computer string) *simdisk.Disk {
	if computer == operator {
		return l.op
	}
	return l.thirds[computer]
}

// calls are how many there were on each computer.
func (l *life) calls() map[string]int {
	n := map[string]int{}
	for _, name := range l.computers() {
		n[name] = l.on(name).Calls()
	}
	return n
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
const mostProcesses = 150

// live goes on until all packages are on the disk and verified.
func (l *life) live() error {
	for range mostProcesses {
		if err := l.remembers(); err != nil {
			return err
		}
		p, err := l.next()
		if err != nil {
			return fmt.Errorf("nobody can go on: %w", err)
		}
		if p == nil && l.kind&(twice|destroys) != 0 && len(l.past) == 0 {
			if l.f.Account, err = folder.Read(l.f.Dir); err != nil {
				return fmt.Errorf("nobody can begin the next ceremony: %w", err)
			}
			l.begin()
			continue
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
		return l.aborted(a)
	case l.toAbort(a):
		return l.abort(), nil
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
		l.adjourned = true
		return l.journal("reconvene", func(j *engine.Journal) error {
			return j.Reconvene(context.Background(), &ceremony.Reconvene{Seals: seals}, l.f.Approve)
		}), nil
	case l.kind&adjourned != 0 && !l.adjourned && s.Act == ceremony.ActRequest:
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
	case s.Act == ceremony.ActResponse:
		if i := l.unheard(a); l.answers[l.f.Parties.Auditors()[i].Name] == nil {
			return l.thirdParty(i), nil
		}
	}
	return l.journal(string(s.Act), do), nil
}
