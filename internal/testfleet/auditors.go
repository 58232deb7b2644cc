package testfleet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// Auditor is a third party.
type Auditor struct {
	Name string
	Signer
	Ledger string
}

// FirstAuditor is the third party of every fleet.
const FirstAuditor = "auditor.example"

// Auditors are all third parties.
func (p *Parties) Auditors() []Auditor {
	return append([]Auditor{{FirstAuditor, p.ThirdParty, p.Ledger}}, p.Others...)
}

// Auditor finds a third party by its name; it panics where there is none.
func (p *Parties) Auditor(name string) Auditor {
	for _, a := range p.Auditors() {
		if a.Name == name {
			return a
		}
	}
	panic("testfleet has no third party " + name)
}

// Key is the raw public key.
func (a Auditor) Key() [32]byte {
	raw, _ := a.Public.Ed25519()
	return [32]byte(raw)
}

// answer has a third party answer the fleet's request, and takes it in.
func (f *Fleet) answer(j *engine.Journal, name string) (*bundle.Response, error) {
	r, err := f.AnswerOf(name, f.Request, f.clock.now())
	if err == nil && f.o.Served != nil {
		r, err = bundle.ParseAnswer("answer", f.o.Served(r.Statement.Raw()), f.Plan.PartyKeys())
	}
	if err == nil {
		_, err = j.ImportResponse(r)
	}
	return r, err
}

// Wait lets time pass in the ceremony's room.
func (f *Fleet) Wait(d time.Duration) { f.clock.at = f.clock.at.Add(d) }

// Journal goes on with the ceremony, as a command would.
func (f *Fleet) Journal() (*engine.Journal, error) {
	return engine.OpenJournal(f.Dir, Program, f.clock.now, Random(f.Plan.Fleet+" later"))
}

// Answer is what the first third party answers to a request, at its time.
func (f *Fleet) Answer(r *bundle.Request, now time.Time) (*bundle.Response, error) {
	return f.AnswerOf(FirstAuditor, r, now)
}

// AnswerOf is what a third party answers.
func (f *Fleet) AnswerOf(name string, r *bundle.Request, now time.Time) (*bundle.Response, error) {
	if f.o.Unwary {
		return f.signUnseen(f.Parties.Auditor(name), r, now)
	}
	p, err := thirdparty.ParsePolicy("third-party policy", f.ThirdPartyPolicy())
	if err != nil {
		return nil, err
	}
	who := f.Parties.Auditor(name)
	l, err := who.OpenLedger()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	in, err := thirdparty.Inspect("request", r, p, l)
	if err != nil {
		return nil, err
	}
	in.AddBy(f.adder(name))
	return thirdparty.Sign(in, l, now, who.Sign)
}

// signUnseen is a third party that signs whatever it is sent.
func (f *Fleet) signUnseen(who Auditor, r *bundle.Request, now time.Time) (*bundle.Response, error) {
	set := r.Core.KeySet
	s, err := bundle.NewStatement(f.Plan.ThirdParties[0].Ciphersuite, set.Namespace, uint64(now.UnixMilli()), set.Epoch, set.Digest())
	if err != nil {
		return nil, err
	}
	sig, err := who.Sign(s.Message())
	if err != nil {
		return nil, err
	}
	if s, err = s.Seal(who.Key(), sig); err != nil {
		return nil, err
	}
	signed := bundle.Signed{Key: who.Key(), Statement: s}
	if by := f.adder(who.Name); by != nil {
		if sig, err = by.Sign(s.Message()); err == nil {
			signed, err = signed.Seal(by.Key, sig)
		}
		if err != nil {
			return nil, err
		}
	}
	return bundle.NewResponse(signed)
}

// adder is what a third party adds to its statement; nil where the plan names nothing.
func (f *Fleet) adder(name string) *thirdparty.Adder {
	for _, p := range f.Plan.ThirdParties {
		if p.Name == name && p.PostQuantum != nil {
			s := f.Parties.PostQuantum[name]
			return &thirdparty.Adder{Key: s.Public, Sign: s.For(keys.ForThirdParty)}
		}
	}
	return nil
}

// OpenLedger opens the first third party's.
func (f *Fleet) OpenLedger() (*thirdparty.Ledger, error) {
	return f.Parties.Auditor(FirstAuditor).OpenLedger()
}

// OpenLedger opens a third party's ledger, which is begun where neither it nor
// its guard is there.
func (a Auditor) OpenLedger() (*thirdparty.Ledger, error) {
	if err := a.begin(); err != nil {
		return nil, err
	}
	return thirdparty.OpenLedger(a.Ledger, a.Key())
}

// beginning is held while a ledger is begun: of many who open it at once, one
// begins it.
var beginning sync.Mutex

func (a Auditor) begin() error {
	beginning.Lock()
	defer beginning.Unlock()
	_, errLedger := durable.Stat(a.Ledger)
	_, errGuard := durable.Stat(thirdparty.GuardPath(a.Ledger))
	if errors.Is(errLedger, fs.ErrNotExist) && errors.Is(errGuard, fs.ErrNotExist) {
		return thirdparty.InitLedger(a.Ledger, thirdparty.GuardPath(a.Ledger), a.Key())
	}
	return nil
}

// ThirdPartyPolicy lets this fleet pass and little else.
func (f *Fleet) ThirdPartyPolicy() []byte {
	text := fmt.Appendf(nil, "format: fleetctl third-party-policy v1\nmode: rehearsal\nnamespaces: [%s]\nalgorithms: [ed25519, ecdsa-p256, ecdsa-p384, ecdh-p256, x25519, ml-dsa-44, ml-dsa-65, ml-dsa-87]\nroles: [session, backup, sealing, vault]\nleast_hsms: %d\nthreshold: %d\n",
		f.Plan.Namespace, len(f.Plan.HSMs), f.Plan.Threshold)
	if slices.ContainsFunc(f.Plan.Roles, func(r ceremony.Role) bool { return r.Algorithm.IsMLKEM() }) {
		text = bytes.Replace(text, []byte("ml-dsa-87]"), []byte("ml-dsa-87, ml-kem-768]"), 1)
	}
	if list := f.Plan.HSMs[0].Tolerates; len(list) > 0 {
		text = fmt.Appendf(text, "tolerates: [%s]\n", strings.Join(list, ", "))
	}
	text = append(text, "people:\n"...)
	for _, p := range f.Plan.People {
		text = fmt.Appendf(text, "  - {name: %s, role: %s, key: %q}\n", p.Name, p.Role, p.Key)
	}
	return text
}
