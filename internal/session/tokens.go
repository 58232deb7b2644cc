package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/token"
)

// tokens reaches the tokens that the site file names. It is where the ceremony,
// which knows no PKCS#11, meets the package that does.
type tokens struct {
	a      *cli.App
	within *Within // nil: adjourning or raising an exception ends the step
}

// newTokens reaches them with the flags and the terminal of a run.
func newTokens(a *cli.App) tokens { return tokens{a: a} }

// Open opens an HSM's token.
func (b tokens) Open(ctx context.Context, site *engine.SiteHSM, serial string) (engine.Token, engine.Module, error) {
	m, err := hsm.Open(site.Module, signer.Options(b.a, site.InitArgs))
	if err != nil {
		return nil, engine.Module{}, err
	}
	defer m.Close() // its tokens stay usable
	t, err := m.Token(hsm.Selector{Serial: serial, Label: site.Token})
	if err != nil {
		return nil, engine.Module{}, err
	}
	return reached(ctx, t, site), engine.Module{Library: m.Description(), Digest: m.Digest()}, nil
}

// PIN asks for the PIN of an HSM's token.
func (b tokens) PIN(_ context.Context, site *engine.SiteHSM, about token.Info, failed error) (engine.PIN, error) {
	for {
		pin, err := signer.PINFor(b.a, site.PIN, site.Name, about, failed)
		if again, err := b.within.called(err); !again {
			return pin, err
		}
	}
}

// Probe looks at the token from a new process.
func (b tokens) Probe(ctx context.Context, site *engine.SiteHSM, serial, algorithm string, id, pin []byte) ([]byte, []token.Object, error) {
	reply, err := runProbe(ctx, probeRequest{
		Module: site.Module, InitArgs: site.InitArgs, Serial: serial, Label: site.Token, Algorithm: algorithm, ID: id,
		Protected: pin == nil, Patience: b.a.Patience.String(),
	}, pin)
	if err != nil {
		return nil, nil, err
	}
	if reply.Error != "" {
		return nil, nil, fmt.Errorf("the new process: %s", reply.Error)
	}
	objects := make([]token.Object, 0, len(reply.Objects))
	for _, o := range reply.Objects {
		objects = append(objects, token.Object{Class: o.Class, ID: o.ID})
	}
	return reply.SPKI, objects, nil
}

// Code takes a token's flag for its code: a PIN that it says is locked isn't
// tried, and that is the token's refusal too.
func (b tokens) Code(err error) string {
	if code := hsm.Code(err); code != "" || !errors.Is(err, hsm.ErrPINLocked) {
		return code
	}
	return "CKR_PIN_LOCKED"
}
