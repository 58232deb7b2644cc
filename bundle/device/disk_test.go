package device

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// answer is what a fleet hands out, and when.
type answer struct {
	b     *bundle.Bundle
	proof []byte
	now   time.Time
}

// answers are what a device comes to see: a first contact, a newer proof, the same
// once more, a new epoch, its void, the epoch after it, the retirement.
func answers() []answer {
	one := made{}.bundle()
	two := made{after: one}.bundle()
	void := made{after: two, notice: bundle.VoidFormat}.bundle()
	four := made{after: void}.bundle()
	at := func(b *bundle.Bundle, n int) answer {
		return answer{b, proof(logKey, b.Raw(), hour(n), hour(n)), hour(n)}
	}
	return []answer{at(one, 0), at(one, 1), at(one, 1), at(two, 2), at(void, 3), at(one, 4), at(four, 5), at(made{after: four, notice: bundle.RetirementFormat}.bundle(), 6)}
}

// phone is a device whose state and guard are on a disk that forgets.
type phone struct {
	t            testing.TB
	disk         *simdisk.Disk
	policy       *Policy
	told         []byte // the state of the last check that said yes
	tried        []byte // of the one that is under way
	installed    bool   // a check said yes before
	state, guard string
}

func newPhone(t testing.TB, seed uint64) *phone {
	p := &phone{t: t, disk: simdisk.New(t, seed), policy: policy(Pins{})}
	for _, dir := range []string{"app", "secure"} {
		if err := durable.MkdirAll(p.disk.Path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p.state, p.guard = p.disk.Path("app", "state"), p.disk.Path("secure", "guard")
	return p
}

func (p *phone) check(x answer) (*Verdict, error) {
	return Check(Question{Bundle: x.b.Raw(), Proof: x.proof, Policy: p.policy, Now: x.now, State: File(p.state), Guard: File(p.guard), Begin: !p.installed})
}

// lost says that what the device was told isn't there any more, or only in part.
func (p *phone) lost() error {
	got, err := durable.ReadFile(p.state)
	switch {
	case errors.Is(err, fs.ErrNotExist) && p.told == nil, err == nil && (bytes.Equal(got, p.told) || bytes.Equal(got, p.tried)):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("the state is neither the old one nor the new one:\n%s", got)
}

// live sees one answer after the other, each until it is accepted, as an app does
// that is started again.
func (p *phone) live(list []answer) error {
	for _, x := range list {
		done := false
		for try := 0; !done; try++ {
			if try == 20 {
				return errors.New("it never comes to an end")
			}
			before, state := p.told, (*State)(nil)
			if before != nil {
				state = must(ParseState("told", before))
			}
			p.tried = must(Judge(x.b.Raw(), x.proof, p.policy, state, x.now)).State.Raw()
			err := p.disk.Run(func() error {
				v, err := p.check(x)
				if err == nil {
					p.told, p.installed, done = v.State.Raw(), true, true
				}
				return err
			})
			var refusal *bundle.Refusal
			if errors.As(err, &refusal) {
				return fmt.Errorf("refused: %w", err)
			}
			if err := p.lost(); err != nil {
				return err
			}
		}
	}
	p.tried = nil
	p.disk.Cut()
	return p.lost()
}

// Every call that changes something is hit by every fault: the process is killed
// or the power fails there, or in the middle of a write; the disk is full or
// broken; a sync fails, and what it was for is never written. The state that is
// there then is the old one or the new one, no state is lost that a check was told
// of, and the next check goes on.
func TestADevicesStateOutlivesAFaultAtEveryCall(t *testing.T) {
	list := answers()
	p := newPhone(t, 1)
	if err := p.live(list); err != nil {
		t.Fatal(err)
	}
	trace := p.disk.Trace
	lives, hits := 0, 0
	for f, fault := range simdisk.Faults {
		for i, c := range trace {
			if !fault.Hits(c) || os.Getenv("FLEETCTL_FULL") != "1" && (i+f)%4 != 0 {
				continue
			}
			p := newPhone(t, uint64(lives))
			hit := false
			p.disk.Fault = func(at simdisk.Call) simdisk.Fault {
				if at.N != c.N || hit {
					return simdisk.None
				}
				hit = true
				return fault
			}
			if err := p.live(list); err != nil {
				t.Errorf("%s at %v: %v", fault, c, err)
			}
			if lives++; hit {
				hits++
			}
		}
	}
	t.Logf("%d calls that change something; %d lives, %d of them hit", len(trace), lives, hits)
	if hits < len(trace) {
		t.Errorf("only %d of %d lives were hit", hits, lives)
	}
}

// That the test above can fail: a sync that is left out is found.
func TestAStateThatIsNotSyncedIsFound(t *testing.T) {
	list := answers()[:4]
	for _, kind := range []simdisk.Kind{simdisk.Sync, simdisk.SyncDir} {
		found := 0
		for seed := range uint64(30) {
			p := newPhone(t, seed)
			p.disk.Leave = func(c simdisk.Call) bool { return c.Kind == kind }
			if p.live(list) != nil {
				found++
			}
		}
		if found == 0 {
			t.Errorf("%s is left out, and nothing is lost in 30 lives", kind)
		}
	}
}

func TestAFullDiskLeavesTheStateAsItWas(t *testing.T) {
	list := answers()
	p := newPhone(t, 1)
	if err := p.live(list[:1]); err != nil {
		t.Fatal(err)
	}
	p.disk.Fault = func(c simdisk.Call) simdisk.Fault {
		if simdisk.ENOSPC.Hits(c) {
			return simdisk.ENOSPC
		}
		return simdisk.None
	}
	v, err := p.check(list[3])
	if v != nil || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v, %v", v, err)
	}
	wantError(t, err, "can't be written, so nothing is accepted")
	if got := must(durable.ReadFile(p.state)); !bytes.Equal(got, p.told) {
		t.Errorf("the state is now\n%s", got)
	}
	// What changes nothing needs no room.
	if _, err := p.check(list[0]); err != nil {
		t.Errorf("the same answer again: %v", err)
	}
	p.disk.Fault = nil
	if _, err := p.check(list[3]); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// A process is killed, the next one has another answer, and the power fails under
// it: what the first left in memory alone may be gone, and isn't what the guard
// counts on.
func TestAKilledCheckAndThenAPowerCutLockNobodyOut(t *testing.T) {
	list := answers()
	hit := func(p *phone, fault simdisk.Fault, n int) {
		p.disk.Fault = func(c simdisk.Call) simdisk.Fault {
			if c.N == n {
				return fault
			}
			return simdisk.None
		}
	}
	lives := 0
	for kill := 0; ; kill++ {
		p := newPhone(t, 1)
		if err := p.live(list[:1]); err != nil {
			t.Fatal(err)
		}
		before := p.disk.Calls()
		if err := p.disk.Run(func() error { _, err := p.check(list[3]); return err }); err != nil {
			t.Fatal(err)
		}
		if kill >= p.disk.Calls()-before {
			break
		}
		for cut := range 24 {
			p := newPhone(t, uint64(cut*100+kill))
			if err := p.live(list[:1]); err != nil {
				t.Fatal(err)
			}
			hit(p, simdisk.Kill, before+kill+1)
			first := p.disk.Run(func() error { _, err := p.check(list[3]); return err })
			hit(p, simdisk.Cut, p.disk.Calls()+cut+1)
			_ = p.disk.Run(func() error { _, err := p.check(list[4]); return err })
			p.disk.Fault = nil
			if _, err := p.check(list[4]); err != nil {
				t.Errorf("killed: %v; power cut at call %d of the next check: %v", first, cut+1, err)
			}
			lives++
		}
	}
	t.Logf("%d lives", lives)
}
