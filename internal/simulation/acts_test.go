package simulation

import (
	"context"
	"slices"

	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func (l *life) journal(name string, do func(*engine.Journal) error) *process {
	return &process{name, l.op, func() error {
		j, err := engine.OpenJournal(l.f.Dir, testfleet.Program, l.now, l.random)
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
	predecessor, previous, err := l.predecessor()
	if err != nil {
		return err
	}
	r, err := j.Request(context.Background(), predecessor, previous, l.f.Approve)
	if err == nil {
		l.request, l.asked = r, l.op.Calls()
	}
	return err
}

// predecessor is what was published of the epoch before, as its folder has it.
func (l *life) predecessor() ([]byte, []bundle.Signed, error) {
	if l.f.Plan.Epoch == 1 {
		return nil, nil, nil
	}
	a, err := folder.Read(l.past[len(l.past)-1].f.Dir)
	if err != nil {
		return nil, nil, err
	}
	b, err := a.Bundle()
	if err != nil {
		return nil, nil, err
	}
	return b.KeySet.Raw(), a.Statements(), nil
}

// unheard is the number of the first third party whose answer isn't on the record.
func (l *life) unheard(a *ceremony.Account) int {
	absent := a.Absent()
	return slices.IndexFunc(l.f.Parties.Auditors(), func(p testfleet.Auditor) bool { return p.Name == absent[0] })
}

// thirdParty is what a third party does next: it begins its ledger, then signs.
func (l *life) thirdParty(number int) *process {
	who, disk := l.f.Parties.Auditors()[number], l.thirds[l.computers()[number+1]]
	path, key := who.Ledger, who.Key()
	guard := thirdparty.GuardPath(path)
	_, noLedger := durable.Stat(path)
	_, noGuard := durable.Stat(guard)
	switch {
	case noLedger != nil:
		return &process{"begin the ledger", disk, func() error { return thirdparty.InitLedger(path, guard, key) }}
	case noGuard != nil: // as the refusal says, where nothing was signed
		return &process{"begin the guard", disk, func() error {
			r, err := thirdparty.ReadLedger(path, key)
			if err != nil {
				return err
			}
			return r.BeginGuard(guard)
		}}
	}
	return &process{"sign", disk, func() error {
		r, err := l.f.AnswerOf(who.Name, l.request, l.now())
		if err == nil {
			l.answers[who.Name] = r
		}
		return err
	}}
}

func (l *life) take(j *engine.Journal) error {
	_, err := j.ImportResponse(l.answers[l.f.Parties.Auditors()[l.unheard(j.Account())].Name])
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
