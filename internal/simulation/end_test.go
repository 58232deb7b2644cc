package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// pin is who types the PIN of an HSM.
func (l *life) pin(hsm string) error {
	if last := l.f.Plan.HSMs[len(l.f.Plan.HSMs)-1].Name; hsm == last && l.aborts(abortsLocked) {
		return errors.New("nobody is there who has the PIN")
	}
	return nil
}

// aborts says that the ceremony at hand is to be aborted so: never the second one.
func (l *life) aborts(so kind) bool { return l.kind&so != 0 && len(l.past) == 0 }

// toAbort says that people abort the ceremony as it stands.
func (l *life) toAbort(a *ceremony.Account) bool {
	if a.Open == nil || a.Request != nil || a.Ended() {
		return false
	}
	s, _ := a.Next()
	return l.aborts(abortsLocked) && s.Act == ceremony.ActUnlock && s.HSM == l.f.Plan.HSMs[len(l.f.Plan.HSMs)-1].Name ||
		l.aborts(abortsBuilt) && s.Act == ceremony.ActRequest ||
		l.aborts(abortsCut) && l.deaths+l.errors > 0
}

func (l *life) abort() *process {
	return &process{"abort", l.op, func() error {
		_, err := engine.Abort(context.Background(), l.config(), "people have decided so")
		if err == nil {
			l.hear()
		}
		return err
	}}
}

// aborted is what is left to do after the abort: people sign it, then it is packed
// and logged as any ending is.
func (l *life) aborted(a *ceremony.Account) (*process, error) {
	if l.kind&(abortsLocked|abortsBuilt|abortsCut) == 0 {
		return nil, fmt.Errorf("the ceremony was aborted: %s", a.Abort.Reason)
	}
	signed, err := folder.ReadAbortVerdicts(l.f.Dir, a)
	if err != nil {
		return nil, err
	}
	if signed.Enough(a.Plan.Threshold) != nil {
		return &process{"sign the abort", l.op, func() error { return l.signAbort(a) }}, nil
	}
	return l.publish(), nil
}

func (l *life) signAbort(a *ceremony.Account) error {
	people, err := a.People()
	if err != nil {
		return err
	}
	for _, name := range testfleet.Signers {
		want := a.AbortApproval()
		want.Role = l.f.Parties.People[name].Role
		sig, err := l.f.Parties.People[name].Sign(want.Namespace(), want.Text())
		if err != nil {
			return err
		}
		if _, err := folder.StoreSignature(l.f.Dir, ceremony.ApprovalsDir, folder.ApprovalName(want), people, want.Namespace(), want.Text(), sig); err != nil {
			return err
		}
	}
	return nil
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
	return l.publish(), nil
}

// publish packs a ceremony that has ended, then logs how it ended.
func (l *life) publish() *process {
	switch {
	case l.logged:
		return nil
	case l.packed:
		return &process{"log the ending", l.op, l.logEnding}
	}
	return &process{"pack", l.op, func() error {
		data, err := l.pack()
		if err != nil {
			return err
		}
		err = durable.CreateSame(l.archive, data, 0o644)
		l.packed = err == nil
		return err
	}}
}

func (l *life) logEnding() error {
	data, err := durable.ReadFile(l.archive)
	if err != nil {
		return err
	}
	leaf, err := evidence.PackageLeaf(l.archive, data)
	if err != nil {
		return err
	}
	if l.ending == nil {
		if l.ending, err = l.f.Parties.Log.Append(leaf.Marshal()); err != nil {
			return err
		}
	}
	err = durable.CreateSame(evidence.ProofBeside(l.archive), l.ending, 0o644)
	l.logged = err == nil
	return err
}

func (l *life) pack() ([]byte, error) {
	files, _, err := closing.PackFolder(l.f.Dir, false)
	if err != nil {
		return nil, err
	}
	return evidence.Pack(files)
}

