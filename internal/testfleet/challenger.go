package testfleet

import (
	"context"
	"errors"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/challenge"
	"github.com/fleetctl/fleetctl/ceremony/engine"
)

// Peer leaves it to the engine to draw one.
func (Machine) Peer(context.Context, engine.AgreementQuestion) ([]byte, string, string, error) {
	return nil, "", machine, nil
}

// Opened is asked of nobody whose peer the engine drew.
func (Machine) Opened(context.Context, engine.AgreementQuestion, [32]byte) ([]byte, error) {
	return nil, errors.New("the machine brought no peer")
}

// Challenger is an auditor who challenges keys that agree from a machine of their own;
// for the rest it is the rehearsal's machine.
type Challenger struct {
	Machine
	Name string
	Kept challenge.Kept
}

// Peer is drawn anew for each key, and follows from the step.
func (p *Challenger) Peer(_ context.Context, q engine.AgreementQuestion) ([]byte, string, string, error) {
	peer, err := p.Kept.Draw(q.Algorithm, q.PublicKey, Random(p.Name+" challenges "+q.Step.Title()))
	if err == nil {
		err = q.Peer(peer)
	}
	return peer, p.Name, ceremony.Auditor, err
}

// Opened keeps the answer before it tells the scalar.
func (p *Challenger) Opened(_ context.Context, q engine.AgreementQuestion, answer [32]byte) ([]byte, error) {
	scalar, err := p.Kept.Open(answer[:])
	if err == nil {
		err = q.Scalar(scalar)
	}
	return scalar, err
}

func (f *Fleet) participants() engine.Participants {
	if f.o.Challenger == "" {
		return Machine{}
	}
	return &Challenger{Name: f.o.Challenger}
}

// tpm is the way to each TPM, where the plan has keys agree by it.
func (o Options) tpm() *engine.SiteTPM {
	if o.Agreement == "" {
		return nil
	}
	return &engine.SiteTPM{TCTI: "device:/nowhere/tpm", Store: "/nowhere/store"}
}

func (o Options) site(i int) string {
	if len(o.Sites) == 0 {
		return "lab"
	}
	return o.Sites[i%len(o.Sites)]
}

type quiet struct{}

func (quiet) Step(*ceremony.Plan, int, int, ceremony.Step) {}
func (quiet) Done(string, *ceremony.Record)                {}