// end is after all is done: a power cut on every computer, and nothing is lost.
func (l *life) end() error {
	l.lived = l.calls()
	for _, name := range l.computers() {
		l.on(name).Fault = nil
		l.on(name).Cut()
	}
	list := append(l.past, l.held)
	var beside []evidence.Input
	for _, l.held = range list {
		in, err := l.kept()
		if err != nil {
			return fmt.Errorf("%s: %w", l.f.Dir, err)
		}
		if err := l.verifies(in, beside); err != nil {
			return fmt.Errorf("%s: unverifiable: %w", l.f.Dir, err)
		}
		beside = append(beside, in)
	}
	if l.kind&(abortsLocked|abortsBuilt) != 0 && list[0].f.Account.Abort == nil {
		return errors.New("nobody aborted it")
	}
	if l.kind&(twice|destroys) != 0 && (len(list) != 2 || l.f.Account.Close == nil) {
		return errors.New("there was no second ceremony")
	}
	return l.ledgers(list)
}

// kept is the ceremony's package and the proof beside it, and nothing of it is lost.
func (l *life) kept() (in evidence.Input, err error) {
	if err := l.remembers(); err != nil {
		return in, err
	}
	in = evidence.Input{File: "evidence.tar"}
	if in.Data, err = durable.ReadFile(l.archive); err != nil {
		return in, fmt.Errorf("lost: the package: %w", err)
	}
	if in.Logged, err = durable.ReadFile(evidence.ProofBeside(l.archive)); err != nil {
		return in, fmt.Errorf("lost: the proof of its ending: %w", err)
	}
	again, err := l.pack()
	if err != nil {
		return in, fmt.Errorf("lost: the folder of the package: %w", err)
	}
	if !bytes.Equal(again, in.Data) {
		return in, errors.New("lost: the ceremony's folder gives another package than before")
	}
	a, err := folder.Read(l.f.Dir)
	if err != nil {
		return in, err
	}
	l.f.Account = a
	want := len(l.f.Plan.Roles)
	if a.Abort != nil || l.kind&destroys != 0 {
		want = 0
	}
	for _, tok := range l.f.Tokens {
		if n := tok.Keys(); n != want {
			return in, fmt.Errorf("a token holds %d keys of which the evidence tells of %d", n, want)
		}
	}
	return in, nil
}

// verifies is what a stranger does, who has the package, a policy, and the packages of
// the ceremonies before.
func (l *life) verifies(in evidence.Input, beside []evidence.Input) error {
	p, err := evidence.ParsePolicy("policy", l.f.Policy)
	if err != nil {
		return err
	}
	q := evidence.Question{Now: l.at.Add(time.Hour), Expect: evidence.TypeEvidence}
	if l.f.Account.Abort != nil {
		q.Expect = evidence.TypeAbort
	}
	if l.f.Plan.Destroys != nil {
		q.Expect = evidence.TypeDestruction
	}
	in.Beside = beside
	r, err := evidence.Verify(in, p, q)
	if err != nil {
		return err
	}
	if !r.Verified || !r.Met() {
		return fmt.Errorf("%d problems, the first: %+v", len(r.Problems), append(r.Problems, evidence.Problem{})[0])
	}
	return nil
}

// ledgers checks that each third party answers each request as it did, and that its
// ledger has what left it, each once.
func (l *life) ledgers(list []*held) error {
	for _, p := range l.f.Parties.Auditors() {
		var want [][]byte
		for _, h := range list {
			if h.answers[p.Name] == nil {
				continue // aborted before it was asked
			}
			again, err := h.f.AnswerOf(p.Name, h.request, l.now())
			if err != nil {
				return fmt.Errorf("lost: the signature of %s: %w", p.Name, err)
			}
			want = append(want, h.answers[p.Name].Statement.Raw())
			if !bytes.Equal(again.Statement.Raw(), want[len(want)-1]) {
				return fmt.Errorf("%s signed twice", p.Name)
			}
		}
		if want == nil {
			continue
		}
		r, err := thirdparty.ReadLedger(p.Ledger, p.Key())
		if err != nil {
			return fmt.Errorf("lost: the ledger of %s: %w", p.Name, err)
		}
		have := r.Statements()
		for i := range want {
			if len(have) != len(want) || !bytes.Equal(have[i].Raw(), want[i]) {
				return fmt.Errorf("the ledger of %s has %d statements, not the %d that left", p.Name, len(have), len(want))
			}
		}
	}
	return nil
}
